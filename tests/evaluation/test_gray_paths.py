"""Gray pictures along many paths: each is what its name says, by independent computations, and none has a colour."""

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.color import lab2rgb, rgb2lab

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.data.coco import Photograph
from ucolnet_lib.evaluation.gray_paths import CONVERSIONS, PATHS, GrayPath, GrayPaths
from ucolnet_lib.evaluation.resize import KERNELS


def pictures_of(rgb):
    photo = Photograph(1, None, rgb, np.zeros(rgb.shape[:2], np.uint8))
    return GrayPaths().colour(photo, rgb8_to_lab(rgb)).pictures


@pytest.fixture
def rgb():
    """Colours of all kinds, larger than 224 one way and smaller the other."""
    return np.random.default_rng(0).integers(0, 256, (90, 260, 3), dtype=np.uint8)


def test_the_paths():
    assert len(PATHS) == len({path.name for path in PATHS}) == 23
    assert {(p.kernel, p.size) for p in PATHS if p.conversion == "L"} == {
        (None, None), *((kernel, size) for kernel in KERNELS for size in (128, 224, 256))
    }  # fmt: skip
    for conversion in ("luma", "mean"):
        assert {(p.kernel, p.size) for p in PATHS if p.conversion == conversion} == {
            (None, None), ("pil-bicubic", 224)
        }  # fmt: skip
    assert GrayPath("luma", "pil-bicubic", 224).name == "luma-pil-bicubic-224"
    assert GrayPath("L").name == "L-full"


def test_what_the_system_says_of_itself():
    system = GrayPaths()
    assert system.variants == ("original", *(path.name for path in PATHS))
    assert system.size_of("L-opencv-linear-128") == 128
    assert system.size_of("L-full") is None and system.size_of("original") is None
    assert len({system.key(variant, 1) for variant in system.variants}) == 24


def test_keys_stay_while_the_file_is_edited(monkeypatch):
    before = [GrayPaths().key(variant, 1) for variant in GrayPaths().variants]
    monkeypatch.setattr("inspect.getsource", lambda function: "edited")
    assert [GrayPaths().key(variant, 1) for variant in GrayPaths().variants] == before


def test_conversions_against_independent_ones(rgb):
    gray = {name: convert(rgb, rgb8_to_lab(rgb)) for name, convert in CONVERSIONS.items()}
    lab = rgb2lab(rgb)
    lab[..., 1:] = 0
    expected = {
        "L": np.rint(lab2rgb(lab) * 255),
        "luma": np.repeat((rgb @ [0.299, 0.587, 0.114])[..., None], 3, axis=-1),
        "mean": np.repeat(np.rint(rgb.mean(axis=-1))[..., None], 3, axis=-1),
    }
    for name, tolerance in {"L": 1, "luma": 0.51, "mean": 0}.items():
        assert gray[name].shape == rgb.shape and gray[name].dtype == np.uint8
        assert np.abs(gray[name] - expected[name]).max() <= tolerance, name


def test_each_picture_went_its_way(rgb):
    pictures = pictures_of(rgb)
    assert set(pictures) == set(GrayPaths().variants)
    assert np.array_equal(pictures["original"], rgb)
    for name, picture in pictures.items():
        assert picture.shape == rgb.shape and picture.dtype == np.uint8
        assert name == "original" or not np.ptp(picture.astype(int), axis=-1).any(), name
    full = {name: pictures[f"{name}-full"] for name in CONVERSIONS}
    assert np.array_equal(full["luma"], CONVERSIONS["luma"](rgb, None))

    def by_pil(gray, size, kernel):
        return np.asarray(Image.fromarray(gray).resize((size, size), kernel).resize((260, 90), kernel))

    for conversion in CONVERSIONS:
        expected = by_pil(full[conversion], 224, Image.Resampling.BICUBIC)
        assert np.array_equal(pictures[f"{conversion}-pil-bicubic-224"], expected)
    assert np.array_equal(pictures["L-pil-lanczos-256"], by_pil(full["L"], 256, Image.Resampling.LANCZOS))
    small = cv2.resize(full["L"], (128, 128), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(small, (260, 90), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(pictures["L-opencv-area-linear-128"], expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_tiny_and_gray_photographs(shape):
    rgb = np.full((*shape, 3), 77, np.uint8)
    for name, picture in pictures_of(rgb).items():
        assert picture.shape == rgb.shape, name
        assert np.abs(picture.astype(int) - 77).max() <= 1, name
