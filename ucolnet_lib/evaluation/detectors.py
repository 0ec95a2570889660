"""The referees: object detectors behind one small protocol, each opened by what the person names.

| named | opened as |
|---|---|
| `yolov8n.pt`, `best.onnx`, `yolov8n_int8_openvino_model/` | a YOLO detector of ultralytics (`yolo`) |
| `torchvision:fasterrcnn_resnet50_fpn_v2` | a detector of torchvision (`torchvision_detector`) |
| a folder with `original.json`, `gray.json`, ... | what any other detector has found (`detections_file`) |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation.detection import Detections
from ucolnet_lib.evaluation.detections_file import DetectionsFile
from ucolnet_lib.evaluation.signature import Signature
from ucolnet_lib.evaluation.torchvision_detector import PREFIX, TorchvisionDetector
from ucolnet_lib.evaluation.yolo import OpenVinoDetector, UltralyticsDetector, fetch_official

TAKES = (
    "Name YOLO weights (.pt, .onnx, an OpenVINO folder, or an official name such as yolov8n.pt), a detector of "
    f"torchvision ({PREFIX}fasterrcnn_resnet50_fpn_v2), or a folder of detections in COCO's results format "
    "(original.json, gray.json, ...)."
)


class Detector(Protocol):
    """Finds objects of COCO's 80 classes. May be called from several threads at once."""

    name: str
    signature: Signature

    def detect(self, pictures: Mapping[str, np.ndarray], image_id: int) -> dict[str, Detections]:
        """What is seen in the variants of one photograph.

        Args:
            pictures: name of the variant -> uint8 (H, W, 3) RGB of any size.
            image_id: the photograph's id in the annotation file.
        Returns:
            The detections of each variant, under the same names.
        """


def open_detector(weights: str | Path, device: str | None = None) -> Detector:
    """Open a referee.

    Args:
        weights: a `.pt` or `.onnx` file of YOLO; a folder `NAME_openvino_model` as ultralytics exports it; an official
            name such as `yolov8n.pt`, fetched by ultralytics where no such file is; `torchvision:NAME`, fetched by
            torchvision, or `torchvision:NAME:FILE` with weights of your own; a folder with a file `VARIANT.json` for
            each variant, see `DetectionsFile`. Input size and classes are those of the weights.
        device: for `.pt` and torchvision, as torch names it; chosen by the machine when None. OpenVINO runs on the CPU.
    Raises:
        UcolnetError: a package or the weights are missing, cannot be fetched or read, or their classes are not COCO's.
    """
    if str(weights).startswith(PREFIX):
        name, _, file = str(weights).removeprefix(PREFIX).partition(":")
        return TorchvisionDetector(name, Path(file) if file else None, device)
    path = Path(weights)
    if path.is_dir():
        if (path / "metadata.yaml").exists() or any(path.glob("*.xml")):
            return OpenVinoDetector(path)
        if any(path.glob("*.json")):
            return DetectionsFile(path)
    elif path.is_file():
        if path.suffix in (".pt", ".onnx"):
            return UltralyticsDetector(path, device)
    elif fetched := fetch_official(str(weights)):
        return UltralyticsDetector(fetched, device)
    wrong = "is no detector that we know" if path.exists() else "does not exist"
    raise UcolnetError(f"The detector {weights} {wrong}. {TAKES}")
