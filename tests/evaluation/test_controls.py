"""The controls on pictures whose colours are known."""

import io

import numpy as np
import pytest
from PIL import Image

from ucolnet_lib.color import gray_picture, rgb8_to_lab
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.evaluation.controls import (
    CONTROLS,
    DAMAGES,
    chroma_statistics,
    control_pictures,
    damage_pictures,
    sized_control_pictures,
    sized_controls,
)

RED, BLUE, SKY = (200, 40, 30), (30, 60, 190), (120, 170, 220)
PERSON, CAR = 1, 3  # category and class


def lab_of(*colours) -> np.ndarray:
    return rgb8_to_lab(np.array([colours], np.uint8))[0]


@pytest.fixture
def folder(tmp_path, write_split, rectangle):
    """Two photographs of different sizes: sky behind; a red person in one, a blue car in both, a crowd in one."""
    first = np.full((10, 12, 3), SKY, np.uint8)
    first[0:4, 0:5] = RED
    first[6:8, 0:10] = BLUE
    first[9:10, 0:12] = (255, 255, 0)  # the crowd
    second = np.full((6, 5, 3), SKY, np.uint8)
    second[0:3, 0:5] = BLUE
    annotations = [
        rectangle(1, PERSON, 0, 0, 5, 4),
        rectangle(1, CAR, 0, 6, 10, 2),
        rectangle(1, PERSON, 0, 9, 12, 1, crowd=True, size=(10, 12)),
        rectangle(2, CAR, 0, 0, 5, 3),
    ]
    return write_split(tmp_path, {"000000000001.png": first, "000000000002.png": second}, annotations)


def test_statistics_by_hand(folder):
    statistics = chroma_statistics(CocoSplit(folder, "val2017"), progress=False)
    red, blue, sky, yellow = lab_of(RED, BLUE, SKY, (255, 255, 0))[:, 1:]
    pixels = {"red": 20, "blue": 20 + 15, "yellow": 12, "sky": 120 - 20 - 20 - 12 + 15}
    overall = red * pixels["red"] + blue * pixels["blue"] + yellow * pixels["yellow"] + sky * pixels["sky"]
    np.testing.assert_allclose(statistics.overall, overall / 150, rtol=1e-5)
    np.testing.assert_allclose(statistics.by_class[[0, PERSON, CAR]], [sky, red, blue], rtol=1e-5)
    np.testing.assert_allclose(statistics.by_class[80], statistics.overall)  # no toothbrush anywhere
    assert statistics.split == "val2017"


def test_pictures_by_hand(folder):
    split = CocoSplit(folder, "val2017")
    statistics = chroma_statistics(split, progress=False)
    photo = split[0]
    lab = rgb8_to_lab(photo.rgb)
    pictures = control_pictures(photo.rgb, lab, photo.semantic_map, statistics)
    assert tuple(pictures) == CONTROLS
    for picture in pictures.values():
        assert picture.shape == photo.rgb.shape and picture.dtype == np.uint8
        # Full-resolution lightness in all of them, within what 8 bits allow.
        assert np.abs(rgb8_to_lab(picture)[..., 0] - lab[..., 0]).max() < 0.5

    np.testing.assert_array_equal(pictures["original"], photo.rgb)
    assert (pictures["gray"] == pictures["gray"][..., :1]).all()
    ab = {name: rgb8_to_lab(picture)[..., 1:] for name, picture in pictures.items()}
    sky = (5, 11)  # bright enough, so no mean colour leaves the gamut here
    np.testing.assert_allclose(ab["mean_colour"][sky], statistics.overall, atol=1)
    np.testing.assert_allclose(ab["image_mean"][sky], lab[..., 1:].mean(axis=(0, 1)), atol=1)
    # Each class has one colour here, so the oracle gives the photograph back, but for the crowd.
    crowd = photo.semantic_map == 255
    assert np.abs(pictures["class_oracle"][~crowd].astype(int) - photo.rgb[~crowd]).max() <= 2
    np.testing.assert_array_equal(pictures["class_oracle"][crowd], pictures["mean_colour"][crowd])


