"""Preparing: equal to what the folders hold, joined, the same bytes along every way there, and all that goes wrong."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.multiprocessing import get_start_method

from ucolnet_lib.cli import main
from ucolnet_lib.color import is_gray
from ucolnet_lib.common import BACKGROUND, IGNORE_INDEX, UcolnetError
from ucolnet_lib.data import prepare as module
from ucolnet_lib.data.coco import CocoSplit, read_rgb
from ucolnet_lib.data.photo_folder import PhotoFolder
from ucolnet_lib.data.prepare import closing, join_ids, prepare
from ucolnet_lib.data.prepared import RECORD, PreparedSplit, open_split

FILES = ["prepared.json", "val2017.bin", "val2017.index"]


def picture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Soft blobs of colour: uint8 (H, W, 3)."""
    coarse = np.random.default_rng(seed).integers(60, 200, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def quietly(sources, out: Path, size: int = 32, workers: int = 1) -> dict:
    return prepare(sources, out, size, workers, progress=False)


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def coco(write_split, rectangle, tmp_path) -> Path:
    """A COCO folder with forty photographs in val2017."""
    pictures = {f"{i:012}.jpg": picture(i) for i in range(101, 141)}
    return write_split(tmp_path / "coco", pictures, [rectangle(i, 3, 4, 5, 30, 20) for i in range(101, 141)])


# What is written.


def test_pictures_are_the_folders_and_maps_are_exact(write_split, rectangle, tmp_path):
    """Against the photographs themselves, made small by PIL; crowds, backgrounds and unlisted photographs too."""
    pictures = {"7.png": picture(1, 90, 120), "8.png": picture(2, 120, 90), "9.png": picture(3), "10.png": picture(4)}
    crowd = rectangle(7, 3, 60, 10, 50, 50, crowd=True, size=(90, 120))
    annotations = [rectangle(7, 1, 10, 10, 40, 60), crowd, rectangle(8, 90, 0, 0, 90, 60)]
    coco = write_split(tmp_path / "coco", pictures, annotations, unlisted=["10.png"])
    description = quietly([coco], tmp_path / "set", size=64)
    small, original = PreparedSplit(tmp_path / "set", "val2017"), CocoSplit(coco, "val2017")
    assert small.ids == original.ids == [7, 8, 9, 10] and description["broken"] == []
    for photo, whole, shape in zip(small, original, [(64, 85), (85, 64), (48, 64), (48, 64)], strict=True):
        assert photo.semantic_map.shape == shape
        expected = Image.fromarray(whole.semantic_map).resize(shape[::-1], Image.Resampling.NEAREST)
        assert np.array_equal(photo.semantic_map, expected)
        expected = np.asarray(Image.fromarray(whole.rgb).resize(shape[::-1], Image.Resampling.BICUBIC))
        assert np.abs(photo.rgb.astype(int) - expected).mean() < 2
    assert set(np.unique(small.semantic_map(0))) == {BACKGROUND, 1, IGNORE_INDEX}
    assert (small.semantic_map(2) == BACKGROUND).all() and (small.semantic_map(3) == IGNORE_INDEX).all()


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_a_folder_with_one_split(write_split, tmp_path, split):
    coco = write_split(tmp_path / "coco", {"7.png": picture(0)}, split=split)
    assert list(quietly([coco], tmp_path / "set")["splits"]) == [split]
    assert open_split(tmp_path / "set", split).ids == [7]


# Several sources.


def test_several_sources_are_joined(write_split, rectangle, tmp_path):
    first = write_split(tmp_path / "a" / "coco", {"7.png": picture(1)}, [rectangle(7, 3, 0, 0, 9, 9)], "train2017")
    write_split(first, {"7.png": picture(2)})
    second = write_split(tmp_path / "b" / "coco", {"007.png": picture(3), "12.png": picture(4)}, split="train2017")
    folder = tmp_path / "holiday"
    folder.mkdir()
    for number, name in enumerate(["7.png", "beach.jpg"], 5):
        Image.fromarray(picture(number)).save(folder / name)
    description = quietly([first, folder, second], tmp_path / "set")
    train, val = (open_split(tmp_path / "set", split) for split in ("train2017", "val2017"))
    assert val.ids == [7] and train.ids == [7, 107, 108, 207, 212]
    assert [photo.path.as_posix() for photo in train] == [
        "coco/train2017/7.png", "holiday/7.png", "holiday/beach.jpg", "coco-3/train2017/007.png",
        "coco-3/train2017/12.png",
    ]  # fmt: skip
    for photo, seed in zip(train, [1, 5, 6, 3, 4], strict=True):
        expected = np.asarray(Image.fromarray(picture(seed)).resize((43, 32), Image.Resampling.BICUBIC))
        assert np.abs(photo.rgb.astype(int) - expected).mean() < 4
    assert [set(np.unique(photo.semantic_map)) for photo in train] == [{0, 3}, {255}, {255}, {0}, {0}]
    assert [(s["folder"], s["split"], s["photographs"]) for s in description["sources"]] == [
        ("coco", "train2017", 1), ("holiday", "train2017", 2), ("coco-3", "train2017", 2), ("coco", "val2017", 1),
    ]  # fmt: skip
    assert description["sources"][1]["checksum"] == PhotoFolder(folder).checksum


IDS = st.lists(st.integers(0, 2**80) | st.integers(0, 30), min_size=1, max_size=8, unique=True)


@given(st.lists(IDS, min_size=1, max_size=5))
def test_joined_ids_never_clash_and_fit_the_index(wanted):
    joined = join_ids(wanted)
    assert [len(ids) for ids in joined] == [len(ids) for ids in wanted]
    flat = [i for ids in joined for i in ids]
    assert len(set(flat)) == len(flat) and max(flat) < 2**63
    if max(wanted[0]) < 10**15:
        assert joined[0] == wanted[0]


def test_the_last_digits_are_the_id_in_the_source():
    assert join_ids([[139, 581929], [139], [1, 2]]) == [[139, 581929], [1000139], [2000001, 2000002]]
    assert join_ids([[9], [9]]) == [[9], [19]] and join_ids([[5], [10]]) == [[5], [110]]
    assert join_ids([[12345678901234567890, 3], [4]]) == [[1, 2], [14]]


def test_a_source_that_is_named_twice(coco, tmp_path):
    with pytest.raises(UcolnetError, match=r"coco is named twice"):
        quietly([coco, coco / ".." / "coco"], tmp_path / "set")


# The same bytes along every way there.


def test_the_number_of_processes_changes_no_byte(coco, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    quietly([coco], one)
    quietly([coco], two, workers=2)
    assert content(one) == content(two) and sorted(content(one)) == FILES


def half_done(folder: Path, photographs: int, more_data: int = 0, more_index: int = 0) -> None:
    """Make of a finished set what a run leaves that is killed behind so many photographs and so many bytes more."""
    records = np.fromfile(folder / "val2017.index", RECORD)
    os.truncate(folder / "val2017.bin", int(records[photographs]["offset"]) + more_data)
    os.truncate(folder / "val2017.index", photographs * RECORD.itemsize + more_index)
    description = json.loads((folder / "prepared.json").read_text())
    del description["splits"], description["broken"]
    (folder / "prepared.json").write_text(json.dumps(description))


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The names of the photographs that are decoded."""
    names = []

    def recorded(path):
        names.append(path.name)
        return read_rgb(path)

    monkeypatch.setattr("ucolnet_lib.data.coco.read_rgb", recorded)
    return names


@pytest.mark.parametrize(("more_data", "more_index"), [(0, 0), (700, 0), (1, 34), (10**5, 20), (0, 35)])
def test_a_run_that_was_cut_goes_on_and_does_nothing_twice(coco, tmp_path, read, more_data, more_index):
    """Cut between two photographs, inside one, inside its record, and where a record speaks of missing bytes."""
    out = tmp_path / "set"
    quietly([coco], out)
    whole, done = content(out), 17
    half_done(out, done, more_data, more_index)
    read.clear()
    with pytest.raises(UcolnetError, match=r"set is not finished\. Call `ucolnet data prepare` again"):
        open_split(out, "val2017")
    quietly([coco], out)
    assert content(out) == whole and read == [f"{i:012}.jpg" for i in range(101 + done, 141)]


def test_a_begun_set_whose_bytes_were_changed_is_begun_again_from_there(coco, tmp_path, read):
    out = tmp_path / "set"
    quietly([coco], out)
    whole = content(out)
    half_done(out, 30)
    with (out / "val2017.bin").open("r+b") as file:
        file.seek(int(np.fromfile(out / "val2017.index", RECORD)[12]["offset"]) + 50)
        file.write(b"\0\0\0\0")
    read.clear()
    quietly([coco], out)
    assert content(out) == whole and len(read) == 40 - 12


@pytest.mark.parametrize("missing", ["val2017.index", "val2017.bin"])
def test_a_begun_set_without_one_of_its_files(coco, tmp_path, missing):
    out = tmp_path / "set"
    quietly([coco], out)
    whole = content(out)
    half_done(out, 30)
    (out / missing).unlink()
    quietly([coco], out)
    assert content(out) == whole


def test_a_process_that_is_killed(write_split, tmp_path):
    """Really, in the middle, without a word; the workers end too, and nothing of what was done is lost."""
    pictures = {f"{i:012}.jpg": picture(i, 480, 640) for i in range(101, 221)}
    coco, out = write_split(tmp_path / "coco", pictures), tmp_path / "set"
    code = f"from ucolnet_lib.data.prepare import prepare\nprepare([{str(coco)!r}], {str(out)!r}, 400, workers=2)"
    process = subprocess.Popen([sys.executable, "-c", f"if __name__ == '__main__':\n    {code.replace(chr(10), '; ')}"])
    index, until = out / "val2017.index", time.monotonic() + 100
    while not (index.exists() and index.stat().st_size > 5 * RECORD.itemsize) and time.monotonic() < until:
        time.sleep(0.002)
    process.kill()
    process.wait()
    done = np.fromfile(index, RECORD)
    assert 5 <= len(done) < 120 and "splits" not in json.loads((out / "prepared.json").read_text())
    quietly([coco], out, size=400)
    quietly([coco], tmp_path / "straight", size=400)
    assert content(out) == content(tmp_path / "straight")


def test_what_is_finished_is_not_done_again_but_checked(coco, tmp_path, read):
    out = tmp_path / "set"
    description = quietly([coco], out)
    read.clear()
    assert quietly([coco], out) == description and read == []
    with (out / "val2017.bin").open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\0\0\0")
    with pytest.raises(UcolnetError, match=r"val2017.bin was changed or damaged"):
        quietly([coco], out)


# Folders and disks.


def state(path: Path) -> list[tuple]:
    return [(str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in sorted([path, *path.rglob("*")])]


@pytest.mark.parametrize("change", ["size", "photographs", "foreign", "file"])
def test_a_folder_that_holds_something_else_stays_as_it_is(coco, tmp_path, change):
    out, size = tmp_path / "set", 32
    if change == "foreign":
        out = tmp_path / "coco"  # the folders in the wrong order
    elif change == "file":
        out.write_text("mine")
    else:
        quietly([coco], out)
    if change == "size":
        size = 33
    elif change == "photographs":
        (coco / "val2017" / "000000000101.jpg").unlink()
    before = state(out)
    with pytest.raises(UcolnetError, match=r"holds something else, or a set of other photographs or another size"):
        quietly([coco], out, size)
    assert state(out) == before


def test_an_empty_folder_will_do(coco, tmp_path):
    (tmp_path / "set").mkdir()
    assert quietly([coco], tmp_path / "set")["splits"]["val2017"]["photographs"] == 40


def test_a_disk_without_space_is_told_before_the_start(coco, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, 900_000 if folder.exists() else None))
    with pytest.raises(UcolnetError, match=r"set needs about 0.0 GB more, .* 0.0 GB free\. Make room"):
        quietly([coco], tmp_path / "set", size=256)
    assert not (tmp_path / "set").exists()
    quietly([coco], tmp_path / "set")  # small enough


def test_a_disk_that_is_full_in_the_middle(coco, tmp_path):
    """A limit on the size of files is the disk here. What is written stays, and the next call goes on."""
    resource = pytest.importorskip("resource")
    out, limits = tmp_path / "set", resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with pytest.raises(UcolnetError, match=r"Cannot write .*val2017.bin: File too large\. What is written stays"):
            quietly([coco], out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert 0 < (out / "val2017.index").stat().st_size < 40 * RECORD.itemsize
    quietly([coco], out)
    quietly([coco], tmp_path / "straight")
    assert content(out) == content(tmp_path / "straight")


@pytest.mark.skipif(get_start_method() != "fork", reason="the fault is planted before the processes are forked")
def test_a_worker_that_dies(coco, tmp_path, monkeypatch):
    monkeypatch.setattr(module.Encoder, "__getitem__", lambda self, task: os._exit(1))
    with pytest.raises(UcolnetError, match=r"was ended from outside; .*call the same command again"):
        quietly([coco], tmp_path / "set", workers=2)


# Broken photographs, broken sources.


def break_some(coco: Path) -> None:
    photos = coco / "val2017"
    (photos / "000000000103.jpg").write_bytes(b"<html>404</html>")
    whole = (photos / "000000000120.jpg").read_bytes()
    (photos / "000000000120.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "000000000140.jpg").unlink()
    Image.fromarray(picture(0, 10, 10)).save(photos / "000000000141.jpg")  # not listed: that is no fault
    Image.fromarray(picture(0, 10, 10)).save(photos / "000000000104.jpg")  # not as large as its annotation says


@pytest.mark.parametrize("workers", [1, 2])
def test_broken_photographs_are_named_counted_and_left_out(coco, tmp_path, workers):
    break_some(coco)
    description = quietly([coco], tmp_path / "set", workers=workers)
    small = PreparedSplit(tmp_path / "set", "val2017")
    assert small.ids == [i for i in range(101, 142) if i not in (103, 104, 120, 140)]
    assert len(description["broken"]) == 4
    for name, sentence in zip(("103", "104", "120", "140"), description["broken"], strict=True):
        assert sentence.startswith(("coco/val2017/000000000" + name, "The photograph coco/val2017/000000000" + name))
        assert str(tmp_path) not in sentence
    text = closing(description, tmp_path / "set")
    assert text.startswith("37 photographs (0 gray) lie in ") and "\n4 could not be read and were left out:\n" in text
    assert all(f"\n  {sentence}" in text for sentence in description["broken"])
    assert PreparedSplit(tmp_path / "set", "val2017")[36].rgb.shape == (10, 10, 3)


def test_broken_photographs_are_told_again_after_an_interruption(coco, tmp_path):
    break_some(coco)
    out = tmp_path / "set"
    quietly([coco], out)
    whole = content(out)
    half_done(out, 25)
    quietly([coco], out)
    assert content(out) == whole


def test_a_photograph_that_could_be_read_the_second_time(coco, tmp_path):
    """A disk that failed for a moment. The photograph is written last, and read where its id stands."""
    out, file = tmp_path / "set", coco / "val2017" / "000000000103.jpg"
    whole = file.read_bytes()
    file.write_bytes(bytes(len(whole)))
    assert len(quietly([coco], out)["broken"]) == 1
    half_done(out, 25)
    file.write_bytes(whole)
    assert quietly([coco], out)["broken"] == []
    small = PreparedSplit(out, "val2017")
    assert small.ids == list(range(101, 141)) and np.fromfile(out / "val2017.index", RECORD)["id"][25] == 103
    assert [photo.path.stem for photo in small] == [f"{i:012}" for i in small.ids]
    small.check()


def test_all_are_broken(write_split, tmp_path):
    coco = write_split(tmp_path / "coco", {f"{i}.png": picture(i) for i in (7, 8)})
    for file in (coco / "val2017").iterdir():
        file.write_bytes(b"")
    with pytest.raises(UcolnetError, match=r"None of the 2 photographs could be read:\n  coco/val2017/7.png is no"):
        quietly([coco], tmp_path / "set")
    with pytest.raises(UcolnetError, match=r"is not finished"):
        open_split(tmp_path / "set", "val2017")


def test_one_split_of_broken_photographs_is_left_out(coco, write_split, tmp_path):
    write_split(coco, {"7.png": picture(7)}, split="train2017")
    (coco / "train2017" / "7.png").write_bytes(b"")
    description = quietly([coco], tmp_path / "set")
    assert list(description["splits"]) == ["val2017"] and len(description["broken"]) == 1
    with pytest.raises(UcolnetError, match=r"was prepared without train2017"):
        open_split(tmp_path / "set", "train2017")


def test_sources_that_are_none(tmp_path, coco):
    with pytest.raises(UcolnetError, match=r"nowhere does not exist"):
        quietly([tmp_path / "nowhere"], tmp_path / "set")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UcolnetError, match=r"empty holds no photograph"):
        quietly([coco, tmp_path / "empty"], tmp_path / "set")
    (coco / "annotations" / "instances_val2017.json").unlink()
    with pytest.raises(UcolnetError, match=r"instances_val2017.json is missing"):
        quietly([coco], tmp_path / "set")
    with pytest.raises(UcolnetError, match=r"size is 0 pixels, and must be 16 or more"):
        quietly([coco], tmp_path / "set", size=0)
    assert not (tmp_path / "set").exists()


# The command, and the real photographs.


def test_the_command(coco, tmp_path, monkeypatch, capsys):
    def ucolnet(*arguments) -> int:
        monkeypatch.setattr(sys, "argv", ["ucolnet", "data", "prepare", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    break_some(coco)
    folder = tmp_path / "more"
    folder.mkdir()
    Image.fromarray(picture(1)).save(folder / "1.png")
    assert ucolnet(coco, folder, tmp_path / "set", "--size", 32) == 0
    said = capsys.readouterr()
    assert said.out.startswith("38 photographs (0 gray) lie in ") and "4 could not be read" in said.out
    assert "photo/s" in said.err
    assert [len(open_split(tmp_path / "set", split)) for split in ("train2017", "val2017")] == [1, 37]
    for file in folder.iterdir():
        file.write_text("no picture")
    assert ucolnet(folder, tmp_path / "other") == 2
    assert "ucolnet: None of the 1 photographs could be read:\n  more/1.png is no" in capsys.readouterr().err


def test_photographs_of_the_sample(sample, photos_without_masks, tmp_path):
    """Thirty of COCO, single-channel files among them, and ten without masks."""
    annotations = json.loads((sample / "annotations" / "instances_train2017.json").read_text())
    images = annotations["images"][::20] + [i for i in annotations["images"] if i["id"] in (86, 559665)]
    ids = {image["id"] for image in images}
    for folder in ("coco/train2017", "coco/annotations", "plain"):
        (tmp_path / folder).mkdir(parents=True)
    for image in images:
        name = image["file_name"]
        (tmp_path / "coco" / "train2017" / name).write_bytes((sample / "train2017" / name).read_bytes())
    kept = {"images": [i for i in annotations["images"] if i["id"] in ids], "categories": annotations["categories"]}
    kept["annotations"] = [a for a in annotations["annotations"] if a["image_id"] in ids]
    (tmp_path / "coco" / "annotations" / "instances_train2017.json").write_text(json.dumps(kept))
    for file in sorted(photos_without_masks.glob("*.jpg"))[::800]:
        (tmp_path / "plain" / file.name).write_bytes(file.read_bytes())

    quietly([tmp_path / "coco", tmp_path / "plain"], tmp_path / "set", size=256)
    small, original = PreparedSplit(tmp_path / "set", "train2017"), CocoSplit(tmp_path / "coco", "train2017")
    small.check()
    assert small.ids[: len(original)] == original.ids and len(small) == len(original) + 11
    assert {i for i, gray in zip(small.ids, small.gray, strict=True) if gray} >= {86, 559665}
    errors = []
    for index, whole in enumerate(original):
        photo = small[index]
        size = photo.semantic_map.shape[::-1]
        assert min(size) == 256 and photo.id == whole.id and small.gray[index] == is_gray(whole.rgb)
        expected = Image.fromarray(whole.semantic_map).resize(size, Image.Resampling.NEAREST)
        assert np.array_equal(photo.semantic_map, expected)
        expected = np.asarray(Image.fromarray(whole.rgb).resize(size, Image.Resampling.BICUBIC))
        errors.append(((photo.rgb.astype(float) - expected) ** 2).mean())
    assert np.mean(errors) ** 0.5 < 5  # of 255
    for photo in [small[i] for i in range(len(original), len(small))]:
        assert (photo.semantic_map == IGNORE_INDEX).all() and min(photo.semantic_map.shape) <= 160
    sizes = [len(small.jpeg(i)) for i in range(len(original))]
    assert 25_000 < np.mean(sizes) < 45_000
