"""Semantic maps, lightness and chroma as pictures."""

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from ucolnet_lib.common import IGNORE_INDEX
from ucolnet_lib.data.coco import CATEGORIES, CLASS_OF_CATEGORY, NUM_CLASSES
from ucolnet_lib.data.show import SHOWN_LIGHTNESS, chroma_picture, class_colors, color_semantic_map, lightness_picture
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


def test_lightness_without_colour():
    rgb = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    picture = lightness_picture(rgb)
    assert picture.shape == rgb.shape and picture.dtype == np.uint8 and np.ptp(picture, axis=2).max() == 0
    np.testing.assert_allclose(rgb2lab(picture)[..., 0], rgb2lab(rgb)[..., 0], atol=0.3)


def test_chroma_at_one_lightness():
    rgb = np.random.default_rng(0).integers(90, 170, (9, 7, 3), np.uint8)  # weak colours, which fit at any lightness
    picture = chroma_picture(rgb)
    assert picture.shape == rgb.shape and picture.dtype == np.uint8
    lab = rgb2lab(picture)
    np.testing.assert_allclose(lab[..., 0], SHOWN_LIGHTNESS, atol=0.5)
    np.testing.assert_allclose(lab[..., 1:], rgb2lab(rgb)[..., 1:], atol=0.8)


@pytest.mark.parametrize("rgb", [(0, 0, 255), (255, 255, 0), (255, 0, 0), (0, 255, 0)])
def test_strong_colours_keep_their_hue(rgb):
    picture = np.full((1, 1, 3), rgb, np.uint8)
    before, after = rgb2lab(picture)[0, 0], rgb2lab(chroma_picture(picture))[0, 0]
    assert after[0] == pytest.approx(SHOWN_LIGHTNESS, abs=0.5)
    assert np.arctan2(*after[:0:-1]) == pytest.approx(np.arctan2(*before[:0:-1]), abs=0.03)
    assert 25 < np.hypot(*after[1:]) < np.hypot(*before[1:])


def test_black_and_white_have_no_chroma():
    picture = chroma_picture(np.array([[[0, 0, 0], [255, 255, 255], [90, 90, 90]]], np.uint8))
    assert len(np.unique(picture)) == 1


@pytest.mark.parametrize("draw", [lightness_picture, chroma_picture])
def test_no_pixel_and_one_pixel_of_a_picture(draw):
    assert draw(np.zeros((0, 4, 3), np.uint8)).shape == (0, 4, 3)
    assert draw(np.zeros((1, 1, 3), np.uint8)).shape == (1, 1, 3)
