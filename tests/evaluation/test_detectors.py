"""Opening a referee: which kind each name is, and one sentence that lists them all where it is none."""

import sys

import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation import detectors
from ucolnet_lib.evaluation.detections_file import DetectionsFile
from ucolnet_lib.evaluation.detectors import open_detector


@pytest.fixture
def opened(monkeypatch):
    """What each kind was opened with; nothing is read."""
    calls = []
    for kind in ("OpenVinoDetector", "UltralyticsDetector", "TorchvisionDetector", "DetectionsFile"):
        monkeypatch.setattr(detectors, kind, lambda *args, kind=kind: calls.append((kind, *args)))
    return calls


@pytest.mark.parametrize("suffix", [".pt", ".onnx"])
def test_a_file_of_yolo(opened, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    path.touch()
    open_detector(str(path), "cuda:1")
    assert opened == [("UltralyticsDetector", path, "cuda:1")]


@pytest.mark.parametrize("file", ["metadata.yaml", "yolov8n.xml"])
def test_a_folder_of_openvino_even_with_json_in_it(opened, tmp_path, file):
    (tmp_path / file).touch()
    (tmp_path / "notes.json").touch()
    open_detector(tmp_path)
    assert opened == [("OpenVinoDetector", tmp_path)]


def test_a_folder_of_detections(opened, tmp_path):
    (tmp_path / "original.json").write_text("[]")
    open_detector(str(tmp_path))
    assert opened == [("DetectionsFile", tmp_path)]


@pytest.mark.parametrize(
    ("named", "name", "file"),
    [
        ("torchvision:fcos_resnet50_fpn", "fcos_resnet50_fpn", None),
        ("torchvision:ssd300_vgg16:weights/ssd.pth", "ssd300_vgg16", "weights/ssd.pth"),
        ("torchvision:ssd300_vgg16:C:\\ssd.pth", "ssd300_vgg16", "C:\\ssd.pth"),
        ("torchvision:", "", None),
    ],
)
def test_a_detector_of_torchvision(opened, named, name, file):
    open_detector(named)
    open_detector(detectors.Path(named), "cpu")
    expected = ("TorchvisionDetector", name, file and detectors.Path(file))
    assert opened == [(*expected, None), (*expected, "cpu")]


def test_a_missing_file_needs_no_package_to_be_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    for name in (tmp_path / "yolov8n.pt", "weights.onnx"):
        with pytest.raises(UcolnetError, match="does not exist"):
            open_detector(name)


def test_what_is_no_detector_is_told_what_would_be(tmp_path):
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "empty").mkdir()
    for path, wrong in (
        (tmp_path / "photo.jpg", "is no detector that we know"),
        (tmp_path / "empty", "is no detector that we know"),
        (tmp_path / "nowhere", "does not exist"),
        (tmp_path / "yolov8n.pt", "does not exist"),
    ):
        with pytest.raises(UcolnetError, match=wrong) as caught:
            open_detector(path)
        message = str(caught.value)
        assert str(path) in message and "\n" not in message
        assert all(kind in message for kind in (".pt", ".onnx", "OpenVINO", "torchvision:", "COCO's results format"))


def test_all_kinds_have_a_name_and_a_signature(tmp_path):
    (tmp_path / "original.json").write_text("[]")
    referee = open_detector(tmp_path)
    assert isinstance(referee, DetectionsFile)
    assert referee.signature["detector"] == referee.name == tmp_path.name
