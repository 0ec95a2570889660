"""alpha to play with, live and still."""

import io

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.notebook import alpha_explorer, results
from ucolnet_lib.notebook.alpha_explorer import LINES, STILL, AlphaExplorer, Setting


@pytest.fixture
def history():
    return pd.DataFrame(
        {
            "steps": [2, 4, 6],
            "train_color": [0.05, 0.03, 0.02],
            "train_cross_entropy": [4.0, 2.0, 1.0],
            "train_dice": [1.0, 0.9, 0.5],
        }
    )


def parts(widget):
    """All widgets inside a widget, by description."""
    found = {getattr(widget, "description", "") or type(widget).__name__: widget}
    for child in getattr(widget, "children", ()):
        found |= parts(child)
    return found


def replayed(history, momentum):
    """alpha by numpy: running means over the steps, corrected for their start."""
    segmentation = history["train_cross_entropy"] + history["train_dice"]
    steps = np.diff(history["steps"], prepend=0)
    sums, found = np.zeros(2), []
    for pair, count in zip(zip(history["train_color"], segmentation, strict=True), steps, strict=True):
        for _ in range(count):
            sums = momentum * sums + (1 - momentum) * np.array(pair)
        found.append(sums[0] / sums[1])
    return found


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99])
def test_alpha_is_the_ratio_of_the_running_means_over_steps(history, momentum):
    curves = AlphaExplorer(history).curves(Setting(momentum=momentum))
    assert list(curves) == list(LINES)
    np.testing.assert_allclose(curves["alpha"], replayed(history, momentum), rtol=1e-5)
    np.testing.assert_allclose(curves["alpha x segmentation"], curves["alpha"] * curves["segmentation loss"])


def test_the_librarys_rule_decides(history, monkeypatch):
    monkeypatch.setattr(alpha_explorer.BalancedAlpha, "forward", lambda self, color, segmentation: segmentation)
    np.testing.assert_allclose(AlphaExplorer(history).curves(Setting())["alpha"], [5, 2.9, 1.5])


def test_scales_move_the_losses_and_balanced_alpha_makes_up_for_them(history):
    explorer = AlphaExplorer(history)
    plain, scaled = explorer.curves(Setting()), explorer.curves(Setting(color_scale=3, segmentation_scale=10))
    np.testing.assert_allclose(scaled["segmentation loss"], 10 * plain["segmentation loss"])
    np.testing.assert_allclose(scaled["colour loss"], 3 * plain["colour loss"])
    np.testing.assert_allclose(scaled["alpha"], 0.3 * plain["alpha"], rtol=1e-5)
    fixed = explorer.curves(Setting(segmentation_scale=10, fixed=0.5))
    assert (fixed["alpha"] == 0.5).all()


def test_replaying_the_study_gives_the_alpha_that_was_saved():
    history = results.study_history("ucolnet_v3")
    alpha = AlphaExplorer(history).curves(Setting())["alpha"]
    # An epoch's means stand for its steps; the first epochs change too fast for that.
    np.testing.assert_allclose(alpha[5:], history["alpha"].to_numpy()[5:], rtol=0.1)


@pytest.mark.parametrize(
    ("control", "value"),
    [("colour loss x", 10), ("segmentation loss x", 0.1), ("momentum", 0.0), ("rule of alpha", "fixed")],
)
def test_every_control_redraws(history, control, value):
    widgets = parts(AlphaExplorer(history).widget())
    picture = next(w for w in widgets.values() if isinstance(w, ipywidgets.Image))
    before = picture.value
    widgets[control].value = value
    assert picture.value != before and np.asarray(Image.open(io.BytesIO(picture.value))).std() > 0
    assert not plt.get_fignums()


def test_the_fixed_value_counts_with_the_fixed_rule_alone(history):
    widgets = parts(AlphaExplorer(history).widget())
    picture, fixed = (next(w for w in widgets.values() if isinstance(w, ipywidgets.Image)), widgets["fixed alpha"])
    before = picture.value
    fixed.value = 0.1
    assert fixed.disabled and picture.value == before
    widgets["rule of alpha"].value = "fixed"
    drawn = picture.value
    fixed.value = 1
    assert not fixed.disabled and widgets["momentum"].disabled and picture.value != drawn


@pytest.mark.parametrize("reader", [True, False])
def test_show_is_live_for_a_reader_and_still_else(history, monkeypatch, reader):
    displayed, figures = [], []
    monkeypatch.setattr(alpha_explorer, "has_reader", lambda: reader)
    monkeypatch.setattr(alpha_explorer, "display", displayed.append)
    monkeypatch.setattr(plt, "show", lambda: figures.append(plt.gcf()))
    AlphaExplorer(history).show()
    assert (len(displayed), len(figures)) == ((1, 0) if reader else (0, 1))
    for figure in figures:
        assert len(figure.axes) == len(STILL) and figure.get_figwidth() <= 9
        assert all(ax.get_title() and ax.get_xlabel() and len(ax.lines) == len(LINES) for ax in figure.axes)
        assert [text.get_text() for text in figure.legends[0].get_texts()] == list(LINES)
        plt.close(figure)


@pytest.mark.parametrize("change", [lambda h: h.drop(columns="train_dice"), lambda h: h.iloc[:0]])
def test_a_history_that_cannot_be_drawn_is_named(history, change):
    with pytest.raises(UcolnetError, match="history"):
        AlphaExplorer(change(history))
