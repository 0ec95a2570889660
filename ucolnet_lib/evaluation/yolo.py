"""YOLO detectors of ultralytics: `.pt` and `.onnx` files, and OpenVINO folders.

Ultralytics is an optional package (AGPL-3.0), imported only when a detector is opened, and kept from the network:
nothing is installed or reported, and nothing downloaded but official weights that somebody names.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CLASS_NAMES
from ucolnet_lib.evaluation.detection import CONFIDENCE, Detections
from ucolnet_lib.evaluation.signature import reason, signature
from ucolnet_lib.evaluation.stream import WORKERS

NMS_IOU = 0.7
MAX_DETECTIONS = 300
# Ultralytics keeps scores above its threshold; the metric wants "at least", and filters again itself.
_KEEP_ABOVE = CONFIDENCE - 1e-4


def import_ultralytics() -> None:
    """Import ultralytics offline and silent, and leave the rest of the process as it was."""
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ.setdefault("YOLO_VERBOSE", "false")
    threads, open_image = os.environ.get("OMP_NUM_THREADS"), Image.open
    try:
        import ultralytics  # noqa: F401
        from ultralytics.utils import patches
        from ultralytics.utils.events import events
    except ImportError as error:
        raise UcolnetError(
            f'A YOLO detector needs the package ultralytics ({error}): pip install "ucolnet[yolo]"'
        ) from error
    # Ultralytics' own Image.open wants to install a package for each file that is no picture: PIL's comes back. Newer
    # releases keep it under this name, also where somebody else imported ultralytics before us.
    Image.open = getattr(patches, "_image_open", open_image)
    events.enabled = False
    if threads is None:  # ultralytics sets it to 1, for all processes started later
        os.environ.pop("OMP_NUM_THREADS", None)


def fetch_official(name: str) -> Path | None:
    """The file of official weights such as `yolov8n.pt`: fetched by ultralytics once, into the cache of torch.hub.

    None for a name with a folder in it, or that ultralytics does not know.

    Raises:
        UcolnetError: the weights cannot be fetched.
    """
    if Path(name).name != name or Path(name).suffix != ".pt":
        return None
    import_ultralytics()
    import torch
    from ultralytics.utils import downloads

    if name not in downloads.GITHUB_ASSETS_NAMES:
        return None
    file = Path(torch.hub.get_dir()) / "checkpoints" / name
    try:
        return Path(downloads.attempt_download_asset(file))
    except Exception as error:  # whatever sockets, requests and the disk raise
        raise UcolnetError(
            f"The official weights {name} cannot be fetched ({reason(error)}). Go online for the first run, or name "
            f"the path of a copy."
        ) from error


class UltralyticsDetector:
    """A `.pt` or `.onnx` file, run by ultralytics' own `predict`. Its model keeps state: each thread has its own.

    A `.pt` file is a pickle: open only those that you trust.
    """

    def __init__(self, weights: Path, device: str | None = None):
        import_ultralytics()
        if weights.suffix == ".onnx":
            _need_onnxruntime()
        self.name, self.weights, self.device = weights.stem, weights, device
        self._local = threading.local()
        model = self._model()
        _check_classes(weights, model.names)
        network = model.predictor.model
        self.signature = signature(
            self.name, [weights], _side(model.predictor.imgsz), _nms_iou(getattr(network, "end2end", False)),
            MAX_DETECTIONS,
        )  # fmt: skip

    def detect(self, pictures: Mapping[str, np.ndarray], image_id: int) -> dict[str, Detections]:
        # One by one: in a batch, the padding of a picture would depend on the others.
        return {variant: self._predict(self._model(), picture) for variant, picture in pictures.items()}

    def _model(self):
        if not hasattr(self._local, "model"):
            import torch
            from ultralytics import YOLO

            threads = torch.get_num_threads()
            try:
                model = YOLO(self.weights, task="detect")
                self._predict(model, np.zeros((32, 32, 3), np.uint8))
            except Exception as error:  # whatever pickle, zip and ultralytics raise on a file that is no model
                raise UcolnetError(
                    f"{self.weights} is no YOLO detector that ultralytics can read ({reason(error)}). "
                    "Name the weights of a YOLO detector (.pt, .onnx, or an OpenVINO folder)."
                ) from error
            finally:
                torch.set_num_threads(threads)  # the first prediction sets it anew
            self._local.model = model
        return self._local.model

    def _predict(self, model, picture: np.ndarray) -> Detections:
        bgr = np.ascontiguousarray(picture[..., ::-1])
        options = {"conf": _KEEP_ABOVE, "iou": NMS_IOU, "max_det": MAX_DETECTIONS, "device": self.device}
        return _detections(model.predict(bgr, **options, verbose=False)[0].boxes.data.cpu().numpy())


class OpenVinoDetector:
    """A folder with an OpenVINO network of fixed input size and batch 1: each thread has its own request."""

    def __init__(self, weights: Path):
        import_ultralytics()
        try:
            import openvino
            import yaml
        except ImportError as error:
            raise UcolnetError(
                f'An OpenVINO detector needs the package openvino ({error}): pip install "ucolnet[yolo]"'
            ) from error
        self.name = weights.name.removesuffix("_openvino_model")
        self._local = threading.local()
        # f32: the same numbers on processors that would take bf16 by themselves. The int8 layers stay int8.
        options = {"NUM_STREAMS": WORKERS, "INFERENCE_NUM_THREADS": WORKERS, "INFERENCE_PRECISION_HINT": "f32"}
        try:
            metadata = yaml.safe_load((weights / "metadata.yaml").read_text(encoding="utf-8"))
            names = dict(metadata["names"])
            self.size = tuple(metadata["imgsz"])
            xml = next(weights.glob("*.xml"))
            core = openvino.Core()
            self._network = core.compile_model(core.read_model(xml), "CPU", options)
            # The first picture is looked at here: openvino locks up for ever (2026.4) when two threads are the first.
            self.detect({"": np.zeros((32, 32, 3), np.uint8)}, 0)
        except Exception as error:  # whatever yaml, openvino and ultralytics raise on files that are no detector
            raise UcolnetError(
                f"{weights} is no OpenVINO detector as ultralytics exports it ({reason(error)}). "
                "Such a folder holds metadata.yaml, one .xml and one .bin: export it again."
            ) from error
        _check_classes(weights, names)
        # A network with non-maximum suppression inside gives rows of 6: box, score, class.
        nms_inside = self._network.output(0).partial_shape[-1] == 6
        self.signature = signature(
            self.name, [xml, xml.with_suffix(".bin")], _side(self.size), _nms_iou(nms_inside), MAX_DETECTIONS
        )

    def detect(self, pictures: Mapping[str, np.ndarray], image_id: int) -> dict[str, Detections]:
        if not hasattr(self._local, "request"):
            self._local.request = self._network.create_infer_request()
        return {variant: self._detect(picture) for variant, picture in pictures.items()}

    def _detect(self, picture: np.ndarray) -> Detections:
        import torch
        from ultralytics.data.augment import LetterBox
        from ultralytics.utils.nms import non_max_suppression
        from ultralytics.utils.ops import scale_boxes

        padded = LetterBox(self.size)(image=picture)
        planes = np.divide(padded.transpose(2, 0, 1)[None], 255, dtype=np.float32, order="C")
        output = self._local.request.infer([planes])[0]
        # Ultralytics' time limit would drop detections on a busy machine: there is none here.
        found = non_max_suppression(
            torch.from_numpy(output), _KEEP_ABOVE, NMS_IOU, max_det=MAX_DETECTIONS, max_time_img=float("inf")
        )[0]
        found[:, :4] = scale_boxes(self.size, found[:, :4], picture.shape)
        return _detections(found.numpy())


def _need_onnxruntime() -> None:
    """No requirement of ours: only who brings `.onnx` weights needs it."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise UcolnetError("An ONNX detector needs the package onnxruntime, which is missing: pip install onnxruntime")


def _check_classes(weights: Path, names: Mapping[int, str]) -> None:
    found = tuple(names[i] for i in sorted(names))
    if found != CLASS_NAMES[1:]:
        raise UcolnetError(
            f"The detector {weights} knows {len(found)} classes ({', '.join(found[:3])}, ...), not COCO's 80 in their "
            "order. Take one that was trained on COCO."
        )


def _side(size) -> int | str:
    """The side of a square (height, width), or both sides as a text."""
    height, width = size
    return height if height == width else f"{height} x {width}"


def _nms_iou(inside: bool) -> float | str:
    return "in the network" if inside else NMS_IOU


def _detections(rows: np.ndarray) -> Detections:
    """Ultralytics' rows x1 y1 x2 y2 score class, classes from 0."""
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(int) + 1)
