"""The figures of the study of the real sample show what they were given."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.figures.coco_sample import _late_curves, beside_gray, make_coco_sample_figures
from ucolnet_lib.figures.style import COLORS


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def row(name: str, gray: str | None, kind: str, value=0.9, ends=(0.8, 1.0)) -> dict:
    numbers = {"retention": 0.9, "retention_ci": [0.8, 1.0], "minus_gray": -0.1, "minus_gray_ci": list(ends)}
    return {
        "name": name, "kind": kind, "gray": gray, "rmse_of_gray": value, "rmse_of_gray_ci": list(ends),
        "colourfulness": 0.5, "colourfulness_ci": [-3.0, 4.0], "detectors": {"yolo": numbers, "other": numbers},
    }  # fmt: skip


ROWS = [
    row("original", "gray", "control"), row("gray", None, "control"), row("mean_colour", "gray", "control"),
    row("gray_16", None, "control"), row("ucolnet_v3", "gray_16", "model"),
    row("ucolnet_v3_full_lightness", "gray", "model"), row("demo", "gray_16", "model", ends=(None, None)),
]  # fmt: skip


def test_points_bars_and_lines():
    figure = beside_gray(ROWS)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["RMSE", "colourfulness", "yolo", "other"]
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert names == ["mean colour", "UColNet v3", "UColNet v3, own lightness", "demo"]  # gray and originals are lines
    for ax, line, value in zip(figure.axes, (1, 1, 0, 0), (0.9, 0.5, -0.1, -0.1), strict=True):
        assert set(ax.lines[0].get_xdata()) == {line}
        dots = [d for d in ax.lines if d.get_marker() == "o"]
        assert [d.get_xdata()[0] for d in dots] == [value] * 4
        assert [d.get_markerfacecolor() for d in dots][1:3] == ["white", COLORS["ucolnet_v3"]]
        assert len(ax.lines) == 1 + 4 + (4 if value == 0.5 else 3)  # no bar where an interval has no end
    assert figure.axes[1].get_xlim() == (0, 1.1)


def test_without_a_detector():
    assert len(beside_gray([entry | {"detectors": {}} for entry in ROWS]).axes) == 2


def test_from_the_folder_of_a_study(tmp_path):
    with pytest.raises(UcolnetError, match="ucolnet study coco-sample"):
        make_coco_sample_figures(tmp_path)
    (tmp_path / "history").mkdir()
    for seed in range(2):
        epochs = np.arange(1, 6)
        table = pd.DataFrame({"epoch": epochs, "train_color": 0.01, "validation_color": 0.02 + 0.001 * abs(epochs - 3)})
        table.to_csv(tmp_path / "history" / f"ucolnet_v3-{seed}.csv", index=False)
    content = {"rows": ROWS, "trainings": [{"model": "ucolnet_v3", "seeds": 2}]}
    (tmp_path / "results.json").write_text(json.dumps(content), encoding="utf-8")
    made = make_coco_sample_figures(tmp_path)
    assert [p.name for p in made] == ["loss-curves.png", "loss-curves.pdf", "beside-gray.png", "beside-gray.pdf"]
    assert all(p.stat().st_size > 5_000 for p in made)


def test_curves_are_drawn_at_the_scale_of_the_overfitting():
    """The first epochs lie far above; all later ones are in sight."""
    loss = 0.02 + 0.0001 * np.abs(np.arange(8) - 5)
    table = pd.DataFrame({"epoch": np.arange(1, 9), "train_color": loss - 0.001, "validation_color": loss})
    table.loc[0, "validation_color"] = 0.5
    ax = _late_curves({"ucolnet_v3": [table]}).axes[0]
    low, high = ax.get_ylim()
    assert ax.get_yscale() == "linear" and low < 0.019 < 0.0203 < high < 0.022
