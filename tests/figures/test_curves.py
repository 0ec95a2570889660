"""Loss curves: what is drawn is what the history says, and every panel can be read."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ucolnet_lib.figures.curves import loss_curves
from ucolnet_lib.figures.style import COLORS, LABELS, save
from ucolnet_lib.models import MODELS


def history(epochs=8, best=5) -> pd.DataFrame:
    """The colour loss is lowest at `best`, the whole validation loss at another epoch."""
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "validation_loss": 1 + (epoch - 2) ** 2,
            "train_color": 0.05 / epoch,
            "validation_color": 0.02 + 0.001 * (epoch - best) ** 2,
        }
    )


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def panels(figure: Figure) -> list:
    return [ax for ax in figure.axes if ax.get_visible()]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7])
def test_every_panel_is_titled_and_labelled(count):
    names = list(MODELS)[:count]
    figure = loss_curves(dict.fromkeys(names, history()))
    assert isinstance(figure, Figure)
    axes = panels(figure)
    assert [ax.get_title(loc="left") for ax in axes] == [LABELS[name] for name in names]
    assert axes[0].get_legend() is not None
    columns = min(3, count)
    for i, ax in enumerate(axes):
        if i % columns == 0:
            assert ax.get_ylabel() == "colour loss (MSE of ab / 110)"
        lowest = i + columns >= count
        assert (ax.get_xlabel() == "epoch") == lowest
        # The axis below an empty place must show its numbers too.
        assert ax.xaxis.get_tick_params()["labelbottom"] == lowest


def test_the_curves_are_the_colour_losses_of_the_history():
    figure = loss_curves({"ucolnet_v3": history()})
    (ax,) = panels(figure)
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert set(lines) == {"training", "validation", "lowest validation"}
    for label, column in (("training", "train_color"), ("validation", "validation_color")):
        assert np.array_equal(lines[label].get_xdata(), history()["epoch"])
        assert np.array_equal(lines[label].get_ydata(), history()[column])
        assert lines[label].get_color() == COLORS["ucolnet_v3"]


def test_the_mark_stands_at_the_lowest_validation_colour_loss():
    """Of the colour loss that is drawn, not of the whole loss: a mark beside its curve would mislead."""
    figure = loss_curves({"ucolnet_v1": history(epochs=8, best=5)})
    (ax,) = panels(figure)
    mark = next(line for line in ax.get_lines() if line.get_label() == "lowest validation")
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (5, 0.02)
    gap = 0.02 + 0.001 * 9 - 0.05 / 8
    assert ax.texts[0].get_text() == f"lowest in epoch 5\ngap at the end {gap:+.4f}"


def test_epochs_are_whole_numbers():
    figure = loss_curves({"iizuka": history(epochs=2, best=1)})
    figure.canvas.draw()
    assert all(float(tick).is_integer() for tick in panels(figure)[0].get_xticks())


def test_one_epoch_and_an_unknown_model():
    figure = loss_curves({"my_model": history(epochs=1, best=1)})
    assert panels(figure)[0].get_title(loc="left") == "my_model"


def test_it_can_be_saved(tmp_path):
    files = save(loss_curves(dict.fromkeys(MODELS, history())), tmp_path / "curves")
    assert all(file.stat().st_size > 5_000 for file in files)
