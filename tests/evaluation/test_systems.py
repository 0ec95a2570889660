"""What is evaluated: what the pictures of each system are and depend on, and folders of pictures with mistakes."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.evaluation.controls import CONTROLS, DAMAGES, ChromaStatistics, control_pictures, sized_controls
from ucolnet_lib.evaluation.systems import (
    Controls,
    Damages,
    ModelSystem,
    PictureFolder,
    SizedControls,
    _upsampled_classes,
    model_pictures,
)
from ucolnet_lib.models import Output, create_model

BICUBIC = Image.Resampling.BICUBIC
NOTHING_KNOWN = ChromaStatistics(np.zeros(2), np.zeros((81, 2)), "train2017")


class Gray(nn.Module):
    """Predicts no chroma, and no classes."""

    def forward(self, lightness):
        return Output(torch.zeros(len(lightness), 2, *lightness.shape[2:]), None)


@pytest.fixture
def photos(tmp_path, write_split):
    """Three photographs of noise, of different sizes."""
    rng = np.random.default_rng(0)
    sizes = {1: (24, 32), 2: (16, 16), 7: (5, 9)}
    pictures = {f"{i:012}.png": rng.integers(0, 256, (*size, 3), np.uint8) for i, size in sizes.items()}
    return CocoSplit(write_split(tmp_path / "coco", pictures), "val2017")


@pytest.fixture
def coloured(photos, tmp_path):
    """A folder of pictures of all the photographs, each of its own size and green."""
    folder = tmp_path / "coloured"
    folder.mkdir()
    for i in range(len(photos)):
        height, width = photos[i].rgb.shape[:2]
        Image.new("RGB", (width, height), (10, 200, 30)).save(folder / f"{photos.ids[i]:012}.png")
    return folder


def colour(system, photos, index=0):
    photo = photos[index]
    return system.colour(photo, rgb8_to_lab(photo.rgb))


def gray_of(photos, index=0) -> np.ndarray:
    photo = photos[index]
    return control_pictures(photo.rgb, rgb8_to_lab(photo.rgb), photo.semantic_map, NOTHING_KNOWN)["gray"]


def through_pil(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = picture.shape[:2]
    return np.asarray(Image.fromarray(picture).resize(size, BICUBIC).resize((width, height), BICUBIC))


def assert_whole(system, photos):
    """Every variant has a picture of the photograph's size, and a key of its own."""
    for i, image_id in enumerate(photos.ids):
        pictures = colour(system, photos, i).pictures
        assert tuple(pictures) == system.variants
        assert {(p.shape, p.dtype) for p in pictures.values()} == {(photos[i].rgb.shape, np.dtype(np.uint8))}
        assert len({system.key(variant, image_id) for variant in system.variants}) == len(system.variants)


# Controls.


def test_the_controls(photos):
    plain, sized, damages = Controls(NOTHING_KNOWN), SizedControls(8), Damages()
    assert (plain.variants, sized.variants, damages.variants) == (CONTROLS, sized_controls(8), DAMAGES)
    for system in (plain, sized, damages):
        assert (system.kind, system.seed, system.ids) == ("control", None, None)
        assert_whole(system, photos)
    assert {sized.size_of(v) for v in sized.variants} == {8}
    assert {s.size_of(v) for s in (plain, damages) for v in s.variants} == {None}
    assert {v for v in plain.variants if plain.statistics_of(v)} == {"mean_colour", "class_oracle"}
    assert plain.statistics_of("mean_colour") == "train2017"
    assert {s.statistics_of(v) for s in (sized, damages) for v in s.variants} == {None}


def test_other_mean_colours_concern_two_controls_alone():
    other = ChromaStatistics(np.ones(2), np.zeros((81, 2)), "train2017")
    one, two = Controls(NOTHING_KNOWN), Controls(other)
    assert {v for v in one.variants if one.key(v, 1) != two.key(v, 1)} == {"mean_colour", "class_oracle"}
    by_class = ChromaStatistics(np.zeros(2), np.eye(81, 2), "train2017")
    assert Controls(by_class).key("class_oracle", 1) != one.key("class_oracle", 1)


# Models.


def test_a_model_and_its_matched_gray(photos):
    system = ModelSystem("m", Gray().train(), 8, seed=3, matched_gray=True)
    assert system.variants == ("m", "m_full_lightness", "m_gray") and (system.kind, system.seed) == ("model", 3)
    assert not system.model.training
    assert_whole(system, photos)
    pictures = colour(system, photos).pictures
    np.testing.assert_array_equal(pictures["m_gray"], through_pil(gray_of(photos), (8, 8)))
    np.testing.assert_array_equal(pictures["m_gray"], pictures["m"])
    np.testing.assert_array_equal(pictures["m_full_lightness"], gray_of(photos))
    assert ModelSystem("m", Gray(), 8).variants == ("m", "m_full_lightness")


