"""The detectors of torchvision that were trained on COCO, such as Faster R-CNN (Ren et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CLASS_OF_CATEGORY
from ucolnet_lib.evaluation.detection import CONFIDENCE, Detections
from ucolnet_lib.evaluation.signature import reason, signature

PREFIX = "torchvision:"
# Torchvision too keeps scores above its threshold, where the metric wants "at least".
_KEEP_ABOVE = CONFIDENCE - 1e-4
# Its labels are COCO's category ids; those of the ten that COCO leaves out, and of the background, are 0 here.
_CLASS_OF_LABEL = np.array([CLASS_OF_CATEGORY.get(category, 0) for category in range(91)])


class TorchvisionDetector:
    """A detector of torchvision by its name there. Input size, non-maximum suppression and limit are torchvision's.

    Args:
        name: such as `fasterrcnn_resnet50_fpn_v2`, or `fasterrcnn_mobilenet_v3_large_320_fpn`, which is fast.
        weights: a file with its state_dict; torchvision fetches the official one into the cache of torch.hub when None.
        device: as torch names it; a CUDA device where there is one, else the CPU, when None.
    Raises:
        UcolnetError: there is no such detector, or its weights cannot be fetched or read.
    """

    def __init__(self, name: str, weights: Path | None = None, device: str | None = None):
        from torchvision.models import get_model, get_model_weights

        if name not in (known := coco_detectors()):
            raise UcolnetError(f"Torchvision has no detector '{name}' for COCO. It has {', '.join(known)}.")
        official = get_model_weights(name).DEFAULT
        self.name = name
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        file = weights or _fetch(name, official.url)
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
            # Built with its weights, torchvision's network is another than without (frozen batch norm, its epsilon):
            # the file goes in where torchvision would fetch its own.
            with mock.patch.object(type(official), "get_state_dict", lambda *_, **__: state):
                self._model = get_model(name, weights=official, weights_backbone=None).eval().to(self.device)
        except Exception as error:  # whatever pickle, zip and load_state_dict raise on another file
            raise UcolnetError(
                f"{file} holds no weights of torchvision's {name} ({reason(error)}). Name a file with its state_dict."
            ) from error
        head = getattr(self._model, "roi_heads", self._model)
        head.score_thresh = _KEEP_ABOVE
        shorter, longer = self._model.transform.min_size[-1], self._model.transform.max_size
        size = shorter if shorter == longer else f"{shorter} to {longer}"
        self.signature = signature(name, [file], size, head.nms_thresh, head.detections_per_img)

    @torch.inference_mode()
    def detect(self, pictures: Mapping[str, np.ndarray], image_id: int) -> dict[str, Detections]:
        return {variant: self._detect(picture) for variant, picture in pictures.items()}

    def _detect(self, picture: np.ndarray) -> Detections:
        planes = torch.from_numpy(np.array(picture.transpose(2, 0, 1), order="C")).to(self.device) / 255
        found = {key: value.cpu().numpy() for key, value in self._model([planes])[0].items()}
        labels = _CLASS_OF_LABEL[found["labels"]]
        known = labels > 0
        return Detections(found["boxes"][known], found["scores"][known], labels[known])


def coco_detectors() -> list[str]:
    """The names of torchvision's detectors of COCO's categories: all but the one that finds persons alone."""
    from torchvision.models import detection, get_model_weights, list_models

    return [name for name in list_models(detection) if len(get_model_weights(name).DEFAULT.meta["categories"]) == 91]


def _fetch(name: str, url: str) -> Path:
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    try:
        if not file.exists():
            torch.hub.load_state_dict_from_url(url, map_location="cpu", progress=False, check_hash=True)
    except Exception as error:  # whatever sockets and the disk raise
        raise UcolnetError(
            f"The weights of torchvision's {name} cannot be fetched from {url} ({reason(error)}). Go online for the "
            f"first run, or name a copy: {PREFIX}{name}:FILE"
        ) from error
    return file
