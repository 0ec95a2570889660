"""The run folder alone: broken and half-written ones."""

import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training import Run


def test_description_round_trip(tmp_path):
    Run(tmp_path).describe("ucolnet_v1", RECIPES["paper"], "coco")
    description = Run(tmp_path).description
    assert (description.model, description.recipe, description.data) == ("ucolnet_v1", RECIPES["paper"], "coco")


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(UcolnetError, match="no run folder"):
        _ = Run(tmp_path).description
    with pytest.raises(UcolnetError, match=r"no history\.csv"):
        _ = Run(tmp_path).history


def test_the_newest_whole_state_counts(tmp_path):
    run = Run(tmp_path)
    assert run.state() is None
    for name in ("epoch-00002", "epoch-00010", ".epoch-00011.1234.part"):
        (tmp_path / "state" / name).mkdir(parents=True)
    assert run.state() == (10, tmp_path / "state" / "epoch-00010")
    run.keep_only_state(10)
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["epoch-00010"]


def test_steps_of_an_interrupted_epoch_are_forgotten(tmp_path):
    run = Run(tmp_path)
    run.append_steps([{"epoch": 1, "step": 0, "loss": 0.5}], first=True)
    run.append_steps([{"epoch": 2, "step": 0, "loss": 0.25}], first=False)
    with (tmp_path / "steps.csv").open("a", encoding="utf-8") as file:
        file.write("1,1,0.")  # cut off in the middle of a line
    run.forget_steps_after(1)
    assert (tmp_path / "steps.csv").read_text(encoding="utf-8") == "epoch,step,loss\n1,0,0.5\n"
