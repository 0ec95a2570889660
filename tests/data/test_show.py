"""Semantic maps as pictures."""

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from ucolnet_lib.common import IGNORE_INDEX
from ucolnet_lib.data.coco import CATEGORIES, CLASS_OF_CATEGORY, NUM_CLASSES
from ucolnet_lib.data.show import class_colors, color_semantic_map
from ucolnet_lib.data.toy import KINDS


def smallest_difference(colors):
    """CIEDE2000 of the nearest two among colours (N, 3), uint8."""
    lab = rgb2lab(colors[None])[0]
    difference = deltaE_ciede2000(lab[:, None], lab[None])
    np.fill_diagonal(difference, np.inf)
    return difference.min()


def test_every_class_has_a_colour_of_its_own():
    colors = class_colors()
    assert colors.shape == (256, 3) and colors.dtype == np.uint8
    used = np.concatenate([colors[:NUM_CLASSES], colors[IGNORE_INDEX:]])
    assert len(np.unique(used, axis=0)) == NUM_CLASSES + 1
    assert smallest_difference(used) > 10
    assert colors[0].tolist() == [40, 40, 40] and colors[IGNORE_INDEX].tolist() == [255, 255, 255]


def test_the_classes_of_the_toy_world_are_far_apart():
    colors = class_colors()
    toy = [CLASS_OF_CATEGORY[category] for category, name in CATEGORIES.items() if name in KINDS]
    assert len(toy) == 17
    assert smallest_difference(colors[[0, *toy, IGNORE_INDEX]]) > 20


def test_the_palette_is_fixed():
    """Figures of different runs can be laid side by side, and nobody changes the palette by writing into a copy."""
    first = class_colors()
    before = first.copy()
    first[:] = 7
    assert np.array_equal(class_colors(), before)


def test_a_map_becomes_a_picture():
    semantic_map = np.array([[0, 1, 80], [IGNORE_INDEX, 1, 0]], np.uint8)
    picture = color_semantic_map(semantic_map)
    assert picture.shape == (2, 3, 3) and picture.dtype == np.uint8
    assert np.array_equal(picture[0, 1], class_colors()[1]) and np.array_equal(picture[0, 1], picture[1, 1])
    assert np.array_equal(picture[0, 2], class_colors()[80]) and picture[1, 0].tolist() == [255, 255, 255]


def test_no_pixel_and_one_pixel():
    assert color_semantic_map(np.zeros((0, 4), np.uint8)).shape == (0, 4, 3)
    assert color_semantic_map(np.zeros((1, 1), np.uint8)).tolist() == [[[40, 40, 40]]]
