"""Notebook 02 builds what the library has: class ids, semantic maps, mean colours, colourfulness, the split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as rle

from ucolnet_lib.common import IGNORE_INDEX
from ucolnet_lib.data.batches import split_indices
from ucolnet_lib.data.coco import CATEGORIES, CLASS_OF_CATEGORY, NUM_CLASSES, CocoSplit
from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.evaluation.controls import chroma_statistics
from ucolnet_lib.metrics import colourfulness

KEPT = Path(__file__).parents[2] / "results" / "coco-sample" / "statistics.json"


@pytest.fixture(scope="module")
def built(notebook_definitions) -> dict:
    return notebook_definitions(
        "02", "IGNORE", "read_annotations", "class_table", "mask_of", "decode_runs", "semantic_map", "order_matters",
        "iconic", "label_share", "describe", "summary", "class_colours", "channel_range", "colourfulness", "held_out",
    )  # fmt: skip


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """120 scenes: so many that crowds and all categories are among them."""
    return draw_toy_world(tmp_path_factory.mktemp("toy") / "world", scenes=120, size=64, progress=False)


def test_classes(built):
    categories = [{"id": i} for i in reversed(CATEGORIES)]
    assert built["class_table"](categories) == CLASS_OF_CATEGORY
    assert built["IGNORE"] == IGNORE_INDEX


def test_run_lengths_equal_pycocotools(built):
    for counts in ([4, 2, 1, 2, 3], [0, 5, 7], [12], [0, 12], [1] * 12):
        found = built["decode_runs"](counts, 3, 4)
        official = rle.decode(rle.frPyObjects({"counts": counts, "size": [3, 4]}, 3, 4))
        assert found.dtype == bool and np.array_equal(found, official), counts


def test_semantic_maps_of_the_toy_world(built, toy):
    crowds = 0
    for split in ("train2017", "val2017"):
        objects, scenes = {}, CocoSplit(toy, split)
        for a in built["read_annotations"](toy, split)["annotations"]:
            objects.setdefault(a["image_id"], []).append(a)
            crowds += a["iscrowd"]
        for scene in scenes:
            ours = built["semantic_map"](objects.get(scene.id, []), *scene.semantic_map.shape, CLASS_OF_CATEGORY)
            assert ours.dtype == np.uint8 and np.array_equal(ours, scene.semantic_map), scene.id
    assert crowds > 0


def test_semantic_maps_of_hard_cases(built, write_split, rectangle, tmp_path):
    """Crowds over and under, packed RLE, an object without an outline, no objects."""
    packed = rle.encode(np.asfortranarray(np.tri(8, 12, dtype=np.uint8)))
    shape, picture = (8, 12), np.zeros((8, 12, 3), np.uint8)
    triangle = {"size": [8, 12], "counts": packed["counts"].decode()}
    cases = [
        [rectangle(1, 1, 0, 0, 10, 8), rectangle(1, 90, 4, 2, 2, 2), rectangle(1, 3, 2, 1, 6, 5)],
        [rectangle(1, 3, 3, 2, 6, 5), rectangle(1, 1, 4, 3, 3, 2, crowd=True, size=shape)],
        [rectangle(1, 1, 0, 0, 9, 7, crowd=True, size=shape), rectangle(1, 1, 2, 2, 3, 3)],
        [rectangle(1, 3, 0, 0, 3, 3) | {"segmentation": triangle}],
        [rectangle(1, 3, 0, 0, 3, 3) | {"segmentation": []}],
        [],
    ]
    for i, objects in enumerate(cases):
        split = CocoSplit(write_split(tmp_path / str(i), {"1.png": picture}, objects), "val2017")
        ours = built["semantic_map"](objects, *shape, CLASS_OF_CATEGORY)
        assert np.array_equal(ours, split[0].semantic_map), i


def test_the_other_order_changes_what_overlaps(built, rectangle):
    pixels, changed = built["order_matters"](
        [rectangle(1, 1, 0, 0, 6, 5), rectangle(1, 3, 4, 0, 4, 2)], 8, 12, CLASS_OF_CATEGORY
    )
    assert (pixels, changed) == (34, 4)


def test_mean_colours_and_spread(built, toy):
    scenes = CocoSplit(toy, "train2017")
    pixels, mean, spread = built["class_colours"](scenes)
    library = chroma_statistics(scenes, progress=False)
    seen = pixels[:NUM_CLASSES] > 0
    assert seen.sum() > 15
    np.testing.assert_allclose(mean[:NUM_CLASSES][seen], library.by_class[seen], atol=1e-3)
    lab = [built["rgb8_to_lab"](s.rgb)[s.semantic_map == 0][:, 1:] for s in scenes]
    background = np.concatenate(lab).astype(float)
    assert spread[0] == pytest.approx(np.sqrt(background.var(axis=0).mean()), abs=1e-3)


def test_colourfulness(built, toy):
    pictures = [scene.rgb for scene in CocoSplit(toy, "val2017")]
    pictures += [np.full((4, 5, 3), 90, np.uint8), np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)]
    for picture in pictures:
        assert built["colourfulness"](picture) == pytest.approx(colourfulness(picture), abs=1e-6)


def test_the_split(built, toy):
    scenes = CocoSplit(toy, "train2017")
    training, validation = split_indices(scenes, 0.1)
    assert built["held_out"](scenes.ids) == {scenes.ids[i] for i in validation}
    assert built["held_out"](scenes.ids[::-1]).isdisjoint(scenes.ids[i] for i in training)


def test_an_iconic_image(built, rectangle):
    iconic = built["iconic"]
    middle, corner = rectangle(1, 1, 40, 30, 20, 20), rectangle(1, 1, 0, 0, 20, 20)
    assert iconic([middle], 100, 80)
    assert not iconic([corner], 100, 80)
    assert not iconic([], 100, 80) and not iconic([middle, corner], 100, 80)
    assert not iconic([middle | {"iscrowd": 1}], 100, 80)
    # Two dogs are one label.
    assert built["label_share"]([rectangle(1, 18, 0, 0, 2, 2)] * 2 + [rectangle(1, 1, 0, 0, 2, 1)]) == 0.8


def test_the_kept_numbers_are_those_of_the_sample(built, sample):
    """statistics.json against the annotations it was made from, as far as no photograph need be read."""
    for split, numbers in json.loads(KEPT.read_text(encoding="utf-8"))["splits"].items():
        found = built["summary"](built["describe"](sample, split))
        assert found == {key: numbers[key] for key in found}
