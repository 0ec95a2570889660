"""The figures of `ucolnet study beyond`: how vivid against how wrong, and the same photographs by every variant.

Photographs of COCO are not committed; those that come with scikit-image may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import skimage.data
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from PIL import Image

from ucolnet_lib.color import gray_picture, rgb8_to_lab
from ucolnet_lib.colorizer import Colorizer
from ucolnet_lib.figures.grid import picture_grid
from ucolnet_lib.figures.style import style

_COLORS = ("#000000", "#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#bbbbbb", "#ee7733", "#0077bb",
           "#882255")  # fmt: skip


def strength_curves(validation: Mapping[str, Sequence[Mapping]]) -> Figure:
    """RMSE against colourfulness, a line a model: from gray, through what it predicts (the dot), to more vivid.

    Args:
        validation: name -> rows of `study_beyond.strengths`.
    """
    with style():
        figure, ax = plt.subplots(figsize=(6.4, 4.4))
        for place, (name, rows) in enumerate(validation.items()):
            color, line = _COLORS[place % len(_COLORS)], "-" if place < len(_COLORS) else "--"
            own = rows[-1]["temperature"]
            curve = sorted((r for r in rows if r["temperature"] == own), key=lambda r: r["vividness"])
            ax.plot(
                [r["colourfulness"] for r in curve], [r["of_gray"] for r in curve], line, color=color, label=name
            )
            (dot,) = (r for r in curve if r["vividness"] == 1)
            ax.plot([dot["colourfulness"]], [dot["of_gray"]], "o", color=color, markersize=5)
        ax.axhline(1, color="#888888", linewidth=0.8, linestyle=":")
        ax.axvline(1, color="#888888", linewidth=0.8, linestyle=":")
        lowest = min(r["of_gray"] for rows in validation.values() for r in rows)
        ax.set(
            xlim=(0, 1.25), ylim=(lowest - 0.01, 1.15), xlabel="colourfulness, of the true photographs'",
            ylabel="RMSE, of the gray photographs'", title="Error against colour, from gray to vivid",
        )  # fmt: skip
        ax.xaxis.set_major_formatter(PercentFormatter(1))
        ax.legend(fontsize=8, ncols=2, loc="upper left")
    return figure


def sample_photographs(side: int = 256) -> dict[str, np.ndarray]:
    """Five photographs of scikit-image, uint8 (H, W, 3), their longer side `side` pixels: astronaut, cat, coffee,
    rocket, motorcycle."""
    found = {name: getattr(skimage.data, name)() for name in ("astronaut", "cat", "coffee", "rocket")}
    found["motorcycle"] = skimage.data.stereo_motorcycle()[0]
    small = {}
    for name, picture in found.items():
        image = Image.fromarray(picture)
        image.thumbnail((side, side), Image.Resampling.BICUBIC)
        small[name] = np.asarray(image)
    return small


def colouring_grid(colorizers: Mapping[str, Colorizer]) -> Figure:
    """`sample_photographs`, a row each: gray, coloured by each model, and the truth."""
    rows = []
    for picture in sample_photographs().values():
        gray = gray_picture(rgb8_to_lab(picture)[..., 0])
        rows.append([gray, *(np.asarray(colorizer(gray)) for colorizer in colorizers.values()), picture])
    return picture_grid(rows, ["gray", *colorizers, "truth"])
