"""Before and after: a grid of pictures, one row a photograph."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ucolnet_lib.figures.style import style


def picture_grid(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str], side: float = 1.25) -> Figure:
    """Pictures in rows, with a title over each column.

    Args:
        rows: for each photograph, one uint8 (H, W, 3) a column.
        titles: one a column.
        side: width of a picture in inches.
    """
    with style():
        figure, axes = plt.subplots(
            len(rows), len(titles), figsize=(side * len(titles), side * len(rows) + 0.35), squeeze=False
        )
        for axes_row, pictures in zip(axes, rows, strict=True):
            for ax, picture in zip(axes_row, pictures, strict=True):
                ax.imshow(picture, interpolation="nearest")
                ax.set_axis_off()
        for ax, title in zip(axes[0], titles, strict=True):
            ax.set_title(title.replace(", ", ",\n"), fontsize=8)
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    return figure
