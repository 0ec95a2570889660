"""A picture made smaller and large again, as a model's input and output are: the kernels that people use.

The paper does not say how it resizes, and the detection metric depends on it (PAPER.md: gray pictures through
224 x 224 keep 69% to 77% of the objects, by kernel alone).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

Resize = Callable[[np.ndarray, tuple[int, int]], np.ndarray]
"""(picture, uint8 (H, W, 3); (width, height)) -> uint8 (height, width, 3)."""

DEFAULT_KERNEL = "pil-bicubic"


def _pil(picture: np.ndarray, size: tuple[int, int], kernel: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize(size, kernel))


def _opencv(picture: np.ndarray, size: tuple[int, int], kernel: str) -> np.ndarray:
    import cv2  # comes with ultralytics

    return cv2.resize(picture, size, interpolation=getattr(cv2, kernel))


_bicubic, _bilinear, _lanczos = (
    partial(_pil, kernel=k) for k in (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS)
)
_linear, _cubic, _area = (partial(_opencv, kernel=k) for k in ("INTER_LINEAR", "INTER_CUBIC", "INTER_AREA"))

KERNELS: dict[str, tuple[Resize, Resize]] = {
    "pil-bicubic": (_bicubic, _bicubic),
    "pil-bilinear": (_bilinear, _bilinear),
    "pil-lanczos": (_lanczos, _lanczos),
    "opencv-area-linear": (_area, _linear),
    "opencv-linear": (_linear, _linear),
    "opencv-cubic": (_cubic, _cubic),
}
"""Name -> how to make smaller, how to make larger. PIL antialiases when it makes smaller; OpenCV's linear and cubic
do not, its area mean does."""


def through(picture: np.ndarray, size: tuple[int, int], kernel: str = DEFAULT_KERNEL) -> np.ndarray:
    """The picture brought to `size` (width, height) and back; the aspect ratio is not kept. uint8 (H, W, 3)."""
    down, up = KERNELS[kernel]
    return up(down(picture, size), (picture.shape[1], picture.shape[0]))
