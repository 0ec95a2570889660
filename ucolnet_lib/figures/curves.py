"""Loss curves with the marks of overfitting."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ucolnet_lib.figures.style import COLORS, LABELS, style
from ucolnet_lib.metrics import overfitting


def loss_curves(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Colour loss of every model on training and validation photographs, a panel each.

    The mark shows the epoch of the lowest validation colour loss; the gap at the end is validation minus training.

    Args:
        histories: model name -> its history (columns epoch, train_color, validation_color).
    """
    columns = min(3, len(histories))
    rows = -(-len(histories) // columns)
    with style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(3.4 * columns, 2.6 * rows + 0.4), sharex=True, sharey=True, squeeze=False
        )
        for ax, (name, history) in zip(axes.flat, histories.items(), strict=False):
            color = COLORS.get(name, "black")
            marks = overfitting(history)
            ax.plot(history["epoch"], history["train_color"], color=color, linestyle=":", label="training")
            ax.plot(history["epoch"], history["validation_color"], color=color, label="validation")
            best = history.loc[history["epoch"] == marks["best_epoch"], "validation_color"].iloc[0]
            ax.plot(marks["best_epoch"], best, "o", color=color, markerfacecolor="white", label="lowest validation")
            ax.set_title(LABELS.get(name, name), loc="left")
            ax.text(
                0.97, 0.95, f"lowest in epoch {marks['best_epoch']}\ngap at the end {marks['final_gap']:+.4f}",
                transform=ax.transAxes, ha="right", va="top", fontsize=8,
            )  # fmt: skip
            ax.set_yscale("log")
        for ax in axes.flat[len(histories) :]:
            ax.set_visible(False)
        for ax in axes[:, 0]:
            ax.set_ylabel("colour loss (MSE of ab / 110)")
        for ax in axes.flat[len(histories) - columns : len(histories)]:  # the lowest of each column
            ax.set_xlabel("epoch")
            ax.tick_params(labelbottom=True)
            ax.xaxis.get_major_locator().set_params(integer=True)
        axes.flat[0].legend(fontsize=8, loc="lower left")
    return figure
