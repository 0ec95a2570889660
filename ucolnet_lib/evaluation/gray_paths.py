"""Gray pictures along many paths: how a photograph becomes gray, through which size, by which kernel.

The paper states none of the three, and the detection metric depends on them. One factor at a time where crossing all
would be too long: every kernel at every size for gray by L of CIELAB; the other conversions through 224 px by the
default kernel, and at full resolution.
"""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from ucolnet_lib.color import gray_picture
from ucolnet_lib.data.coco import Photograph
from ucolnet_lib.evaluation.cache import content_key
from ucolnet_lib.evaluation.resize import DEFAULT_KERNEL, KERNELS, through
from ucolnet_lib.evaluation.systems import Coloured, System

SIZES = (128, 224, 256)
PRESUMED_SIZE = 224
"""Sides in pixels of the square that a model may see; and our reading of the paper's."""


def _by_lightness(rgb: np.ndarray, lab: np.ndarray) -> np.ndarray:
    return gray_picture(lab[..., 0])


def _by_luma(rgb: np.ndarray, lab: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).convert("L").convert("RGB"))


def _by_mean(rgb: np.ndarray, lab: np.ndarray) -> np.ndarray:
    gray = (rgb.sum(axis=-1, dtype=np.uint16) + 1) // 3
    return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=-1)


CONVERSIONS = {"L": _by_lightness, "luma": _by_luma, "mean": _by_mean}
"""How a photograph becomes gray: L of CIELAB with a = b = 0; luma, 0.299 R + 0.587 G + 0.114 B; (R + G + B) / 3.
Each takes uint8 (H, W, 3), RGB, and its Lab, and gives uint8 (H, W, 3)."""

# Read once: a file that is edited during a long run would give other texts, and nothing would be found again.
_SOURCES = {name: inspect.getsource(convert) for name, convert in CONVERSIONS.items()}


@dataclass(frozen=True)
class GrayPath:
    """`conversion` of `CONVERSIONS`; `kernel` of `resize.KERNELS`, and `size` of the square in pixels, both None at
    full resolution."""

    conversion: str
    kernel: str | None = None
    size: int | None = None

    @property
    def name(self) -> str:
        """As its pictures are called: `L-pil-bicubic-224`, `luma-full`."""
        return f"{self.conversion}-{self.kernel}-{self.size}" if self.size else f"{self.conversion}-full"


PATHS = (
    *(GrayPath("L", kernel, size) for size in SIZES for kernel in KERNELS),
    *(GrayPath(conversion, DEFAULT_KERNEL, PRESUMED_SIZE) for conversion in CONVERSIONS if conversion != "L"),
    *(GrayPath(conversion) for conversion in CONVERSIONS),
)


class GrayPaths(System):
    """The photograph itself, `original`, and its gray picture along each of `PATHS`."""

    kind = "control"

    def __init__(self):
        self._paths = {path.name: path for path in PATHS}
        self.variants = ("original", *self._paths)

    def size_of(self, variant: str) -> int | None:
        return self._paths[variant].size if variant in self._paths else None

    def key(self, variant: str, image_id: int) -> str:
        if variant not in self._paths:
            return variant
        path = self._paths[variant]
        return content_key(asdict(path), _SOURCES[path.conversion])

    def colour(self, photo: Photograph, lab: np.ndarray) -> Coloured:
        grays = {name: convert(photo.rgb, lab) for name, convert in CONVERSIONS.items()}
        pictures = {"original": photo.rgb}
        for name, path in self._paths.items():
            gray = grays[path.conversion]
            pictures[name] = through(gray, (path.size, path.size), path.kernel) if path.size else gray
        return Coloured(pictures)
