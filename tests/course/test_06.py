"""What notebook 06 builds equals the library's."""

from pathlib import Path

import pytest
import torch

from ucolnet_lib.models import count_parameters, create_model
from ucolnet_lib.notebook.checks import ucolnet_v3

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "06_ucolnet_v3.ipynb"


@pytest.mark.parametrize("segmentation", [True, False])
def test_ucolnet_v3(notebook_definitions, segmentation):
    ours = notebook_definitions("06", "UColNetV3")["UColNetV3"](width=0.25, segmentation=segmentation).eval()
    theirs = create_model("ucolnet_v3", width=0.25, segmentation=segmentation).eval()
    ours.load_state_dict(theirs.state_dict())
    lightness = torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(0)) * 100
    with torch.no_grad():
        found, expected = ours(lightness), theirs(lightness)
    torch.testing.assert_close(found.ab, expected.ab)
    if segmentation:
        torch.testing.assert_close(found.logits, expected.logits)
    else:
        assert found.logits is None and expected.logits is None
    assert count_parameters(ours) == count_parameters(theirs)


def test_the_counts_by_task_leave_nothing_out(notebook_definitions):
    by_task = notebook_definitions("06", "SERVES", "by_task")["by_task"]
    for name in ("ucolnet_v1", "ucolnet_v2", "ucolnet_v3"):
        counts = by_task(name)
        assert sum(counts.values()) == count_parameters(create_model(name))
        assert all(counts.values())


def test_the_table_to_read_is_that_of_the_check():
    text = NOTEBOOK.read_text(encoding="utf-8")
    for row, values in zip(("low", "high"), zip(*ucolnet_v3.INTERVALS, strict=True), strict=True):
        assert f"| {row} | " + " | ".join(f"{value:+.1f}" for value in values) + " |" in text
