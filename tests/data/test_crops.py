"""Random crops: their share, their place, what they follow from; resizing against Pillow."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ucolnet_lib.common import IGNORE_INDEX
from ucolnet_lib.data.crops import Crop, cut, nearest, random_crop, whole

FLIP = Image.Transpose.FLIP_LEFT_RIGHT


def picture(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Smooth colours and blocks of classes."""
    random = np.random.default_rng(seed)
    rgb = Image.fromarray(random.integers(0, 256, (5, 6, 3), np.uint8)).resize((width, height), Image.BICUBIC)
    return np.asarray(rgb), random.integers(0, 81, (height, width), np.uint8)


@pytest.mark.parametrize("least", [0.05, 0.3, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize(("width", "height"), [(640, 480), (1, 500), (333, 217), (2, 2)])
def test_crops_keep_their_share_and_stay_inside(least, width, height):
    crops = np.array([random_crop((0, 0, i), width, height, least) for i in range(400)])
    left, top, right, bottom, flip = crops.T
    assert left.min() >= 0 and top.min() >= 0 and right.max() <= width and bottom.max() <= height
    w, h = right - left, bottom - top
    assert w.min() >= 1 and h.min() >= 1
    assert (w * h).min() >= least * width * height - 1e-3
    # Half of them are flipped, and the ratio of the sides moves by a third at most, to a pixel.
    assert 140 < flip.sum() < 260
    assert ((w - 1) / width <= 4 / 3 * h / height).all() and ((h - 1) / height <= 4 / 3 * w / width).all()
    if least == 1:
        assert (w == width).all() and (h == height).all()
    elif width > 100:
        assert (w * h / width / height).std() > 0.1 * (1 - least)
        # Everywhere: also at each border.
        assert left.min() == 0 and right.max() == width and top.min() == 0 and bottom.max() == height
        assert abs((left + right).mean() / 2 - width / 2) < 0.03 * width


def test_a_crop_follows_from_seed_epoch_and_photograph():
    def crop(*key):
        return random_crop(key, 640, 480, 0.5)

    assert crop(1, 2, 3) == crop(1, 2, 3)
    assert len({crop(1, 2, 3), crop(0, 2, 3), crop(1, 0, 3), crop(1, 2, 0), crop(2, 1, 3), crop(3, 2, 1)}) == 6
    # Written down: another machine, and the next version, draw the same.
    assert crop(0, 1, 139) == KNOWN


KNOWN = Crop(left=0, top=8, right=640, bottom=471, flip=True)


def test_another_process_draws_the_same():
    """No hash that each process salts differently."""
    code = "from ucolnet_lib.data.crops import random_crop; print(*random_crop((0, 1, 139), 640, 480, 0.5))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(part) for part in KNOWN]


@pytest.mark.parametrize("crop", [Crop(0, 0, 90, 70, False), Crop(13, 7, 71, 66, False), Crop(13, 7, 71, 66, True)])
@pytest.mark.parametrize("size", [(32, 32), (224, 200), (17, 60)])
def test_it_is_what_pillow_makes(crop, size):
    rgb, semantic_map = picture(70, 90)
    found, found_map = cut(rgb, semantic_map, crop, size)
    assert found.dtype == found_map.dtype == np.uint8 and found.shape == (*size, 3) and found_map.shape == size

    def pillow(array, how):
        image = Image.fromarray(array).crop(crop[:4]).resize(size[::-1], how)
        return np.asarray(image.transpose(FLIP) if crop.flip else image)

    assert np.abs(found.astype(int) - pillow(rgb, Image.BICUBIC)).max() <= 2
    assert np.array_equal(found_map, pillow(semantic_map, Image.NEAREST))


def test_fine_patterns_become_gray_and_not_stripes():
    """Antialiasing: without it, every second line would be lost."""
    rgb = np.zeros((120, 120, 3), np.uint8)
    rgb[:, ::2] = 255
    found, _ = cut(rgb, rgb[..., 0], whole(120, 120), (30, 30))
    assert 110 < found[:, 2:-2].min() and found[:, 2:-2].max() < 145


def test_ignore_and_classes_survive_resizing():
    """Nearest neighbour: between class 0 and 255 lies no class 128."""
    semantic_map = np.zeros((300, 300), np.uint8)
    semantic_map[:, 150:] = IGNORE_INDEX
    semantic_map[::2, ::2] = 80
    rgb = np.zeros((300, 300, 3), np.uint8)
    for i in range(10):
        _, found = cut(rgb, semantic_map, random_crop((0, 0, i), 300, 300, 0.3), (32, 32))
        assert set(np.unique(found)) <= {0, 80, IGNORE_INDEX}
        assert 0.1 < np.mean(found == IGNORE_INDEX) < 0.7


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 2)])
def test_pictures_of_any_size_that_may_not_be_written_to(shape):
    rgb, semantic_map = np.full((*shape, 3), 7, np.uint8), np.full(shape, 5, np.uint8)
    rgb.flags.writeable = semantic_map.flags.writeable = False
    found, found_map = cut(rgb, semantic_map, random_crop((0, 0, 0), shape[1], shape[0], 0.5), (16, 16))
    assert (found == 7).all() and (found_map == 5).all() and found.shape == (16, 16, 3)


def test_the_arrays_have_no_gaps():
    """Neither flipped nor unflipped: copying them into a batch would take ten times as long."""
    rgb, semantic_map = picture(70, 90)
    for flip in (False, True):
        found, _ = cut(rgb, semantic_map, Crop(0, 0, 80, 70, flip), (32, 32))
        assert found.flags.c_contiguous


@pytest.mark.parametrize(("length", "size"), [(1, 5), (5, 5), (10, 3), (3, 10), (341, 224), (10_000, 224)])
def test_nearest_pixels_are_in_order_and_inside(length, size):
    found = nearest(length, size)
    assert found.shape == (size,) and found.min() >= 0 and found.max() < length and (np.diff(found) >= 0).all()
    assert np.array_equal(found, np.floor((np.arange(size) + 0.5) * length / size))
