"""The filmstrip of a run: the same photographs as the model coloured them after each epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.figures.grid import picture_grid


def filmstrip(run: str | Path, columns: int = 8) -> Figure:
    """A row a photograph, a column an epoch, the truth at the right.

    Of more epochs than columns, the first and the last are shown and some between, closer at the start: there the
    colours change most.

    Args:
        run: a run folder of `ucolnet train`; it may still be training.
        columns: epochs to show at most, at least 2.
    Raises:
        UcolnetError: the run has no samples.
    """
    folder = Path(run) / "samples"
    epochs = sorted(int(file.stem.removeprefix("epoch-")) for file in folder.glob("epoch-*.png"))
    if not epochs:
        raise UcolnetError(f"{folder} holds no sample colourings: the run has not finished an epoch, or is an old one.")
    shown = spread(epochs, columns)
    files = [folder / f"epoch-{epoch:05d}.png" for epoch in shown] + [folder / "truth.png"]
    rows = zip(*(_pictures(file) for file in files), strict=True)
    return picture_grid(list(rows), [f"epoch {epoch}" for epoch in shown] + ["truth"], side=1.0)


def spread(epochs: list[int], count: int) -> list[int]:
    """At most `count` of the epochs: the first, the last, and some between, closer at the start."""
    if len(epochs) <= count:
        return epochs
    # The distances grow by one factor; each place is at least one behind the one before.
    places = np.geomspace(1, len(epochs), count).round().astype(int) - 1
    for i in range(1, count):
        places[i] = max(places[i], places[i - 1] + 1)
    return [epochs[place] for place in places]


def _pictures(file: Path) -> list[np.ndarray]:
    """The squares of a column, from top to bottom: uint8 (S, S, 3) each."""
    with Image.open(file) as image:
        column = np.asarray(image.convert("RGB"))
    return np.split(column, len(column) // column.shape[1])
