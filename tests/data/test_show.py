"""Semantic maps as pictures."""

import numpy as np

from ucolnet_lib.common import IGNORE_INDEX
from ucolnet_lib.data.coco import NUM_CLASSES
from ucolnet_lib.data.show import class_colors, color_semantic_map


def test_every_class_has_a_colour_of_its_own():
    colors = class_colors()
    assert colors.shape == (256, 3) and colors.dtype == np.uint8
    used = np.concatenate([colors[:NUM_CLASSES], colors[IGNORE_INDEX:]]).astype(int)
    distance = np.abs(used[:, None] - used[None]).sum(axis=-1)
    np.fill_diagonal(distance, 999)
    assert distance.min() > 3
    assert colors[0].tolist() == [40, 40, 40] and colors[IGNORE_INDEX].tolist() == [255, 255, 255]
    # The palette is fixed: figures of different runs can be laid side by side.
    assert np.array_equal(colors, class_colors())


def test_a_map_becomes_a_picture():
    semantic_map = np.array([[0, 1, 80], [IGNORE_INDEX, 1, 0]], np.uint8)
    picture = color_semantic_map(semantic_map)
    assert picture.shape == (2, 3, 3) and picture.dtype == np.uint8
    assert np.array_equal(picture[0, 1], class_colors()[1]) and np.array_equal(picture[0, 1], picture[1, 1])
    assert np.array_equal(picture[0, 2], class_colors()[80]) and picture[1, 0].tolist() == [255, 255, 255]


def test_no_pixel_and_one_pixel():
    assert color_semantic_map(np.zeros((0, 4), np.uint8)).shape == (0, 4, 3)
    assert color_semantic_map(np.zeros((1, 1), np.uint8)).tolist() == [[[40, 40, 40]]]
