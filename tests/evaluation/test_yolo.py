"""YOLO: the same boxes as ultralytics' own `predict`, PAPER.md's numbers, and what can be wrong with weights."""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from ucolnet_lib.color import gray_picture, rgb8_to_lab
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CLASS_NAMES, CocoSplit
from ucolnet_lib.evaluation.detection import recognised
from ucolnet_lib.evaluation.detectors import open_detector
from ucolnet_lib.evaluation.stream import stream
from ucolnet_lib.evaluation.yolo import import_ultralytics

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
    """A function names -> a .pt file of an untrained YOLO for 64 px that finds boxes everywhere."""
    import_ultralytics()
    from ultralytics import YOLO

    def make(names, network="yolov8n.yaml") -> Path:
        torch.manual_seed(0)
        detector = YOLO(network, task="detect")
        detector.model.names = dict(enumerate(names))
        detector.ckpt = {"train_args": {"imgsz": 64, "task": "detect"}}
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


def detect_one(detector, picture: np.ndarray):
    return detector.detect({"": picture}, 0)[""]


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
    pictures = {"original": PICTURE, "tall": tall}
    found = detector.detect(pictures, 7)
    assert list(found) == list(pictures)
    for variant, picture in pictures.items():
        detections = found[variant]
        rows = expected_boxes(tiny, picture)
        assert len(rows) > 5
        assert_equal(detections, rows)
        height, width = picture.shape[:2]
        assert detections.boxes.min() >= 0 and (detections.boxes <= [width, height, width, height]).all()
    assert detector.detect({}, 7) == {}


def test_threads_find_the_same_as_one_and_leave_torch_as_it_was(tiny):
    detector = open_detector(tiny)
    before = torch.get_num_threads()
    alone = detect_one(detector, PICTURE)
    for found in stream(lambda _: detect_one(detector, PICTURE), 6, "", progress=False):
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
    found = detect_one(open_detector(path), PICTURE)
    assert found.boxes.shape == (0, 4) and found.scores.shape == found.labels.shape == (0,)


def test_the_signature_says_what_two_rows_must_share(tiny):
    checksum = hashlib.sha256(tiny.read_bytes()).hexdigest()[:8]
    assert open_detector(tiny).signature == {
        "detector": "tiny",
        "checksum": checksum,
        "input_size": 64,
        "confidence": 0.25,
        "nms_iou": 0.7,
        "max_detections": 300,
    }


# An .onnx file.


def test_onnx_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "weights.onnx").write_bytes(b"x")
    with pytest.raises(UcolnetError, match="onnxruntime.*: pip install onnxruntime") as caught:
        open_detector(tmp_path / "weights.onnx")
    assert "\n" not in str(caught.value)


@pytest.fixture
def onnx_weights(tiny) -> Path:
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    from ultralytics import YOLO

    return Path(YOLO(tiny, task="detect").export(format="onnx", imgsz=64, simplify=False))


def test_onnx_weights_find_what_ultralytics_finds(onnx_weights):
    detector = open_detector(onnx_weights)
    rows = expected_boxes(onnx_weights, PICTURE)
    assert len(rows) > 5
    assert_equal(detect_one(detector, PICTURE), rows)
    assert (detector.signature["detector"], detector.signature["input_size"]) == ("tiny", 64)
    onnx_weights.write_bytes(b"x")
    with pytest.raises(UcolnetError, match="tiny.onnx is no YOLO detector"):
        open_detector(onnx_weights)


# Official names.


@pytest.fixture
def asset_host(tiny, monkeypatch, tmp_path):
    """Ultralytics' host of official weights, played by a function: `host.asked` are the files that it was asked for."""
    from ultralytics.utils import downloads

    def download(url, file, **_):
        if host.offline:
            raise ConnectionError("Download failure. Environment may be offline.\n")
        host.asked.append(url.rpartition("/")[2])
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tiny, file)

    host = SimpleNamespace(asked=[], offline=False, cache=tmp_path / "hub" / "checkpoints")
    monkeypatch.setattr(downloads, "safe_download", download)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return host


def test_official_weights_are_fetched_once_into_the_cache(asset_host, tmp_path):
    for name in ("yolov8n.pt", Path("yolov8n.pt")):
        assert open_detector(name).signature["detector"] == "yolov8n"
    assert asset_host.asked == ["yolov8n.pt"]
    assert [file.name for file in asset_host.cache.iterdir()] == ["yolov8n.pt"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["hub"]


def test_a_file_of_an_official_name_is_itself(asset_host, tiny, tmp_path):
    shutil.copyfile(tiny, tmp_path / "yolov8n.pt")
    open_detector("yolov8n.pt")
    assert asset_host.asked == []


def test_official_weights_offline(asset_host):
    asset_host.offline = True
    with pytest.raises(UcolnetError, match="official weights yolo11x.pt cannot be fetched .*offline.*Go online") as e:
        open_detector("yolo11x.pt")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["yolov8q.pt", "here/yolov8n.pt", "yolov8n", "yolo26n-reid.onnx", "./no.pt", ""])
