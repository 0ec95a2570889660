"""Looking at data: photographs beside their channels and maps, the classes, the colours of a set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from PIL import Image

from ucolnet_lib.common import write_beside
from ucolnet_lib.data.coco import Photograph
from ucolnet_lib.data.photo_folder import open_photographs
from ucolnet_lib.data.show import SHOWN_LIGHTNESS, chroma_picture, class_colors, color_semantic_map, lightness_picture
from ucolnet_lib.data.summary import AB_EDGES, Summary, name_of, sample, summarize
from ucolnet_lib.figures.style import save, style

ROWS = 8  # photographs in the grid
_LEGEND_COLUMNS = 5
_SIDE = 400  # pixels; no picture of the grid is drawn larger
_BLUE, _GRAY = "#4477aa", "#999999"


def show_data(
    folder: str | Path, split: str | None = None, out: str | Path | None = None, limit: int = 500, progress: bool = True
) -> tuple[Summary, Path]:
    """Look at a set of photographs: three figures (PNG and PDF) and two tables (CSV) in `out`.

    `photographs`: the first of them with their channels and maps; `classes`: how often and how colourful each class
    is; `chroma`: the colours of all pixels, and how many photographs are gray.

    Args:
        folder: a COCO folder, a prepared set, or a plain folder of photographs.
        split: `train2017` or `val2017`; without it the first that the folder has.
        out: the folder to write; without it runs/data-NAME-SPLIT, of the folder's name.
        limit: look at so many photographs, the same in every call; 0 looks at all.
        progress: show a bar with rate and remaining time.
    Returns:
        what was counted, and the folder.
    Raises:
        UcolnetError: the folder is none of the three, a photograph cannot be read, or `out` cannot be written.
    """
    photos = open_photographs(folder, split)
    name = "-".join(dict.fromkeys(["data", photos.root.resolve().name, photos.split]))  # a plain folder has one name
    out = Path(out or Path("runs") / name)
    summary = summarize(photos, limit, progress)
    shown = [photos[index] for index in sample(photos, min(ROWS, len(summary.photographs)))]
    save(photograph_grid(shown), out / "photographs")
    save(class_figure(summary), out / "classes")
    save(chroma_figure(summary), out / "chroma")
    for table in ("photographs", "classes"):
        with write_beside(out / f"{table}.csv") as file:
            getattr(summary, table).to_csv(file, index=False, float_format="%.6g")
    return summary, out


def photograph_grid(photographs: Sequence[Photograph], width: float = 1.8) -> Figure:
    """A row for each photograph: the picture, its L, its ab at one lightness, its classes; below, what occurs there.

    Args:
        photographs: such as `[split[i] for i in range(4)]`.
        width: of one picture in inches.
    """
    titles = ("photograph", "L", f"a, b at L = {SHOWN_LIGHTNESS:.0f}", "classes")
    # Pictures on end become narrower, else their rows would be long; a stripe gets a row all the same.
    heights = [np.clip(photo.rgb.shape[0] / photo.rgb.shape[1], 0.2, 1) for photo in photographs]
    labels = sorted({int(label) for photo in photographs for label in np.unique(photo.semantic_map)})
    legend = 0.2 * -(-len(labels) // _LEGEND_COLUMNS) + 0.1
    with style():
        size = width * len(titles), width * sum(heights) + 0.03 * len(heights) + 0.25 + legend
        figure, axes = plt.subplots(len(photographs), len(titles), figsize=size, squeeze=False, height_ratios=heights)
        for row, photo in zip(axes, photographs, strict=True):
            rgb, semantic_map = _small(photo)
            pictures = rgb, lightness_picture(rgb), chroma_picture(rgb), color_semantic_map(semantic_map)
            for ax, picture in zip(row, pictures, strict=True):
                ax.imshow(picture, interpolation="nearest")
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set(visible=True, color=_GRAY, linewidth=0.5)  # white is a colour of the maps
        for ax, title in zip(axes[0], titles, strict=True):
            ax.set_title(title, fontsize=9)
        colors = class_colors() / 255
        patches = [Patch(facecolor=colors[i], edgecolor=_GRAY, linewidth=0.5, label=name_of(i)) for i in labels]
        figure.legend(handles=patches, loc="outside lower center", ncols=_LEGEND_COLUMNS, fontsize=8, handlelength=1.2)
        figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0, hspace=0)
    return figure


def _small(photo: Photograph) -> tuple[np.ndarray, np.ndarray]:
    height, width = photo.semantic_map.shape
    scale = min(1, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    rgb = Image.fromarray(photo.rgb).resize(size, Image.Resampling.BICUBIC)
    semantic_map = Image.fromarray(photo.semantic_map).resize(size, Image.Resampling.NEAREST)
    return np.asarray(rgb), np.asarray(semantic_map)


def class_figure(summary: Summary) -> Figure:
    """A row for each class that occurs, from the one with most pixels down: objects, images, pixels, chroma.

    The dots have the colours of the classes in the maps. A prepared set keeps no objects; its figure shows none.
    """
    table = summary.classes.sort_values("pixels", kind="stable")
    labels = {
        "objects": "objects",
        "images": "photographs that show it",
        "share": "share of all pixels",
        "mean_chroma": "mean chroma (CIELAB units)",
    }
    panels = [(column, label) for column, label in labels.items() if column in table and table[column].max() > 0]
    colors, rows = class_colors()[table["class"]] / 255, np.arange(len(table))
    with style():
        size = 2.3 * len(panels) + 1, 0.17 * len(table) + 1.3
        figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
        for ax, (column, label) in zip(axes[0], panels, strict=True):
            values = table[column].where(table[column] > 0)
            ax.scatter(values, rows, s=28, c=colors, edgecolors="#444444", linewidths=0.7, zorder=3)
            ax.set_title(label, fontsize=9)
            ax.tick_params(axis="x", labeltop=True, labelsize=8)
            ax.tick_params(axis="y", labelsize=8, length=0)
            if column == "mean_chroma":
                ax.set_xlim(left=0)
            else:
                low, high = values.min() / 2, values.max() * 2
                ax.set(xscale="log", xlim=(low, high))
                ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
                form = "{:.3g}%" if column == "share" else "{:,.0f}"
                ax.xaxis.set_major_formatter(lambda x, _, form=form: form.format(100 * x if "%" in form else x))
                ax.xaxis.set_minor_formatter(NullFormatter())
        axes[0, 0].set_yticks(rows, table["name"])
        axes[0, 0].set_ylim(-0.7, len(table) - 0.3)
        figure.suptitle(_title(summary), fontsize=11)
    return figure


def chroma_figure(summary: Summary) -> Figure:
    """Left: all pixels in the ab plane, on a logarithmic scale. Right: the photographs by their mean chroma."""
    chroma, gray = summary.photographs["mean_chroma"], summary.photographs["gray"]
    share = np.ma.masked_equal(summary.chroma / summary.chroma.sum(), 0)
    extent = (AB_EDGES[0], AB_EDGES[-1], AB_EDGES[0], AB_EDGES[-1])
    with style():
        figure, (plane, bars) = plt.subplots(1, 2, figsize=(9.5, 4.2))
        image = plane.imshow(
            share.T, "viridis_r", norm=LogNorm(1e-7, 1), origin="lower", extent=extent, interpolation="nearest"
        )
        figure.colorbar(image, ax=plane, label="share of all pixels, in bins of 2 x 2 units", shrink=0.9)
        plane.set(xlabel="a: green to red (CIELAB units)", ylabel="b: blue to yellow (CIELAB units)")
        plane.set_title("colours of all pixels", fontsize=10)
        bars.hist(
            [chroma[gray], chroma[~gray]],
            np.arange(0, chroma.max() + 4, 2),
            stacked=True,
            color=[_GRAY, _BLUE],
            label=["gray, or nearly", "coloured"],
        )
        bars.set(xlabel="mean chroma of a photograph (CIELAB units)", ylabel="photographs")
        bars.yaxis.set_major_locator(MaxNLocator(integer=True))
        bars.set_title(f"{gray.sum():,} of {len(gray):,} are gray, or nearly", fontsize=10)
        bars.legend()
        figure.suptitle(_title(summary), fontsize=11)
        figure.get_layout_engine().set(wspace=0.08)
    return figure


def _title(summary: Summary) -> str:
    seen, size = len(summary.photographs), summary.size
    return f"{summary.name}: {f'{seen:,} of ' if seen < size else ''}{size:,} photographs"