def test_a_matched_gray_is_the_control_of_its_size():
    model = ModelSystem("m", Gray(), 8, matched_gray=True)
    assert model.key("m_gray", 1) == SizedControls(8).key("gray_8", 1) != SizedControls(16).key("gray_16", 1)


def test_what_a_models_picture_depends_on():
    def key(model, size=8, name="m", variant=""):
        return ModelSystem(name, model, size).key(name + variant, 1)

    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)
    model = nn.Sequential(*layers, nn.ReLU())
    first = key(model)
    assert first == key(model) == key(model, name="another name")
    assert key(model, size=16) != first != key(model, variant="_full_lightness")
    # The same weights in another network.
    assert key(nn.Sequential(*layers, nn.Tanh())) != first
    assert len({key(copy.deepcopy(model).to(dtype)) for dtype in (torch.float32, torch.float16, torch.bfloat16)}) == 3
    model[1].running_mean[0] += 1  # a buffer counts as well
    changed = key(model)
    with torch.no_grad():
        model[0].bias[1] += 1e-6
    assert len({first, changed, key(model)}) == 3


def test_a_models_settings_count_too():
    """A gain changes the picture, and neither the weights nor the layers."""

    def key(**settings):
        model = create_model("ucolnet_v3_bins", width=1 / 16, **settings)
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        return ModelSystem("m", model, 8).key("m", 1)

    assert key() == key() and len({key(), key(gain=0.5), key(gain=0.6), key(temperature=0.5)}) == 4


def test_the_presumed_path_is_the_gray_picture_resized_by_pil(photos):
    lab = rgb8_to_lab(photos[0].rgb)
    small, full, semantic_map = model_pictures(Gray(), lab[..., 0], 10)
    np.testing.assert_array_equal(small, through_pil(gray_of(photos), (10, 10)))
    np.testing.assert_array_equal(full, gray_of(photos))
    assert semantic_map is None


def test_predicted_chroma_arrives_as_a_and_b_at_its_place():
    class Halves(nn.Module):
        """Red on the left, blue on the right."""

        def forward(self, lightness):
            assert lightness.shape == (1, 1, 16, 16) and lightness.dtype == torch.float32
            ab = torch.zeros(1, 2, 16, 16)
            ab[:, 0, :, :8], ab[:, 1, :, 8:] = 40, -30
            return Output(ab, None)

    lightness = np.full((20, 40), 55, np.float32)
    for picture in model_pictures(Halves(), lightness, 16)[:2]:
        lab = rgb8_to_lab(picture)
        assert picture.shape == (20, 40, 3)
        np.testing.assert_allclose(lab[:, :16].reshape(-1, 3), [[55, 40, 0]] * 320, atol=1)
        np.testing.assert_allclose(lab[:, 24:].reshape(-1, 3), [[55, 0, -30]] * 320, atol=1)


def test_upsampled_classes_equal_the_argmax_of_all_logits():
    torch.manual_seed(0)
    coarse = torch.randn(1, 81, 4, 4) * 4
    logits = nn.functional.interpolate(coarse, size=(16, 16), mode="bicubic")[0]
    expected = nn.functional.interpolate(logits[None], size=(37, 50), mode="bilinear")[0].argmax(dim=0).numpy()
    found = _upsampled_classes(logits, (37, 50))
    assert found.dtype == np.uint8
    assert (found == expected).mean() > 0.99


# Pictures of others.


def test_pictures_of_the_photographs_size(photos, coloured):
    system = PictureFolder("green", coloured, photos)
    assert system.variants == ("green", "green_gray") and (system.kind, system.seed) == ("pictures", None)
    assert system.ids == {1, 2, 7} and system.size_of("green") is system.statistics_of("green") is None
    assert_whole(system, photos)
    made = colour(system, photos)
    assert (made.pictures["green"] == (10, 200, 30)).all() and made.note is None and made.semantic_map is None
    np.testing.assert_array_equal(made.pictures["green_gray"], gray_of(photos))


@pytest.mark.parametrize("size", [(12, 10), (64, 48), (1, 1)])
def test_pictures_of_another_size(photos, coloured, size):
    picture = np.random.default_rng(1).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(picture).save(coloured / "000000000001.png")
    made = colour(PictureFolder("o", coloured, photos), photos)
    np.testing.assert_array_equal(made.pictures["o"], Image.fromarray(picture).resize((32, 24), BICUBIC))
    np.testing.assert_array_equal(made.pictures["o_gray"], through_pil(gray_of(photos), size))
    assert made.note == "pictures of another size brought to the original's by pil-bicubic"


