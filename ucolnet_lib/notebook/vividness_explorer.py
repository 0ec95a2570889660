"""Vividness to play with: gray, coloured and true picture, with a slider for the strength of the colours."""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

from ucolnet_lib.colorizer import MAX_VIVIDNESS, Colorizer
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.figures.grid import picture_grid
from ucolnet_lib.notebook.compare import to_gray
from ucolnet_lib.notebook.explorer import HEIGHT, png
from ucolnet_lib.notebook.setup import has_reader

STILL = (0.0, 1.0, 1.5)
"""What is shown where no kernel runs."""


class VividnessExplorer:
    """A picture in the colours of a model, made paler or more vivid with a slider.

    Without a reader (when outputs are saved) it draws the first picture at three strengths, and the truth.

    Args:
        colorizer: the model to look at; its own vividness does not matter.
        pictures: name -> true picture, uint8 (H, W, 3).
    Raises:
        UcolnetError: there is no picture.
    """

    def __init__(self, colorizer: Colorizer, pictures: Mapping[str, np.ndarray]):
        if not pictures:
            raise UcolnetError("There is no picture to explore. Give at least one.")
        self.colorizer, self.pictures = colorizer, dict(pictures)

    def coloured(self, name: str, vividness: float) -> np.ndarray:
        """A picture by the model, which sees it gray: uint8 (H, W, 3)."""
        model, size, device = self.colorizer.model, self.colorizer.size, self.colorizer.device
        return np.asarray(Colorizer(model, size, device, vividness)(to_gray(self.pictures[name])))

    def show(self) -> None:
        """Display the widget, or the still pictures when no reader is there."""
        if has_reader():
            display(self.widget())
        else:
            name, truth = next(iter(self.pictures.items()))
            still = [self.coloured(name, vividness) for vividness in STILL]
            picture_grid([(*still, truth)], [*(f"vividness {v:g}" for v in STILL), "truth"], side=2.0)
            plt.show()

    def widget(self) -> ipywidgets.Widget:
        """The chooser, the slider and the two pictures, connected."""
        choice = ipywidgets.Dropdown(options=list(self.pictures), description="picture")
        strength = ipywidgets.FloatSlider(value=1.0, min=0.0, max=MAX_VIVIDNESS, step=0.1, description="vividness")
        left, right = ipywidgets.Image(height=HEIGHT), ipywidgets.Image(height=HEIGHT)

        def update(_=None) -> None:
            left.value = png(self.coloured(choice.value, strength.value))
            right.value = png(self.pictures[choice.value])

        choice.observe(update, "value")
        strength.observe(update, "value")
        update()
        before = ipywidgets.VBox([ipywidgets.Label("coloured by the model"), left])
        after = ipywidgets.VBox([ipywidgets.Label("truth"), right])
        return ipywidgets.VBox([ipywidgets.HBox([choice, strength]), ipywidgets.HBox([before, after])])
