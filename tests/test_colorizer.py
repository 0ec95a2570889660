"""Photographs of any mode and size in, photographs of the same size and lightness out; files and folders."""

import hashlib
import io
import json
import os
import tomllib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageOps
from skimage.color import rgb2lab
from torch import nn

from ucolnet_lib import colorizer as module
from ucolnet_lib.color import lab_to_rgb8
from ucolnet_lib.colorizer import Colorizer, colorize_files, with_chroma
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models import Output, create_model
from ucolnet_lib.recipes import RECIPES

LIGHTNESS = 0.5
"""How far 8-bit RGB may move L."""


class Painter(nn.Module):
    """Stands for a model: random chroma, the same for the same size, and keeps what it was shown."""

    def __init__(self, strength: float = 90):
        super().__init__()
        self.strength = strength

    def forward(self, lightness):
        self.seen = lightness
        generator = torch.Generator().manual_seed(0)
        ab = torch.rand(1, 2, *lightness.shape[-2:], generator=generator)
        return Output(self.strength * (2 * ab - 1), None)


class Reddener(nn.Module):
    """Stands for a model: the same chroma everywhere."""

    def forward(self, lightness):
        ab = torch.tensor([30.0, 20.0]).view(1, 2, 1, 1).expand(1, 2, *lightness.shape[-2:])
        return Output(ab, None)


@pytest.fixture
def painter() -> Colorizer:
    return Colorizer(Painter(), size=32)


def lightness_of(picture) -> np.ndarray:
    return rgb2lab(np.asarray(picture.convert("RGB")))[..., 0]


def photo(height=45, width=60, seed=0) -> np.ndarray:
    """A smooth colour picture with a gradient, unlike itself under any rotation: uint8 (H, W, 3)."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (5, 6, 3), np.uint8))
    ramp = np.linspace(0.2, 1, width)[None, :, None] * np.linspace(0.5, 1, height)[:, None, None]
    return (np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)) * ramp).astype(np.uint8)


def keeps_lightness(coloured: Image.Image, picture: Image.Image) -> None:
    assert coloured.size == picture.size
    assert np.abs(lightness_of(coloured) - lightness_of(picture)).max() < LIGHTNESS


# Modes.

MODES = ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "LA", "PA", "RGBX", "RGBa", "La"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_keeps_size_and_lightness(painter, mode):
    rgb = Image.fromarray(photo())
    if mode == "LAB":
        picture = Image.fromarray(np.round(rgb2lab(photo()) * (2.55, 1, 1)).astype(np.int16).astype(np.uint8), "LAB")
    elif mode in ("La", "RGBa"):
        picture = rgb.convert({"La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)
    else:
        picture = rgb.convert("LA").convert("PA") if mode == "PA" else rgb.convert(mode)
    assert picture.mode == mode
    coloured = painter(picture)
    assert coloured.mode == ("RGBA" if mode in ("RGBA", "LA", "PA", "RGBa", "La") else "RGB")
    keeps_lightness(coloured, picture.convert("LA") if mode == "La" else picture)
    if mode != "1":  # black and white have no chroma
        assert np.ptp(np.asarray(coloured.convert("RGB")).astype(int), axis=2).max() > 30


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
def test_deep_gray_keeps_its_lightness(painter, mode):
    """PIL's own conversion would cut at 255: white pictures."""
    gray = np.linspace(0, 1, 60 * 45).reshape(45, 60)
    if mode == "F":
        picture = Image.fromarray((gray * 255).astype(np.float32))
    elif mode == "I":
        picture = Image.fromarray((gray * 65535).astype(np.int32))
    else:
        data = (gray * 65535).astype(">u2" if mode == "I;16B" else "<u2")
        picture = Image.frombytes(mode, (60, 45), data.tobytes())
    assert picture.mode == mode
    coloured = painter(picture)
    expected = rgb2lab(np.repeat(gray[..., None], 3, axis=2))[..., 0]
    assert coloured.mode == "RGB" and np.abs(lightness_of(coloured) - expected).max() < LIGHTNESS


def test_values_that_are_no_gray_are_cut(painter):
    values = np.array([[np.nan, -5, 0, 255, 300, np.inf]], np.float32)
    np.testing.assert_allclose(lightness_of(painter(Image.fromarray(values))), [[0, 0, 0, 100, 100, 100]], atol=0.5)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_kept(painter, mode):
    picture = Image.fromarray(photo()).convert(mode)
    alpha = np.arange(45 * 60, dtype=np.uint16).reshape(45, 60).astype(np.uint8)
    picture.putalpha(Image.fromarray(alpha))
    coloured = painter(picture)
    assert coloured.mode == "RGBA" and np.array_equal(np.asarray(coloured)[..., 3], alpha)
    keeps_lightness(coloured, picture)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("transparency", [None, 3, bytes([255, 0, 128, 7])])
