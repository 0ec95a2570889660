"""Torchvision's detectors with random weights: shapes, classes, threshold, what can be wrong. Nothing is fetched."""

import hashlib
import urllib.error

import numpy as np
import pytest
import torch
from torchvision.models import get_model, get_model_weights

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CATEGORIES, CLASS_OF_CATEGORY
from ucolnet_lib.evaluation.detectors import open_detector
from ucolnet_lib.evaluation.stream import stream
from ucolnet_lib.evaluation.torchvision_detector import coco_detectors

SMALL = "ssdlite320_mobilenet_v3_large"
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A state_dict of random weights that is sure of a few labels everywhere: dog (18), and 12, which COCO left out."""
    torch.manual_seed(0)
    model = get_model(SMALL, weights=None, weights_backbone=None)
    for layer in model.head.classification_head.module_list:
        layer[1].bias.data.view(-1, 91)[:, [12, 18]] = 4.0
    path = tmp_path_factory.mktemp("weights") / "ssd.pth"
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def detector(weights):
    return open_detector(f"torchvision:{SMALL}:{weights}", "cpu")


def detect_one(detector, picture):
    return detector.detect({"": picture}, 0)[""]


def test_it_finds_what_torchvision_finds(detector, weights):
    model = get_model(SMALL, weights=None, weights_backbone=None, score_thresh=0.2499).eval()
    model.load_state_dict(torch.load(weights))
    tall = np.ascontiguousarray(PICTURE.transpose(1, 0, 2)[:, :30])
    pictures = {"original": PICTURE, "tall": tall}
    found = detector.detect(pictures, 7)
    assert list(found) == list(pictures)
    for variant, picture in pictures.items():
        planes = torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32) / 255)
        with torch.inference_mode():
            expected = {key: value.numpy() for key, value in model([planes])[0].items()}
        dogs, detections = expected["labels"] == 18, found[variant]
        assert 5 < dogs.sum() < len(dogs)
        np.testing.assert_allclose(detections.boxes, expected["boxes"][dogs], atol=1e-3)
        np.testing.assert_allclose(detections.scores, expected["scores"][dogs], atol=1e-6)
        height, width = picture.shape[:2]
        assert detections.boxes.min() >= 0 and (detections.boxes <= [width, height, width, height]).all()


def test_labels_are_our_classes_and_unsure_detections_are_left_out(detector):
    found = detect_one(detector, PICTURE)
    assert set(found.labels) == {CLASS_OF_CATEGORY[18]} == {17}
    assert found.scores.min() >= 0.2499


def test_the_categories_of_all_are_cocos():
    assert len(coco_detectors()) >= 10 and "keypointrcnn_resnet50_fpn" not in coco_detectors()
    for name in coco_detectors():
        names = get_model_weights(name).DEFAULT.meta["categories"]
        assert {i: names[i] for i in CATEGORIES} == CATEGORIES


def test_a_picture_without_objects_gives_an_empty_prediction(weights, tmp_path):
    state = torch.load(weights)
    for key, value in state.items():
        if "classification_head" in key and key.endswith("1.bias") and len(value) % 91 == 0:
            value.view(-1, 91)[:, [12, 18]] = 0
    torch.save(state, tmp_path / "blind.pth")
    found = detect_one(open_detector(f"torchvision:{SMALL}:{tmp_path / 'blind.pth'}", "cpu"), PICTURE)
    assert found.boxes.shape == (0, 4) and found.scores.shape == found.labels.shape == (0,)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_thin_pictures(detector, shape):
    found = detect_one(detector, np.full((*shape, 3), 128, np.uint8))
    assert found.boxes.shape == (len(found.scores), 4)


def test_threads_find_the_same_as_one(detector):
    alone = detect_one(detector, PICTURE)
    for found in stream(lambda _: detect_one(detector, PICTURE), 6, "", progress=False):
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=1e-3)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-6)


def test_the_signature(detector, weights):
    assert detector.name == SMALL
    assert detector.signature == {
        "detector": SMALL,
        "checksum": hashlib.sha256(weights.read_bytes()).hexdigest()[:8],
        "input_size": 320,
        "confidence": 0.25,
        "nms_iou": 0.55,
        "max_detections": 300,
    }


def test_the_network_is_the_one_that_torchvision_builds_with_its_weights(tmp_path):
    """Faster R-CNN is built with frozen batch norm; its thresholds lie in another place than SSD's."""
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    model = get_model(name, weights=None, weights_backbone=None)
    model.roi_heads.box_predictor.cls_score.weight.data[:] = 0
    model.roi_heads.box_predictor.cls_score.bias.data[[1, 90]] = 5.0
    torch.save(model.state_dict(), tmp_path / "faster.pth")
    detector = open_detector(f"torchvision:{name}:{tmp_path / 'faster.pth'}", "cpu")
    kinds = {type(layer).__name__ for layer in detector._model.modules()}
    assert "FrozenBatchNorm2d" in kinds and "BatchNorm2d" not in kinds
    found = detect_one(detector, PICTURE)
    assert set(found.labels) == {1, 80} and found.scores.min() >= 0.2499
    # A score of 0.12 lies above torchvision's own threshold.
    bias = detector._model.roi_heads.box_predictor.cls_score.bias.data
    bias[[1, 18, 90]] = torch.tensor([0, 2.5, 0])
    assert len(detect_one(detector, PICTURE).scores) == 0
    signature = detector.signature
    assert (signature["input_size"], signature["nms_iou"], signature["max_detections"]) == ("320 to 640", 0.5, 100)


# What can be wrong.


@pytest.mark.parametrize("name", ["", "yolov8n", "keypointrcnn_resnet50_fpn", "resnet18", "SSD300_VGG16"])
def test_a_name_that_torchvision_does_not_have(name):
    with pytest.raises(UcolnetError, match=f"no detector '{name}' for COCO.*fasterrcnn_resnet50_fpn_v2"):
        open_detector(f"torchvision:{name}")


def test_weights_of_another_network(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no weights\n")
    (tmp_path / "empty.pth").touch()
    for file in ("other.pth", "text.pth", "empty.pth", "missing.pth"):
        with pytest.raises(UcolnetError, match=f"{file} holds no weights of torchvision's {SMALL}") as caught:
            open_detector(f"torchvision:{SMALL}:{tmp_path / file}")
        assert "\n" not in str(caught.value)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def test_official_weights_offline(hub, monkeypatch):
    def urlopen(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "urlopen", urlopen)
    with pytest.raises(UcolnetError, match=f"weights of torchvision's {SMALL} cannot be fetched.*Go online") as caught:
        open_detector(f"torchvision:{SMALL}")
    assert "\n" not in str(caught.value) and list(hub.iterdir()) == []


def test_official_weights_are_taken_from_the_cache(hub, weights, monkeypatch):
    monkeypatch.setattr(torch.hub, "urlopen", None)
    file = hub / get_model_weights(SMALL).DEFAULT.url.rpartition("/")[2]
    file.write_bytes(weights.read_bytes())
    signature = open_detector(f"torchvision:{SMALL}", "cpu").signature
    assert signature["checksum"] == hashlib.sha256(weights.read_bytes()).hexdigest()[:8]
