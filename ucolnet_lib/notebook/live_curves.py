"""Loss curves that grow while a model trains."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from ucolnet_lib.figures.style import COLORS, LABELS, style
from ucolnet_lib.training import Run


class LiveCurves:
    """One figure under the cell, drawn anew after each epoch: `train(..., on_epoch=LiveCurves())`.

    The figure is replaced in place. So a saved notebook holds one picture, the last, and nothing piles up.
    """

    def __init__(self):
        self.place = None
        """Where the figure stands, once it does."""

    def __call__(self, run: Run) -> None:
        model, recipe, _ = run.description
        figure = training_curves(run.history, model, recipe.epochs)
        if self.place is None:
            self.place = display(figure, display_id=True)
        else:
            self.place.update(figure)
        plt.close(figure)  # else Jupyter shows it once more at the end of the cell


def training_curves(history: pd.DataFrame, model: str, epochs: int) -> Figure:
    """Colour loss of training and validation by epoch; beside it the learning rate and alpha.

    Args:
        history: a row an epoch, as `Run.history` gives it.
        model: a name of `models.MODELS`.
        epochs: how many the run will have.
    """
    color = COLORS.get(model, "black")
    epoch = history["epoch"]
    with style():
        figure, axes = plt.subplot_mosaic([["loss", "rate"], ["loss", "alpha"]], figsize=(9, 3.4), width_ratios=[2, 1])
        loss = axes["loss"]
        loss.plot(epoch, history["train_color"], ".:", color=color, label="training")
        loss.plot(epoch, history["validation_color"], ".-", color=color, label="validation")
        best = history["validation_color"].idxmin()
        loss.plot(
            epoch[best], history["validation_color"][best], "o", color=color, markerfacecolor="white", markersize=7,
            label=f"lowest validation: {history['validation_color'][best]:.4f} in epoch {epoch[best]}",
        )  # fmt: skip
        loss.set(yscale="log", ylabel="colour loss (MSE of ab / 110)")
        loss.set_title(f"{LABELS.get(model, model)}: epoch {epoch.iloc[-1]} of {epochs}", loc="left")
        loss.legend(fontsize=8)
        for name, column, label in (("rate", "learning_rate", "learning rate"), ("alpha", "alpha", "alpha")):
            axes[name].plot(epoch, history[column], ".-", color="black")
            axes[name].set_title(label, loc="left")
            axes[name].set_ylim(bottom=0)
        for ax in (loss, axes["alpha"]):
            ax.set_xlabel("epoch")
        axes["rate"].tick_params(labelbottom=False)
        for ax in axes.values():
            ax.set_xlim(0.5, max(epochs, 2) + 0.5)
            ax.xaxis.get_major_locator().set_params(integer=True)
    return figure