def test_palettes_with_and_without_transparency(painter, tmp_path, transparency):
    picture = Image.fromarray(photo()).quantize(8)
    picture.save(tmp_path / "p.png", **({} if transparency is None else {"transparency": transparency}))
    with Image.open(tmp_path / "p.png") as read:
        assert read.mode == "P"
        expected = read.convert("RGBA")
    coloured = painter(tmp_path / "p.png")
    keeps_lightness(coloured, picture)
    if transparency is None:
        assert coloured.mode == "RGB"
    else:
        assert np.array_equal(np.asarray(coloured)[..., 3], np.asarray(expected)[..., 3])
        assert len(np.unique(np.asarray(coloured)[..., 3])) > 1


def test_one_transparent_colour_of_a_png(painter, tmp_path):
    picture = Image.fromarray(np.array([[[10, 20, 30], [200, 20, 30]]], np.uint8))
    picture.save(tmp_path / "a.png", transparency=(10, 20, 30))
    assert np.asarray(painter(tmp_path / "a.png"))[0, :, 3].tolist() == [0, 255]
    Image.fromarray(np.array([[300, 40_000]], np.uint16)).save(tmp_path / "deep.png", transparency=300)
    assert painter(tmp_path / "deep.png").mode == "RGB"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("given", ["path", "image"])
def test_exif_rotation_is_applied_once(tmp_path, orientation, given):
    upright = photo()
    store = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a), 7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "phone.png"
    Image.fromarray(np.ascontiguousarray(store(upright))).save(path, exif=exif)
    coloured = Colorizer(Reddener(), 32)(path if given == "path" else Image.open(path))
    keeps_lightness(coloured, Image.fromarray(upright))
    assert coloured.getexif().get(0x0112, 1) == 1


# Sizes.


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3), (33, 31), (5, 1999)])
def test_any_size(painter, size):
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8))
    keeps_lightness(painter(picture), picture)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (1200, 7), (40, 50)])
def test_a_real_model_takes_any_size(size):
    torch.manual_seed(0)
    colorizer = Colorizer(create_model("ucolnet_v3", width=1 / 16), 32)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))
    keeps_lightness(colorizer(picture), picture)


