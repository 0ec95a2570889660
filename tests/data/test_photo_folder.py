"""A plain folder of photographs: it reads as a COCO split does, and nobody has annotated it."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from ucolnet_lib.common import IGNORE_INDEX, UcolnetError
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.photo_folder import PhotoFolder, open_photographs
from ucolnet_lib.data.prepare import prepare
from ucolnet_lib.data.prepared import PreparedSplit


@pytest.fixture
def folder(tmp_path):
    """Five pictures, and what does not belong to them."""
    folder = tmp_path / "holidays"
    (folder / "inside").mkdir(parents=True)
    for i, name in enumerate(["beach.jpg", "000000000009.png", "7.JPEG", "07.jpg", "z.png", "inside/1.jpg"]):
        Image.fromarray(np.full((8 + i, 12, 3), 20 * i, np.uint8)).save(folder / name)
    (folder / "index.csv").write_text("id,file\n")
    (folder / "._beach.jpg").write_bytes(b"what macOS lays beside")
    return folder


def test_every_photograph_with_an_id_of_its_own_and_nothing_labelled(folder):
    split = PhotoFolder(folder)
    assert (split.root, split.split, len(split)) == (folder, "holidays", 5)
    names = {split.file(i).name: split.ids[i] for i in range(5)}
    assert names == {"07.jpg": 7, "000000000009.png": 9, "7.JPEG": 10, "beach.jpg": 11, "z.png": 12}
    for i in range(5):
        photo = split[i]
        assert (photo.id, photo.path) == (split.ids[i], split.file(i))
        assert photo.rgb.shape == (*photo.semantic_map.shape, 3) and photo.rgb.dtype == np.uint8
        assert photo.semantic_map.dtype == np.uint8 and (photo.semantic_map == IGNORE_INDEX).all()
        assert split.annotations(i) == split.objects(i) == []
    assert split[0].semantic_map.shape == (11, 12)


def test_it_reads_as_a_coco_split_without_entries_does(write_split, tmp_path):
    names = ["000000000007.png", "a.png", "b.png"]
    root = write_split(tmp_path, {n: np.full((4, 5, 3), i, np.uint8) for i, n in enumerate(names)}, unlisted=names)
    plain, coco = PhotoFolder(root / "val2017"), CocoSplit(root, "val2017")
    assert plain.ids == coco.ids and plain.split == coco.split
    for ours, theirs in zip(plain, coco, strict=True):
        assert (ours.id, ours.path) == (theirs.id, theirs.path)
        assert np.array_equal(ours.rgb, theirs.rgb) and np.array_equal(ours.semantic_map, theirs.semantic_map)


def test_the_checksum_changes_with_names_and_sizes(folder):
    seen = [PhotoFolder(folder).checksum]
    assert PhotoFolder(folder).checksum == seen[0]
    with (folder / "beach.jpg").open("ab") as file:
        file.write(b"more")
    seen.append(PhotoFolder(folder).checksum)
    (folder / "beach.jpg").rename(folder / "sea.jpg")
    seen.append(PhotoFolder(folder).checksum)
    (folder / "sea.jpg").unlink()
    seen.append(PhotoFolder(folder).checksum)
    assert len(set(seen)) == 4


def test_a_folder_named_by_a_dot(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert PhotoFolder(".").split == "holidays"


def test_no_folder_and_no_photograph(tmp_path):
    with pytest.raises(UcolnetError, match=r"nowhere does not exist\. Check the name"):
        PhotoFolder(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UcolnetError, match=r"holds no photograph .*\. Name the folder that holds them"):
        PhotoFolder(tmp_path)


def test_a_broken_photograph_is_told_when_it_is_read(folder):
    (folder / "7.JPEG").write_bytes(b"<html>404</html>")
    split = PhotoFolder(folder)
    with pytest.raises(UcolnetError, match=r"7.JPEG is no readable picture"):
        split[2]
    assert split[0].id == 7


def test_what_a_folder_is_is_seen_from_what_it_holds(write_split, tmp_path):
    def written(name):
        return write_split(root, {"1.png": np.zeros((9, 9, 3), np.uint8)}, split=name)

    root = tmp_path / "coco"
    written("val2017")
    assert open_photographs(root).split == "val2017"
    written("train2017")
    assert open_photographs(root).split == "train2017" and isinstance(open_photographs(root), CocoSplit)
    assert open_photographs(root, "val2017").split == "val2017"
    prepare([root], tmp_path / "prepared", size=16, workers=1, progress=False)
    assert open_photographs(tmp_path / "prepared").split == "train2017"
    assert isinstance(open_photographs(tmp_path / "prepared", "val2017"), PreparedSplit)
    assert isinstance(open_photographs(root / "val2017"), PhotoFolder)
    with pytest.raises(UcolnetError, match="has no folder test2017"):
        open_photographs(root, "test2017")
    with pytest.raises(UcolnetError, match="nowhere does not exist"):
        open_photographs(tmp_path / "nowhere")


def test_the_photographs_without_masks(photos_without_masks):
    split = PhotoFolder(photos_without_masks)
    assert len(split) == len(set(split.ids)) == 8082
    photo = split[8000]
    assert min(photo.rgb.shape[:2]) <= 160 and (photo.semantic_map == IGNORE_INDEX).all()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_file_name_that_is_not_utf_8(tmp_path, write_split):
    name = os.fsdecode(b"caf\xe9.png")
    Image.new("RGB", (4, 4)).save(tmp_path / name)
    assert len(PhotoFolder(tmp_path).checksum) == 64
    root = write_split(tmp_path / "coco", {name: np.zeros((4, 4, 3), np.uint8)}, unlisted=(name,))
    assert len(CocoSplit(root, "val2017").checksum) == 64
