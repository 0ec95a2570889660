"""Before and after: gray, coloured, truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.colorizer import Colorizer, with_chroma
from ucolnet_lib.figures.grid import picture_grid

TITLES = ("gray (input)", "coloured by the model", "truth")


def to_gray(rgb: np.ndarray) -> np.ndarray:
    """The picture without its chroma: same L, a = b = 0. uint8 (H, W, 3) to uint8 (H, W, 3)."""
    return with_chroma(np.ascontiguousarray(rgb8_to_lab(rgb)[..., 0]), np.zeros((1, 1, 2), np.float32))


def before_after(colorizer: Colorizer, rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gray, coloured and true picture, each uint8 (H, W, 3); the colorizer sees only the gray one."""
    gray = to_gray(rgb)
    return gray, np.asarray(colorizer(gray)), rgb


def compare(colorizer: Colorizer, pictures: Sequence[np.ndarray]) -> Figure:
    """A figure with one row a picture: gray, coloured, truth.

    Args:
        pictures: true pictures, uint8 (H, W, 3).
    """
    return picture_grid([before_after(colorizer, rgb) for rgb in pictures], TITLES, side=1.8)
