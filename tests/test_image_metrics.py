"""Measures of a coloured picture against scikit-image, torchmetrics, published numbers, and numbers made by hand."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from skimage.color import deltaE_ciede2000
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.colorizer import with_chroma
from ucolnet_lib.data.coco import read_rgb
from ucolnet_lib.image_metrics import (
    Truth,
    chroma_histogram,
    histogram_distance,
    image_metrics,
    is_gray,
    mean_ciede2000,
    psnr,
    ssim,
)
from ucolnet_lib.metrics import colourfulness, colourfulness_absolute, image_errors

NAMES = [
    "psnr", "ssim", "ciede2000", "colourfulness", "colourfulness_absolute", "colourfulness_distance",
    "chroma_histogram_distance",
]  # fmt: skip

# Gray or nearly gray photographs among the 300 of the sample, found when it was gathered.
GRAY_PHOTOGRAPHS = {
    1425, 1490, 1818, 2299, 3156, 5503, 6460, 6614, 7888, 205401, 343937, 456496, 566282, 570448,
}  # fmt: skip


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def smooth(rng, height, width) -> np.ndarray:
    """A picture of soft blobs, uint8 (H, W, 3): as in photographs, neighbours are alike."""
    small = rng.integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def noisy(rng, picture, size=25) -> np.ndarray:
    return (picture + rng.normal(0, size, picture.shape)).clip(0, 255).astype(np.uint8)


def measure(picture, truth) -> dict[str, float]:
    return image_metrics(picture, rgb8_to_lab(picture), Truth(truth, rgb8_to_lab(truth)))


# All together.


def test_all_measures_of_one_picture_are_those_of_the_functions(rng):
    truth = smooth(rng, 60, 40)
    picture = noisy(rng, truth[..., ::-1])
    lab, truth_lab = rgb8_to_lab(picture), rgb8_to_lab(truth)
    errors = image_errors(picture, truth, np.zeros((60, 40), np.uint8))
    measured = measure(picture, truth)
    assert list(measured) == NAMES
    assert measured == {
        "psnr": psnr(errors["rgb_squared"], errors["pixels"]),
        "ssim": ssim(picture, truth),
        "ciede2000": mean_ciede2000(lab, truth_lab),
        "colourfulness": colourfulness(picture),
        "colourfulness_absolute": colourfulness_absolute(picture),
        "colourfulness_distance": abs(colourfulness(picture) - colourfulness(truth)),
        "chroma_histogram_distance": histogram_distance(chroma_histogram(lab), chroma_histogram(truth_lab)),
    }
    assert all(type(value) is float for value in measured.values())
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured


def test_a_picture_that_equals_its_truth_is_perfect_and_finite(rng):
    truth = smooth(rng, 30, 20)
    measured = measure(truth, truth)
    assert measured["psnr"] == pytest.approx(58.92, abs=0.01)
    assert measured["ssim"] == pytest.approx(1, abs=1e-6)
    for name in ("ciede2000", "colourfulness_distance", "chroma_histogram_distance"):
        assert measured[name] == 0


def test_one_truth_serves_many_pictures(rng):
    truth = smooth(rng, 40, 50)
    shared = Truth(truth, rgb8_to_lab(truth))
    for picture in (noisy(rng, truth), truth, truth[::-1].copy()):
        assert image_metrics(picture, rgb8_to_lab(picture), shared) == measure(picture, truth)


def test_a_duller_picture_is_as_far_off_in_colourfulness_as_a_gaudier_one():
    def two_colours(strength):
        return np.array([[[128 + strength, 128, 128], [128, 128 + strength, 128]] * 8] * 16, np.uint8)

    dull, gaudy = (measure(two_colours(s), two_colours(40))["colourfulness_distance"] for s in (20, 60))
    assert dull == pytest.approx(gaudy) and dull > 5


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (10, 11), (6, 6)])
def test_below_the_window_of_ssim_only_ssim_is_missing(rng, shape):
    picture, truth = rng.integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    measured = measure(picture, truth)
    assert math.isnan(measured.pop("ssim"))
    assert np.isfinite(list(measured.values())).all()
    assert np.isfinite(pd.Series([measure(smooth(rng, 11, 11), smooth(rng, 11, 11))["ssim"], np.nan]).mean())


def test_flat_black_and_white_pictures_are_measured():
    black, white = (np.full((12, 12, 3), value, np.uint8) for value in (0, 255))
    measured = measure(black, white)
    assert measured["psnr"] == 0
    assert measured["ssim"] == pytest.approx(0, abs=1e-3)
    assert measured["ciede2000"] == pytest.approx(100, abs=0.01)
    assert measured["chroma_histogram_distance"] == 0  # both are gray


def test_a_picture_that_may_not_be_written_to_is_read(rng):
    picture = smooth(rng, 20, 20).copy()
    picture.setflags(write=False)
    assert measure(picture, picture)["ssim"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("shapes", [((4, 5, 3), (5, 4, 3)), ((4, 5, 3), (4, 5, 4)), ((0, 5, 3), (0, 5, 3))])
def test_other_sizes_and_empty_pictures_are_refused(shapes):
    picture, truth = (np.zeros(shape, np.uint8) for shape in shapes)
    with pytest.raises(ValueError, match="sizes differ, or there is no pixel"):
        image_metrics(picture, picture.astype(np.float32), Truth(truth, truth.astype(np.float32)))


# PSNR.


def test_psnr_equals_scikit_image_and_torchmetrics(rng):
    truth = smooth(rng, 33, 21)
    picture = noisy(rng, truth)
    measured = measure(picture, truth)["psnr"]
    assert measured == pytest.approx(peak_signal_noise_ratio(truth, picture))
    tensors = (torch.tensor(array).float() for array in (picture, truth))
    assert measured == pytest.approx(float(torchmetrics_psnr(*tensors, data_range=255.0)), rel=1e-5)


def test_psnr_of_a_table_is_that_of_each_picture_and_has_a_mean():
    table = pd.DataFrame({"rgb_squared": [0, 3 * 100 * 25.0, 1, 3 * 40 * 255**2], "pixels": [100, 100, 50, 40]})
    values = psnr(table["rgb_squared"], table["pixels"])
    cap = 10 * math.log10(255**2 * 12)
    assert values.tolist() == pytest.approx([cap, 20 * math.log10(255 / 5), cap, 0])
    assert math.isfinite(values.mean())


# SSIM.


def scikit_image_ssim(picture, truth):
    """scikit-image cuts a margin of 5 pixels off its result; with mirrored margins it sees what torchmetrics sees."""
    padded = (np.pad(p.astype(np.float64), ((5, 5), (5, 5), (0, 0)), mode="reflect") for p in (picture, truth))
    return structural_similarity(
        *padded, channel_axis=-1, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )


@pytest.mark.parametrize("shape", [(11, 11), (30, 47), (383, 400)])
def test_ssim_of_small_pictures_equals_scikit_image_at_full_size(rng, shape):
    truth = smooth(rng, *shape)
    picture = noisy(rng, truth)
    expected = scikit_image_ssim(picture, truth)
    assert 0.05 < expected < 0.95
    assert ssim(picture, truth) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("shape", "factor"), [((384, 386), 2), ((480, 640), 2), ((641, 655), 3)])
def test_ssim_of_large_pictures_is_that_of_the_means_of_blocks(rng, shape, factor):
    truth = smooth(rng, *shape)
    picture = noisy(rng, truth)

    def reduced(rgb):
        height, width = (side // factor for side in shape)
        whole = rgb[: height * factor, : width * factor].astype(np.float64)
        return whole.reshape(height, factor, width, factor, 3).mean(axis=(1, 3))

    expected = scikit_image_ssim(reduced(picture), reduced(truth))
    assert ssim(picture, truth) == pytest.approx(expected, abs=1e-4)
    assert abs(scikit_image_ssim(picture, truth) - expected) > 0.01


def test_ssim_sees_each_channel(rng):
    truth = smooth(rng, 40, 40)
    for channel in range(3):
        picture = truth.copy()
        picture[..., channel] = picture[::-1, :, channel]
        assert ssim(picture, truth) == pytest.approx(scikit_image_ssim(picture, truth), abs=1e-4)
        assert ssim(picture, truth) < 0.9


# CIEDE2000.


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [  # rows 1, 7, 17 and 25 of table 1 of Sharma, Wu, Dalal, 2005
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ],
)
def test_ciede2000_has_the_published_values(first, second, difference):
    first, second = (np.array(colour, np.float32).reshape(1, 1, 3) for colour in (first, second))
    assert mean_ciede2000(first, second) == pytest.approx(difference, abs=2e-3)
    assert mean_ciede2000(second, first) == pytest.approx(difference, abs=2e-3)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (40, 31), (256, 256)])
def test_ciede2000_looks_at_every_pixel_of_a_small_picture(rng, shape):
    first, second = (rgb8_to_lab(smooth(rng, *shape)) for _ in range(2))
    assert mean_ciede2000(first, second) == pytest.approx(deltaE_ciede2000(first, second).mean(), rel=1e-5)


def test_ciede2000_looks_at_every_third_pixel_of_a_large_picture():
    lab, truth_lab = np.full((2, 258, 258, 3), 50, np.float32)
    lab[1::3, 1::3, 0] = 60
    only = deltaE_ciede2000(np.array([60, 50, 50.0]), np.array([50, 50, 50.0]))
    assert mean_ciede2000(lab, truth_lab) == pytest.approx(only, rel=1e-5)


def test_ciede2000_of_photographs_is_near_that_over_all_pixels(sample):
    for path in sorted((sample / "val2017").glob("*.jpg"))[::50]:
        truth = read_rgb(path)
        lab = rgb8_to_lab(truth)
        for chroma in (0, 0.5, -1):
            picture = rgb8_to_lab(with_chroma(lab[..., 0], chroma * lab[..., 1:]))
            assert mean_ciede2000(picture, lab) == pytest.approx(deltaE_ciede2000(picture, lab).mean(), rel=0.015)


# Chroma histogram.


def test_the_histogram_counts_colours_in_bins_around_the_tens():
    # Gray with noise is gray; 15 begins a bin, and so does -95; the last two colours are at the ends of sRGB.
    ab = [(0, 0), (-4.9, 4.9), (4.9, -4.9), (14.9, 0), (15.1, 0), (98.2, -95.1), (0, 94.4)]
    histogram = chroma_histogram(np.array([[(50, *colour) for colour in ab]], np.float32))
    expected = np.zeros((23, 23))
    for a, b, count in ((0, 0, 3), (10, 0, 1), (20, 0, 1), (100, -100, 1), (0, 90, 1)):
        expected[a // 10 + 11, b // 10 + 11] = count / len(ab)
    np.testing.assert_allclose(histogram, expected)


def test_the_histogram_equals_numpys(rng):
    lab = rgb8_to_lab(rng.integers(0, 256, (50, 60, 3), dtype=np.uint8))
    edges = np.arange(-115, 116, 10)
    theirs, _, _ = np.histogram2d(lab[..., 1].ravel(), lab[..., 2].ravel(), bins=(edges, edges))
    np.testing.assert_allclose(chroma_histogram(lab), theirs / theirs.sum(), atol=2 / 3000)


def test_every_colour_of_srgb_has_a_bin():
    steps = np.linspace(0, 255, 18).astype(np.uint8)
    every = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    assert chroma_histogram(rgb8_to_lab(every)).sum() == pytest.approx(1)


def test_the_distance_is_one_minus_the_intersection(rng):
    first, second = rng.random((2, 23, 23))
    first, second = first / first.sum(), second / second.sum()
    assert histogram_distance(first, second) == pytest.approx(1 - np.minimum(first, second).sum())


def test_the_distance_asks_for_colours_and_not_for_places(rng):
    truth = smooth(rng, 40, 40)
    red, blue = (np.full((8, 8, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    half = np.concatenate((red[:4], blue[:4]))
    assert measure(truth[::-1, ::-1], truth)["chroma_histogram_distance"] == 0  # turned around, not copied
    assert measure(red, blue)["chroma_histogram_distance"] == 1
    assert measure(half, blue)["chroma_histogram_distance"] == 0.5


# Gray pictures.


def test_the_limit_of_gray_is_a_mean_difference_of_four():
    picture = np.full((10, 10, 3), 100, np.uint8)
    assert is_gray(picture)
    picture[..., 2] = 104
    assert not is_gray(picture)
    picture[0, 0] = 104
    assert is_gray(picture)
    # No difference wraps around, whichever channel is the largest.
    for channel in range(3):
        tinted = np.full((4, 4, 3), 3, np.uint8)
        tinted[..., channel] = 0
        assert is_gray(tinted)
        tinted[..., channel] = 255
        assert not is_gray(tinted)


def test_the_gray_photographs_of_the_sample_are_found(sample):
    photographs = sorted((sample / "val2017").glob("*.jpg"))
    assert {int(path.stem) for path in photographs if is_gray(read_rgb(path))} == GRAY_PHOTOGRAPHS
