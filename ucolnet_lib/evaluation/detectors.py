"""The referees: pretrained object detectors behind one small protocol.

Ultralytics' YOLO is an optional package (AGPL-3.0), imported only when a detector is opened, and kept from
the network: nothing is downloaded, installed or reported.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CLASS_NAMES
from ucolnet_lib.evaluation.detection import CONFIDENCE, Detections
from ucolnet_lib.evaluation.stream import WORKERS

NMS_IOU = 0.7
MAX_DETECTIONS = 300
# Ultralytics keeps scores above its threshold; the metric wants "at least", and filters again itself.
_KEEP_ABOVE = CONFIDENCE - 1e-4


class Detector(Protocol):
    """Finds objects of COCO's 80 classes. May be called from several threads at once."""

    name: str

    def detect(self, pictures: Sequence[np.ndarray]) -> list[Detections]:
        """One `Detections` for each picture, uint8 (H, W, 3) RGB of any size."""


def open_detector(weights: str | Path, device: str | None = None) -> Detector:
    """Open a YOLO detector of the ultralytics package.

    Args:
        weights: a `.pt` file, or a folder `NAME_openvino_model` as ultralytics exports it. Input size and classes
            are those of the weights.
        device: for a `.pt` file as torch names it; chosen by ultralytics when None. OpenVINO runs on the CPU.
    Raises:
        UcolnetError: a package or the weights are missing, the weights cannot be read, or their classes are not
            COCO's 80 in COCO's order.
    """
    weights = Path(weights)
    if not weights.exists():
        raise UcolnetError(
            f"The detector {weights} does not exist. Name the weights of a YOLO detector (.pt, or an OpenVINO folder)."
        )
    if weights.is_file() and weights.suffix != ".pt":
        raise UcolnetError(f"The detector {weights} is neither a .pt file nor an OpenVINO folder. Name one of these.")
    import_ultralytics()
    detector = (OpenVinoDetector if weights.is_dir() else TorchDetector)(weights, device)
    if detector.class_names != CLASS_NAMES[1:]:
        found = ", ".join(detector.class_names[:3])
        raise UcolnetError(
            f"The detector {weights} knows {len(detector.class_names)} classes ({found}, ...), not COCO's 80 in their "
            "order. Take one that was trained on COCO."
        )
    return detector


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


class TorchDetector:
    """A `.pt` file, run by ultralytics' own `predict`. Its model keeps state: each thread has its own.

    A `.pt` file is a pickle: open only those that you trust.
    """

    def __init__(self, weights: Path, device: str | None = None):
        self.name, self.weights, self.device = weights.stem, weights, device
        self._local = threading.local()
        names = self._model().names
        self.class_names = tuple(names[i] for i in sorted(names))

    def detect(self, pictures: Sequence[np.ndarray]) -> list[Detections]:
        # One by one: in a batch, the padding of a picture would depend on the others.
        return [self._predict(self._model(), picture) for picture in pictures]

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
                    f"{self.weights} is no YOLO detector that ultralytics can read ({_reason(error)}). "
                    "Name the weights of a YOLO detector (.pt, or an OpenVINO folder)."
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

    def __init__(self, weights: Path, device: str | None = None):
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
            self.class_names = tuple(metadata["names"][i] for i in sorted(metadata["names"]))
            self.size = tuple(metadata["imgsz"])
            core = openvino.Core()
            self._network = core.compile_model(core.read_model(next(weights.glob("*.xml"))), "CPU", options)
            # The first picture is looked at here: openvino locks up for ever (2026.4) when two threads are the first.
            self.detect([np.zeros((32, 32, 3), np.uint8)])
        except Exception as error:  # whatever yaml, openvino and ultralytics raise on files that are no detector
            raise UcolnetError(
                f"{weights} is no OpenVINO detector as ultralytics exports it ({_reason(error)}). "
                "Such a folder holds metadata.yaml, one .xml and one .bin: export it again."
            ) from error

    def detect(self, pictures: Sequence[np.ndarray]) -> list[Detections]:
        if not hasattr(self._local, "request"):
            self._local.request = self._network.create_infer_request()
        return [self._detect(picture) for picture in pictures]

    def _detect(self, picture: np.ndarray) -> Detections:
        import torch
        from ultralytics.data.augment import LetterBox
        from ultralytics.utils.nms import non_max_suppression
        from ultralytics.utils.ops import scale_boxes

        padded = LetterBox(self.size)(image=picture)
        planes = np.divide(padded.transpose(2, 0, 1)[None], 255, dtype=np.float32, order="C")
        output = torch.from_numpy(self._local.request.infer([planes])[0])
        # Ultralytics' time limit would drop detections on a busy machine: there is none here.
        found = non_max_suppression(output, _KEEP_ABOVE, NMS_IOU, max_det=MAX_DETECTIONS, max_time_img=float("inf"))[0]
        found[:, :4] = scale_boxes(self.size, found[:, :4], picture.shape)
        return _detections(found.numpy())


def _detections(rows: np.ndarray) -> Detections:
    """Ultralytics' rows x1 y1 x2 y2 score class, classes from 0."""
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(int) + 1)


def _reason(error: Exception) -> str:
    """The last line of an error's message, or its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__
