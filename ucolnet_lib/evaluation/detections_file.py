"""Detections in COCO's results format: any detector in the world can be the referee without our installing it.

A file is a JSON list with one entry for each detection:

    [{"image_id": 139, "category_id": 62, "bbox": [x, y, width, height], "score": 0.87}, ...]

`category_id` is COCO's (1 to 90, with gaps), `bbox` in pixels of the picture, `score` 0 to 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.data.coco import CATEGORIES, CATEGORY_OF_CLASS, CLASS_OF_CATEGORY
from ucolnet_lib.evaluation.detection import CONFIDENCE, Detections
from ucolnet_lib.evaluation.signature import signature

NOTHING = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))


class DetectionsFile:
    """A folder with a file `VARIANT.json` for each variant: what a detector found in its pictures.

    A photograph that a file does not name has no detections there; an empty list is a detector that found nothing.
    As with the other referees, detections below the metric's confidence (0.25) are left out.

    Raises:
        UcolnetError: a file is no list of results, or has category ids that COCO does not have.
    """

    def __init__(self, folder: Path):
        self.name, self.folder = folder.resolve().name, folder
        files = sorted(folder.glob("*.json"))
        self._found = {file.stem: _read(file) for file in files}
        self.signature = signature(self.name, files, "not known", "not known", "not known")

    def check_images(self, image_ids: Collection[int]) -> None:
        """Do the files belong to the photographs with these ids? Detections of further photographs are passed over.

        Raises:
            UcolnetError: a file has detections, and none is of these photographs.
        """
        for variant, found in self._found.items():
            if found and not found.keys() & set(image_ids):
                raise UcolnetError(
                    f"{self.folder / variant}.json has detections of other photographs only (the first is "
                    f"{next(iter(found))}, where {min(image_ids, default='none')} was expected). Its image ids must be "
                    "those of the annotation file."
                )

    def detect(self, pictures: Mapping[str, np.ndarray], image_id: int) -> dict[str, Detections]:
        if missing := pictures.keys() - self._found.keys():
            variant = min(missing)
            raise UcolnetError(
                f"{self.folder} has no detections of the pictures '{variant}'. Write them to {variant}.json there, in "
                "COCO's results format; an empty list [] says that nothing was found."
            )
        return {variant: self._found[variant].get(image_id, NOTHING) for variant in pictures}


def write_detections(path: str | Path, detections: Mapping[int, Detections]) -> None:
    """Write what a detector found in the pictures of one variant, in COCO's results format.

    Args:
        path: the file, such as `FOLDER/gray.json` for the variant gray.
        detections: image id -> what was found there.
    """
    with write_beside(path) as beside:
        beside.write_text(json.dumps(coco_results(detections)), encoding="utf-8")


def coco_results(detections: Mapping[int, Detections]) -> list[dict]:
    """Detections (image id -> what was found there) as the entries of COCO's results format."""
    return [
        {
            "image_id": int(image_id),
            "category_id": CATEGORY_OF_CLASS[int(label)],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": float(score),
        }
        for image_id, found in detections.items()
        for (x1, y1, x2, y2), score, label in zip(
            np.asarray(found.boxes, float).tolist(), found.scores, found.labels, strict=True
        )
    ]


def _read(path: Path) -> dict[int, Detections]:
    """Image id -> detections of the metric's confidence or more, for each image that the file names."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(entries, list):
            raise ValueError(f"it holds a {type(entries).__name__}, not a list")
        rows = [_row(entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"an entry lacks {error}" if isinstance(error, KeyError) else error
        raise UcolnetError(
            f"{path} is no list of detections in COCO's results format ({why}). Each entry has image_id, category_id, "
            "bbox [x, y, width, height] and score."
        ) from error
    if unknown := sorted({category for _, category, _, _ in rows} - set(CATEGORIES)):
        raise UcolnetError(
            f"{path} has category ids that COCO does not have: {unknown[:5]}. Map the detector's classes to COCO's "
            "ids (1 to 90) first."
        )
    by_image: dict[int, list] = {}
    for image_id, category, box, score in rows:
        by_image.setdefault(image_id, [])
        if score >= CONFIDENCE:
            by_image[image_id].append((*box, score, CLASS_OF_CATEGORY[category]))
    return {image_id: _detections(found) for image_id, found in by_image.items()}


def _row(entry: dict) -> tuple[int, int, tuple[float, float, float, float], float]:
    """Image id, category id, box (x1, y1, x2, y2) and score of an entry."""
    image_id, category, score = entry["image_id"], entry["category_id"], entry["score"]
    if not (type(image_id) is int and type(category) is int):
        raise ValueError(f"image_id {image_id!r} and category_id {category!r} must be whole numbers")
    x, y, width, height = map(float, entry["bbox"])
    if not (all(map(math.isfinite, (x, y, width, height))) and width >= 0 and height >= 0):
        raise ValueError(f"bbox {entry['bbox']} of image {image_id} is none")
    if not 0 <= score <= 1:
        raise ValueError(f"score {score} of image {image_id} is not between 0 and 1")
    return image_id, category, (x, y, x + width, y + height), float(score)


def _detections(rows: list[tuple]) -> Detections:
    """From rows x1, y1, x2, y2, score, class."""
    table = np.array(rows, float).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int))
