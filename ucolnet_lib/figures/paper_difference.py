"""The paper's v1 against v3 as a function of what the paper does not give: how many objects they recognise differently.

v1 recognises 13,546 and v3 13,459 of 36,781 objects. Whether 87 objects are more than chance depends on how many are
recognised by one of the two alone (see `evaluation.mcnemar`).
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from ucolnet_lib.evaluation.mcnemar import most_differing, p_value
from ucolnet_lib.evaluation.statistics import CONFIDENCE
from ucolnet_lib.figures.style import style

OBJECTS = 36_781
DIFFERENCE = 13_546 - 13_459
"""Recognised by the paper's v1 minus recognised by its v3, of `OBJECTS`."""

INFLATION = 1.6
"""The variance over images, divided by that of independent objects, in one pair of variants of 300 photographs."""

MEASURED = (0.032, 0.094)
"""Shares of objects that two similar variants of 300 photographs recognise differently: from another resize kernel to
half the chroma against none."""


def paper_difference() -> Figure:
    """The p value of v1 against v3 for every share of objects that the two may recognise differently.

    `caption` says in two sentences what can be told from it, and what not.
    """
    shares = np.linspace(DIFFERENCE / OBJECTS, 0.12, 500)
    with style():
        figure, ax = plt.subplots(figsize=(7, 4))
        ax.axvspan(*MEASURED, color="0.9", linewidth=0, label="measured between similar\nvariants of 300 photographs")
        curves = (
            (
                INFLATION,
                "#997700",
                f"objects of one photograph go together\n(variance {INFLATION} times)",
                (-6, 8),
                "right",
            ),
            (1.0, "#004488", "independent objects", (6, -8), "left"),
        )
        for inflation, color, label, offset, side in curves:
            limit = most_differing(DIFFERENCE, inflation)
            ax.plot(shares, p_value(DIFFERENCE, shares * OBJECTS, inflation), color=color, linewidth=2, label=label)
            ax.plot(limit / OBJECTS, 1 - CONFIDENCE, "o", color=color)
            ax.annotate(
                f"{limit:,} objects", (limit / OBJECTS, 1 - CONFIDENCE), xytext=offset, textcoords="offset points",
                color=color, fontsize=9, ha=side, va="center",
            )  # fmt: skip
        ax.axhline(1 - CONFIDENCE, color="black", linewidth=1, linestyle="--", label="5%: below it, more than chance")
        ax.set_xlim(0, shares[-1])
        ax.set_ylim(0, 0.32)
        ax.xaxis.set_major_formatter(PercentFormatter(1, 0))
        ax.set_xlabel(f"objects that only one of the two recognises (% of {OBJECTS:,})")
        ax.set_ylabel(f"p value (0 to 1): chance of {DIFFERENCE} or more\nif the two were equally good")
        counts = ax.secondary_xaxis("top", functions=(lambda share: share * OBJECTS, lambda count: count / OBJECTS))
        counts.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        counts.set_xlabel("the same as a number of objects")
        ax.set_title(f"Is the paper's difference of {DIFFERENCE} objects, v1 over v3, real?", loc="left")
        ax.legend(fontsize=9, loc="upper left")
    return figure


def caption() -> str:
    """Two sentences beside `paper_difference`: what can be told, and what cannot."""
    independent, inflated = (most_differing(DIFFERENCE, inflation) for inflation in (1.0, INFLATION))
    return (
        f"If v1 and v3 recognise at most {independent:,} of the {OBJECTS:,} objects ({independent / OBJECTS:.1%}) "
        f"differently, their difference of {DIFFERENCE} is more than chance by the photographs, provided that objects "
        f"are independent; if those of one photograph go together and the variance is {INFLATION} times as large, at "
        f"most {inflated:,} ({inflated / OBJECTS:.1%}). "
        "Which it is cannot be told: the paper does not give the number, pairs of similar variants differ in "
        f"{MEASURED[0]:.1%} to {MEASURED[1]:.1%} of the objects, so both answers are possible, and chance by the seed "
        "of the training comes on top."
    )