@pytest.mark.parametrize(
    ("height", "width", "strength"), [(3000, 4000, 60), (5264, 7600, 15)], ids=["12 megapixels", "40 megapixels"]
)
def test_large_photographs_keep_their_full_resolution_lightness(height, width, strength):
    """Predicted chroma is random; at 60 much of it is outside of sRGB, which takes longer. The fine texture shows
    that L is not that of a small copy."""
    texture = np.random.default_rng(0).integers(60, 200, (height // 8, width // 8, 3), np.uint8)
    picture = np.tile(texture, (8, 8, 1))
    coloured = np.asarray(Colorizer(Painter(strength), 224)(Image.fromarray(picture)))
    assert coloured.shape == picture.shape == (height, width, 3)
    for rows in (slice(0, 60), slice(height // 2, height // 2 + 60), slice(height - 60, height)):
        before, after = (rgb2lab(a[rows].astype(np.float32) / 255) for a in (picture, coloured))
        assert np.abs(after - before)[..., 0].max() < LIGHTNESS
        assert np.abs(after - before)[..., 1:].mean() > 10


def test_strips_leave_no_seams(monkeypatch):
    """Pictures are converted in strips; the same picture in one piece is the same."""
    picture = Image.fromarray(photo(61, 97))
    for image in (picture, Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)):
        whole = np.asarray(Colorizer(Painter(), 32)(image))
        for pixels in (1, 300):
            monkeypatch.setattr(module, "_STRIP_PIXELS", pixels)
            assert np.array_equal(np.asarray(Colorizer(Painter(), 32)(image)), whole)
        monkeypatch.undo()


# What the model sees, and what becomes of its chroma.


def test_the_model_sees_lightness_at_its_own_size():
    model = Painter()
    picture = Image.fromarray(photo(300, 400))
    Colorizer(model, 64)(picture)
    assert model.seen.shape[:2] == (1, 1) and model.seen.dtype == torch.float32
    height, width = model.seen.shape[-2:]
    assert abs(height * width / 64**2 - 1) < 0.05 and abs(width / height * 300 / 400 - 1) < 0.05
    seen = model.seen[0, 0].numpy()
    assert 0 <= seen.min() and seen.max() <= 100
    whole = Image.fromarray(lightness_of(picture).astype(np.float32))
    assert np.abs(seen - np.asarray(whole.resize((width, height), Image.Resampling.BICUBIC))).max() < 0.1


def test_the_model_is_in_evaluation_mode_and_gives_no_gradients():
    colorizer = Colorizer(create_model("ucolnet_v3", width=1 / 16).train(), 32)
    assert not colorizer.model.training
    first, second = colorizer.predict_ab(np.full((9, 9), 50, np.float32)), colorizer(photo())
    assert isinstance(first, np.ndarray) and first.shape == (32, 32, 2)
    assert np.array_equal(np.asarray(second), np.asarray(colorizer(photo())))


def test_only_chroma_is_upsampled():
    """A step in the chroma becomes a bilinear ramp; the lightness, here noise, stays as sharp as it was."""
    lightness = np.random.default_rng(0).uniform(40, 60, (64, 64)).astype(np.float32)
    ab = np.zeros((2, 2, 2), np.float32)
    ab[:, 1] = (40, -30)
    lab = rgb2lab(with_chroma(lightness, ab))
    assert np.abs(lab[..., 0] - lightness).max() < LIGHTNESS
    share = np.clip((np.arange(64) + 0.5) / 32 - 0.5, 0, 1)
    np.testing.assert_allclose(lab[..., 1], np.broadcast_to(40 * share, (64, 64)), atol=1.5)
    np.testing.assert_allclose(lab[..., 2], np.broadcast_to(-30 * share, (64, 64)), atol=1.5)


@pytest.mark.parametrize("shape", [(64, 64), (33, 50), (3, 2), (1, 7)])
def test_chroma_without_a_guide_is_upsampled_bilinearly(shape):
    random = np.random.default_rng(0)
    ab = random.uniform(-8, 8, (7, 5, 2)).astype(np.float32)
    lightness = random.uniform(40, 60, shape).astype(np.float32)
    planes = torch.from_numpy(ab).permute(2, 0, 1)[None]
    large = torch.nn.functional.interpolate(planes, size=shape, mode="bilinear")[0].permute(1, 2, 0).numpy()
    found = with_chroma(lightness, ab)
    expected = lab_to_rgb8(np.dstack((lightness, large)))
    assert np.abs(found.astype(int) - expected).max() <= 1 and (found != expected).mean() < 0.02
    # Where the guide says nothing, the same.
    assert np.abs(with_chroma(lightness, ab, np.full((7, 5), 50, np.float32)).astype(int) - expected).max() <= 1


def two_halves(side=64):
    """Dark red beside bright blue, the border a diagonal: L (side, side), ab (side, side, 2)."""
    left = np.tri(side, dtype=bool)
    lightness = np.where(left, 35, 65).astype(np.float32)
    return lightness, np.where(left[..., None], (30.0, 15.0), (-5.0, -30.0)).astype(np.float32)


def shrunk(plane, size):
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((size, size), Image.Resampling.BICUBIC))


def test_with_a_guide_chroma_follows_the_edges_of_the_lightness():
    lightness, ab = two_halves()
    small = np.dstack([shrunk(ab[..., 0], 8), shrunk(ab[..., 1], 8)])
    errors = [
        np.sqrt(((rgb2lab(with_chroma(lightness, small, guide))[..., 1:] - ab) ** 2).mean())
        for guide in (None, shrunk(lightness, 8))
    ]
    assert errors[1] < 0.6 * errors[0]


def test_the_slopes_are_those_of_ridge_regression():
    random = np.random.default_rng(0)
    guide = random.uniform(0, 100, (6, 5)).astype(np.float32)
    ab = random.uniform(-50, 50, (2, 6, 5)).astype(np.float32)

    def window(plane, y, x):
        return plane[..., max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]

    single = np.zeros((2, 6, 5))
    for y, x in np.ndindex(6, 5):
        lightness = window(guide, y, x).ravel()
        lightness = lightness - lightness.mean()
        for channel in range(2):
            values = window(ab[channel], y, x).ravel()
            penalty = module._RIDGE * len(values)
            single[channel, y, x] = lightness @ (values - values.mean()) / (lightness @ lightness + penalty)
    expected = [[[window(plane, y, x).mean() for x in range(5)] for y in range(6)] for plane in single]
    np.testing.assert_allclose(module._slopes(ab, guide), expected, atol=1e-4)


def test_a_picture_at_the_networks_size_gets_its_chroma_as_it_is():
    lightness, ab = two_halves()
    assert np.array_equal(with_chroma(lightness, ab, lightness), with_chroma(lightness, ab))


# Vividness.


def test_vividness_multiplies_the_chroma():
    lightness = np.full((16, 16), 128, np.uint8)
    once, half, gray = (np.asarray(Colorizer(Reddener(), 16, vividness=v)(lightness)) for v in (1, 0.5, 0))
    np.testing.assert_allclose(rgb2lab(once)[..., 1:], np.broadcast_to((30, 20), (16, 16, 2)), atol=1)
    np.testing.assert_allclose(rgb2lab(half)[..., 1:], np.broadcast_to((15, 10), (16, 16, 2)), atol=1)
    assert (gray == 128).all()


def test_vividness_keeps_the_lightness(painter):
    painter.vividness = 3.0
    picture = Image.fromarray(photo())
    keeps_lightness(painter(picture), picture)


@pytest.mark.parametrize("vividness", [-0.1, 3.1, float("nan"), float("inf")])
def test_vividness_out_of_its_range(vividness, tmp_path):
    with pytest.raises(UcolnetError, match=rf"The vividness is {vividness}\. It must lie in 0 to 3\."):
        Colorizer(Reddener(), 16, vividness=vividness)
    with pytest.raises(UcolnetError, match="vividness"):
        Colorizer.load(run_folder(tmp_path), vividness=vividness)


def test_a_and_b_stand_in_their_places():
    coloured = np.asarray(Colorizer(Reddener(), 32)(np.full((8, 8), 128, np.uint8)))
    np.testing.assert_allclose(rgb2lab(coloured)[..., 1:], np.broadcast_to((30, 20), (8, 8, 2)), atol=1)


def test_the_input_is_left_as_it_was(painter):
    array = photo()
    image, before = Image.fromarray(array), array.copy()
    painter(array), painter(image)
    assert np.array_equal(array, before) and np.array_equal(np.asarray(image), before)


# Arrays.


def test_arrays_of_all_kinds_give_the_same_picture(painter):
    gray = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
    expected = np.asarray(painter(Image.fromarray(gray)))
    rgb = np.repeat(gray[..., None], 3, axis=2)
    deep = gray.astype(np.uint16) * 257
    kinds = [
        gray, gray[..., None], rgb, gray / 255, (gray / 255).astype(np.float16), rgb / 255, deep, deep[..., None],
        rgb.astype(np.uint16) * 257, np.asfortranarray(rgb), np.ascontiguousarray(rgb[:, ::-1])[:, ::-1],
    ]  # fmt: skip
    for array in kinds:
        found = np.asarray(painter(array))
        assert found.shape == (20, 30, 3), array.dtype
        assert np.abs(found.astype(int) - expected).max() <= 1, array.dtype


def test_an_array_with_transparency(painter):
    array = np.dstack([photo(), np.full((45, 60), 77, np.uint8)])
    for given in (array, array / 255, array.astype(np.uint16) * 257):
        coloured = painter(given)
        assert coloured.mode == "RGBA" and (np.asarray(coloured)[..., 3] == 77).all()


def test_a_boolean_array_is_black_and_white(painter):
    array = np.eye(12, dtype=bool)
    np.testing.assert_allclose(lightness_of(painter(array)), 100 * array, atol=LIGHTNESS)


def test_white_in_half_precision_stays_white(painter):
    assert lightness_of(painter(np.ones((4, 4), np.float16))).min() > 99


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\) is no picture"),
        (np.zeros((4, 0, 3), np.uint8), r"shape \(4, 0, 3\)"),
        (np.zeros(9, np.uint8), r"shape \(9,\)"),
        (np.array(3, np.uint8), r"shape \(\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"shape \(2, 4, 4, 3\)"),
        (np.zeros((3, 40, 40), np.uint8), r"shape \(3, 40, 40\) is no picture. Give \(H, W\)"),
        (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\)"),
        (np.zeros((4, 4), np.int64), r"An array of int64 is no picture. Give uint8"),
        (np.zeros((4, 4), complex), "complex128"),
        (np.array([["a"]]), "is no picture"),
        (np.full((4, 4), np.nan), r"must lie in 0 to 1. Divide it by its white"),
        (np.full((4, 4), 255.0), "must lie in 0 to 1"),
        (np.full((4, 4), -0.1), "must lie in 0 to 1"),
        (np.full((4, 4), np.inf), "must lie in 0 to 1"),
    ],
)
def test_arrays_that_are_no_pictures(painter, array, says):
    with pytest.raises(UcolnetError, match=says):
        painter(array)


