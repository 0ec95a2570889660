"""Classes, colours and gray photographs counted once more, pixel by pixel, by other libraries."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage.color import rgb2lab

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CLASS_NAMES, CocoSplit
from ucolnet_lib.data.photo_folder import PhotoFolder
from ucolnet_lib.data.prepare import prepare
from ucolnet_lib.data.prepared import PreparedSplit
from ucolnet_lib.data.summary import AB_EDGES, name_of, sample, summarize
from ucolnet_lib.data.toy import draw_toy_world


@pytest.fixture
def split(write_split, rectangle, tmp_path):
    """A coloured photograph with two cars and a crowd, a gray one without objects, one that is not listed."""
    random = np.random.default_rng(0)
    pictures = {
        "000000000007.png": random.integers(0, 256, (8, 12, 3), np.uint8),
        "000000000008.png": np.repeat(random.integers(0, 256, (5, 9, 1), np.uint8), 3, axis=2),
        "000000000009.png": random.integers(0, 256, (3, 4, 3), np.uint8),
    }
    annotations = [
        rectangle(7, 3, 0, 0, 4, 4),
        rectangle(7, 3, 8, 0, 4, 4),
        rectangle(7, 1, 0, 5, 6, 3, crowd=True, size=(8, 12)),
        rectangle(7, 90, 1, 1, 2, 2) | {"segmentation": []},  # an object without a pixel
    ]
    return CocoSplit(write_split(tmp_path, pictures, annotations, unlisted=["000000000009.png"]), "val2017")


def test_classes_counted_by_hand(split):
    summary = summarize(split, progress=False)
    pixels, chroma, images = Counter(), Counter(), Counter()
    for photo in split:
        distance = np.linalg.norm(rgb2lab(photo.rgb)[..., 1:], axis=-1)
        for y, x in np.ndindex(photo.semantic_map.shape):
            label = int(photo.semantic_map[y, x])
            pixels[label] += 1
            chroma[label] += distance[y, x]
        images.update(set(photo.semantic_map.ravel().tolist()))
    table = summary.classes.set_index("class")
    assert table.index.tolist() == [0, 1, 3, 80, 255]
    assert table["name"].tolist() == ["background", "person", "car", "toothbrush", "ignore"]
    assert table["objects"].tolist() == [0, 0, 2, 1, 0] and table["crowds"].tolist() == [0, 1, 0, 0, 0]
    assert table["images"].tolist() == [images[label] for label in table.index] == [2, 0, 1, 0, 2]
    assert table["pixels"].tolist() == [pixels[label] for label in table.index] == [91, 0, 32, 0, 30]
    assert table["share"].tolist() == pytest.approx([91 / 153, 0, 32 / 153, 0, 30 / 153])
    for label in (0, 3, 255):
        assert table.loc[label, "mean_chroma"] == pytest.approx(chroma[label] / pixels[label], abs=0.01)
    assert table.loc[[1, 80], "mean_chroma"].isna().all()


def test_photographs_counted_by_hand(split):
    table = summarize(split, progress=False).photographs
    assert table["id"].tolist() == [7, 8, 9] and table["file"].tolist() == [split.file(i).name for i in range(3)]
    assert table[["width", "height"]].to_numpy().tolist() == [[12, 8], [9, 5], [4, 3]]
    assert table["gray"].tolist() == [False, True, False]
    assert table["labelled"].tolist() == pytest.approx([1 - 18 / 96, 1, 0])
    for i, photo in enumerate(split):
        expected = np.linalg.norm(rgb2lab(photo.rgb)[..., 1:], axis=-1).mean()
        assert table.loc[i, "mean_chroma"] == pytest.approx(expected, abs=0.01)


def test_the_histogram_equals_numpys(split):
    summary = summarize(split, progress=False)
    ab = np.concatenate([rgb2lab(photo.rgb)[..., 1:].reshape(-1, 2) for photo in split])
    expected, *_ = np.histogram2d(*ab.T, bins=[AB_EDGES, AB_EDGES])
    # A value on an edge may fall to either side; the pixels are few.
    assert np.abs(summary.chroma - expected).sum() <= 2
    assert summary.chroma.sum() == 153 and summary.chroma.dtype == np.int64
    middle = len(AB_EDGES) // 2
    assert summary.chroma[middle - 1, middle - 1] >= 45  # gray lies in the middle of its bin


def test_all_colours_of_srgb_lie_inside(tmp_path):
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(18, -1, 3)
    Image.fromarray(cube).save(tmp_path / "cube.png")
    summary = summarize(PhotoFolder(tmp_path), progress=False)
    assert summary.chroma.sum() == cube.size / 3
    assert np.flatnonzero(summary.chroma.sum(axis=1))[[0, -1]].tolist() == [12, 104]  # a: -86.2 to 98.2
    assert np.flatnonzero(summary.chroma.sum(axis=0))[[0, -1]].tolist() == [1, 102]  # b: -107.9 to 94.5


def test_photographs_without_masks(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((4, 5, 3), (200, 30 * i, 40), np.uint8)).save(tmp_path / f"{i}.png")
    summary = summarize(PhotoFolder(tmp_path), progress=False)
    assert summary.name == tmp_path.name and summary.size == 3
    assert summary.classes.drop(columns="mean_chroma").to_numpy().tolist() == [[255, "ignore", 0, 0, 3, 60, 1.0]]
    assert (summary.photographs["labelled"] == 0).all()


def test_a_prepared_set_has_no_objects_and_the_same_pixels(tmp_path):
    draw_toy_world(tmp_path / "toy", scenes=10, size=32, progress=False)
    prepare([tmp_path / "toy"], tmp_path / "prepared", size=32, workers=1, progress=False)
    coco, prepared = CocoSplit(tmp_path / "toy", "train2017"), PreparedSplit(tmp_path / "prepared", "train2017")
    theirs, ours = (summarize(split, progress=False) for split in (coco, prepared))
    assert ours.name == "prepared, train2017" and "objects" not in ours.classes and "crowds" not in ours.classes
    same = ["class", "name", "images", "pixels", "share"]
    pd.testing.assert_frame_equal(ours.classes[same], theirs.classes[theirs.classes["pixels"] > 0][same])


def test_the_sample_is_the_same_in_every_call_and_grows(tmp_path):
    for i in range(20):
        Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(tmp_path / f"{i}.png")
    split = PhotoFolder(tmp_path)
    few, more = sample(split, 5), sample(split, 12)
    assert len(few) == 5 and few == sorted(few) == sample(split, 5) != list(range(5))
    assert len(more) == 12 and set(few) < set(more)
    assert sample(split) == sample(split, 20) == sample(split, 99) == list(range(20))
    summary = summarize(split, 5, progress=False)
    assert summary.photographs["id"].tolist() == [split.ids[i] for i in few] and summary.size == 20


def test_one_pixel(tmp_path):
    Image.fromarray(np.full((1, 1, 3), 9, np.uint8)).save(tmp_path / "1.png")
    summary = summarize(PhotoFolder(tmp_path), progress=False)
    assert summary.chroma.sum() == 1 and summary.photographs["mean_chroma"].tolist() == [0]


def test_a_broken_photograph_is_named(split):
    split.file(1).write_bytes(b"<html>404</html>")
    with pytest.raises(UcolnetError, match="000000000008.png is no readable picture"):
        summarize(split, progress=False)


def test_a_bar_shows_the_progress(split, capsys):
    summarize(split)
    assert "Looking at val2017" in capsys.readouterr().err


def test_names_of_classes():
    assert [name_of(label) for label in (0, 1, 80, 255)] == ["background", "person", CLASS_NAMES[80], "ignore"]


def test_gray_photographs_of_the_sample(sample):
    """The list stands in the sample's own description."""
    gray = {1425, 1490, 1818, 2299, 3156, 5503, 6460, 6614, 7888, 205401, 343937, 456496, 566282, 570448}
    photographs = summarize(CocoSplit(sample, "val2017"), 120, progress=False).photographs
    found = set(photographs.loc[photographs["gray"], "id"])
    assert found == gray & set(photographs["id"]) and len(found) > 2
