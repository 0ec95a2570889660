"""A picture to play with: move the border between gray and coloured, choose the scene."""

from __future__ import annotations

import io
from collections.abc import Sequence

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from PIL import Image

from ucolnet_lib.colorizer import Colorizer
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.figures.grid import picture_grid
from ucolnet_lib.notebook.compare import TITLES, before_after
from ucolnet_lib.notebook.setup import has_reader

HEIGHT = 256
"""Height of the pictures on the screen, in pixels."""


def wipe(gray: np.ndarray, coloured: np.ndarray, percent: int) -> np.ndarray:
    """The left `percent` (0-100) of the width from `coloured`, the rest from `gray`; all uint8 (H, W, 3)."""
    border = round(gray.shape[1] * percent / 100)
    return np.concatenate([coloured[:, :border], gray[:, border:]], axis=1)


class Explorer:
    """Before and after with a slider and a chooser of pictures.

    Without a reader (when outputs are saved) it draws a static picture, half gray and half coloured: that reads well
    where no kernel runs, such as on GitHub.

    Args:
        colorizer: the model to look at.
        pictures: true pictures, uint8 (H, W, 3).
    Raises:
        UcolnetError: there is no picture.
    """

    def __init__(self, colorizer: Colorizer, pictures: Sequence[np.ndarray]):
        if not len(pictures):
            raise UcolnetError("There is no picture to explore. Give at least one.")
        self.rows = [before_after(colorizer, rgb) for rgb in pictures]

    def show(self) -> None:
        """Display the widget, or the static picture when no reader is there."""
        if has_reader():
            display(self.widget())
        else:
            half = [(wipe(gray, coloured, 50), coloured, truth) for gray, coloured, truth in self.rows[:1]]
            picture_grid(half, ("half coloured", *TITLES[1:]), side=2.0)
            plt.show()

    def widget(self) -> ipywidgets.Widget:
        """The slider, the chooser and the two pictures, connected."""
        border = ipywidgets.IntSlider(value=50, min=0, max=100, description="coloured %")
        names = [(f"scene {i}", i) for i in range(len(self.rows))]
        choice = ipywidgets.Dropdown(options=names, description="picture")
        left, right = ipywidgets.Image(height=HEIGHT), ipywidgets.Image(height=HEIGHT)

        def update(_=None) -> None:
            gray, coloured, truth = self.rows[choice.value]
            left.value, right.value = png(wipe(gray, coloured, border.value)), png(truth)

        border.observe(update, "value")
        choice.observe(update, "value")
        update()
        before = ipywidgets.VBox([ipywidgets.Label("left of the border coloured, right of it gray"), left])
        after = ipywidgets.VBox([ipywidgets.Label("truth"), right])
        return ipywidgets.VBox([ipywidgets.HBox([choice, border]), ipywidgets.HBox([before, after])])


def png(rgb: np.ndarray) -> bytes:
    """A picture, uint8 (H, W, 3), as the content of a PNG file: what `ipywidgets.Image` shows."""
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, format="PNG")
    return stream.getvalue()
