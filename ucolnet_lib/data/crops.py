"""Random crops: which part of a photograph a training step sees, and how picture and map become a square.

Every random choice follows from (seed, epoch, photograph) alone. So a run that was interrupted goes on exactly as it
would have gone, and several processes, workers or devices draw the same crops as one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F


class Crop(NamedTuple):
    """A part of a picture in whole pixels, `right` and `bottom` not included; `flip`: left and right change places."""

    left: int
    top: int
    right: int
    bottom: int
    flip: bool


def whole(width: int, height: int) -> Crop:
    """All of a picture, as it is."""
    return Crop(0, 0, width, height, False)


def random_crop(key: tuple[int, int, int], width: int, height: int, least_area: float) -> Crop:
    """A random part of a picture, flipped or not (the crops of Inception: Szegedy et al. 2015).

    Args:
        key: (seed, epoch, photograph's id); the same key gives the same crop.
        width, height: of the picture, in pixels.
        least_area: 0-1, the part is at least this share of the picture's area.
    Returns:
        a part inside the picture; its aspect ratio is 3/4 to 4/3 of the picture's, to a pixel.
    """
    random = np.random.default_rng(key)
    area = random.uniform(least_area, 1)
    # A large part has less room to be narrow: at area 1 only the whole picture fits.
    narrowest = math.log(max(3 / 4, area))
    ratio = math.exp(narrowest * random.uniform(-1, 1))
    # Rounded up: the share of the area is kept. A little less first, lest 100.00000001 become 101.
    w = min(width, math.ceil(width * (area * ratio) ** 0.5 - 1e-6))
    h = min(height, math.ceil(height * (area / ratio) ** 0.5 - 1e-6))
    left, top = round(random.uniform(0, width - w)), round(random.uniform(0, height - h))
    return Crop(left, top, left + w, top + h, bool(random.random() < 0.5))


def cut(rgb: np.ndarray, semantic_map: np.ndarray, crop: Crop, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The part `crop` of a picture and of its map, resized.

    The picture is resized by antialiased bicubic interpolation as Pillow does it, by torch's kernel for bytes, which
    takes a sixth of Pillow's time. The map takes the nearest class: between 0 and 255 lies no class 128.

    Args:
        rgb: uint8 (H, W, 3).
        semantic_map: uint8 (H, W).
        crop: which part.
        size: (height, width) of the result, in pixels.
    Returns:
        uint8 (height, width, 3) and uint8 (height, width).
    """
    left, top, right, bottom, flip = crop
    # A copy without gaps, and its dimension of one added by torch: so torch sees "channels last", and is fast.
    part = torch.from_numpy(np.array(rgb[top:bottom, left:right]))[None].permute(0, 3, 1, 2)
    picture = F.interpolate(part.flip(3) if flip else part, size, mode="bicubic", antialias=True)
    rows = top + nearest(bottom - top, size[0])
    columns = left + nearest(right - left, size[1])
    columns = columns[::-1] if flip else columns
    return picture[0].permute(1, 2, 0).numpy(), semantic_map.take(rows, axis=0).take(columns, axis=1)


def nearest(length: int, size: int) -> np.ndarray:
    """For each of `size` pixels the nearest of `length` pixels, by their centres: int (size,)."""
    return ((2 * np.arange(size) + 1) * length) // (2 * size)
