"""One photograph made small: its size, its colours, its marks, and what travels to the processes."""

import io
import pickle
import zlib

import numpy as np
import pytest
from PIL import Image

from ucolnet_lib.color import is_gray
from ucolnet_lib.common import IGNORE_INDEX
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.encode import Encoder, Task
from ucolnet_lib.data.photo_folder import PhotoFolder
from ucolnet_lib.data.prepared import decode_map


def blobs(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(60, 200, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def task_of(split: CocoSplit, index: int) -> Task:
    return Task(1000 + index, 0, index, split.coco.imgs.get(split.ids[index]), split.annotations(index))


def encode(split: CocoSplit, index: int = 0, size: int = 32) -> tuple[dict, np.ndarray, np.ndarray, str]:
    """(record, rgb, semantic map, name), read back without `prepared.py` but for the map's runs."""
    record, content = Encoder([("coco", split)], size)[task_of(split, index)]
    fields = dict(zip(record.dtype.names, record.item(), strict=True))
    first, second = fields["jpeg"], fields["jpeg"] + fields["map"]
    assert len(content) == second + fields["name"] and zlib.crc32(content) == fields["checksum"]
    semantic_map = decode_map(content[first:second], (fields["height"], fields["width"]))
    return fields, np.asarray(Image.open(io.BytesIO(content[:first]))), semantic_map, content[second:].decode()


def test_what_is_written_of_a_photograph(write_split, rectangle, tmp_path):
    pictures = {"7.png": blobs(64, 96), "8.png": blobs(96, 64)}
    root = write_split(tmp_path, pictures, [rectangle(8, 90, 0, 0, 64, 48)], unlisted=["7.png"])
    split = CocoSplit(root, "val2017")
    record, rgb, semantic_map, name = encode(split, 1)
    assert (record["id"], record["offset"], record["height"], record["width"]) == (1001, 0, 48, 32)
    assert name == "coco/val2017/8.png" and rgb.shape == (48, 32, 3)
    assert (semantic_map[:24] == 80).all() and (semantic_map[24:] == 0).all()
    record, _, semantic_map, name = encode(split, 0)
    assert record["id"] == 1000 and name == "coco/val2017/7.png" and (semantic_map == IGNORE_INDEX).all()


def test_sharp_colours_keep_their_places(write_split, tmp_path):
    """With chroma at half the resolution, stripes of two pixels would lose their colours."""
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, 1::4] = stripes[:, 2::4] = (200, 60, 60)
    stripes[:, 3::4] = stripes[:, 0::4] = (60, 60, 200)
    _, rgb, _, _ = encode(CocoSplit(write_split(tmp_path, {"7.png": stripes}), "val2017"))
    assert np.abs(rgb.astype(int) - stripes).mean() < 6


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 1), (1, 1)), ((20, 25), (20, 25)), ((33, 33), (32, 32)), ((4000, 40), (3200, 32)), ((1, 900), (1, 900))],
)
def test_the_shorter_side_never_grows(write_split, tmp_path, shape, expected):
    record, rgb, semantic_map, _ = encode(CocoSplit(write_split(tmp_path, {"7.png": blobs(*shape)}), "val2017"))
    assert rgb.shape == (*expected, 3) and semantic_map.shape == expected == (record["height"], record["width"])


def test_gray_photographs_are_marked(write_split, tmp_path):
    """By the rule for the photograph as it is: made small, the third one's noise of colours is averaged away."""
    noise = np.random.default_rng(0).integers(90, 110, (320, 320, 3), dtype=np.uint8)
    pictures = {"6.png": blobs(40, 40), "7.png": blobs(40, 40)[..., 0], "8.png": noise, "9.png": noise // 4 + 80}
    split = CocoSplit(write_split(tmp_path, pictures), "val2017")
    records = [encode(split, index) for index in range(4)]
    assert [record["gray"] for record, *_ in records] == [is_gray(photo.rgb) for photo in split]
    assert [record["gray"] for record, *_ in records] == [False, True, False, True] and is_gray(records[2][1])
    assert all(rgb.ndim == 3 for _, rgb, _, _ in records)


def test_a_picture_too_long_for_a_jpeg(write_split, tmp_path):
    split = CocoSplit(write_split(tmp_path, {"7.png": np.zeros((1, 70_000, 3), np.uint8)}), "val2017")
    assert Encoder([("coco", split)], 32)[task_of(split, 0)] == (
        "coco/val2017/7.png would be 70000 x 1 pixels, too long for a JPEG. Cut it to shape."
    )


def test_a_photograph_that_cannot_be_read(write_split, rectangle, tmp_path):
    """The sentence names it as the set does: where the folder lay on this machine is nobody's business."""
    root = write_split(tmp_path, {"7.png": blobs(9, 9), "8.png": blobs(9, 9)}, [rectangle(8, 3, 0, 0, 2, 2)])
    (root / "val2017" / "7.png").write_bytes(b"")
    Image.fromarray(blobs(9, 5)).save(root / "val2017" / "8.png")
    split = CocoSplit(root, "val2017")
    broken, other_size = (Encoder([("coco", split)], 32)[task_of(split, index)] for index in (0, 1))
    assert broken.startswith("coco/val2017/7.png is no readable picture")
    assert other_size.startswith("coco/val2017/8.png is 5 x 9 pixels, its annotation says 9 x 9.")


def test_the_annotations_travel_with_the_tasks_alone(write_split, rectangle, tmp_path):
    """A process gets what it needs, and the split that was handed over stays as it was."""
    pictures = {f"{i}.png": blobs(40, 40) for i in range(1, 30)}
    annotations = [rectangle(i, 3, x, 0, 9, 9) for i in range(1, 30) for x in range(20)]
    split, folder = (
        CocoSplit(write_split(tmp_path, pictures, annotations), "val2017"),
        PhotoFolder(tmp_path / "val2017"),
    )
    sent = pickle.dumps(Encoder([("coco", split), ("plain", folder)], 32))
    assert len(sent) < len(pickle.dumps(split)) / 5
    assert len(split.annotations(5)) == 20 and split[5].semantic_map.max() == 3
    encoder = pickle.loads(sent)
    record, content = encoder[task_of(split, 5)]
    start = int(record["jpeg"])
    assert decode_map(content[start : start + int(record["map"])], (32, 32)).max() == 3
    record, content = encoder[Task(7, 1, 5, None, [])]
    assert content.endswith(b"plain/6.png") and record["id"] == 7
