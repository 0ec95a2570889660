"""The pictures as files are the pictures that are measured."""

import numpy as np
import pytest
from PIL import Image

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.evaluation.pictures import save_pictures
from ucolnet_lib.evaluation.systems import Damages, PictureFolder, SizedControls


@pytest.fixture
def photos(tmp_path, write_split):
    rng = np.random.default_rng(0)
    pictures = {f"{i:012}.png": rng.integers(0, 256, (8, 6 + i, 3), np.uint8) for i in (1, 2)}
    return CocoSplit(write_split(tmp_path / "coco", pictures), "val2017")


def test_every_variant_of_every_photograph_without_loss(photos, tmp_path):
    systems = [SizedControls(4), Damages()]
    save_pictures(photos, systems, tmp_path / "out", progress=False)
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    variants = [variant for system in systems for variant in system.variants]
    assert files == {f"{variant}/{i:012}.png" for variant in variants for i in (1, 2)}
    for photo in (photos[0], photos[1]):
        for system in systems:
            for variant, picture in system.colour(photo, rgb8_to_lab(photo.rgb)).pictures.items():
                saved = Image.open(tmp_path / "out" / variant / f"{photo.path.stem}.png")
                np.testing.assert_array_equal(np.asarray(saved), picture)


def test_a_folder_with_some_pictures_alone(photos, tmp_path):
    (tmp_path / "mine").mkdir()
    Image.new("RGB", (3, 3)).save(tmp_path / "mine" / "000000000002.png")
    mine = PictureFolder("mine", tmp_path / "mine", photos, allow_missing=True)
    save_pictures(photos, [mine], tmp_path / "out", progress=False)
    assert [path.name for path in (tmp_path / "out" / "mine").iterdir()] == ["000000000002.png"]


def test_a_file_in_the_way_is_one_sentence(photos, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UcolnetError, match="Cannot write"):
        save_pictures(photos, [Damages()], tmp_path / "out", progress=False)
