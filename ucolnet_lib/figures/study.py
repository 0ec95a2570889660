"""Figures of a study with seeds: `python -m ucolnet_lib.figures.study STUDY`.

Loss curves with their spread, every two models compared, what segmentation helps. `STUDY` is the folder of an
`ucolnet study models`; the figures are drawn into its `figures/`, from the small files that it keeps.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.figures.curves import loss_curves
from ucolnet_lib.figures.style import COLORS, LABELS, save, style


def study_results(out: Path, command: str) -> dict:
    """The content of a study's results.json; `command` makes one.

    Raises:
        UcolnetError: the folder holds no finished study.
    """
    if not (out / "results.json").is_file():
        raise UcolnetError(f"{out} holds no results.json. Make one first: {command} --out {out}")
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def make_study_figures(out: str | Path) -> list[Path]:
    """Draw the figures of `ucolnet study models` into `figures/` of its folder, from the small files there.

    Raises:
        UcolnetError: the folder holds no finished study.
    """
    out = Path(out)
    results = study_results(out, "ucolnet study models")
    histories = {
        row["model"]: [pd.read_csv(out / "history" / f"{row['model']}-{seed}.csv") for seed in range(row["seeds"])]
        for row in results["summary"]
    }
    figures = {
        "loss-curves": loss_curves(histories),
        "comparisons": comparison_chart(results["comparisons"]),
        "segmentation-by-category": category_chart(pd.read_csv(out / "categories.csv")),
    }
    return [path for name, figure in figures.items() for path in save(figure, out / "figures" / name)]


def comparison_chart(comparisons: Sequence[Mapping]) -> Figure:
    """Every two models: the difference of their ab RMSE over whole images and on the pixels of objects, with intervals.

    Args:
        comparisons: dictionaries with first, second, measure, difference, low, high, as in results.json.
    """
    panels = {"ab_pooled": "whole images", "ab_objects_pooled": "pixels of objects"}
    pairs = list(dict.fromkeys((c["first"], c["second"]) for c in comparisons))
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(10, 0.27 * len(pairs) + 1.4), sharey=True)
        for ax, (measure, title) in zip(axes, panels.items(), strict=True):
            for entry in comparisons:
                if entry["measure"] != measure:
                    continue
                y = pairs.index((entry["first"], entry["second"]))
                known = entry["low"] is not None
                told = known and (entry["low"] > 0 or entry["high"] < 0)
                color = COLORS["ucolnet_v3"] if told else "0.6"
                if known:
                    ax.plot([entry["low"], entry["high"]], [y, y], color=color, linewidth=2)
                ax.plot(entry["difference"], y, "o", color=color, markersize=5)
            ax.axvline(0, color="black", linewidth=0.8)
            ax.set_title(title, loc="left")
            ax.set_xlabel("difference of ab RMSE, 95% interval\n← the first is better      the second is better →")
        names = [f"{LABELS.get(first, first)} − {LABELS.get(second, second)}" for first, second in pairs]
        axes[0].set_yticks(range(len(pairs)), names, fontsize=8)
        axes[0].set_ylim(len(pairs) - 0.5, -0.5)
        figure.suptitle("Green: the whole interval lies on one side of 0. Gray: it cannot be told.", fontsize=9)
    return figure


def category_chart(table: pd.DataFrame) -> Figure:
    """What segmentation helps: ab RMSE of v3 on the pixels of each category with and without the task, against how
    ambiguous its colour is; and the gain with its interval.

    Args:
        table: columns category, ambiguity, with_segmentation, without_segmentation, gain, low, high.
    """
    color, without = COLORS["ucolnet_v3"], COLORS["ucolnet_v3_no_segmentation"]
    with style():
        figure, (above, below) = plt.subplots(2, 1, figsize=(10, 8.5), sharex=True, height_ratios=(3, 2))
        x = table["ambiguity"]
        above.vlines(x, table["with_segmentation"], table["without_segmentation"], color="0.7", linewidth=1)
        above.plot(x, table["without_segmentation"], "s", color=without, label="v3 without segmentation")
        above.plot(x, table["with_segmentation"], "o", color=color, label="v3")
        limits = np.array([x.min() - 1, x.max() + 2])
        above.plot(limits, limits, color="black", linewidth=0.8, linestyle="--", label="class oracle")
        below.errorbar(
            x, table["gain"], yerr=[table["gain"] - table["low"], table["high"] - table["gain"]],
            fmt="o", color=color, linewidth=1, markersize=5,
        )  # fmt: skip
        _name_points(above, x, table[["with_segmentation", "without_segmentation"]].max(axis=1), table["category"])
        _name_points(below, x, table["high"].where(np.isfinite(table["high"]), table["gain"]), table["category"])
        below.axhline(0, color="black", linewidth=0.8)
        below.set_xlim(*limits)
        above.set_ylabel("ab RMSE on its pixels (lower is better)")
        below.set_ylabel("gain by segmentation\n(ab RMSE without − with, 95% interval)")
        below.set_xlabel("how ambiguous the category's colour is: RMSE of the class oracle (CIELAB units a channel)")
        above.legend(fontsize=9, loc="upper left")
    return figure


def _name_points(ax, x: pd.Series, y: pd.Series, names: pd.Series) -> None:
    """Names above points, turned so that neighbours do not lie on each other."""
    for here, height, name in zip(x, y, names, strict=True):
        ax.annotate(
            name, (here, height), xytext=(0, 6), textcoords="offset points", rotation=60, fontsize=7.5,
            ha="left", va="bottom", rotation_mode="anchor",
        )  # fmt: skip


if __name__ == "__main__":
    try:
        print(f"{len(make_study_figures(sys.argv[1]))} files lie in {sys.argv[1]}/figures.")
    except UcolnetError as error:
        sys.exit(f"figures: {error}")
