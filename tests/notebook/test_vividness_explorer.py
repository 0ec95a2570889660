"""Vividness to play with, live and still."""

import io

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.colorizer import Colorizer
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models import Output
from ucolnet_lib.notebook import vividness_explorer
from ucolnet_lib.notebook.compare import to_gray
from ucolnet_lib.notebook.vividness_explorer import VividnessExplorer


class Bluish(nn.Module):
    """b = -20 everywhere."""

    def forward(self, lightness):
        return Output(torch.tensor([0.0, -20.0])[None, :, None, None].expand(1, 2, *lightness.shape[-2:]), None)


@pytest.fixture
def pictures():
    drawn = np.random.default_rng(0).integers(90, 170, (2, 12, 16, 3), np.uint8)
    return {"one": drawn[0], "two": drawn[1]}


@pytest.fixture
def explorer(pictures):
    return VividnessExplorer(Colorizer(Bluish(), size=12, vividness=0.3), pictures)


def parts(widget):
    """All widgets inside a widget."""
    found = [widget]
    for child in getattr(widget, "children", ()):
        found += parts(child)
    return found


def shown(image):
    return np.asarray(Image.open(io.BytesIO(image.value)))


def test_vividness_is_a_factor_on_the_chroma_of_the_gray_picture(explorer, pictures):
    assert (explorer.coloured("one", 0) == to_gray(pictures["one"])).all()
    for vividness in (1, 1.5):
        lab = rgb8_to_lab(explorer.coloured("one", vividness))
        assert np.abs(lab[..., 2] + 20 * vividness).mean() < 0.5
        assert np.abs(lab[..., 0] - rgb8_to_lab(pictures["one"])[..., 0]).max() < 1


def test_slider_and_chooser_change_the_pictures(explorer, pictures):
    widgets = parts(explorer.widget())
    slider = next(w for w in widgets if isinstance(w, ipywidgets.FloatSlider))
    chooser = next(w for w in widgets if isinstance(w, ipywidgets.Dropdown))
    left, right = (w for w in widgets if isinstance(w, ipywidgets.Image))
    assert (shown(left) == explorer.coloured("one", 1)).all() and (shown(right) == pictures["one"]).all()
    chooser.value, slider.value = "two", 0
    assert (shown(left) == to_gray(pictures["two"])).all() and (shown(right) == pictures["two"]).all()
    slider.value = slider.max  # the largest value that a Colorizer takes
    assert (shown(left) == explorer.coloured("two", slider.max)).all()


@pytest.mark.parametrize("reader", [True, False])
def test_show_is_live_for_a_reader_and_still_else(explorer, monkeypatch, reader):
    displayed, figures = [], []
    monkeypatch.setattr(vividness_explorer, "has_reader", lambda: reader)
    monkeypatch.setattr(vividness_explorer, "display", displayed.append)
    monkeypatch.setattr(plt, "show", lambda: figures.append(plt.gcf()))
    explorer.show()
    assert (len(displayed), len(figures)) == ((1, 0) if reader else (0, 1))
    for figure in figures:
        assert [ax.get_title() for ax in figure.axes] == ["vividness 0", "vividness 1", "vividness 1.5", "truth"]
        plt.close(figure)


def test_no_picture_is_named():
    with pytest.raises(UcolnetError, match="no picture"):
        VividnessExplorer(Colorizer(Bluish(), size=12), {})