def test_a_photograph_of_one_pixel(write_split, tmp_path):
    write_split(tmp_path, {"000000000001.png": np.full((1, 1, 3), RED, np.uint8)})
    split = CocoSplit(tmp_path, "val2017")
    photo = split[0]
    statistics = chroma_statistics(split, progress=False)
    pictures = control_pictures(photo.rgb, rgb8_to_lab(photo.rgb), photo.semantic_map, statistics)
    np.testing.assert_array_equal(pictures["image_mean"], photo.rgb)
    np.testing.assert_array_equal(pictures["class_oracle"], photo.rgb)


# Controls for a model's size, and damages.


def sized(rgb, size) -> dict[str, np.ndarray]:
    lab = rgb8_to_lab(rgb)
    pictures = sized_control_pictures(rgb, lab, size) | damage_pictures(rgb, lab)
    assert tuple(pictures) == sized_controls(size) + DAMAGES
    assert {(p.shape, p.dtype) for p in pictures.values()} == {(rgb.shape, np.dtype(np.uint8))}
    return pictures


@pytest.fixture
def blobs() -> np.ndarray:
    """Soft colours inside the gamut, uint8 (30, 42, 3): whatever is done to their chroma is no clipping."""
    noise = np.random.default_rng(0).integers(95, 161, (5, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((42, 30), Image.Resampling.BICUBIC))


def test_names_of_sized_controls():
    assert sized_controls(24) == ("original_24", "gray_24", "true_chroma_24")
    assert DAMAGES == ("chroma_half", "chroma_inverted", "jpeg_50")


def test_through_the_size_by_pil(blobs):
    pictures = sized(blobs, 12)
    for name, full in (("original_12", blobs), ("gray_12", gray_picture(rgb8_to_lab(blobs)[..., 0]))):
        small = Image.fromarray(full).resize((12, 12), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(pictures[name], small.resize((42, 30), Image.Resampling.BICUBIC))
        assert (pictures[name] != full).any()


def test_chroma_of_the_full_resolution(blobs):
    lab, pictures = rgb8_to_lab(blobs), sized(blobs, 12)
    for name, factor in (("chroma_half", 0.5), ("chroma_inverted", -1)):
        np.testing.assert_allclose(rgb8_to_lab(pictures[name]), lab * (1, factor, factor), atol=1.5)


def test_true_chroma_is_that_of_the_small_picture(blobs):
    """A model that predicts the true chroma at its size: lightness is whole, chroma is smooth."""
    lab, pictures = rgb8_to_lab(blobs), sized(blobs, 12)
    found = rgb8_to_lab(pictures["true_chroma_12"])
    np.testing.assert_allclose(found[..., 0], lab[..., 0], atol=0.6)
    error = {name: np.abs(rgb8_to_lab(picture) - lab)[..., 1:].mean() for name, picture in pictures.items()}
    assert 0.5 < error["true_chroma_12"] < error["chroma_half"] < error["chroma_inverted"]
    # a and b are not exchanged, and stand at their place, also where the picture is not square.
    halves = np.full((20, 40, 3), RED, np.uint8)
    halves[:, 20:] = BLUE
    found = rgb8_to_lab(sized(halves, 16)["true_chroma_16"])
    np.testing.assert_allclose(found[:, :15], np.broadcast_to(lab_of(RED)[0], (20, 15, 3)), atol=1.5)
    np.testing.assert_allclose(found[:, 25:], np.broadcast_to(lab_of(BLUE)[0], (20, 15, 3)), atol=1.5)
    # At a size above the photograph's nothing is lost but rounding.
    np.testing.assert_allclose(rgb8_to_lab(sized(blobs, 300)["true_chroma_300"]), lab, atol=2)


def test_the_jpeg_is_of_quality_50(blobs):
    file = io.BytesIO()
    Image.fromarray(blobs).save(file, "JPEG", quality=50)
    picture = sized(blobs, 12)["jpeg_50"]
    np.testing.assert_array_equal(picture, Image.open(file))
    assert 0 < np.abs(picture.astype(int) - blobs).mean() < 8


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (13, 2)])
def test_sized_controls_of_ugly_shapes(shape):
    flat = np.full((*shape, 3), SKY, np.uint8)
    pictures = sized(flat, 8)
    for name in ("original_8", "true_chroma_8"):
        assert np.abs(pictures[name].astype(int) - flat).max() <= 2
    gray = sized(np.full((*shape, 3), 90, np.uint8), 8)
    for picture in gray.values():
        assert np.abs(picture.astype(int) - 90).max() <= 2
