"""Bins of the ab plane: colours as classes (Zhang, Isola, Efros, *Colorful Image Colorization*, 2016).

The bins are the points of a square grid. A colour is spread over the four points around it, by bilinear weights: the
weighted mean of the four is the colour itself, so nothing is lost.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from ucolnet_lib.color import rgb8_to_lab

BIN_STEP = 12
"""Distance of neighbouring bins, CIELAB units."""

_CORNERS = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
_ROOM = 11  # the grid reaches to 11 x 12 = 132 in both directions, and sRGB to 108


@lru_cache
def bin_centres() -> np.ndarray:
    """The bins that colours of sRGB need: float32 (BINS, 2), a and b, CIELAB units."""
    points = np.argwhere(_table() >= 0) - _ROOM
    return (points * BIN_STEP).astype(np.float32)


def encode(ab: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The four bins around each colour, and their weights.

    Args:
        ab: (N, 2, H, W), CIELAB units. Colours outside of sRGB count as weight on bin 0 where they have no bin.
    Returns:
        int64 (M, 4), numbers of bins in 0..BINS-1, and float (M, 4), weights that sum to one; M = N * H * W.
    """
    position = ab.movedim(1, -1).flatten(0, -2) / BIN_STEP + _ROOM  # (M, 2)
    position = position.clamp(0, 2 * _ROOM - 1e-3)
    low = position.floor()
    part = position - low
    corners = torch.from_numpy(_CORNERS).to(ab.device)
    points = low.long()[:, None] + corners  # (M, 4, 2)
    weights = torch.where(corners.bool(), part[:, None], 1 - part[:, None]).prod(dim=2)
    table = torch.from_numpy(_table()).to(ab.device)
    return table[points[..., 0], points[..., 1]].clamp_min(0), weights


@lru_cache
def _table() -> np.ndarray:
    """The number of each point of the grid, -1 where no colour of sRGB needs it: int64 (23, 23)."""
    values = np.linspace(0, 255, 52).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1).reshape(1, -1, 3)
    cells = np.unique(np.floor(rgb8_to_lab(cube)[0, :, 1:] / BIN_STEP).astype(int), axis=0) + _ROOM
    points = np.unique((cells[:, None] + _CORNERS).reshape(-1, 2), axis=0)
    table = np.full((2 * _ROOM + 1,) * 2, -1, np.int64)
    table[points[:, 0], points[:, 1]] = np.arange(len(points))
    return table
