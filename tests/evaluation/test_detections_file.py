"""Detections in COCO's results format: there and back, and what can be wrong with the files of others."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CATEGORY_OF_CLASS, CLASS_NAMES
from ucolnet_lib.evaluation.detection import Detections
from ucolnet_lib.evaluation.detections_file import write_detections
from ucolnet_lib.evaluation.detectors import open_detector
from ucolnet_lib.evaluation.evaluate import evaluate_controls

PICTURES = {"original": np.zeros((4, 6, 3), np.uint8), "gray": np.zeros((4, 6, 3), np.uint8)}
ENTRY = {"image_id": 139, "category_id": 62, "bbox": [1.5, 2, 3, 4], "score": 0.87}
CHAIR = CLASS_NAMES.index("chair")


def random_detections(rng, count) -> Detections:
    corners = rng.uniform(0, 300, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 200, (count, 2))], axis=1).astype(np.float32)
    return Detections(boxes, rng.uniform(0.25, 1, count).astype(np.float32), rng.integers(1, 81, count))


def assert_equal(found: Detections, expected: Detections):
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.labels, expected.labels)


def write(folder, **variants):
    """A folder with a file for each variant; a list of entries, or a text as it is."""
    for variant, content in variants.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{variant}.json").write_text(text, encoding="utf-8")
    return folder


def test_there_and_back(tmp_path):
    rng = np.random.default_rng(0)
    written = {
        variant: {image_id: random_detections(rng, count) for image_id, count in ((7, 5), (139, 1), (10**13, 30))}
        for variant in PICTURES
    }
    for variant, detections in written.items():
        write_detections(tmp_path / "others" / f"{variant}.json", detections)
    detector = open_detector(tmp_path / "others")
    for image_id in (139, 7, 10**13):
        found = detector.detect(PICTURES, image_id)
        assert list(found) == list(PICTURES)
        for variant in PICTURES:
            assert_equal(found[variant], written[variant][image_id])


def test_the_format_is_cocos(tmp_path):
    """pycocotools reads the file, and finds the box that we meant."""
    found = Detections(np.array([[1.5, 2, 4.5, 6]]), np.array([0.87]), np.array([CHAIR]))
    write_detections(
        tmp_path / "original.json", {139: found, 7: Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0))}
    )
    assert json.loads((tmp_path / "original.json").read_text()) == [ENTRY]
    coco = COCO()
    coco.dataset = {"images": [{"id": 139}], "annotations": [], "categories": [{"id": 62}]}
    coco.createIndex()
    annotation = coco.loadRes(str(tmp_path / "original.json")).anns[1]
    assert (annotation["area"], annotation["category_id"], annotation["bbox"]) == (12, 62, ENTRY["bbox"])


def test_all_classes_come_back(tmp_path):
    entries = [ENTRY | {"category_id": category} for category in CATEGORY_OF_CLASS.values()]
    found = open_detector(write(tmp_path, original=entries)).detect({"original": None}, 139)["original"]
    assert found.labels.tolist() == list(range(1, 81))
    np.testing.assert_array_equal(found.boxes, np.tile([1.5, 2, 4.5, 6], (80, 1)))


def test_an_empty_list_found_nothing(tmp_path):
    write_detections(tmp_path / "gray.json", {})
    assert (tmp_path / "gray.json").read_text() == "[]"
    detector = open_detector(write(tmp_path, original=[ENTRY]))
    found = detector.detect(PICTURES, 139)
    assert len(found["original"].scores) == 1
    assert found["gray"].boxes.shape == (0, 4) and found["gray"].labels.dtype == int
    # A photograph that is in no file.
    assert detector.detect(PICTURES, 140)["original"].boxes.shape == (0, 4)
    detector.check_images([139, 140])


def test_what_the_metric_does_not_see_is_left_out(tmp_path):
    entries = [ENTRY | {"score": score} for score in (0.9, 0.2499, 0.25, 0, 1)]
    found = open_detector(write(tmp_path, original=entries)).detect({"original": None}, 139)["original"]
    assert found.scores.tolist() == [0.9, 0.25, 1]


def test_the_evaluation_takes_it(tmp_path, write_split, rectangle):
    picture = np.full((24, 32, 3), 120, np.uint8)
    data = write_split(tmp_path / "coco", {"000000000139.png": picture}, [rectangle(139, 1, 0, 0, 8, 8)])
    folder = tmp_path / "others"
    folder.mkdir()
    person = ENTRY | {"category_id": 1, "bbox": [0, 0, 8, 8]}
    write(folder, original=[person], gray=[], mean_colour=[], image_mean=[person, person], class_oracle=[])
    rows = evaluate_controls(data, detector=open_detector(folder), progress=False).rows
    assert [row["recognised"] for row in rows] == [1, 0, 0, 1, 0]
    (folder / "gray.json").unlink()
    with pytest.raises(UcolnetError, match="no detections of the pictures 'gray'. Write them to gray.json"):
        evaluate_controls(data, detector=open_detector(folder), progress=False)


def test_the_signature(tmp_path):
    first = open_detector(write(tmp_path, original=[ENTRY])).signature
    assert first["detector"] == tmp_path.name and first["confidence"] == 0.25
    assert {first[key] for key in ("input_size", "nms_iou", "max_detections")} == {"not known"}
    assert open_detector(write(tmp_path, original=[ENTRY, ENTRY])).signature["checksum"] != first["checksum"]


# What can be wrong.


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "Expecting value"),
        (json.dumps([ENTRY])[:-9], ""),
        ("\ufeff[]", "BOM"),
        ({"annotations": [ENTRY]}, "it holds a dict, not a list"),
        ("null", "NoneType"),
        ([139], ""),
        ([None], ""),
        ([{key: value for key, value in ENTRY.items() if key != "score"}], "an entry lacks 'score'"),
        ([{key: value for key, value in ENTRY.items() if key != "image_id"}], "an entry lacks 'image_id'"),
        ([ENTRY | {"bbox": [1, 2, 3]}], ""),
        ([ENTRY | {"bbox": [1, 2, 3, 4, 5]}], ""),
        ([ENTRY | {"bbox": None}], ""),
        ([ENTRY | {"bbox": ["a", 2, 3, 4]}], ""),
        ([ENTRY | {"bbox": [5, 6, -2, 3]}], "is none"),
        (json.dumps([ENTRY]).replace("1.5", "NaN"), "is none"),
        (json.dumps([ENTRY]).replace("0.87", "NaN"), "not between 0 and 1"),
        ([ENTRY | {"score": 87}], "score 87 of image 139 is not between 0 and 1"),
        ([ENTRY | {"score": "high"}], ""),
        ([ENTRY | {"image_id": "000000000139.jpg"}], "must be whole numbers"),
        ([ENTRY | {"category_id": 62.5}], "must be whole numbers"),
        ([ENTRY | {"category_id": True}], "must be whole numbers"),
    ],
)
def test_a_file_that_is_no_list_of_results(tmp_path, content, why):
    write(tmp_path, original=[ENTRY], gray=content)
    with pytest.raises(UcolnetError, match=f"gray.json is no list of detections .*{why}.*bbox") as caught:
        open_detector(tmp_path)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "gray.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UcolnetError, match="gray.json is no list of detections"):
        open_detector(tmp_path)


@pytest.mark.parametrize("category", [0, 12, 91, -1])
def test_a_detector_of_other_classes(tmp_path, category):
    write(tmp_path, original=[ENTRY, ENTRY | {"category_id": category, "score": 0.1}])
    with pytest.raises(UcolnetError, match=rf"category ids that COCO does not have: \[{category}\]. Map"):
        open_detector(tmp_path)


def test_image_ids_of_another_data_set(tmp_path):
    weak = ENTRY | {"image_id": 5, "score": 0.01}
    detector = open_detector(write(tmp_path, original=[ENTRY, ENTRY | {"image_id": 10}], gray=[weak]))
    # Some of other photographs: the whole of val2017, say, where the split is a part of it.
    detector.check_images([5, 10])
    with pytest.raises(
        UcolnetError, match=r"gray.json has detections of other photographs only \(the first is 5, where 1"
    ):
        detector.check_images(range(1, 11, 9))
    for ids in ([6, 8], []):
        with pytest.raises(UcolnetError, match="other photographs only"):
            detector.check_images(ids)
    assert len(detector.detect(PICTURES, 10)["original"].scores) == 1
