"""Reading a prepared set: what comes back, from processes and threads; files that were cut off or changed."""

import io
import json
import multiprocessing
import pickle
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from torch.utils.data import DataLoader

from ucolnet_lib.common import IGNORE_INDEX, UcolnetError
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.prepare import prepare
from ucolnet_lib.data.prepared import RECORD, PreparedSplit, decode_map, encode_map, open_split

CAR = 3
SIZES = [(40, 60), (60, 40), (24, 24), (1, 1)]  # height, width


def pictures() -> dict[str, np.ndarray]:
    """Four pictures, the third of them gray, by file name."""
    rng = np.random.default_rng(0)
    made = {}
    for number, (height, width) in enumerate(SIZES, 7):
        coarse = rng.integers(0, 256, (max(1, height // 8), max(1, width // 8), 3), dtype=np.uint8)
        made[f"{number:012}.png"] = np.asarray(Image.fromarray(coarse).resize((width, height)))
    made["000000000009.png"] = np.repeat(made["000000000009.png"][..., :1], 3, axis=2)
    return made


@pytest.fixture
def root(write_split, rectangle, tmp_path) -> Path:
    """A prepared set: val2017 with four photographs of ids 7 to 10."""
    coco = write_split(tmp_path / "coco", pictures(), [rectangle(7, 3, 2, 4, 30, 20), rectangle(8, 1, 0, 0, 9, 9)])
    prepare([coco], tmp_path / "set", size=32, workers=1, progress=False)
    return tmp_path / "set"


# What comes back.


def test_it_reads_as_a_coco_split_does(root):
    split = PreparedSplit(root, "val2017")
    assert len(split) == 4 and split.ids == [7, 8, 9, 10] and all(type(i) is int for i in split.ids)
    assert split.split == "val2017" and split.root == root
    assert split.shapes.tolist() == [[32, 48], [48, 32], [24, 24], [1, 1]]
    assert split.gray.dtype == bool and split.gray.tolist() == [False, False, True, split.gray[3]]
    for index, photo in enumerate(split):
        assert photo.id == split.ids[index] and photo.path == split.file(index)
        assert photo.path == Path(f"coco/val2017/{photo.id:012}.png")
        assert photo.rgb.dtype == photo.semantic_map.dtype == np.uint8
        assert photo.rgb.shape == (*split.shapes[index], 3) and photo.semantic_map.shape == tuple(split.shapes[index])
        assert np.array_equal(photo.semantic_map, split.semantic_map(index))
    assert index == 3  # the loop ended by itself
    assert np.array_equal(split[-2].rgb, split[2].rgb) and split[-2].id == 9
    assert set(np.unique(split.semantic_map(0))) == {0, CAR}


def test_the_bytes_of_a_jpeg_are_not_copied(root):
    split = PreparedSplit(root, "val2017")
    jpeg = split.jpeg(1)
    assert isinstance(jpeg, memoryview) and jpeg.readonly and jpeg.obj is split.jpeg(0).obj
    content = (root / "val2017.bin").read_bytes()
    assert bytes(jpeg) in content and bytes(jpeg[:2]) == b"\xff\xd8" and bytes(jpeg[-2:]) == b"\xff\xd9"
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.format == "JPEG" and image.mode == "RGB" and np.array_equal(np.asarray(image), split[1].rgb)


def test_every_jpeg_is_baseline_with_three_channels(root):
    """Also of the gray photograph: decoders on a device take them in one batch."""
    split = PreparedSplit(root, "val2017")
    for index in range(len(split)):
        with Image.open(io.BytesIO(split.jpeg(index))) as image:
            assert (
                image.mode == "RGB"
                and "progressive" not in image.info
                and image.size == tuple(split.shapes[index][::-1])
            )


def test_the_folder_says_which_it_is(root, tmp_path):
    assert isinstance(open_split(root, "val2017"), PreparedSplit)
    assert isinstance(open_split(str(tmp_path / "coco"), "val2017"), CocoSplit)
    with pytest.raises(UcolnetError, match=r"nowhere does not exist"):
        open_split(tmp_path / "nowhere", "val2017")


def test_the_files_say_all_that_is_needed(root):
    """Read as the docstrings describe it, with nothing of ours but `RECORD`'s names."""
    raw, content = (root / "val2017.index").read_bytes(), (root / "val2017.bin").read_bytes()
    assert len(raw) == 4 * RECORD.itemsize == 4 * 35
    end = 0
    for index, record in enumerate(np.frombuffer(raw, RECORD).tolist()):
        image_id, offset, jpeg, semantic_map, name, height, width, gray, checksum = record
        assert offset == end and image_id == 7 + index and gray == (image_id == 9 or index == 3 and gray)
        end = offset + jpeg + semantic_map + name
        assert zlib.crc32(content[offset:end]) == checksum
        runs = zlib.decompress(content[offset + jpeg : offset + jpeg + semantic_map])
        lengths = np.frombuffer(runs[: len(runs) // 5 * 4], np.uint32)
        assert lengths.sum() == height * width
        assert content[end - name : end].decode() == f"coco/val2017/{image_id:012}.png"
    assert end == len(content)


# Maps.


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.sampled_from([0, 1, 80, 255])))
def test_maps_come_back_as_they_were(semantic_map):
    decoded = decode_map(encode_map(semantic_map), semantic_map.shape)
    assert decoded.dtype == np.uint8 and np.array_equal(decoded, semantic_map)


def test_long_runs_come_back_and_take_few_bytes():
    ignored = np.full((300, 4000), IGNORE_INDEX, np.uint8)
    assert len(encode_map(ignored)) < 20 and np.array_equal(decode_map(encode_map(ignored), (300, 4000)), ignored)


def test_a_map_that_is_not_contiguous():
    semantic_map = np.arange(48, dtype=np.uint8).reshape(6, 8)[:, ::-2].T
    assert np.array_equal(decode_map(encode_map(semantic_map), semantic_map.shape), semantic_map)


# Processes and threads.


def test_it_travels_without_its_bytes(root):
    split = PreparedSplit(root, "val2017")
    expected = [photo.rgb for photo in split]
    sent = pickle.dumps(split)
    assert len(sent) < 3000
    for copy in (pickle.loads(sent), split):  # the one that was sent still reads
        assert all(np.array_equal(photo.rgb, rgb) for photo, rgb in zip(copy, expected, strict=True))


def test_workers_that_start_afresh(root):
    """As on Windows and macOS: nothing is inherited."""
    split = PreparedSplit(root, "val2017")
    expected = [photo.rgb for photo in split]  # the file is mapped here already
    loader = DataLoader(
        split,
        batch_size=None,
        collate_fn=_rgb,
        num_workers=1,
        multiprocessing_context=multiprocessing.get_context("spawn"),
    )
    assert all(np.array_equal(rgb, known) for rgb, known in zip(loader, expected, strict=True))


def _rgb(photo) -> np.ndarray:
    return photo.rgb


def test_many_threads_read_what_one_reads(root):
    expected = [photo.rgb for photo in PreparedSplit(root, "val2017")]
    split = PreparedSplit(root, "val2017")
    with ThreadPoolExecutor(8) as pool:
        photos = list(pool.map(split.__getitem__, [0, 1, 2, 3] * 50))
    assert all(np.array_equal(photo.rgb, expected[i % 4]) for i, photo in enumerate(photos))


# Files that were cut off, changed, or never finished.


@pytest.mark.parametrize("file", ["val2017.bin", "val2017.index"])
@pytest.mark.parametrize("change", ["shorter", "longer", "missing"])
def test_a_file_of_another_size(root, file, change):
    content = (root / file).read_bytes()
    if change == "missing":
        (root / file).unlink()
    else:
        (root / file).write_bytes(content[:-1] if change == "shorter" else content + b"\0")
    with pytest.raises(UcolnetError, match=rf"{file} has .* of {len(content):,} bytes: it was cut off or changed"):
        PreparedSplit(root, "val2017")


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def test_a_changed_index(root):
    flip(root / "val2017.index", 40)
    with pytest.raises(UcolnetError, match=r"val2017.index was changed after it was written\. Copy the folder again"):
        PreparedSplit(root, "val2017")


@pytest.mark.parametrize("part", ["jpeg", "map", "name"])
def test_one_changed_bit_is_found_and_its_photograph_named(root, part):
    record = np.fromfile(root / "val2017.index", RECORD)[1]
    start = int(record["offset"]) + {"jpeg": 0, "map": record["jpeg"], "name": record["jpeg"] + record["map"]}[part]
    PreparedSplit(root, "val2017").check()
    flip(root / "val2017.bin", int(start + record[part] // 2))
    split = PreparedSplit(root, "val2017")
    with pytest.raises(UcolnetError, match=r"photograph 8 in .*val2017.bin was changed or damaged\. Copy the folder"):
        split.check()


def test_damage_that_cannot_be_decoded_is_told_when_it_is_read(root):
    records = np.fromfile(root / "val2017.index", RECORD)
    flip(root / "val2017.bin", int(records[1]["offset"]))  # no JPEG begins like this
    flip(root / "val2017.bin", int(records[2]["offset"] + records[2]["jpeg"]))  # nor zlib's data like that
    split = PreparedSplit(root, "val2017")
    assert split[0].id == 7 and split[3].id == 10
    for index, image_id in ((1, 8), (2, 9)):
        with pytest.raises(UcolnetError, match=f"The photograph {image_id} in .*val2017.bin was changed or damaged"):
            split[index]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[:50], r"prepared.json is damaged"),
        (lambda text: "[]", r"prepared.json is damaged"),
        (lambda text: "{}", r"prepared.json is damaged"),
        (lambda text: text.replace("prepared 1", "prepared 0"), r"'ucolnet prepared 0'.*Prepare it again"),
        (lambda text: json.dumps({"format": json.loads(text)["format"]}), r"is not finished\. .*as before: it goes on"),
    ],
)
def test_a_description_that_cannot_be_used(root, change, says):
    file = root / "prepared.json"
    file.write_text(change(file.read_text()))
    with pytest.raises(UcolnetError, match=says):
        open_split(root, "val2017")


def test_a_split_that_is_not_there(root, tmp_path):
    with pytest.raises(UcolnetError, match=r"set was prepared without train2017\. It has val2017\."):
        open_split(root, "train2017")
    with pytest.raises(UcolnetError, match=r"coco is no prepared set: it has no prepared.json"):
        PreparedSplit(tmp_path / "coco", "val2017")


def test_the_checksum_tells_sets_apart(root, tmp_path):
    same, other = tmp_path / "same", tmp_path / "other"
    prepare([tmp_path / "coco"], same, size=32, workers=1, progress=False)
    prepare([tmp_path / "coco"], other, size=33, workers=1, progress=False)
    checksums = [PreparedSplit(folder, "val2017").checksum for folder in (root, same, other)]
    assert checksums[0] == checksums[1] != checksums[2] and len(checksums[0]) == 64
