"""What gray pictures keep along many paths, beside what the paper's colourings keep (`ucolnet study paper-numbers`)."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ucolnet_lib.evaluation.resize import DEFAULT_KERNEL
from ucolnet_lib.figures.evaluation import PAPER
from ucolnet_lib.figures.style import style

KERNEL_LINES = {
    "pil-bicubic": ("#004488", "-"),
    "pil-bilinear": ("#228833", "-"),
    "pil-lanczos": ("#66ccee", "-"),
    "opencv-area-linear": ("#aa3377", "--"),
    "opencv-linear": ("#ee6677", "--"),
    "opencv-cubic": ("#ee8866", "--"),
}
"""Colour and line of each of `resize.KERNELS`: solid for PIL."""

CONVERSION_MARKS = {
    "L": ("o", "L, full resolution"),
    "luma": ("x", f"luma: {DEFAULT_KERNEL}, full"),
    "mean": ("+", f"mean of R, G, B: {DEFAULT_KERNEL}, full"),
}
"""Mark and label of each conversion to gray, where it is not on a line of its kernel."""

NOTE = (
    f"Lines: gray by L of CIELAB. Band: 95% interval of {DEFAULT_KERNEL}, by a bootstrap over\n"
    "photographs; those of the other kernels are about as wide. Bars: the same for the marks."
)


def retention_by_size(rows: Sequence[dict]) -> Figure:
    """Retention of gray by size, a line a kernel; a panel for each detector (columns) and confidence (rows).

    Args:
        rows: `retention` of results.json: detector, confidence, conversion, kernel, size, retention, retention_ci.
    """
    table = pd.DataFrame(rows)
    table["low"], table["high"] = np.array(table["retention_ci"].tolist(), float).T
    detectors, confidences = table["detector"].unique(), table["confidence"].unique()
    with style():
        figure, axes = plt.subplots(
            len(confidences), len(detectors), figsize=(min(10, 2 + 4 * len(detectors)), 1.8 + 2.5 * len(confidences)),
            sharex=True, sharey=True, squeeze=False,
        )  # fmt: skip
        for row, confidence in zip(axes, confidences, strict=True):
            row[0].set_ylabel("retention of gray (% of those\nrecognised in the originals)")
            for ax, detector in zip(row, detectors, strict=True):
                _draw(ax, table[(table["detector"] == detector) & (table["confidence"] == confidence)])
                ax.set_title(f"{detector}, confidence {confidence:g} or more", loc="left", fontsize=10)
        for ax in axes[-1]:
            ax.set_xlabel("side of the square on the way (pixels)")
        figure.suptitle("Objects still recognised in a picture without any colour")
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(), title=NOTE, fontsize=9, title_fontsize=9,
            ncols=2 if len(detectors) == 1 else 3, loc="outside lower left", alignment="left",
        )  # fmt: skip
    return figure


def _draw(ax, table: pd.DataFrame) -> None:
    """One panel."""
    for (name, share), line in zip(PAPER.items(), (":", "-"), strict=True):
        ax.axhline(share, color="#997700", linewidth=1, linestyle=line, label=f"the paper's {name}: {share:.1%}")
    sized = table[table["size"].notna()]
    for kernel, (color, line) in KERNEL_LINES.items():
        points = sized[(sized["kernel"] == kernel) & (sized["conversion"] == "L")].sort_values("size")
        ax.plot(points["size"], points["retention"], "o" + line, color=color, markersize=4, label=kernel)
        if kernel == DEFAULT_KERNEL:
            ax.fill_between(points["size"], points["low"], points["high"], color=color, alpha=0.15, linewidth=0)
    sizes = np.sort(sized["size"].unique())
    # Full resolution is no size: it has a place of its own, and no line leads there.
    at_full = sizes[-1] + (sizes[-1] - sizes[0]) / 3
    for place, (conversion, (mark, label)) in enumerate(CONVERSION_MARKS.items()):
        points = table[(table["conversion"] == conversion) & (table["size"].isna() | (conversion != "L"))]
        x = points["size"].fillna(at_full) + 5 * place  # beside each other
        ax.plot(x, points["retention"], mark, color="black", markersize=5, label=label)
        ax.vlines(x, points["low"], points["high"], color="black", linewidth=0.8)
    ax.set_xticks([*sizes, at_full], [*(f"{size:g}" for size in sizes), "full"])
    ax.yaxis.set_major_formatter(PercentFormatter(1, 0))
