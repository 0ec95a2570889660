"""Loss curves with the marks of overfitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ucolnet_lib.figures.style import COLORS, LABELS, style
from ucolnet_lib.metrics import overfitting


def loss_curves(histories: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]]) -> Figure:
    """Colour loss of every model on training and validation photographs, a panel each.

    The mark shows the epoch of the lowest validation colour loss; the gap at the end is validation minus training.
    Of several seeds the lines show the mean, the band the lowest and the highest, as far as the shortest run goes;
    each seed has its mark, and the gap is the mean.

    Args:
        histories: model name -> its history (columns epoch, train_color, validation_color), or one history a seed.
    """
    columns = min(3, len(histories))
    rows = -(-len(histories) // columns)
    with style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(3.4 * columns, 2.6 * rows + 0.4), sharex=True, sharey=True, squeeze=False
        )
        for ax, (name, seeds) in zip(axes.flat, histories.items(), strict=False):
            seeds = [seeds] if isinstance(seeds, pd.DataFrame) else seeds
            color = COLORS.get(name, "black")
            length = min(len(history) for history in seeds)
            epochs = seeds[0]["epoch"].to_numpy()[:length]
            for column, line, label in (("train_color", ":", "training"), ("validation_color", "-", "validation")):
                values = np.stack([history[column].to_numpy()[:length] for history in seeds])
                ax.plot(epochs, values.mean(axis=0), color=color, linestyle=line, label=label)
                if len(seeds) > 1:
                    ax.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=color, alpha=0.2, linewidth=0)
            marks = [overfitting(history) for history in seeds]
            lowest = [history["validation_color"].min() for history in seeds]
            ax.plot(
                [m["best_epoch"] for m in marks], lowest, "o", color=color, markerfacecolor="white",
                label="lowest validation",
            )  # fmt: skip
            ax.set_title(LABELS.get(name, name), loc="left")
            best = ", ".join(str(m["best_epoch"]) for m in marks)
            gap = np.mean([m["final_gap"] for m in marks])
            ax.text(
                0.97, 0.95, f"lowest in epoch {best}\ngap at the end {gap:+.4f}",
                transform=ax.transAxes, ha="right", va="top", fontsize=8,
            )  # fmt: skip
            ax.set_yscale("log")
        for ax in axes.flat[len(histories) :]:
            ax.set_visible(False)
        for ax in axes[:, 0]:
            ax.set_ylabel("colour loss (MSE of ab / 110)")
        for ax in axes.flat[max(0, len(histories) - columns) : len(histories)]:  # the lowest of each column
            ax.set_xlabel("epoch")
            ax.tick_params(labelbottom=True)
            ax.xaxis.get_major_locator().set_params(integer=True)
        axes.flat[0].legend(fontsize=8, loc="lower left")
    return figure
