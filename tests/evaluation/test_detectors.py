"""Detectors: the same boxes as ultralytics' own `predict`, PAPER.md's numbers, and what can be wrong with weights."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CLASS_NAMES, CocoSplit
from ucolnet_lib.evaluation import evaluate
from ucolnet_lib.evaluation.controls import ChromaStatistics, gray_picture
from ucolnet_lib.evaluation.detectors import import_ultralytics, open_detector
from ucolnet_lib.evaluation.evaluate import evaluate_controls
from ucolnet_lib.evaluation.stream import stream

# Looked for, not imported: the import is what import_ultralytics makes safe.
if not all(map(importlib.util.find_spec, ("ultralytics", "openvino"))):
    pytest.skip("the extra yolo is not installed", allow_module_level=True)

YOLO_FOLDER = Path(__file__).parents[3] / "shared" / "data" / "detectors" / "yolov8n_int8_openvino_model"
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def openvino_folder() -> Path:
    if not YOLO_FOLDER.is_dir():
        pytest.skip("the detectors of ../shared/data/detectors are not here")
    return YOLO_FOLDER


@pytest.fixture(scope="module")
def make_weights(tmp_path_factory):
    """A function names -> a .pt file of an untrained YOLOv8n for 64 px that finds boxes everywhere."""
    import_ultralytics()
    from ultralytics import YOLO

    def make(names) -> Path:
        torch.manual_seed(0)
        detector = YOLO("yolov8n.yaml", task="detect")
        detector.model.names = dict(enumerate(names))
        detector.model.args = {"imgsz": 64, "task": "detect"}
        for layer in detector.model.model[-1].cv3:
            torch.nn.init.normal_(layer[-1].weight, std=0.5)
            torch.nn.init.constant_(layer[-1].bias, -1.0)
        path = tmp_path_factory.mktemp("weights") / "tiny.pt"
        detector.save(path)
        return path

    return make


@pytest.fixture(scope="module")
def tiny(make_weights) -> Path:
    return make_weights(CLASS_NAMES[1:])


def expected_boxes(weights: Path, rgb: np.ndarray) -> np.ndarray:
    """What ultralytics' own predict finds: it wants BGR."""
    from ultralytics import YOLO

    detector = YOLO(weights, task="detect")
    found = detector.predict(np.ascontiguousarray(rgb[..., ::-1]), conf=0.2499, iou=0.7, max_det=300, verbose=False)
    return found[0].boxes.data.cpu().numpy()


def assert_equal(detections, rows: np.ndarray):
    np.testing.assert_allclose(detections.boxes, rows[:, :4], atol=1e-3)
    np.testing.assert_allclose(detections.scores, rows[:, 4], atol=1e-6)
    np.testing.assert_array_equal(detections.labels, rows[:, 5] + 1)


# A .pt file.


def test_torch_weights_find_what_ultralytics_finds(tiny):
    detector = open_detector(tiny)
    assert detector.name == "tiny"
    tall = np.ascontiguousarray(PICTURE.transpose(1, 0, 2)[:, :30])
    found = detector.detect([PICTURE, tall])
    for detections, picture in zip(found, (PICTURE, tall), strict=True):
        rows = expected_boxes(tiny, picture)
        assert len(rows) > 5
        assert_equal(detections, rows)
        height, width = picture.shape[:2]
        assert detections.boxes.min() >= 0 and (detections.boxes <= [width, height, width, height]).all()
    assert detector.detect([]) == []


def test_threads_find_the_same_as_one_and_leave_torch_as_it_was(tiny):
    detector = open_detector(tiny)
    before = torch.get_num_threads()
    alone = detector.detect([PICTURE])[0]
    for found in stream(lambda _: detector.detect([PICTURE])[0], 6, "", progress=False):
        np.testing.assert_array_equal(found.boxes, alone.boxes)
        np.testing.assert_array_equal(found.scores, alone.scores)
    assert torch.get_num_threads() == before


def test_a_picture_without_objects_gives_an_empty_prediction(tiny, make_weights):
    from ultralytics import YOLO

    blind = YOLO(tiny, task="detect")
    for layer in blind.model.model[-1].cv3:
        torch.nn.init.constant_(layer[-1].bias, -1000.0)
    path = tiny.with_name("blind.pt")
    blind.save(path)
    found = open_detector(path).detect([PICTURE])[0]
    assert found.boxes.shape == (0, 4) and found.scores.shape == found.labels.shape == (0,)


# An OpenVINO folder.


@pytest.fixture
def same_precision(monkeypatch):
    """Ultralytics' own OpenVINO runs take f32 as ours do, also where the processor would prefer bf16."""
    import openvino

    ordinary = openvino.Core.compile_model
    monkeypatch.setattr(
        openvino.Core,
        "compile_model",
        lambda self, model, device_name, config: ordinary(
            self, model, "CPU", {**config, "INFERENCE_PRECISION_HINT": "f32"}
        ),
    )