@pytest.mark.parametrize("suffix", ["jpg", "JPG", "webp", "bmp", "tif"])
def test_pictures_of_another_format(photos, coloured, suffix):
    (coloured / "000000000002.png").unlink()
    Image.new("RGB", (16, 16), (10, 200, 30)).save(coloured / f"000000000002.{suffix}")
    made = colour(PictureFolder("o", coloured, photos), photos, 1)
    assert np.abs(made.pictures["o"].astype(int) - (10, 200, 30)).max() <= 3 and made.note is None


def test_gray_and_cmyk_pictures(photos, coloured):
    Image.new("L", (32, 24), 77).save(coloured / "000000000001.png")
    (coloured / "000000000002.png").unlink()
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(coloured / "000000000002.jpg", quality=95)
    system = PictureFolder("o", coloured, photos)
    assert (colour(system, photos, 0).pictures["o"] == 77).all()
    assert np.abs(colour(system, photos, 1).pictures["o"].astype(int) - (255, 0, 0)).max() <= 3  # red ink
    assert_whole(system, photos)


def test_the_key_follows_the_pictures_content(photos, coloured):
    def keys():
        return {i: PictureFolder("o", coloured, photos).key("o", i) for i in photos.ids}

    before = keys()
    Image.new("RGB", (16, 16), (10, 200, 31)).save(coloured / "000000000002.png")
    assert {i for i, key in keys().items() if key != before[i]} == {2}
    # Under another name, and as the matched gray: not measured again, and not mixed up.
    other = PictureFolder("other", coloured, photos)
    assert other.key("other", 1) == before[1] != other.key("other_gray", 1)


def test_missing_and_extra_pictures_are_named(photos, coloured):
    (coloured / "000000000002.png").unlink()
    with pytest.raises(UcolnetError, match=r"^o: of 3 pictures 1 missing \(000000000002\)\. Mend .*coloured, or"):
        PictureFolder("o", coloured, photos)
    for i in (31, 32, 33, 34):
        Image.new("RGB", (4, 4)).save(coloured / f"{i}.png")
    with pytest.raises(UcolnetError, match=r"1 missing \(000000000002\) and 4 too many \(31, 32, 33, \.\.\.\)"):
        PictureFolder("o", coloured, photos)
    assert PictureFolder("o", coloured, photos, allow_missing=True).ids == {1, 7}
    Image.new("RGB", (16, 16)).save(coloured / "000000000002.png")
    with pytest.raises(UcolnetError, match=r"of 3 pictures 4 too many \(31, 32, 33, \.\.\.\)"):
        PictureFolder("o", coloured, photos)
    assert PictureFolder("o", coloured, photos, allow_missing=True).ids == {1, 2, 7}


def test_other_files_are_no_pictures(photos, coloured):
    (coloured / "readme.txt").write_text("made by o")
    (coloured / "scores.csv").write_text("1")
    assert PictureFolder("o", coloured, photos).ids == {1, 2, 7}


@pytest.mark.parametrize("allow_missing", [False, True])
def test_two_pictures_of_one_photograph(photos, coloured, allow_missing):
    Image.new("RGB", (32, 24)).save(coloured / "000000000001.jpg")
    with pytest.raises(UcolnetError, match="000000000001.jpg and 000000000001.png are two pictures"):
        PictureFolder("o", coloured, photos, allow_missing)


def test_two_photographs_of_one_stem(photos, coloured):
    Image.new("RGB", (4, 4)).save(photos.photos / "000000000001.jpg")
    with pytest.raises(UcolnetError, match="Two files of .*val2017 have one stem"):
        PictureFolder("o", coloured, CocoSplit(photos.root, "val2017"), allow_missing=True)


@pytest.mark.parametrize("allow_missing", [False, True])
def test_folders_without_a_picture(photos, tmp_path, allow_missing):
    with pytest.raises(UcolnetError, match="o: there is no folder .*nowhere"):
        PictureFolder("o", tmp_path / "nowhere", photos, allow_missing)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UcolnetError, match="empty holds no picture of .*val2017. File stems must be the same"):
        PictureFolder("o", tmp_path / "empty", photos, allow_missing)
    Image.new("RGB", (4, 4)).save(tmp_path / "empty" / "1.png")  # not 000000000001.png
    with pytest.raises(UcolnetError, match="holds no picture of"):
        PictureFolder("o", tmp_path / "empty", photos, allow_missing)
    (tmp_path / "file.png").write_bytes(b"")
    with pytest.raises(UcolnetError, match="there is no folder"):
        PictureFolder("o", tmp_path / "file.png", photos, allow_missing)


def test_a_broken_picture_is_named(photos, coloured):
    whole = (coloured / "000000000001.png").read_bytes()
    for content in (b"", b"no picture", whole[: len(whole) // 2]):
        (coloured / "000000000001.png").write_bytes(content)
        with pytest.raises(UcolnetError, match="coloured.000000000001.png is no readable picture"):
            colour(PictureFolder("o", coloured, photos), photos)
