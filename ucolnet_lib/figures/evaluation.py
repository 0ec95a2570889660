"""Figures of an evaluation: what each variant keeps of the recognised objects; which categories depend on colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ucolnet_lib.evaluation.comparisons import compare_categories
from ucolnet_lib.evaluation.evaluate import Evaluation
from ucolnet_lib.evaluation.systems import FULL_LIGHTNESS, MATCHED_GRAY
from ucolnet_lib.evaluation.table import by_detector
from ucolnet_lib.figures.style import style

KINDS = {"control": ("controls", "0.35"), "model": ("models", "#004488"), "pictures": ("other systems", "#bb5566")}
"""How each kind of row is called and drawn."""

PAPER = {"v3": 13_459 / 17_554, "v1": 13_546 / 17_554}
"""The paper's retention: recognised after colouring, of those recognised in the originals."""

RETENTION_NOTE = (
    "Bars: 95% intervals by a bootstrap over photographs. The paper's numbers are those of\n"
    "another detector (a YOLOv8 of a size that it does not state) on 5,000 photographs:\n"
    "they cannot be compared with the rows."
)

MIN_OBJECTS = 15
"""A category with fewer objects says nothing of itself."""

CATEGORY_NOTE = (
    "In brackets: annotated objects. Red: recognised less in gray, blue: more, by an interval on one side of 0.\n"
    "Gray: cannot be told. Without a bar: the same in all photographs, or all objects in one photograph.\n"
    "Of 20 categories that do not depend on colour, one may seem to."
)


def evaluation_figures(evaluation: Evaluation) -> dict[str, Figure]:
    """Name -> figure of an evaluation with controls, as far as they can be drawn: without a detector none can."""
    figures = {}
    if any(row["retention"] is not None for row in evaluation.rows):
        figures["retention"] = retention_chart(evaluation.rows)
    tables = {
        detector: compare_categories(evaluation, "gray", "original", detector)
        for detector in by_detector(evaluation.rows)
        if detector is not None
    }
    if any((table["objects"] >= MIN_OBJECTS).any() for table in tables.values()):
        figures["colour-by-category"] = category_chart(tables)
    return figures


def retention_chart(rows: Sequence[dict]) -> Figure:
    """Retention of every variant with its interval, a panel a detector, in the order of the rows.

    Each model and each other system has, on its own line, the mark of its matched gray control: the gray picture
    through the same size and kernel. Only what lies between the two is colour.

    Args:
        rows: as in results.json, with `detector`, `retention`, `retention_ci`, `kind` and `name`; named as there.
            Those without a retention are left out.
    """
    rows = [row for row in rows if row["retention"] is not None]
    detectors, names = _unique(row["detector"] for row in rows), _unique(row["name"] for row in rows)
    places = {name: i for i, name in enumerate(names)}
    with style():
        figure, axes = plt.subplots(
            1, len(detectors), figsize=(3 + 4.5 * len(detectors), 0.27 * len(names) + 2.1), sharey=True, squeeze=False
        )
        for ax, detector in zip(axes[0], detectors, strict=True):
            found = {row["name"]: row for row in rows if row["detector"] == detector}
            ax.axvline(1, color="black", linewidth=1, label="originals: 100%")
            for x in PAPER.values():
                paper = " and ".join(f"{model} {share:.1%}" for model, share in PAPER.items())
                ax.axvline(x, color="#997700", linewidth=0.8, label=f"the paper's {paper}")
            for name, row in found.items():
                _draw_row(ax, row, found, places[name])
            ax.set_title(detector, loc="left")
            ax.set_xlabel("retention: recognised, as % of those\nrecognised in the originals")
            ax.xaxis.set_major_formatter(PercentFormatter(1, 0))
        axes[0, 0].set_yticks(range(len(names)), names, fontsize=9)
        axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
        handles = {line.get_label(): line for ax in axes[0] for line in ax.get_legend_handles_labels()[0]}
        figure.legend(
            handles.values(), handles.keys(), title=RETENTION_NOTE, fontsize=8, title_fontsize=8, ncols=2,
            loc="outside lower left", alignment="left",
        )  # fmt: skip
    return figure


def _draw_row(ax, row: dict, rows: dict[str, dict], y: int) -> None:
    """One line of a panel; `rows`: all of the panel, by their names."""
    label, color = KINDS[row["kind"]]
    gray = {"marker": "D", "color": KINDS["control"][1], "markerfacecolor": "none", "markersize": 8}
    gray |= {"linestyle": "", "label": "the gray picture through the same size and kernel"}
    is_gray = row["name"].endswith(MATCHED_GRAY) and row["name"].removesuffix(MATCHED_GRAY) in rows
    low, high = row["retention_ci"]
    if low is not None and high is not None:
        ax.plot([low, high], [y, y], color=gray["color"] if is_gray else color, linewidth=2)
    if is_gray:
        ax.plot(row["retention"], y, **gray)
        return
    ax.plot(row["retention"], y, "o", color=color, markersize=5, label=label)
    matched = "gray" if row["name"].endswith(FULL_LIGHTNESS) else row["name"] + MATCHED_GRAY
    if row["kind"] != "control" and matched in rows:
        ax.plot(rows[matched]["retention"], y, **gray)


def category_chart(tables: dict[str, pd.DataFrame]) -> Figure:
    """Which categories depend on colour: recall in gray minus recall in the originals, with intervals.

    A panel a detector, in the order of the first, from what is lost most to what is won. Only categories with
    `MIN_OBJECTS` objects or more.

    Args:
        tables: detector -> what `compare_categories(evaluation, "gray", "original", detector)` gives.
    """
    tables = {name: table[table["objects"] >= MIN_OBJECTS] for name, table in tables.items()}
    first = next(iter(tables.values())).sort_values(["recall", "category"])
    places = {category: i for i, category in enumerate(first["category"])}
    with style():
        figure, axes = plt.subplots(
            1, len(tables), figsize=(3 + 4 * len(tables), 0.23 * len(first) + 1.8), sharey=True, squeeze=False
        )
        for ax, (detector, table) in zip(axes[0], tables.items(), strict=True):
            for entry in table.to_dict("records"):
                y = places[entry["category"]]
                color = ("#bb5566" if entry["recall"] < 0 else "#004488") if entry["recall_real"] else "0.6"
                if entry["photographs"] > 1:
                    ax.plot([entry["recall_low"], entry["recall_high"]], [y, y], color=color, linewidth=2)
                ax.plot(entry["recall"], y, "o", color=color, markersize=5)
            ax.axvline(0, color="black", linewidth=0.8)
            ax.set_title(detector, loc="left")
            ax.set_xlabel("recall in gray minus recall in the originals\n(percentage points, 95% interval)")
            ax.xaxis.set_major_formatter(PercentFormatter(1, 0, symbol=""))
        labels = [f"{e['category']} ({e['objects']})" for e in first.to_dict("records")]
        axes[0, 0].set_yticks(range(len(labels)), labels, fontsize=9)
        axes[0, 0].set_ylim(len(labels) - 0.5, -0.5)
        figure.suptitle(CATEGORY_NOTE, fontsize=8, x=0.01, ha="left")
    return figure


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
