"""Pictures made smaller and large again, against the libraries themselves."""

import cv2
import numpy as np
import pytest
from PIL import Image

from ucolnet_lib.evaluation.resize import KERNELS, through


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)


def test_the_default_is_pils_bicubic(picture):
    image = Image.fromarray(picture)
    expected = image.resize((20, 16), Image.Resampling.BICUBIC).resize((53, 37), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(through(picture, (20, 16)), expected)


def test_area_down_and_linear_up(picture):
    small = cv2.resize(picture, (20, 16), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(small, (53, 37), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(through(picture, (20, 16), "opencv-area-linear"), expected)


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_keeps_shape_and_flat_colours(kernel, picture):
    assert through(picture, (9, 30), kernel).shape == picture.shape
    flat = np.full((37, 53, 3), (200, 30, 90), np.uint8)
    assert np.abs(through(flat, (16, 16), kernel).astype(int) - flat).max() <= 1
    one = np.full((1, 1, 3), 7, np.uint8)
    np.testing.assert_array_equal(through(one, (16, 16), kernel), one)


def test_the_kernels_differ(picture):
    results = [through(picture, (16, 16), kernel) for kernel in KERNELS]
    assert len({r.tobytes() for r in results}) == len(results)
