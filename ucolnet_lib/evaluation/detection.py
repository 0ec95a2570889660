"""The paper's detection metric: how many annotated objects does a detector still recognise?

PAPER.md, "Correctly recognised": a detection of the same class with confidence 0.25 or more and an
intersection over union of 0.5 or more, matched one to one, greedy by confidence; every annotation counts,
crowds too (36,781 on all of val2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ucolnet_lib.data.coco import Annotation

CONFIDENCE = 0.25
IOU = 0.5


@dataclass(frozen=True)
class Detections:
    """What a detector found in one picture. `boxes`: float (N, 4), x1 y1 x2 y2 in pixels; `scores`: float (N,), 0-1;
    `labels`: int (N,), classes 1..80."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of each of the boxes (N, 4) with each of the boxes (M, 4), x1 y1 x2 y2: float (N, M).

    Boxes without an area overlap nothing.
    """
    first, second = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    intersection = sides.clip(min=0).prod(axis=-1)
    union = _area(first) + _area(second) - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(axis=-1)


def match(detections: Detections, objects: Sequence[Annotation]) -> np.ndarray:
    """For each object the index of the detection that recognises it, or -1: int (objects,).

    Detections of confidence `CONFIDENCE` or more choose in the order of their confidence (equal ones in the order
    given); each takes, among the free objects of its class, the one it overlaps most (the first of equals), if the
    intersection over union is at least `IOU`.
    """
    matched = np.full(len(objects), -1)
    order = np.argsort(-np.asarray(detections.scores), kind="stable")
    order = order[np.asarray(detections.scores)[order] >= CONFIDENCE]
    if not len(order) or not len(objects):
        return matched
    boxes = np.array([(x, y, x + width, y + height) for x, y, width, height in (o.box for o in objects)])
    overlaps = box_iou(np.asarray(detections.boxes)[order], boxes)
    same_class = np.asarray(detections.labels)[order, None] == np.array([o.label for o in objects])
    overlaps[~same_class] = -1
    for detection, overlap in zip(order, overlaps, strict=True):
        best = np.where(matched < 0, overlap, -1).argmax()
        if matched[best] < 0 and overlap[best] >= IOU:
            matched[best] = detection
    return matched


def recognised(detections: Detections, objects: Sequence[Annotation]) -> int:
    """How many of the objects are recognised (see `match`)."""
    return int((match(detections, objects) >= 0).sum())
