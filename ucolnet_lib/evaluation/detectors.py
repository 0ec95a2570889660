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
    """Import ultralytics offline and silent, and leave the process's environment as it was otherwise."""
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ.setdefault("YOLO_VERBOSE", "false")
    threads = os.environ.get("OMP_NUM_THREADS")
    try:
        import ultralytics  # noqa: F401
        from ultralytics.utils.events import events
    except ImportError as error:
        raise UcolnetError(
            f'A YOLO detector needs the package ultralytics ({error}): pip install "ucolnet[yolo]"'
        ) from error
    events.enabled = False
    if threads is None:  # ultralytics sets it to 1, for all processes started later
        os.environ.pop("OMP_NUM_THREADS", None)


class TorchDetector:
    """A `.pt` file, run by ultralytics' own `predict`. Its model keeps state: each thread has its own."""

    def __init__(self, weights: Path, device: str | None = None):
        self.name, self.weights, self.device = weights.stem, weights, device
        self._local = threading.local()
        names = self._model().names
        self.class_names = tuple(names[i] for i in sorted(names))

    def _model(self):
        if not hasattr(self._local, "model"):
            from ultralytics import YOLO

            try:
                self._local.model = YOLO(self.weights, task="detect")
                _ = self._local.model.names
            except Exception as error:  # whatever pickle, zip and ultralytics raise on a file that is no model
                raise UcolnetError(
                    f"{self.weights} is no YOLO detector that ultralytics can read ({error})."
                ) from error
        return self._local.model

    def detect(self, pictures: Sequence[np.ndarray]) -> list[Detections]:
        found = []
        for picture in pictures:  # one by one: in a batch, the padding would depend on the other pictures
            bgr = np.ascontiguousarray(picture[..., ::-1])
            boxes = (
                self._model()
                .predict(bgr, conf=_KEEP_ABOVE, iou=NMS_IOU, max_det=MAX_DETECTIONS, device=self.device, verbose=False)[
                    0
                ]
                .boxes
            )
            found.append(_detections(boxes.data.cpu().numpy()))
        return found


class OpenVinoDetector:
    """A folder with an OpenVINO network of fixed input size and batch 1, one request for each thread."""

    def __init__(self, weights: Path, device: str | None = None):
        try:
            import openvino
            import yaml
        except ImportError as error:
            raise UcolnetError(
                f'An OpenVINO detector needs the package openvino ({error}): pip install "ucolnet[yolo]"'
            ) from error
        self.name = weights.name.removesuffix("_openvino_model")
        try:
            metadata = yaml.safe_load((weights / "metadata.yaml").read_text(encoding="utf-8"))
            self.class_names = tuple(metadata["names"][i] for i in sorted(metadata["names"]))
            self.size = tuple(metadata["imgsz"])
            network = openvino.Core().read_model(next(weights.glob("*.xml")))
            # f32: the same numbers on processors that would take bf16. The int8 layers stay int8.
            self._network = openvino.Core().compile_model(
                network,
                "CPU",
                {"NUM_STREAMS": WORKERS, "INFERENCE_NUM_THREADS": WORKERS, "INFERENCE_PRECISION_HINT": "f32"},
            )
        except (OSError, RuntimeError, StopIteration, TypeError, KeyError, yaml.YAMLError) as error:
            raise UcolnetError(
                f"{weights} is no OpenVINO detector as ultralytics exports it ({error or 'a file is missing'}): "
                "it holds metadata.yaml, one .xml and one .bin."
            ) from error
        self._local = threading.local()

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
        planes = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / 255
        output = torch.from_numpy(self._local.request.infer([planes])[0])
        # Ultralytics stops after a time limit, silently but for a warning: there must be none.
        found = non_max_suppression(output, _KEEP_ABOVE, NMS_IOU, max_det=MAX_DETECTIONS, max_time_img=float("inf"))[0]
        found[:, :4] = scale_boxes(self.size, found[:, :4], picture.shape)
        return _detections(found.numpy())


def _detections(rows: np.ndarray) -> Detections:
    """Ultralytics' rows x1 y1 x2 y2 score class, classes from 0."""
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(int) + 1)
