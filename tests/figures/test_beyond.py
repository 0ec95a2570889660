"""The curves of vividness: a line a model, a dot at what it predicts."""

import numpy as np

from ucolnet_lib.colorizer import Colorizer
from ucolnet_lib.figures.beyond import colouring_grid, sample_photographs, strength_curves
from ucolnet_lib.models import create_model


def rows(temperature, offset):
    steps = [0.0, 0.5, 1.0, 2.0]
    found = [
        {"temperature": temperature, "vividness": v, "of_gray": 1 - 0.1 * v + offset, "colourfulness": 0.4 * v}
        for v in steps
    ]
    other = {"temperature": 1.0, "vividness": 1.0, "of_gray": 2.0, "colourfulness": 0.9}
    return [other, *found] if temperature else found


def test_a_line_a_model_and_a_dot_at_vividness_one():
    figure = strength_curves({"mse": rows(None, 0.0), "bins": rows(0.38, 0.1)})
    (ax,) = figure.axes
    lines = {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}
    assert list(lines) == ["mse", "bins"]
    assert list(lines["bins"].get_xdata()) == [0, 0.2, 0.4, 0.8], "other temperatures are not on the line"
    dots = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.get_lines() if line.get_marker() == "o"]
    assert [(round(x, 6), round(y, 6)) for x, y in dots] == [(0.4, 0.9), (0.4, 1.0)]


def test_the_photographs_are_small_and_in_colour():
    photographs = sample_photographs(64)
    assert list(photographs) == ["astronaut", "cat", "coffee", "rocket", "motorcycle"]
    for picture in photographs.values():
        assert picture.dtype == np.uint8 and max(picture.shape) == 64 and picture.shape[2] == 3
        assert np.ptp(picture, axis=-1).mean() > 4


def test_a_row_a_photograph_between_gray_and_truth():
    models = {name: Colorizer(create_model("ucolnet_v2", width=1 / 16), 32) for name in ("one", "two")}
    figure = colouring_grid(models)
    assert len(figure.axes) == 5 * 4
    assert [ax.get_title() for ax in figure.axes[:4]] == ["gray", "one", "two", "truth"]
    shown = figure.axes[0].images[0].get_array()
    assert np.ptp(np.asarray(shown), axis=-1).max() == 0
