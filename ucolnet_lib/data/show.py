"""Looking at the data: semantic maps, lightness and chroma as pictures."""

from __future__ import annotations

import functools

import numpy as np
from skimage.color import deltaE_ciede2000

from ucolnet_lib.color import gray_picture, lab_to_rgb8, rgb8_to_lab
from ucolnet_lib.common import BACKGROUND, IGNORE_INDEX
from ucolnet_lib.data.coco import CATEGORIES, CLASS_OF_CATEGORY, NUM_CLASSES
from ucolnet_lib.data.toy import KINDS

DARKEST = 30.0  # darker colours of small areas are hard to name
SHOWN_LIGHTNESS = 65.0  # about here sRGB has room for chroma in all directions


def class_colors() -> np.ndarray:
    """One RGB colour a class index: uint8 (256, 3). Background is dark gray, ignore white.

    The colours do not depend on the run, and they are labels only: a banana need not be yellow. Each class takes the
    colour that is farthest from all colours before it, the categories of the toy world first. So the few classes of a
    toy scene are easy to tell apart; among all 80 some are close.
    """
    return _class_colors().copy()


@functools.cache
def _class_colors() -> np.ndarray:
    colors = np.full((256, 3), 255, np.uint8)
    colors[BACKGROUND], colors[IGNORE_INDEX] = (40, 40, 40), (255, 255, 255)
    taken = rgb8_to_lab(colors[[BACKGROUND, IGNORE_INDEX]][None])[0]
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    lab = rgb8_to_lab(candidates[None])[0]
    candidates, lab = candidates[lab[:, 0] >= DARKEST], lab[lab[:, 0] >= DARKEST]
    nearest = deltaE_ciede2000(lab[:, None], taken[None]).min(axis=1)
    for label in _toy_classes_first():
        # Rounded, so that the last digit, which differs from machine to machine, decides nothing.
        chosen = nearest.round(3).argmax()
        colors[label] = candidates[chosen]
        nearest = np.minimum(nearest, deltaE_ciede2000(lab, lab[chosen][None]))
    return colors


def _toy_classes_first() -> list[int]:
    """All classes but the background: those of the toy world, then the others."""
    toy = [CLASS_OF_CATEGORY[category] for category, name in CATEGORIES.items() if name in KINDS]
    return toy + [label for label in range(1, NUM_CLASSES) if label not in toy]


def color_semantic_map(semantic_map: np.ndarray) -> np.ndarray:
    """A semantic map (H, W) of class indices as a picture: uint8 (H, W, 3)."""
    return class_colors()[semantic_map]


def lightness_picture(rgb: np.ndarray) -> np.ndarray:
    """L of a picture, with a = b = 0: what a colourer is given. uint8 (H, W, 3) to uint8 (H, W, 3)."""
    return gray_picture(rgb8_to_lab(rgb)[..., 0])


def chroma_picture(rgb: np.ndarray) -> np.ndarray:
    """a and b of a picture at one lightness: what a colourer has to find. uint8 (H, W, 3) to uint8 (H, W, 3).

    At L = 65 a screen cannot show the strongest colours: they lose chroma and keep their hue.
    """
    lab = rgb8_to_lab(rgb)
    lab[..., 0] = SHOWN_LIGHTNESS
    return lab_to_rgb8(lab)