# Paths and broken pictures.


def test_a_path_may_be_text(painter, tmp_path):
    Image.fromarray(photo()).save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(painter(str(tmp_path / "a.png"))), np.asarray(painter(photo())))


def broken_files() -> dict[str, bytes]:
    buffer = io.BytesIO()
    Image.fromarray(photo()).save(buffer, "JPEG")
    png = io.BytesIO()
    Image.fromarray(photo()).save(png, "PNG")
    flipped = bytearray(png.getvalue())
    flipped[len(flipped) // 2] ^= 0xFF
    return {
        "text.jpg": b"<html>404 Not Found</html>",
        "empty.png": b"",
        "cut.jpg": buffer.getvalue()[: len(buffer.getvalue()) // 2],
        "cut.png": png.getvalue()[:200],
        "damaged.png": bytes(flipped),
        "header.bmp": b"P6\n2\xe45 4\n255\n" + bytes(99),
    }


@pytest.mark.parametrize("name", broken_files())
def test_a_broken_picture_is_named(painter, tmp_path, name):
    (tmp_path / name).write_bytes(broken_files()[name])
    with pytest.raises(UcolnetError, match=rf"{name} is no readable picture \(.*\)\. Replace or remove the file"):
        painter(tmp_path / name)


def test_a_missing_picture_a_folder_and_an_empty_image(painter, tmp_path):
    with pytest.raises(UcolnetError, match=r"There is no picture at .*nowhere.jpg. Check the path"):
        painter(tmp_path / "nowhere.jpg")
    with pytest.raises(UcolnetError, match="is no readable picture"):
        painter(tmp_path)
    with pytest.raises(UcolnetError, match="The picture has no pixel"):
        painter(Image.new("RGB", (0, 5)))


def test_a_decompression_bomb_is_refused(painter, tmp_path, monkeypatch):
    Image.fromarray(photo()).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UcolnetError, match="bomb.png is no readable picture"):
        painter(tmp_path / "bomb.png")


def test_files_are_closed(painter, tmp_path):
    """Else a folder could not be moved on Windows."""
    Image.fromarray(photo()).save(tmp_path / "a.gif", save_all=True, append_images=[Image.fromarray(photo(seed=1))])
    (tmp_path / "cut.jpg").write_bytes(broken_files()["cut.jpg"])
    painter(tmp_path / "a.gif")
    with pytest.raises(UcolnetError):
        painter(tmp_path / "cut.jpg")
    if Path("/proc/self/fd").is_dir():
        opened = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        assert not [path for path in opened if path.startswith(str(tmp_path))]


# Models and devices.


def run_folder(folder, name="ucolnet_v3", **changes):
    """A run folder as training leaves it, with an untrained tiny model."""
    torch.manual_seed(0)
    create_model(name, width=1 / 16).save_pretrained(folder)
    recipe = RECIPES["smoke"].replace(width=1 / 16, **changes).to_dict()
    (folder / "recipe.json").write_text(json.dumps({"model": name, "recipe": recipe, "data": "d"}))
    return folder


def test_load_a_run(tmp_path):
    colorizer = Colorizer.load(run_folder(tmp_path, size=24))
    assert colorizer.size == 24
    picture = Image.fromarray(photo())
    keeps_lightness(colorizer(picture), picture)
    torch.manual_seed(0)
    same = Colorizer(create_model("ucolnet_v3", width=1 / 16), 24)
    assert np.array_equal(np.asarray(colorizer(picture)), np.asarray(same(picture)))


def test_load_what_is_no_run(tmp_path):
    with pytest.raises(UcolnetError, match="There is no model at"):
        Colorizer.load(tmp_path / "nowhere")
    with pytest.raises(UcolnetError, match="config.json is missing"):
        Colorizer.load(tmp_path)
    run_folder(tmp_path)
    (tmp_path / "recipe.json").unlink()
    with pytest.raises(UcolnetError, match="has no recipe.json"):
        Colorizer.load(tmp_path)


def test_load_the_weights_of_another_model(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir(), other.mkdir()
    run_folder(one), run_folder(other, "ucolnet_v2")
    (one / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(UcolnetError, match="holds ucolnet_v2, not ucolnet_v3"):
        Colorizer.load(one)


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "xpu"])
def test_a_device_that_is_not_there(device):
    with pytest.raises(UcolnetError, match=rf"The device {device} cannot be used here \(.*\)\. Take cpu\.$"):
        Colorizer(create_model("ucolnet_v3", width=1 / 16), 32, device)


# The model that ships with the package.


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """A tiny model in the place of the one that ships, in half precision as that is."""
    folder = tmp_path / "demo"
    run_folder(folder, size=24)
    model = create_model("ucolnet_v3", width=1 / 16)
    for parameter in model.parameters():
        parameter.data = parameter.data.half()
    model.save_weights(folder / "model.safetensors")
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    (folder / "model.safetensors.sha256").write_text(f"{digest}  model.safetensors\n")
    monkeypatch.setattr(module, "DEMO", folder)
    return folder


def test_the_default_model_is_read_from_half_precision(demo):
    colorizer = Colorizer.default(vividness=0.5)
    assert colorizer.size == 24 and colorizer.vividness == 0.5
    assert {parameter.dtype for parameter in colorizer.model.parameters()} == {torch.float32}
    picture = Image.fromarray(photo())
    keeps_lightness(colorizer(picture), picture)
    assert np.array_equal(np.asarray(colorizer(picture)), np.asarray(Colorizer.load(demo, vividness=0.5)(picture)))


@pytest.mark.parametrize("harm", ["cut", "bit", "missing", "no checksum", "empty checksum", "no text", "no config"])
def test_a_default_model_that_is_damaged(demo, harm):
    weights, checksum = demo / "model.safetensors", demo / "model.safetensors.sha256"
    data = bytearray(weights.read_bytes())
    if harm == "cut":
        weights.write_bytes(data[: len(data) // 2])
    elif harm == "bit":
        data[-1] ^= 1
        weights.write_bytes(data)
    elif harm in ("no text", "empty checksum"):
        checksum.write_bytes(b"\xff\xfe\xff" if harm == "no text" else b"")
    else:
        {"missing": weights, "no checksum": checksum, "no config": demo / "config.json"}[harm].unlink()
    with pytest.raises(UcolnetError, match=r"(Install the package again|name the folder of a model)") as raised:
        Colorizer.default()
    assert str(demo) in str(raised.value) or harm == "no text"


def test_the_model_that_ships():
    """Fails where the folder is missing: it belongs to the package."""
    names = {"config.json", "recipe.json", "model.safetensors", "model.safetensors.sha256", "README.md"}
    assert names <= {path.name for path in module.DEMO.iterdir()}
    assert (module.DEMO / "model.safetensors").stat().st_size <= 16e6
    colorizer = Colorizer.default()
    rgb = skimage.data.astronaut()
    coloured = colorizer(rgb)
    keeps_lightness(coloured, Image.fromarray(rgb))
    assert np.abs(rgb2lab(np.asarray(coloured))[..., 1:]).mean() > 2  # it has colours


def test_the_wheel_holds_the_model_that_ships():
    root = Path(module.__file__).parent
    project = tomllib.loads((root.parent / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["ucolnet_lib"]
    shipped = {path for pattern in patterns for path in root.glob(pattern)}
    assert {path for path in module.DEMO.iterdir() if path.is_file()} <= shipped


# Files and folders.


def save(path, content=None, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo() if content is None else content).save(path, **kwargs)
    return path


def tree(folder) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def colorize(inputs, out, painter, **kwargs):
    return colorize_files(inputs, out, painter, progress=False, **kwargs)


def test_folders_in_folders_out(painter, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    for name in ("a.jpg", "B.JPEG", "c.png", "deep/d.bmp", "deep/er/e.gif", "f.tif", "g.webp", "my.cat.2024.bmp"):
        save(photos / name)
    (photos / "notes.txt").write_text("no picture")
    for hidden in (".DS_Store", "._a.jpg", ".trash/h.jpg"):
        (photos / hidden).parent.mkdir(exist_ok=True)
        (photos / hidden).write_bytes(b"hidden")
    report = colorize([photos], out, painter)
    expected = ["B.JPEG", "a.jpg", "c.png", "deep/d.png", "deep/er/e.png", "f.png", "g.png", "my.cat.2024.png"]
    assert tree(out) == expected
    assert sorted(p.relative_to(out).as_posix() for p in report.written) == expected
    assert report.skipped == [] and report.failed == []


def test_jpeg_stays_jpeg_and_all_else_is_png(painter, tmp_path):
    save(tmp_path / "in" / "a.jpg"), save(tmp_path / "in" / "b.bmp")
    colorize([tmp_path / "in"], tmp_path / "out", painter)
    with Image.open(tmp_path / "out" / "a.jpg") as image:
        assert image.format == "JPEG" and image.mode == "RGB"
        # Chroma at full resolution, and a lightness that the compression hardly moves.
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
        assert np.abs(lightness_of(image) - lightness_of(Image.open(tmp_path / "in" / "a.jpg"))).mean() < 1
    with Image.open(tmp_path / "out" / "b.png") as image:
        assert image.format == "PNG"
        keeps_lightness(image, Image.fromarray(photo()))


def test_a_png_that_is_called_jpg(painter, tmp_path):
    """The name decides: transparency is given up for it."""
    path = tmp_path / "a.jpg"
    Image.fromarray(photo()).convert("RGBA").save(path, format="PNG")
    assert colorize([path], tmp_path / "out", painter).failed == []
    with Image.open(tmp_path / "out" / "a.jpg") as image:
        assert image.format == "JPEG"


def test_transparency_reaches_the_file(painter, tmp_path):
    save(tmp_path / "a.png", np.dstack([photo(), np.full((45, 60), 9, np.uint8)]))
    colorize([tmp_path / "a.png"], tmp_path / "out", painter)
    assert np.asarray(Image.open(tmp_path / "out" / "a.png"))[0, 0, 3] == 9


def test_one_broken_file_does_not_stop_the_rest(painter, tmp_path):
    photos = tmp_path / "photos"
    save(photos / "a.jpg"), save(photos / "z.jpg")
    for name, content in broken_files().items():
        (photos / name).write_bytes(content)
    report = colorize([photos], tmp_path / "out", painter)
    assert tree(tmp_path / "out") == ["a.jpg", "z.jpg"]
    assert {source.name for source, _ in report.failed} == set(broken_files())
    assert all(source.name in why for source, why in report.failed)


def test_nothing_is_overwritten_unless_asked(painter, tmp_path):
    save(tmp_path / "in" / "a.jpg"), save(tmp_path / "in" / "b.bmp")
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.png").write_text("precious")
    report = colorize([tmp_path / "in"], out, painter)
    assert report.written == [out / "a.jpg"] and report.skipped == [tmp_path / "in" / "b.bmp"] and report.failed == []
    assert (out / "b.png").read_text() == "precious"
    report = colorize([tmp_path / "in"], out, painter, overwrite=True)
    assert len(report.written) == 2 and report.skipped == []
    assert Image.open(out / "b.png").size == (60, 45)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("way", ["file", "folder", "link"])
def test_a_picture_never_replaces_itself(painter, tmp_path, overwrite, way):
    source = save(tmp_path / "in" / "a.jpg")
    before, out = source.read_bytes(), tmp_path / "in"
    if way == "link":
        out = tmp_path / "out"
        try:
            out.symlink_to(tmp_path / "in", target_is_directory=True)
        except OSError:
            pytest.skip("links cannot be made here")
    report = colorize([source if way == "file" else tmp_path / "in"], out, painter, overwrite=overwrite)
    assert report.written == report.skipped == []
    assert "a.jpg would replace itself. Choose another folder" in report.failed[0][1]
    assert source.read_bytes() == before and tree(tmp_path / "in") == ["a.jpg"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_results_inside_the_folder_are_not_coloured_again(painter, tmp_path, overwrite):
    photos = tmp_path / "photos"
    save(photos / "a.jpg"), save(photos / "trip" / "b.png")
    for _ in range(2):
        report = colorize([photos], photos / "coloured", painter, overwrite=overwrite)
        assert tree(photos) == ["a.jpg", "coloured/a.jpg", "coloured/trip/b.png", "trip/b.png"]
        assert report.failed == []
    # Named by itself, the folder of results is a folder as any other.
    assert len(colorize([photos / "coloured"], photos / "twice", painter).written) == 2


@pytest.mark.parametrize("names", [("one/a.jpg", "two/a.jpg"), ("one/a.png", "one/a.bmp")])
def test_two_pictures_of_one_name_are_told_before_work_starts(painter, tmp_path, names):
    paths = [save(tmp_path / name) for name in names]
    for inputs in (paths, sorted({path.parent for path in paths})):
        with pytest.raises(UcolnetError, match=r"would both become .*a\.(jpg|png)\. Colour them into two folders"):
            colorize(inputs, tmp_path / "out", painter)
    assert not (tmp_path / "out").exists()


def test_the_same_picture_named_twice_is_coloured_once(painter, tmp_path):
    path = save(tmp_path / "in" / "a.jpg")
    assert len(colorize([path, path, tmp_path / "in"], tmp_path / "out", painter).written) == 1


@pytest.mark.parametrize("kind", ["missing", "empty", "text"])
def test_inputs_without_a_picture(painter, tmp_path, kind):
    save(tmp_path / "good.jpg")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").touch()
    says = "There is no picture at" if kind == "missing" else "holds no picture"
    with pytest.raises(UcolnetError, match=says):
        colorize([tmp_path / "good.jpg", tmp_path / kind], tmp_path / "out", painter)
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file(painter, tmp_path):
    save(tmp_path / "a.jpg")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UcolnetError, match="out is a file. Name a folder"):
        colorize([tmp_path / "a.jpg"], tmp_path / "out", painter)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("old", [False, True])
def test_no_half_written_file_is_left_when_saving_fails(painter, tmp_path, monkeypatch, name, old):
    photos, out = tmp_path / "photos", tmp_path / "out"
    save(photos / name), save(photos / "z.png")
    if old:
        save(out / name)
    before = {p: p.read_bytes() for p in out.rglob("*")}
    save_image, write_bytes = Image.Image.save, Path.write_bytes

    def fail_once(path):
        if fail_once.due:
            fail_once.due = False
            write_bytes(path, b"half")
            raise OSError(28, "No space left on device")

    fail_once.due = True
    monkeypatch.setattr(Image.Image, "save", lambda self, path, **kw: fail_once(path) or save_image(self, path, **kw))
    monkeypatch.setattr(Path, "write_bytes", lambda self, data: fail_once(self) or write_bytes(self, data))
    report = colorize([photos], out, painter, overwrite=True)
    assert [source.name for source, _ in report.failed] == [name] and "No space left on device" in report.failed[0][1]
    assert report.written == [out / "z.png"]
    found = {p: p.read_bytes() for p in out.rglob("*") if p.name != "z.png"}
    assert found == before


def test_every_kind_of_jpeg_is_read_as_pil_reads_it(tmp_path):
    """Colour ones are read by another library, which must give the same pixels."""
    rgb, exif = Image.fromarray(photo(75, 117)), Image.Exif()
    exif[0x0112] = 6
    kinds = {
        "full": (rgb, {"subsampling": 0}), "half": (rgb, {"subsampling": 1}), "quarter": (rgb, {"subsampling": 2}),
        "progressive": (rgb, {"progressive": True}), "gray": (rgb.convert("L"), {}), "cmyk": (rgb.convert("CMYK"), {}),
        "rotated": (rgb, {"exif": exif}), "coarse": (rgb, {"quality": 10}),
    }  # fmt: skip
    for name, (image, settings) in kinds.items():
        image.save(tmp_path / f"{name}.jpg", **settings)
    (tmp_path / "tail.jpg").write_bytes((tmp_path / "half.jpg").read_bytes() + b"\0" * 100)
    for path in tmp_path.iterdir():
        upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        read = np.asarray(module._read(path) if path.stem != "gray" else module._read(path).convert("RGB"))
        if path.stem != "cmyk":
            assert np.array_equal(read, np.asarray(upright)), path.name
    report = colorize([tmp_path], tmp_path / "out", Colorizer(Painter(0), 32))
    assert len(report.written) == 9 and report.failed == []
    for path in report.written:
        with Image.open(path) as after, Image.open(tmp_path / path.name) as before:
            upright = ImageOps.exif_transpose(before)
            assert after.size == upright.size
            assert np.abs(lightness_of(after) - lightness_of(upright)).max() < 2


def test_a_picture_that_no_jpeg_can_hold(painter, tmp_path):
    Image.new("RGB", (65_600, 1)).save(tmp_path / "wide.jpg", format="PNG")
    save(tmp_path / "z.jpg")
    report = colorize([tmp_path / "wide.jpg", tmp_path / "z.jpg"], tmp_path / "out", painter)
    assert len(report.written) == 1 and tree(tmp_path / "out") == ["z.jpg"]
    assert "cannot be a JPEG" in report.failed[0][1] and "Name the picture .png" in report.failed[0][1]


def test_the_progress_bar(painter, tmp_path, capsys):
    save(tmp_path / "a.jpg"), save(tmp_path / "b.jpg")
    colorize_files([tmp_path / "a.jpg", tmp_path / "b.jpg"], tmp_path / "out", painter)
    assert "2/2" in capsys.readouterr().err
    colorize([tmp_path / "a.jpg"], tmp_path / "out2", painter)
    assert capsys.readouterr() == ("", "")


def test_real_photographs(painter, sample, tmp_path):
    """Gray files, colour files: each keeps its name, size and lightness."""
    names = ["000000007888.jpg", "000000000139.jpg", "000000000285.jpg"]
    report = colorize([sample / "val2017" / name for name in names], tmp_path, painter)
    assert [p.name for p in report.written] == names
    for name in names:
        with Image.open(sample / "val2017" / name) as before, Image.open(tmp_path / name) as after:
            assert before.size == after.size and after.mode == "RGB"
            keeps_lightness(painter(before), before)
