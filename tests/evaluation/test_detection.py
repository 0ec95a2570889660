"""The paper's detection metric against a brute force in whole numbers, torchvision and pycocotools."""

import contextlib
import copy
import io

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision.ops import box_iou as torchvision_iou

from ucolnet_lib.data.coco import CATEGORY_OF_CLASS, Annotation, CocoSplit
from ucolnet_lib.evaluation.detection import Detections, box_iou, match, recognised


def detections(*rows) -> Detections:
    """Rows x1, y1, x2, y2, score, label."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int))


def thing(x, y, width, height, label=1, crowd=False) -> Annotation:
    return Annotation((x, y, width, height), label, crowd)


# By hand.


def test_one_to_one():
    pair = [thing(0, 0, 10, 10), thing(100, 0, 10, 10)]
    twice = detections((0, 0, 10, 10, 0.9, 1), (0, 0, 10, 10, 0.8, 1))
    assert recognised(twice, pair) == 1
    assert match(twice, pair).tolist() == [0, -1]


def test_a_second_detection_takes_the_next_best_object():
    crowded = [thing(0, 0, 10, 10), thing(0, 0, 10, 12)]
    assert match(detections((0, 0, 10, 10, 0.5, 1), (0, 0, 10, 10, 0.9, 1)), crowded).tolist() == [1, 0]


def test_the_class_must_be_the_same():
    assert recognised(detections((0, 0, 10, 10, 0.9, 2)), [thing(0, 0, 10, 10, label=1)]) == 0


@pytest.mark.parametrize(("score", "found"), [(0.25, 1), (0.2499, 0)])
def test_confidence_of_a_quarter_counts(score, found):
    assert recognised(detections((0, 0, 10, 10, score, 1)), [thing(0, 0, 10, 10)]) == found


@pytest.mark.parametrize(("height", "found"), [(5, 1), (4.99, 0), (6, 1)])
def test_half_an_overlap_counts(height, found):
    assert recognised(detections((0, 0, 10, height, 0.9, 1)), [thing(0, 0, 10, 10)]) == found


def test_the_surer_detection_chooses_first():
    # The surer one takes the object that the other needs: greedy, not the best assignment.
    objects = [thing(0, 0, 10, 10), thing(0, 0, 10, 7)]
    greedy = detections((0, 0, 10, 8, 0.9, 1), (0, 0, 10, 4, 0.8, 1))
    assert match(greedy, objects).tolist() == [-1, 0]


def test_crowds_count_as_any_object():
    assert recognised(detections((0, 0, 10, 10, 0.9, 1)), [thing(0, 0, 10, 10, crowd=True)]) == 1
    # And they take one detection, not many.
    many = detections((0, 0, 10, 9, 0.9, 1), (0, 0, 10, 8, 0.9, 1))
    assert recognised(many, [thing(0, 0, 10, 10, crowd=True)]) == 1


def test_nothing_found_and_nothing_there():
    assert match(detections(), [thing(0, 0, 1, 1)]).tolist() == [-1]
    assert match(detections((0, 0, 1, 1, 0.9, 1)), []).tolist() == []
    assert recognised(detections(), []) == 0


def test_boxes_without_an_area_overlap_nothing():
    assert recognised(detections((3, 3, 3, 3, 0.9, 1)), [thing(3, 3, 0, 0)]) == 0


# Independent implementations.


def brute_force(found: Detections, objects: list[Annotation]) -> list[int]:
    """The definition, word by word, with comparisons in whole numbers."""
    taken = [-1] * len(objects)
    for i in sorted(range(len(found.scores)), key=lambda i: (-found.scores[i], i)):
        if found.scores[i] < 0.25:
            continue
        best = None
        for j, o in enumerate(objects):
            if taken[j] != -1 or o.label != found.labels[i]:
                continue
            x1, y1, x2, y2 = (int(v) for v in found.boxes[i])
            x, y, w, h = o.box
            inter = max(0, min(x2, x + w) - max(x1, x)) * max(0, min(y2, y + h) - max(y1, y))
            union = (x2 - x1) * (y2 - y1) + w * h - inter
            # inter / union is at least a half, and larger than the best so far.
            if 2 * inter >= union > 0 and (best is None or inter * best[1] > best[0] * union):
                best = (inter, union, j)
        if best:
            taken[best[2]] = i
    return taken


def test_match_equals_a_brute_force_on_random_small_cases():
    rng = np.random.default_rng(0)
    total = 0
    for _ in range(1000):
        corners = rng.integers(0, 3, (rng.integers(0, 9), 2))
        sides = rng.integers(1, 5, corners.shape)
        # Few scores, few labels and a small grid: ties, duplicates and borderline overlaps are common.
        rows = [
            (*c, *(c + s), rng.choice([0.2, 0.25, 0.5, 0.9]), rng.integers(1, 3))
            for c, s in zip(corners, sides, strict=True)
        ]
        objects = [
            thing(*map(int, rng.integers(0, 3, 2)), *map(int, rng.integers(1, 5, 2)), int(rng.integers(1, 3)), crowd)
            for crowd in rng.random(rng.integers(0, 6)) < 0.2
        ]
        expected = brute_force(detections(*rows), objects)
        assert match(detections(*rows), objects).tolist() == expected
        total += sum(i >= 0 for i in expected)
    assert total > 200  # the cases are no empty ones


def test_box_iou_equals_torchvision():
    rng = np.random.default_rng(1)
    first, second = (np.hstack([c := rng.random((n, 2)) * 50, c + rng.random((n, 2)) * 50]) for n in (40, 30))
    expected = torchvision_iou(torch.from_numpy(first), torch.from_numpy(second))
    np.testing.assert_allclose(box_iou(first, second), expected, atol=1e-12)


def test_matches_equal_those_of_pycocotools_on_the_real_annotations(sample):
    """Detections made of the real boxes, shaken: pycocotools' matching at IoU 0.5 recognises the same objects."""
    split = CocoSplit(sample, "val2017")
    rng = np.random.default_rng(2)
    truth = copy.deepcopy(split.coco.dataset)
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = 0  # counted as any other object
    ours, results = 0, []
    for index, image_id in enumerate(split.ids):
        objects = split.objects(index)
        rows = []
        for o in objects * 2:
            x, y, w, h = np.array(o.box) * (1 + 0.15 * rng.standard_normal(4)) + 0.01
            label = o.label if rng.random() < 0.9 else int(rng.integers(1, 81))
            rows.append((x, y, x + w, y + h, rng.uniform(0.1, 1), label))
            if rows[-1][4] >= 0.25:
                box = [x, y, w, h]
                category = CATEGORY_OF_CLASS[label]
                results.append({"image_id": image_id, "category_id": category, "bbox": box, "score": rows[-1][4]})
        ours += recognised(detections(*rows), objects)

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.params.iouThrs, evaluation.params.maxDets = np.array([0.5]), [10_000]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    theirs = sum((image["gtMatches"] > 0).sum() for image in evaluation.evalImgs if image)
    assert ours == theirs
    assert ours > 500
