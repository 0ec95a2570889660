"""One look for all figures, and saving as PNG and PDF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ucolnet_lib.common import write_beside

COLORS = {
    "iizuka": "#4477aa",
    "iizuka_no_classes": "#66ccee",
    "iizuka_no_global": "#99ddff",
    "ucolnet_v1": "#ee6677",
    "ucolnet_v2": "#ccbb44",
    "ucolnet_v3": "#228833",
    "ucolnet_v3_no_segmentation": "#aa3377",
    "ucolnet_v3_l2": "#44aa99",
}
"""One colour a model in every figure (Tol's bright scheme, told apart by colour-blind readers too)."""

LABELS = {
    "original": "original",
    "gray": "gray",
    "mean_colour": "mean colour",
    "image_mean": "image's own mean",
    "class_oracle": "class oracle",
    "iizuka": "Iizuka",
    "iizuka_no_classes": "Iizuka, no classes",
    "iizuka_no_global": "Iizuka, no global",
    "ucolnet_v1": "UColNet v1",
    "ucolnet_v2": "UColNet v2",
    "ucolnet_v3": "UColNet v3",
    "ucolnet_v3_no_segmentation": "v3, no segmentation",
    "ucolnet_v3_l2": "v3, weight decay",
}
"""How a row or model is called where people read."""


@contextmanager
def style() -> Iterator[None]:
    """The look, for the figures made in this block only: a reader's own settings stay as they are."""
    with matplotlib.rc_context(
        {
            "figure.dpi": 110,
            "savefig.dpi": 160,
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.titlesize": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
            "pdf.fonttype": 42,
        }
    ):
        yield


def save(figure: Figure, path: str | Path) -> list[Path]:
    """Write `path` (without suffix) as PNG and PDF, both or none, and close the figure. Returns both paths.

    The same figure gives the same bytes: no dates or versions are written.
    """
    path = Path(path)
    png, pdf = (path.with_name(path.name + suffix) for suffix in (".png", ".pdf"))
    try:
        with style(), write_beside(png) as png_file, write_beside(pdf) as pdf_file:
            figure.savefig(png_file, metadata={"Software": None})
            figure.savefig(pdf_file, metadata={"CreationDate": None, "Creator": None, "Producer": None})
    finally:
        plt.close(figure)
    return [png, pdf]