def test_openvino_finds_what_ultralytics_finds_on_real_photographs(openvino_folder, sample, same_precision):
    split = CocoSplit(sample, "val2017")
    detector = open_detector(openvino_folder)
    assert detector.name == "yolov8n_int8"
    pictures = [split[i].rgb for i in range(0, 300, 25)]
    found = list(stream(lambda i: detector.detect([pictures[i]])[0], len(pictures), "", progress=False))
    for picture, detections in zip(pictures, found, strict=True):
        assert_equal(detections, expected_boxes(openvino_folder, picture))
    assert sum(len(f.scores) for f in found) > 40


def test_the_precision_is_the_same_on_every_processor(openvino_folder):
    # Left to itself, openvino takes bf16 where the processor has it, and other objects are recognised.
    assert open_detector(openvino_folder)._network.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


def test_the_first_inference_is_over_when_the_detector_is_open(openvino_folder):
    # Two threads that are openvino's first wait for each other for ever (2026.4).
    assert hasattr(open_detector(openvino_folder)._local, "request")


def test_the_300_real_photographs_agree_with_the_paper_notes(openvino_folder, sample, monkeypatch):
    """PAPER.md, "What we already know from measuring": originals and gray within 5 objects, RMSE to the digit."""
    # The other controls, and the colours that they need, are left out: this takes half a minute on 2 free cores.
    monkeypatch.setattr(evaluate, "CONTROLS", ("original", "gray"))
    monkeypatch.setattr(evaluate, "chroma_statistics", lambda split, progress: ChromaStatistics(None, None, "none"))
    monkeypatch.setattr(
        evaluate,
        "control_pictures",
        lambda rgb, lab, semantic_map, statistics: {"original": rgb, "gray": gray_picture(lab[..., 0])},
    )
    evaluation = evaluate_controls(sample, detector=open_detector(openvino_folder), progress=False)
    original, gray = evaluation.rows
    assert original["objects"] == gray["objects"] == 2457
    assert abs(original["recognised"] - 1188) <= 5
    assert abs(gray["recognised"] - 1084) <= 5
    measured = [gray["rmse"][name] for name in ("rgb_pooled", "rgb_mean", "ab_pooled", "ab_mean")]
    assert measured == pytest.approx([24.02, 20.76, 15.50, 13.54], abs=0.006)


# What can be wrong.


def test_missing_weights(tmp_path):
    with pytest.raises(UcolnetError, match="does not exist"):
        open_detector(tmp_path / "yolov8n.pt")


def test_another_kind_of_file(tmp_path):
    path = tmp_path / "weights.onnx"
    path.write_bytes(b"x")
    with pytest.raises(UcolnetError, match=r"neither a \.pt file nor"):
        open_detector(path)


@pytest.mark.parametrize("content", [b"these are no weights\n", b"", b"PK\x03\x04 half an archive"])
def test_weights_that_are_none(tmp_path, content):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(UcolnetError, match="weights.pt is no YOLO detector") as caught:
        open_detector(path)
    assert "\n" not in str(caught.value)


def test_a_detector_of_other_classes(make_weights):
    names = list(CLASS_NAMES[1:])
    with pytest.raises(UcolnetError, match=r"80 classes \(bicycle, person, car, ...\), not COCO's 80 in their order"):
        open_detector(make_weights(["bicycle", "person", *names[2:]]))


@pytest.fixture
def copied(openvino_folder, tmp_path) -> Path:
    return Path(shutil.copytree(openvino_folder, tmp_path / "copy_openvino_model"))


@pytest.mark.parametrize("lost", ["metadata.yaml", "yolov8n.xml", "yolov8n.bin"])
def test_an_openvino_folder_that_lacks_a_file(copied, lost):
    (copied / lost).unlink()
    with pytest.raises(UcolnetError, match="is no OpenVINO detector") as caught:
        open_detector(copied)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", ["metadata.yaml", "yolov8n.xml", "yolov8n.bin"])
def test_an_openvino_folder_with_a_file_cut_in_half(copied, cut):
    content = (copied / cut).read_bytes()
    (copied / cut).chmod(0o644)
    (copied / cut).write_bytes(content[: len(content) // 2])
    with pytest.raises(UcolnetError, match="copy_openvino_model"):
        open_detector(copied)


def test_an_openvino_detector_of_other_classes(copied):
    path = copied / "metadata.yaml"
    path.chmod(0o644)
    path.write_text(json.dumps({"names": {0: "cell", 1: "nucleus"}, "imgsz": [640, 640]}))
    with pytest.raises(UcolnetError, match=r"2 classes \(cell, nucleus, ...\)"):
        open_detector(copied)


@pytest.mark.parametrize("package", ["ultralytics", "openvino"])
def test_a_missing_package_is_named_with_the_cure(copied, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UcolnetError, match=rf'{package}.*pip install "ucolnet\[yolo\]"'):
        open_detector(copied)


def test_ultralytics_is_kept_from_the_network_and_leaves_no_setting_behind():
    program = (
        "import os; os.environ.pop('OMP_NUM_THREADS', None)\n"
        "from ucolnet_lib.evaluation.detectors import import_ultralytics; import_ultralytics()\n"
        "from ultralytics import utils; from ultralytics.utils.events import events\n"
        "from PIL import Image\n"
        "print(events.enabled, utils.AUTOINSTALL, utils.ONLINE, 'OMP_NUM_THREADS' in os.environ)\n"
        "print(Image.open.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == [*["False"] * 4, "PIL.Image"], done.stderr
