"""The toy detector: what ultralytics is given, and that a weights file comes out."""

import json

import pytest

from ucolnet_lib.data.coco import CLASS_NAMES, CocoSplit
from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.evaluation.detectors import open_detector
from ucolnet_lib.evaluation.toy_detector import _write_yolo_folder, train_toy_detector


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return draw_toy_world(tmp_path_factory.mktemp("toy") / "world", scenes=10, size=64, progress=False)


def test_labels_are_the_boxes_of_the_annotations(toy, tmp_path):
    _write_yolo_folder(toy, tmp_path)
    names = json.loads((tmp_path / "toy.yaml").read_text(encoding="utf-8"))["names"]
    assert [names[str(i)] for i in range(80)] == list(CLASS_NAMES[1:])
    split, count = CocoSplit(toy, "train2017"), 0
    for index in range(len(split)):
        photo = split[index]
        lines = (tmp_path / "labels" / "train2017" / f"{photo.path.stem}.txt").read_text(encoding="utf-8").split("\n")
        found = [tuple(map(float, line.split())) for line in lines if line]
        wanted = [o for o in split.objects(index) if not o.iscrowd]
        assert len(found) == len(wanted)
        height, width = photo.semantic_map.shape
        for (label, x, y, w, h), item in zip(found, wanted, strict=True):
            left, top, box_width, box_height = item.box
            assert label == item.label - 1
            corners = ((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
            assert corners == pytest.approx((left, top, box_width, box_height), abs=1e-3)
            count += 1
        assert (tmp_path / "images" / "train2017" / photo.path.name).is_file()
    assert count > 5


def test_it_trains_and_leaves_only_the_weights(toy, tmp_path):
    weights = train_toy_detector(toy, tmp_path / "detector.pt", size=64, epochs=1)
    assert [p.name for p in tmp_path.iterdir()] == ["detector.pt"]
    detector = open_detector(weights)
    assert detector.signature["input_size"] == 64
    photo = CocoSplit(toy, "val2017")[0]
    assert list(detector.detect({"original": photo.rgb}, photo.id)) == ["original"]
