"""The figure of `ucolnet study overfitting`: `python -m ucolnet_lib.figures.overfitting STUDY`.

`STUDY` is the folder of the study; the figure is drawn into its `figures/`, from the small files that it keeps.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.figures.study import study_results
from ucolnet_lib.figures.style import LABELS, save, style

STRENGTH_COLORS = ("#000000", "#4477aa", "#ccbb44", "#ee6677")
"""From no L2 to the strongest (Tol's bright scheme)."""

SMOOTHED = 0.05
"""The running means go over this share of a run's epochs."""


def smooth(values: pd.Series) -> pd.Series:
    """The centred running mean over a twentieth of all epochs (an odd number of them, at the ends fewer).

    The loss of single epochs jumps, and its minimum with it; that of the running mean stays where the curve turns.
    """
    half = int(len(values) * SMOOTHED / 2)
    return values.rolling(2 * half + 1, center=True, min_periods=1).mean()


def make_overfitting_figures(out: str | Path) -> list[Path]:
    """Draw the figure of `ucolnet study overfitting` into `figures/` of its folder, from the small files there.

    Raises:
        UcolnetError: the folder holds no finished study.
    """
    out = Path(out)
    results = study_results(out, "ucolnet study overfitting")
    histories: dict[tuple[str, str, str], list[pd.DataFrame]] = {}
    for run in results["runs"]:
        condition = run["model"], run["size"], run["strength"]
        file = out / "history" / f"{'-'.join(condition)}-{run['seed']}.csv"
        histories.setdefault(condition, []).append(pd.read_csv(file))
    return save(overfitting_curves(histories, results["photographs"]), out / "figures" / "loss-curves")


def overfitting_curves(
    histories: Mapping[tuple[str, str, str], Sequence[pd.DataFrame]], photographs: Mapping[str, int]
) -> Figure:
    """Colour loss against steps: a column a model, a row a size of the data, a colour a strength of L2.

    Solid: on the held-out photographs; dotted: in training; both running means (`smooth`), mean over the seeds.
    Circles: where the running mean of each seed is lowest.

    Args:
        histories: (model, size, strength) -> a history a seed (columns steps, train_color, validation_color).
        photographs: size -> how many there are to train on.
    """
    models, sizes, strengths = (list(dict.fromkeys(key[place] for key in histories)) for place in range(3))
    colors = dict(zip(strengths, STRENGTH_COLORS, strict=False))
    with style():
        figure, axes = plt.subplots(
            len(sizes), len(models), figsize=(4.8 * len(models), 3.3 * len(sizes)),
            sharex=True, sharey=True, squeeze=False,
        )  # fmt: skip
        for (model, size, strength), seeds in histories.items():
            ax = axes[sizes.index(size), models.index(model)]
            # As far as the shortest run goes: a run may have stopped early.
            length = min(len(history) for history in seeds)
            steps = seeds[0]["steps"].to_numpy()[:length]
            for column, line in (("train_color", ":"), ("validation_color", "-")):
                curves = [smooth(history[column]).to_numpy()[:length] for history in seeds]
                ax.plot(steps, np.mean(curves, axis=0), color=colors[strength], linestyle=line, linewidth=1.3)
            for history in seeds:
                smoothed = smooth(history["validation_color"])
                lowest = smoothed.idxmin()
                ax.plot(
                    history["steps"][lowest], smoothed[lowest], "o", color=colors[strength], markersize=4.5,
                    markerfacecolor="white", zorder=3,
                )  # fmt: skip
        for row, size in zip(axes, sizes, strict=True):
            for ax, model in zip(row, models, strict=True):
                ax.set_title(f"{LABELS.get(model, model)}, {photographs[size]:,} photographs", loc="left")
            row[0].set_ylabel("colour loss (MSE of ab / 110)")
        for ax in axes[-1]:
            ax.set_xlabel("steps")
        ends = [smooth(h["validation_color"]).max() for seeds in histories.values() for h in seeds]
        axes[0, 0].set_ylim(0, 1.05 * max(ends))
        legend = [Line2D([], [], color=colors[s], label=f"L2: {s}") for s in strengths]
        legend += [
            Line2D([], [], color="0.4", label="validation"),
            Line2D([], [], color="0.4", linestyle=":", label="training"),
            Line2D([], [], color="0.4", linestyle="", marker="o", markerfacecolor="white", label="lowest, each seed"),
        ]
        figure.legend(handles=legend, loc="outside upper center", ncols=len(legend), fontsize=9)
    return figure


if __name__ == "__main__":
    try:
        print(f"{len(make_overfitting_figures(sys.argv[1]))} files lie in {sys.argv[1]}/figures.")
    except UcolnetError as error:
        sys.exit(f"figures: {error}")
