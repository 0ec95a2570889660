"""The picture to play with, live and still."""

import io

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.notebook import explorer
from ucolnet_lib.notebook.compare import to_gray
from ucolnet_lib.notebook.explorer import Explorer, wipe


def blue_colorizer(gray):
    return np.stack([gray[..., 0], gray[..., 1], np.full_like(gray[..., 2], 255)], axis=-1)


@pytest.fixture
def pictures():
    return list(np.random.default_rng(0).integers(0, 256, (2, 6, 10, 3), np.uint8))


def parts(widget):
    """All widgets inside a widget, by kind."""
    found = [widget]
    for child in getattr(widget, "children", ()):
        found += parts(child)
    return found


def shown(image):
    return np.asarray(Image.open(io.BytesIO(image.value)))


@pytest.mark.parametrize(("percent", "border"), [(0, 0), (30, 3), (100, 10)])
def test_wipe_is_coloured_left_of_the_border(pictures, percent, border):
    gray, coloured = pictures
    joined = wipe(gray, coloured, percent)
    assert (joined[:, :border] == coloured[:, :border]).all() and (joined[:, border:] == gray[:, border:]).all()


def test_slider_and_chooser_change_the_pictures(pictures):
    widgets = parts(Explorer(blue_colorizer, pictures).widget())
    slider = next(w for w in widgets if isinstance(w, ipywidgets.IntSlider))
    chooser = next(w for w in widgets if isinstance(w, ipywidgets.Dropdown))
    left, right = (w for w in widgets if isinstance(w, ipywidgets.Image))
    slider.value = 0
    assert (shown(left) == to_gray(pictures[0])).all() and (shown(right) == pictures[0]).all()
    chooser.value, slider.value = 1, 100
    assert (shown(left) == blue_colorizer(to_gray(pictures[1]))).all() and (shown(right) == pictures[1]).all()


@pytest.mark.parametrize("reader", [True, False])
def test_show_is_live_for_a_reader_and_still_else(pictures, monkeypatch, reader):
    displayed, figures = [], []
    monkeypatch.setattr(explorer, "has_reader", lambda: reader)
    monkeypatch.setattr(explorer, "display", displayed.append)
    monkeypatch.setattr(plt, "show", lambda: figures.append(plt.gcf()))
    Explorer(blue_colorizer, pictures).show()
    assert (len(displayed), len(figures)) == ((1, 0) if reader else (0, 1))
    for figure in figures:
        assert all(ax.get_title() and ax.images for ax in figure.axes)
        plt.close(figure)


def test_no_picture_is_named():
    with pytest.raises(UcolnetError, match="no picture"):
        Explorer(blue_colorizer, [])
