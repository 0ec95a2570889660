"""Looking at the data: semantic maps as pictures."""

from __future__ import annotations

import colorsys

import numpy as np

from ucolnet_lib.common import BACKGROUND, IGNORE_INDEX
from ucolnet_lib.data.coco import NUM_CLASSES


def class_colors() -> np.ndarray:
    """One RGB colour a class index: uint8 (256, 3). Background is dark gray, ignore white."""
    colors = np.full((256, 3), 255, np.uint8)
    for label in range(1, NUM_CLASSES):
        # The golden ratio spreads the hues of neighbouring classes far apart.
        hue, value = label * 0.618034 % 1, (0.95, 0.75, 0.55)[label % 3]
        colors[label] = np.round(np.array(colorsys.hsv_to_rgb(hue, 0.75, value)) * 255)
    colors[BACKGROUND], colors[IGNORE_INDEX] = (40, 40, 40), (255, 255, 255)
    return colors


def color_semantic_map(semantic_map: np.ndarray) -> np.ndarray:
    """A semantic map (H, W) of class indices as a picture: uint8 (H, W, 3)."""
    return class_colors()[semantic_map]
