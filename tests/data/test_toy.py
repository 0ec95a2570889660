"""The toy world is a valid COCO folder, the same for the same seed, and keeps its mix of colours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from skimage.color import rgb2lab

from ucolnet_lib.common import IGNORE_INDEX, UcolnetError
from ucolnet_lib.data.coco import CATEGORIES, CLASS_NAMES, CocoSplit
from ucolnet_lib.data.toy import ANY_COLOUR, KINDS, TWO_COLOURS, draw_scene, draw_toy_world

SPLITS = ("train2017", "val2017")
MIX_SEEDS = (0, 1)
SIZE = 96


@pytest.fixture(scope="module")
def worlds(tmp_path_factory) -> dict[int, Path]:
    """Two worlds of 240 scenes: as many as the mix needs to be stable."""
    root = tmp_path_factory.mktemp("toy")
    return {s: draw_toy_world(root / str(s), scenes=240, size=SIZE, seed=s, progress=False) for s in MIX_SEEDS}


@pytest.fixture(scope="module")
def pixels(worlds) -> dict[tuple[int, str], tuple[np.ndarray, np.ndarray]]:
    """All pixels of each world and split: Lab (n, 3) and class (n,), ignored ones left out."""
    return {(seed, split): _pixels(CocoSplit(root, split)) for seed, root in worlds.items() for split in SPLITS}


def _pixels(split: CocoSplit) -> tuple[np.ndarray, np.ndarray]:
    photos = [split[i] for i in range(len(split))]
    lab = np.concatenate([rgb2lab(p.rgb).reshape(-1, 3) for p in photos])
    classes = np.concatenate([p.semantic_map.ravel() for p in photos])
    return lab[classes != IGNORE_INDEX], classes[classes != IGNORE_INDEX]


def _mean_ab(key: np.ndarray, ab: np.ndarray, size: int) -> np.ndarray:
    count = np.maximum(np.bincount(key, minlength=size), 1)
    return np.stack([np.bincount(key, ab[:, k], size) / count for k in (0, 1)], axis=1)


def _rmse(ab: np.ndarray, guess: np.ndarray | float) -> float:
    return float(np.sqrt(np.mean((ab - guess) ** 2)))


def _level(lightness: np.ndarray) -> np.ndarray:
    return np.clip((lightness / 2).astype(int), 0, 49)


@pytest.mark.parametrize("seed", MIX_SEEDS)
def test_mix_of_colours_on_objects(pixels, seed):
    """The two controls of the mix. They are never softened to make a model look better."""
    (train, train_classes), (val, val_classes) = (pixels[seed, split] for split in SPLITS)
    train, train_classes = train[train_classes > 0], train_classes[train_classes > 0]
    val, val_classes = val[val_classes > 0], val_classes[val_classes > 0]
    gray = _rmse(val[:, 1:], 0)
    oracle = _rmse(val[:, 1:], _mean_ab(train_classes, train[:, 1:], 81)[val_classes])
    lightness = _rmse(val[:, 1:], _mean_ab(_level(train[:, 0]), train[:, 1:], 50)[_level(val[:, 0])])
    assert 0.45 <= oracle / gray <= 0.60
    assert (gray - lightness) / (gray - oracle) <= 0.40


def test_categories_have_one_two_or_any_colour(pixels):
    """The hues of each category's pixels, chroma above 15, in 12 bins of 30 degrees: how many hold 5% and more."""
    lab, classes = pixels[0, "train2017"]
    vivid = np.hypot(lab[:, 1], lab[:, 2]) > 15
    sector = ((np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360) // 30).astype(int)
    wide = {}
    for name in KINDS:
        of_kind = sector[vivid & (classes == CLASS_NAMES.index(name))]
        wide[name] = int(np.sum(np.bincount(of_kind, minlength=12) > 0.05 * len(of_kind)))
    assert all(wide[name] >= 8 for name in ANY_COLOUR), wide
    assert all(wide[name] < 8 for name in KINDS if name not in ANY_COLOUR), wide
    for name in TWO_COLOURS:
        ab = lab[classes == CLASS_NAMES.index(name)][:, 1:]
        first, second = (np.array(colour[1:]) for colour in KINDS[name].colours)
        side = (ab - (first + second) / 2) @ (first - second) / np.linalg.norm(first - second)
        # Two clouds of colours far apart, neither of them rare.
        assert np.mean(side > 15) > 0.25 and np.mean(side < -15) > 0.25, name


def test_lightness_varies_within_each_category(worlds):
    """The light on an object is its own, else lightness would tell the category: objects' mean L spreads widely."""
    split = CocoSplit(worlds[0], "train2017")
    lightness = {name: [] for name in KINDS}
    for i in range(len(split)):
        photo = split[i]
        level = rgb2lab(photo.rgb)[..., 0]
        for label in set(np.unique(photo.semantic_map)) - {0, IGNORE_INDEX}:
            lightness[CLASS_NAMES[label]].append(level[photo.semantic_map == label].mean())
    spread = {name: np.std(values) for name, values in lightness.items()}
    assert min(spread.values()) > 6, spread


@pytest.mark.parametrize("split", SPLITS)
def test_valid_coco_folder(worlds, split):
    coco = COCO(worlds[0] / "annotations" / f"instances_{split}.json")
    assert {c["id"]: c["name"] for c in coco.cats.values()} == CATEGORIES
    assert len({c["supercategory"] for c in coco.cats.values()}) == 12
    assert coco.dataset["info"] and coco.dataset["licenses"]
    files = {p.name for p in (worlds[0] / split).iterdir()}
    assert files == {image["file_name"] for image in coco.imgs.values()}
    assert len(files) == {"train2017": 192, "val2017": 48}[split]
    for image in coco.imgs.values():
        with Image.open(worlds[0] / split / image["file_name"]) as photo:
            assert photo.mode == "RGB" and photo.size == (image["width"], image["height"]) == (SIZE, SIZE)
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        assert mask.shape == (SIZE, SIZE)
        assert abs(mask.sum() - annotation["area"]) <= 0.02 * annotation["area"]
        rows, columns = np.nonzero(mask)
        x, y, width, height = annotation["bbox"]
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose((x, y, x + width, y + height), found, atol=1.5)
        assert 0 <= x and 0 <= y and x + width <= SIZE and y + height <= SIZE


def test_image_ids_of_the_splits_differ(worlds):
    ids = [set(CocoSplit(worlds[0], split).ids) for split in SPLITS]
    assert not ids[0] & ids[1]


def test_categories_are_many_and_about_equally_frequent(worlds):
    coco = COCO(worlds[0] / "annotations" / "instances_train2017.json")
    ids = [a["category_id"] for a in coco.anns.values() if not a["iscrowd"]]
    counts = {name: sum(CATEGORIES[i] == name for i in ids) for name in KINDS}
    assert len(counts) >= 12 and len(ids) == sum(counts.values())
    assert min(counts.values()) > 0.4 * np.mean(list(counts.values())), counts
    assert max(counts.values()) < 1.8 * np.mean(list(counts.values())), counts


def test_crowds_overlaps_and_occlusion_occur(worlds):
    coco = COCO(worlds[0] / "annotations" / "instances_train2017.json")
    crowds = [a for a in coco.anns.values() if a["iscrowd"]]
    assert 3 <= len(crowds) <= 0.2 * len(coco.imgs)
    assert all(isinstance(a["segmentation"]["counts"], list) for a in crowds)
    overlapping = 0
    for image in coco.imgs:
        masks = [coco.annToMask(a).astype(bool) for a in coco.imgToAnns[image] if not a["iscrowd"]]
        overlapping += any((p & q).sum() > 20 for i, p in enumerate(masks) for q in masks[:i])
    assert overlapping > 0.2 * len(coco.imgs)


def test_drawn_order_is_the_readers_order(worlds):
    """Where two objects overlap, the picture shows the smaller one.

    Seen from outside: in each overlap of two objects of clearly different colours, the mean ab lies nearer to that of
    the rest of the smaller object.
    """
    root = worlds[0]
    coco = COCO(root / "annotations" / "instances_train2017.json")
    right = total = 0
    for image in coco.imgs.values():
        with Image.open(root / "train2017" / image["file_name"]) as photo:
            ab = rgb2lab(np.asarray(photo))[..., 1:]
        objects = sorted((a for a in coco.imgToAnns[image["id"]] if not a["iscrowd"]), key=lambda a: a["area"])
        masks = [coco.annToMask(a).astype(bool) for a in objects]
        for i, small in enumerate(masks):
            for j in range(i + 1, len(masks)):
                both, others = small & masks[j], [m for k, m in enumerate(masks) if k not in (i, j)]
                both &= ~np.any(others, axis=0) if others else True
                alone = [ab[m & ~both].mean(0) for m in (small, masks[j]) if (m & ~both).any()]
                if both.sum() < 30 or len(alone) < 2 or np.linalg.norm(alone[0] - alone[1]) < 40:
                    continue
                here = ab[both].mean(0)
                total += 1
                right += np.linalg.norm(here - alone[0]) < np.linalg.norm(here - alone[1])
    assert total >= 10 and right > 0.85 * total, (right, total)


def _content(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_same_seed_same_bytes_other_seed_other_scenes(tmp_path):
    first = _content(draw_toy_world(tmp_path / "a", scenes=6, size=48, seed=3, progress=False))
    again = _content(draw_toy_world(tmp_path / "b", scenes=6, size=48, seed=3, progress=False))
    other = _content(draw_toy_world(tmp_path / "c", scenes=6, size=48, seed=4, progress=False))
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_a_scene_does_not_depend_on_how_many_there_are(tmp_path):
    few = _content(draw_toy_world(tmp_path / "few", scenes=2, size=48, progress=False))
    more = _content(draw_toy_world(tmp_path / "more", scenes=5, size=48, progress=False))
    assert few["train2017/000000000001.jpg"] == more["train2017/000000000001.jpg"]
    assert few["val2017/000000000002.jpg"] == more["train2017/000000000002.jpg"]


@pytest.mark.parametrize("scenes, train, validation", [(1, 1, 0), (2, 1, 1), (10, 8, 2)])
def test_a_fifth_is_for_validation(tmp_path, scenes, train, validation):
    out = draw_toy_world(tmp_path / "world", scenes=scenes, size=16, progress=False)
    for split, expected in zip(SPLITS, (train, validation), strict=True):
        listed = json.loads((out / "annotations" / f"instances_{split}.json").read_text())["images"]
        assert len(listed) == len(list((out / split).iterdir())) == expected


def test_jpeg_keeps_chroma_at_full_resolution(tmp_path):
    out = draw_toy_world(tmp_path / "world", scenes=1, size=32, progress=False)
    with Image.open(out / "train2017" / "000000000001.jpg") as photo:
        assert all(layer[1:3] == (1, 1) for layer in photo.layer)


@pytest.mark.parametrize("size", [16, 17, 129])
def test_any_size(size):
    for number in range(8):
        picture, annotations = draw_scene(size, (5, number))
        assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
        assert picture.std() > 5
        assert all(0 < a["area"] <= size * size for a in annotations)


@pytest.mark.parametrize("arguments, word", [({"scenes": 0}, "scenes"), ({"size": 15}, "size"), ({"seed": -1}, "seed")])
def test_bad_arguments(tmp_path, arguments, word):
    with pytest.raises(UcolnetError, match=word):
        draw_toy_world(tmp_path / "world", progress=False, **arguments)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("keep me")
    with pytest.raises(UcolnetError, match="not empty"):
        draw_toy_world(tmp_path, scenes=1, size=16, progress=False)
    assert _content(tmp_path) == {"letter.txt": b"keep me"}


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "world").write_text("keep me")
    with pytest.raises(UcolnetError, match="world"):
        draw_toy_world(tmp_path / "world", scenes=1, size=16, progress=False)


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "world").mkdir()
    draw_toy_world(tmp_path / "world", scenes=1, size=16, progress=False)
    assert len(CocoSplit(tmp_path / "world", "train2017")) == 1


def test_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ucolnet_lib.data.toy.draw_scene", stop)
    with pytest.raises(KeyboardInterrupt):
        draw_toy_world(tmp_path / "world", scenes=3, size=16, progress=False)
    assert not list(tmp_path.iterdir())