def test_other_names_are_not_asked_for(asset_host, name):
    with pytest.raises(UcolnetError, match="does not exist|no detector that we know"):
        open_detector(name)
    assert asset_host.asked == []


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
    assert detector.signature["input_size"] == 640 and detector.signature["nms_iou"] == 0.7
    xml, weights = openvino_folder / "yolov8n.xml", openvino_folder / "yolov8n.bin"
    both = hashlib.sha256(weights.read_bytes() + xml.read_bytes()).hexdigest()
    assert detector.signature["checksum"] == both[:8]
    pictures = [split[i].rgb for i in range(0, 300, 25)]
    found = list(stream(lambda i: detect_one(detector, pictures[i]), len(pictures), "", progress=False))
    for picture, detections in zip(pictures, found, strict=True):
        assert_equal(detections, expected_boxes(openvino_folder, picture))
    assert sum(len(f.scores) for f in found) > 40


def test_the_precision_is_the_same_on_every_processor(openvino_folder):
    # Left to itself, openvino takes bf16 where the processor has it, and other objects are recognised.
    assert open_detector(openvino_folder)._network.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


def test_the_first_inference_is_over_when_the_detector_is_open(openvino_folder):
    # Two threads that are openvino's first wait for each other for ever (2026.4).
    assert hasattr(open_detector(openvino_folder)._local, "request")


def test_the_300_real_photographs_agree_with_the_paper_notes(openvino_folder, sample):
    """PAPER.md, "What we already know from measuring": originals and gray within 5 objects, RMSE to the digit."""
    split, detector = CocoSplit(sample, "val2017"), open_detector(openvino_folder)

    def measure(index: int) -> tuple[list[int], list[float], int]:
        """Recognised objects, mean squared errors of gray (RGB, ab), pixels. Half a minute in all on 2 free cores."""
        photo, objects = split[index], split.objects(index)
        lab = rgb8_to_lab(photo.rgb)
        pictures = {"original": photo.rgb, "gray": gray_picture(lab[..., 0])}
        found = detector.detect(pictures, photo.id)
        gray = pictures["gray"]
        rgb_error = np.square(gray.astype(float) - photo.rgb).mean()
        ab_error = np.square(rgb8_to_lab(gray) - lab)[..., 1:].mean(dtype=float)
        return [recognised(found[variant], objects) for variant in pictures], [rgb_error, ab_error], lab[..., 0].size

    counts, errors, pixels = map(np.array, zip(*stream(measure, len(split), "", progress=False), strict=True))
    original, gray = counts.sum(axis=0)
    assert abs(original - 1188) <= 5 and abs(gray - 1084) <= 5
    pooled, mean = np.sqrt(np.average(errors, axis=0, weights=pixels)), np.sqrt(errors).mean(axis=0)
    assert [*pooled, *mean] == pytest.approx([24.02, 15.50, 20.76, 13.54], abs=0.006)


def write_network(folder: Path, output, size: tuple[int, int]) -> Path:
    """An OpenVINO folder whose network gives `output`, whatever it sees."""
    import openvino
    from openvino import opset13 as ops

    seen = ops.parameter([1, 3, *size], np.float32, name="images")
    nothing = ops.multiply(ops.reduce_sum(seen, [0, 1, 2, 3], keep_dims=False), np.float32(0))
    folder.mkdir()
    openvino.save_model(
        openvino.Model([ops.add(np.float32(output), nothing)], [seen]), folder / "w.xml", compress_to_fp16=False
    )
    metadata = {"names": dict(enumerate(CLASS_NAMES[1:])), "imgsz": list(size)}
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return folder


def test_networks_with_and_without_non_maximum_suppression_inside_and_of_any_shape(tmp_path):
    # A picture of 64 x 48 becomes 85 x 64, in the middle of 96 x 64. Twice the same dog, and an unsure one.
    rows = np.array([(5, 0, 90, 64, score, 16) for score in (0.9, 0.8, 0.2)])
    inside = open_detector(write_network(tmp_path / "inside", rows[None], (64, 96)))
    assert (inside.signature["nms_iou"], inside.signature["input_size"]) == ("in the network", "64 x 96")
    found = detect_one(inside, PICTURE)
    np.testing.assert_allclose(found.boxes, [(0, 0, 64, 48)] * 2, atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.9, 0.8])
    assert found.labels.tolist() == [17, 17]

    scores = np.zeros((80, 3))
    scores[16] = rows[:, 4]
    centres = np.tile([[47.5], [32], [85], [64]], 3)
    ours = open_detector(write_network(tmp_path / "ours", np.concatenate([centres, scores])[None], (64, 96)))
    assert ours.signature["nms_iou"] == 0.7 and ours.signature["checksum"] != inside.signature["checksum"]
    found = detect_one(ours, PICTURE)
    np.testing.assert_allclose(found.boxes, [(0, 0, 64, 48)], atol=1e-3)
    assert found.scores == pytest.approx([0.9]) and found.labels.tolist() == [17]


# What can be wrong.


def test_missing_weights(tmp_path):
    with pytest.raises(UcolnetError, match="does not exist"):
        open_detector(tmp_path / "yolov8n.pt")


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
        "from ucolnet_lib.evaluation.yolo import import_ultralytics; import_ultralytics()\n"
        "from ultralytics import utils; from ultralytics.utils.events import events\n"
        "from PIL import Image\n"
        "print(events.enabled, utils.AUTOINSTALL, utils.ONLINE, 'OMP_NUM_THREADS' in os.environ)\n"
        "print(Image.open.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == [*["False"] * 4, "PIL.Image"], done.stderr
