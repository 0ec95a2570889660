"""alpha to play with: scale the two losses of a saved training, change the rule, and see what alpha makes of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.figures.style import style
from ucolnet_lib.losses import BalancedAlpha, FixedAlpha
from ucolnet_lib.notebook.setup import has_reader

LINES = {
    "colour loss": ("#4477aa", "-", 3.5),
    "segmentation loss": ("#ee6677", "-", 1.5),
    "alpha": ("#999999", "--", 1.5),
    "alpha x segmentation": ("#222222", ":", 2.0),
}
"""What is drawn: colour, dashes and width of each line."""


class Setting(NamedTuple):
    """One position of the sliders. `fixed`: a constant alpha in place of the balanced one, or None."""

    color_scale: float = 1.0
    segmentation_scale: float = 1.0
    momentum: float = 0.99
    fixed: float | None = None

    @property
    def title(self) -> str:
        scales = {"colour": self.color_scale, "segmentation": self.segmentation_scale}
        scaled = ", ".join(f"{name} loss x {scale:.3g}" for name, scale in scales.items() if scale != 1)
        rule = f"balanced, momentum {self.momentum:g}" if self.fixed is None else f"fixed alpha {self.fixed:.3g}"
        return f"{scaled or 'losses as trained'}\n{rule}"


STILL = (Setting(), Setting(segmentation_scale=10), Setting(segmentation_scale=10, fixed=0.01))
"""What is shown where no kernel runs."""


class AlphaExplorer:
    """Both losses of a training, alpha, and alpha x segmentation loss, with sliders.

    alpha comes from the library's own rules, `BalancedAlpha` and `FixedAlpha`. A history holds one mean an epoch,
    while the rule sees every step; so each mean is given to the rule as often as its epoch had steps.

    Without a reader (when outputs are saved) it draws three settings side by side.

    Args:
        history: a row an epoch, with `train_color`, `train_cross_entropy`, `train_dice` and `steps` (steps so far).
    Raises:
        UcolnetError: the history is empty or lacks a column.
    """

    def __init__(self, history: pd.DataFrame):
        missing = {"steps", "train_color", "train_cross_entropy", "train_dice"} - set(history)
        if missing or history.empty:
            lacks = f"lacks {', '.join(sorted(missing))}" if missing else "has no epoch"
            raise UcolnetError(f"The history {lacks}. Take one of a UColNet, as `results.study_history` gives it.")
        self.color = history["train_color"].to_numpy(float)
        self.segmentation = (history["train_cross_entropy"] + history["train_dice"]).to_numpy(float)
        self.steps = np.diff(history["steps"].to_numpy(int), prepend=0)

    def curves(self, setting: Setting) -> dict[str, np.ndarray]:
        """The four lines of `LINES` for one setting: a value at the end of each epoch."""
        color, segmentation = setting.color_scale * self.color, setting.segmentation_scale * self.segmentation
        rule = BalancedAlpha(setting.momentum) if setting.fixed is None else FixedAlpha(setting.fixed)
        alpha = np.empty_like(color)
        for i, pair in enumerate(zip(torch.tensor(color), torch.tensor(segmentation), strict=True)):
            for _ in range(self.steps[i]):
                alpha[i] = float(rule(*pair))
        return dict(zip(LINES, (color, segmentation, alpha, alpha * segmentation), strict=True))

    def show(self) -> None:
        """Display the widget, or three settings side by side when no reader is there."""
        if has_reader():
            display(self.widget())
        else:
            self.figure(STILL)
            plt.show()

    def figure(self, settings: Sequence[Setting]) -> Figure:
        """One panel a setting, all with the same axes."""
        with style():
            size = (min(9.0, 2.2 + 3.2 * len(settings)), 3.9)
            figure, axes = plt.subplots(1, len(settings), figsize=size, sharey=True, squeeze=False)
            for ax, setting in zip(axes[0], settings, strict=True):
                self._draw(ax, setting)
            axes[0, 0].set_ylabel("value (no unit, logarithmic)")
            figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(LINES))
        return figure

    def _draw(self, ax: Axes, setting: Setting) -> None:
        epochs = np.arange(1, len(self.color) + 1)
        for name, values in self.curves(setting).items():
            color, dashes, width = LINES[name]
            ax.plot(epochs, values, dashes, color=color, linewidth=width, label=name)
        ax.set_yscale("log")
        ax.set_xlabel("epoch")
        ax.set_title(setting.title, fontsize=9)

    def widget(self) -> ipywidgets.Widget:
        """The sliders and the picture, connected."""
        wide = {"style": {"description_width": "130px"}, "layout": {"width": "420px"}}
        scale = {"value": 1, "base": 10, "min": -2, "max": 2, "step": 0.1, "readout_format": ".2g"} | wide
        color = ipywidgets.FloatLogSlider(description="colour loss x", **scale)
        segmentation = ipywidgets.FloatLogSlider(description="segmentation loss x", **scale)
        rule = ipywidgets.ToggleButtons(options=["balanced", "fixed"], description="rule of alpha", style=wide["style"])
        momenta = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999]
        momentum = ipywidgets.SelectionSlider(options=momenta, value=0.99, description="momentum", **wide)
        fixed = ipywidgets.FloatLogSlider(description="fixed alpha", **scale | {"value": 0.01, "min": -4})
        picture = ipywidgets.Image()

        def update(_=None) -> None:
            fixed.disabled, momentum.disabled = rule.value == "balanced", rule.value == "fixed"
            alpha = None if rule.value == "balanced" else fixed.value
            figure = self.figure([Setting(color.value, segmentation.value, momentum.value, alpha)])
            picture.value = _png(figure)
            plt.close(figure)

        for control in (color, segmentation, rule, momentum, fixed):
            control.observe(update, "value")
        update()
        return ipywidgets.HBox([ipywidgets.VBox([color, segmentation, rule, momentum, fixed]), picture])


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
