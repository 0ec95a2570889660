"""Average precision: by hand, on ugly input, and on real photographs against numbers measured elsewhere."""

import contextlib
import copy
import functools
import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.evaluation import yolo
from ucolnet_lib.evaluation.average_precision import average_precision
from ucolnet_lib.evaluation.detection import Detections, match
from ucolnet_lib.evaluation.detections_file import coco_results
from ucolnet_lib.evaluation.detectors import open_detector
from ucolnet_lib.evaluation.stream import stream

YOLO_FOLDER = Path(__file__).parents[3] / "shared" / "data" / "detectors" / "yolov8n_int8_openvino_model"
PERSON, CAR = 1, 3
ALL = {"ap": 1.0, "ap50": 1.0, "ar100": 1.0}
NONE = {"ap": 0.0, "ap50": 0.0, "ar100": 0.0}


def detections(*rows) -> Detections:
    """Rows x1, y1, x2, y2, score, label."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int))


@pytest.fixture
def coco(tmp_path, write_split, rectangle) -> COCO:
    """Two persons in picture 1, a person and a crowd in picture 2, nothing in 3; 4 is not in the annotation file."""
    picture = np.zeros((40, 40, 3), np.uint8)
    annotations = [
        rectangle(1, PERSON, 0, 0, 10, 10),
        rectangle(1, PERSON, 20, 20, 20, 10),
        rectangle(2, PERSON, 5, 5, 20, 20),
        rectangle(2, PERSON, 0, 30, 40, 10, crowd=True, size=(40, 40)),
    ]
    names = [f"00000000000{i}.png" for i in (1, 2, 3, 4)]
    root = write_split(tmp_path, dict.fromkeys(names, picture), annotations, unlisted=names[3:])
    return CocoSplit(root, "val2017").coco


FOUND = {1: detections((0, 0, 10, 10, 0.9, 1), (20, 20, 40, 30, 0.8, 1)), 2: detections((5, 5, 25, 25, 0.7, 1))}


def test_all_found(coco, capsys):
    before = copy.deepcopy(coco.dataset)
    assert average_precision(coco, [1, 2, 3, 4], FOUND) == ALL
    assert coco.dataset == before and capsys.readouterr().out == ""


def test_half_found(coco):
    # One of two persons: precision 1 up to a recall of a half, 51 of 101 places.
    found = average_precision(coco, [1], {1: detections((0, 0, 10, 10, 0.9, 1))})
    assert found == pytest.approx({"ap": 51 / 101, "ap50": 51 / 101, "ar100": 0.5})


def test_a_loose_box_counts_at_a_loose_overlap(coco):
    # Overlap 0.7: five of the ten thresholds from 0.5 to 0.95.
    found = average_precision(coco, [2], {2: detections((5, 5, 25, 19, 0.9, 1))})
    assert found == pytest.approx({"ap": 0.5, "ap50": 1, "ar100": 0.5})


def test_false_alarms_in_a_picture_without_objects_count(coco):
    alarm = {3: detections((0, 0, 9, 9, 0.95, 1))}
    assert average_precision(coco, [1, 2], FOUND | alarm) == ALL
    with_alarm = average_precision(coco, [1, 2, 3], FOUND | alarm)
    assert with_alarm["ar100"] == 1 and with_alarm["ap"] < 0.8
    # Nobody looked at picture 4.
    assert average_precision(coco, [1, 2, 4], FOUND | {4: alarm[3]}) == ALL


def test_crowds_are_ignored(coco):
    # Two detections in the crowd are no false alarms, and the crowd is no object that is missed.
    crowd = detections((5, 5, 25, 25, 0.7, 1), (0, 30, 10, 40, 0.9, 1), (10, 30, 20, 40, 0.9, 1))
    assert average_precision(coco, [1, 2, 3], FOUND | {2: crowd}) == ALL


def test_nothing_found(coco):
    for found in (
        {},
        {1: detections()},
        {1: detections((0, 0, 10, 10, 0.9, 3))},
        {3: detections((0, 0, 9, 9, 0.9, 1))},
    ):
        assert average_precision(coco, [1, 2, 3], found) == NONE


def test_nothing_there(coco):
    nothing = dict.fromkeys(NONE)
    for images in ([3], [4], []):
        assert average_precision(coco, images, {3: detections((0, 0, 9, 9, 0.9, 1))}) == nothing
    assert average_precision(coco, [3], {}) == nothing


def test_annotations_without_iscrowd_and_with_the_id_0(coco):
    for i, annotation in enumerate(coco.dataset["annotations"][:3]):
        annotation["id"] = i
        annotation.pop("iscrowd")
    assert average_precision(coco, [1, 2, 3], FOUND) == ALL


# Real photographs.


@pytest.fixture(scope="module")
def real(sample):
    """The split, and what YOLOv8n finds in its originals as detectors are graded: image id -> Detections.

    That is from a confidence of 0.01, and with all classes of a box, not the best alone.
    """
    if not YOLO_FOLDER.is_dir() or not all(map(importlib.util.find_spec, ("ultralytics", "openvino"))):
        pytest.skip("the detectors of ../shared/data/detectors, or the extra yolo, are not here")
    yolo.import_ultralytics()
    from ultralytics.utils import nms

    split = CocoSplit(sample, "val2017")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yolo, "_KEEP_ABOVE", 0.01)
        patch.setattr(nms, "non_max_suppression", functools.partial(nms.non_max_suppression, multi_label=True))
        detector = open_detector(YOLO_FOLDER)

        def detect(index: int) -> Detections:
            photo = split[index]
            return detector.detect({"original": photo.rgb}, photo.id)["original"]

        return split, dict(zip(split.ids, stream(detect, len(split), "", progress=False), strict=True))


def seen_by_the_metric(found: dict[int, Detections]) -> dict[int, Detections]:
    kept = {i: d.scores >= 0.25 for i, d in found.items()}
    return {i: Detections(d.boxes[kept[i]], d.scores[kept[i]], d.labels[kept[i]]) for i, d in found.items()}


def test_the_average_precision_of_yolov8n(real):
    """0.398 and 0.559 were measured on the same photographs before this repository."""
    split, found = real
    low = average_precision(split.coco, split.ids, found)
    assert (low["ap"], low["ap50"]) == pytest.approx((0.398, 0.559), abs=0.003)
    seen = average_precision(split.coco, split.ids, seen_by_the_metric(found))
    assert 0.25 < seen["ap"] < low["ap"] and seen["ar100"] < low["ar100"]


def matches_of_pycocotools(split: CocoSplit, found: dict[int, Detections], crowds: bool) -> dict[int, np.ndarray]:
    """For each image, which of its objects pycocotools matches at IoU 0.5: bool (objects,).

    With `crowds` as COCO has them: ignored, and taken by as many detections as like. Without: as any other object.
    """
    truth = COCO()
    truth.dataset = copy.deepcopy(split.coco.dataset)
    for annotation in truth.dataset["annotations"]:
        annotation["iscrowd"] = int(crowds and annotation.get("iscrowd", 0))
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(coco_results(found)), "bbox")
        evaluation.params.iouThrs, evaluation.params.maxDets = np.array([0.5]), [10_000]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    matched = {
        annotation
        for image in evaluation.evalImgs
        if image
        for annotation, detection in zip(image["gtIds"], image["gtMatches"][0], strict=True)
        if detection > 0
    }
    return {i: np.array([a["id"] in matched for a in split.coco.imgToAnns.get(i, [])], bool) for i in split.ids}


def test_our_matching_is_pycocotools_own_but_for_crowds(real):
    """On real detections, object by object: the same, once crowds are objects as any other.

    As COCO has them, a crowd is ignored, and overlaps by the share of the detection that lies in it: the objects that
    are not crowds are still recognised in both, or in neither.
    """
    split, found = real
    seen = seen_by_the_metric(found)
    ours = {i: match(seen[i], split.objects(n)) >= 0 for n, i in enumerate(split.ids)}
    crowd = {i: np.array([o.iscrowd for o in split.objects(n)], bool) for n, i in enumerate(split.ids)}
    assert sum(o.sum() for o in ours.values()) > 1000 and sum(c.sum() for c in crowd.values()) == 25
    theirs = matches_of_pycocotools(split, seen, crowds=False)
    as_coco = matches_of_pycocotools(split, seen, crowds=True)
    for i in split.ids:
        np.testing.assert_array_equal(ours[i], theirs[i])
        np.testing.assert_array_equal(ours[i][~crowd[i]], as_coco[i][~crowd[i]])
    # The detections in a crowd are many and small: hardly one overlaps it by half.
    count = [sum((found[i] & crowd[i]).sum() for i in split.ids) for found in (ours, as_coco)]
    assert count[0] < 5 < 15 < count[1]
