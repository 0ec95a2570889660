"""Figures of `ucolnet study coco-sample`: `python -m ucolnet_lib.figures.coco_sample STUDY`.

Loss curves, and what each model reaches beside gray. `STUDY` is the folder of the study; the figures are drawn into its
`figures/`, from the small files that it keeps.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation.systems import FULL_LIGHTNESS
from ucolnet_lib.figures.curves import loss_curves
from ucolnet_lib.figures.study import study_results
from ucolnet_lib.figures.style import COLORS, LABELS, save, style


def make_coco_sample_figures(out: str | Path) -> list[Path]:
    """Draw the figures of the study into `figures/` of its folder, from the small files there.

    Raises:
        UcolnetError: the folder holds no finished study.
    """
    out = Path(out)
    results = study_results(out, "ucolnet study coco-sample --data COCO_FOLDER")
    histories = {
        row["model"]: [pd.read_csv(out / "history" / f"{row['model']}-{seed}.csv") for seed in range(row["seeds"])]
        for row in results["trainings"]
    }
    figures = {"loss-curves": _late_curves(histories), "beside-gray": beside_gray(results["rows"])}
    return [path for name, figure in figures.items() for path in save(figure, out / "figures" / name)]


def _late_curves(histories: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """`loss_curves` at the scale of the overfitting, which is a few percent: the first epochs run out at the top."""
    figure = loss_curves(histories)
    settled = pd.concat(history.iloc[len(history) // 4 :] for seeds in histories.values() for history in seeds)
    losses = settled[["train_color", "validation_color"]].to_numpy()
    room = 0.1 * np.ptp(losses)
    # The axes share their scale.
    figure.axes[0].set(yscale="linear", ylim=(losses.min() - 2 * room, losses.max() + 2 * room))
    return figure


def beside_gray(rows: Sequence[Mapping]) -> Figure:
    """RMSE, colourfulness and retention of every kind of pictures, with intervals; the line is the gray picture that
    went the same way, or the originals' colourfulness.

    Args:
        rows: as in the study's results.json. Gray pictures and the originals have no row: they are the lines.
    """
    shown = [row for row in rows if row["gray"] is not None and not row["name"].startswith("original")]
    detectors = list(shown[0]["detectors"]) if shown else []
    panels = [
        ("RMSE", "share of its gray's\n← better", 1, ("rmse_of_gray",)),
        ("colourfulness", "share of the originals'", 1, ("colourfulness",)),
        *((name, "retention minus its gray's\n(points)    better →", 0, ("detectors", name, "minus_gray"))
          for name in detectors),
    ]  # fmt: skip
    with style():
        figure, axes = plt.subplots(
            1, len(panels), figsize=(2 + 2.7 * len(panels), 0.27 * len(shown) + 1.5), sharey=True, squeeze=False
        )
        for ax, (title, label, line, (*above, last)) in zip(axes[0], panels, strict=True):
            ax.axvline(line, color="black", linewidth=1)
            for y, row in enumerate(shown):
                numbers: Mapping = row
                for key in above:
                    numbers = numbers[key]
                value, ends = numbers[last], numbers[f"{last}_ci"]
                full = row["name"].endswith(FULL_LIGHTNESS)
                color = COLORS.get(row["name"].removesuffix(FULL_LIGHTNESS), "0.2" if row["kind"] == "model" else "0.6")
                if None not in ends:
                    ax.plot(ends, [y, y], color=color, linewidth=2)
                if value is not None:
                    ax.plot(value, y, "o", color=color, markersize=5, markerfacecolor=color if full else "white")
            if last == "colourfulness":  # an interval over two trainings may be wider than all that is possible
                ax.set_xlim(0, max([1.1, *(1.1 * row["colourfulness"] for row in shown)]))
            ax.set_title(title, loc="left")
            ax.set_xlabel(label)
            if title != "RMSE":
                ax.xaxis.set_major_formatter(PercentFormatter(1, 0, symbol="" if last == "minus_gray" else "%"))
        axes[0, 0].set_yticks(range(len(shown)), [_label(row["name"]) for row in shown], fontsize=8.5)
        axes[0, 0].set_ylim(len(shown) - 0.5, -0.5)
        figure.suptitle(
            "Filled: with the photograph's own lightness. Open: all others. Bars: 95% intervals.",
            fontsize=9,
        )
    return figure


def _label(variant: str) -> str:
    name = variant.removesuffix(FULL_LIGHTNESS)
    return LABELS.get(name, name) + (", own lightness" if variant != name else "")


if __name__ == "__main__":
    try:
        print(f"{len(make_coco_sample_figures(sys.argv[1]))} files lie in {sys.argv[1]}/figures.")
    except UcolnetError as error:
        sys.exit(f"figures: {error}")
