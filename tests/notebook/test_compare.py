"""Gray, coloured, truth."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.notebook.compare import TITLES, before_after, compare, to_gray


def red_colorizer(gray):
    """Stands in for a model: adds red, and remembers what it was shown."""
    red_colorizer.saw = gray
    return np.stack([gray[..., 0] // 2 + 100, gray[..., 1], gray[..., 2]], axis=-1)


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)


def test_to_gray_keeps_lightness_and_takes_the_colour(rgb):
    gray = to_gray(rgb)
    assert gray.dtype == np.uint8 and gray.shape == rgb.shape
    assert (gray[..., 0] == gray[..., 1]).all() and (gray[..., 1] == gray[..., 2]).all()
    assert np.abs(rgb8_to_lab(gray)[..., 0] - rgb8_to_lab(rgb)[..., 0]).max() < 0.5


def test_the_colorizer_sees_only_the_gray_picture(rgb):
    gray, coloured, truth = before_after(red_colorizer, rgb)
    assert (red_colorizer.saw == to_gray(rgb)).all() and (gray == to_gray(rgb)).all()
    assert (coloured == red_colorizer(gray)).all() and truth is rgb


def test_compare_draws_a_row_a_picture(rgb):
    figure = compare(red_colorizer, [rgb, rgb[:4]])
    try:
        assert [ax.get_title() for ax in figure.axes[:3]] == list(TITLES)
        shown = [ax.images[0].get_array() for ax in figure.axes]
        assert len(shown) == 6 and (shown[2] == rgb).all() and (shown[5] == rgb[:4]).all()
        assert (shown[1] == red_colorizer(to_gray(rgb))).all()
    finally:
        plt.close(figure)
