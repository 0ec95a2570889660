"""The evaluation that joins pictures, metrics and detectors: one pass over a split.

In short:

    photos = CocoSplit(folder, "val2017")
    evaluation = evaluate(photos, [Controls(statistics), SizedControls(224)], [open_detector(weights)])
    evaluation.rows         # one row a variant and detector, as in results.json
    evaluation.per_image    # what they were made from
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from ucolnet_lib import color, colorizer, image_metrics, metrics
from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data import coco, rasterize
from ucolnet_lib.data.coco import NUM_CLASSES, Annotation, CocoSplit, Photograph
from ucolnet_lib.evaluation import controls, resize, torchvision_detector, yolo
from ucolnet_lib.evaluation import systems as making
from ucolnet_lib.evaluation.average_precision import average_precision
from ucolnet_lib.evaluation.cache import Cache, content_key
from ucolnet_lib.evaluation.controls import ChromaStatistics, chroma_statistics
from ucolnet_lib.evaluation.detection import Detections, match
from ucolnet_lib.evaluation.detections_file import DetectionsFile
from ucolnet_lib.evaluation.detectors import Detector
from ucolnet_lib.evaluation.rows import make_rows
from ucolnet_lib.evaluation.signature import signature_text
from ucolnet_lib.evaluation.stream import stream
from ucolnet_lib.evaluation.systems import Controls, ModelSystem, System
from ucolnet_lib.image_metrics import Truth, is_gray
from ucolnet_lib.metrics import ConfusionMatrix, class_errors, image_errors, squared_ab_error

# Kept measurements are taken again when the code that made them has changed.
_MEASURES, _REFEREES = (color, metrics, image_metrics, coco, rasterize), (yolo, torchvision_detector)
_PICTURES = (colorizer, controls, resize, making)
_CODE = content_key([inspect.getsource(module) for module in (*_MEASURES, *_PICTURES, *_REFEREES)])


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    `per_image`: one row for each image, variant and detector: image_id, variant, detector (None without one), objects,
    recognised (missing without a detector), the same without crowds, the sums of `metrics.image_errors`, the image's
    own rmse_rgb, rmse_ab and ab_euclid, and what `metrics.image_metrics` gives.
    `per_class`: one row for each image, variant and class in it: image_id, variant, and what `metrics.class_errors`
    gives.
    `per_object`: one row for each image, variant, detector and annotated object: image_id, variant, detector, object
    (its place among the image's annotations), label (class 1..80), crowd, recognised.
    `rows`: one dictionary for each variant and detector, see `rows`.
    `detections`: (variant, detector) -> image id -> what was seen.
    """

    per_image: pd.DataFrame
    per_class: pd.DataFrame
    per_object: pd.DataFrame
    rows: list[dict]
    detections: dict[tuple[str, str], dict[int, Detections]]


def evaluate(
    photos: CocoSplit,
    systems: Sequence[System],
    detectors: Sequence[Detector] = (),
    cache: Cache | None = None,
    leave_out_gray: bool = False,
    progress: bool = True,
    description: str = "evaluate",
) -> Evaluation:
    """Measure the variants of all systems on the photographs of a split, with each detector.

    Args:
        photos: the split; where a system has pictures of some photographs only, all are evaluated on these.
        cache: what was measured before; None measures everything.
        leave_out_gray: leave out photographs that are gray or nearly gray themselves.
        progress: show a bar.
    Raises:
        UcolnetError: no system is named, a photograph or picture is broken, or no photograph is left.
    """
    cache = cache or Cache()
    variants = [variant for system in systems for variant in system.variants]
    if not variants:
        raise UcolnetError("There is nothing to evaluate: name at least one system, such as the controls.")
    if len(set(variants)) < len(variants):
        twice = next(v for v in variants if variants.count(v) > 1)
        raise UcolnetError(f"Two systems make a picture {twice}. Give each its own name.")
    names = [detector.name for detector in detectors]
    if len(set(names)) < len(names):
        raise UcolnetError(f"Two detectors have the name {max(names, key=names.count)}. Rename the files of one.")
    common = [i for i, image_id in enumerate(photos.ids) if all(s.ids is None or image_id in s.ids for s in systems)]
    for detector in detectors:
        if isinstance(detector, DetectionsFile):
            detector.check_images([photos.ids[i] for i in common])

    def measure(place: int) -> _Measured:
        return _measure(photos, common[place], systems, detectors, cache)

    collected = _Collected(systems, detectors)
    for measured in stream(measure, len(common), description, progress):
        cache.put(measured.new)
        if not (leave_out_gray and measured.records[variants[0]]["gray_photograph"]):
            collected.add(photos.ids[measured.index], photos.objects(measured.index), measured)
    if not collected.images:
        raise UcolnetError("No photograph is left: the folders of pictures have none in common, or all are gray.")
    return collected.evaluation(photos, leave_out_gray)


def evaluate_controls(
    folder: str | Path, split: str = "val2017", detector: Detector | None = None, progress: bool = True
) -> Evaluation:
    """Measure the controls (original, gray, mean_colour, image_mean, class_oracle) on a split of a COCO folder."""
    photos = CocoSplit(folder, split)
    statistics = control_statistics(folder, photos, progress=progress)
    return evaluate(photos, [Controls(statistics)], _list(detector), progress=progress, description="controls")


def evaluate_model(
    name: str,
    seed: int,
    model: nn.Module,
    size: int,
    folder: str | Path,
    split: str = "val2017",
    detector: Detector | None = None,
    progress: bool = True,
) -> Evaluation:
    """Measure a model on a split of a COCO folder: the rows `name` and `name_full_lightness` (see `ModelSystem`).

    `retention` is None until `with_retention` sees the row of the originals. `miou` is the same for both rows, and
    None for a model that does not segment.
    """
    system = ModelSystem(name, model, size, seed)
    return evaluate(CocoSplit(folder, split), [system], _list(detector), progress=progress, description=name)


def control_statistics(
    folder: str | Path, photos: CocoSplit, cache: Cache | None = None, progress: bool = True
) -> ChromaStatistics:
    """The mean colours for `mean_colour` and `class_oracle`: from train2017, or from the split itself where the folder
    has no train2017; the rows say so in `statistics`."""
    source = CocoSplit(folder, "train2017") if (Path(folder) / "train2017").is_dir() else photos
    cache = cache or Cache()
    key = content_key("chroma statistics", _CODE, source.checksum)
    if kept := cache.get(key):
        return ChromaStatistics(np.array(kept["overall"]), np.array(kept["by_class"]), source.split)
    found = chroma_statistics(source, progress)
    cache.put({key: {"overall": found.overall.tolist(), "by_class": found.by_class.tolist()}})
    return found


@dataclass(frozen=True)
class _Measured:
    """One photograph. `records`: variant -> its measurements; `detections`: (variant, detector) -> what was seen;
    `new`: what the cache does not have yet."""

    index: int
    records: dict[str, dict[str, Any]]
    detections: dict[tuple[str, str], Detections]
    new: dict[str, Any]


def _measure(
    photos: CocoSplit, index: int, systems: Sequence[System], detectors: Sequence[Detector], cache: Cache
) -> _Measured:
    """Take what the cache has, and measure the rest."""
    image_id, file = photos.ids[index], photos.file(index)
    content = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
    # The entry of the image also says whether it is listed: pixels of one that is not are ignored.
    photo_key = content_key(_CODE, content, photos.overlaps, photos.coco.imgs.get(image_id), photos.annotations(index))
    keys, known, new = {}, {}, {}
    for system in systems:
        for variant in system.variants:
            keys[variant] = content_key(photo_key, system.key(variant, image_id))
            for d in detectors:
                keys[variant, d.name] = content_key(keys[variant], variant, image_id, d.signature)
    for key in set(keys.values()):
        if (value := cache.get(key)) is not None:
            known[key] = value
    photo = truth = None
    for system in systems:
        wanted = {v: [d for d in detectors if keys[v, d.name] not in known] for v in system.variants}
        if not any(wanted.values()) and all(keys[v] in known for v in system.variants):
            continue
        if photo is None:
            photo = photos[index]
            truth = Truth(photo.rgb, rgb8_to_lab(photo.rgb))
        coloured = system.colour(photo, truth.lab)
        for variant in system.variants:
            if keys[variant] not in known:
                semantic_map = coloured.semantic_map if variant == system.variants[0] else None
                record = _record(photo, truth, coloured.pictures[variant], semantic_map, coloured.note)
                known[keys[variant]] = new[keys[variant]] = record
        for detector in detectors:
            pictures = {v: coloured.pictures[v] for v in system.variants if detector in wanted[v]}
            for variant, found in detector.detect(pictures, image_id).items() if pictures else ():
                key = keys[variant, detector.name]
                known[key] = new[key] = [np.asarray(a).tolist() for a in (found.boxes, found.scores, found.labels)]
    return _Measured(
        index,
        {v: known[keys[v]] for system in systems for v in system.variants},
        {place: _as_detections(known[key]) for place, key in keys.items() if isinstance(place, tuple)},
        new,
    )


def _record(
    photo: Photograph, truth: Truth, picture: np.ndarray, semantic_map: np.ndarray | None, note: str | None
) -> dict[str, Any]:
    """All measurements of one picture, as plain values."""
    lab = rgb8_to_lab(picture)
    squared = squared_ab_error(lab, truth.lab)
    confusion = None
    if semantic_map is not None:
        matrix = ConfusionMatrix(NUM_CLASSES)
        matrix.add(photo.semantic_map, semantic_map)
        places = np.nonzero(matrix.counts)
        confusion = np.stack([*places, matrix.counts[places]]).tolist()
    errors = image_errors(picture, photo.rgb, photo.semantic_map, squared)
    return {
        "measures": errors | image_metrics.image_metrics(picture, lab, truth),
        "classes": class_errors(squared, photo.semantic_map),
        "confusion": confusion,
        "gray_photograph": is_gray(photo.rgb),
        "note": note,
    }


def _as_detections(kept: list) -> Detections:
    boxes, scores, labels = kept
    return Detections(np.reshape(np.array(boxes, float), (-1, 4)), np.array(scores, float), np.array(labels, int))


class _Collected:
    """What comes out of the pass, photograph by photograph, and the tables made of it."""

    def __init__(self, systems: Sequence[System], detectors: Sequence[Detector]):
        self.systems, self.detectors = systems, detectors
        self.images, self.classes, self.objects = [], [], []
        self.detections = {(v, d.name): {} for s in systems for v in s.variants for d in detectors}
        self.confusions: dict[tuple[str, ...], ConfusionMatrix] = {}
        self.notes: dict[str, str] = {}

    def add(self, image_id: int, annotations: list[Annotation], measured: _Measured) -> None:
        crowd = np.array([o.iscrowd for o in annotations], bool)
        for system in self.systems:
            for variant in system.variants:
                record, about = measured.records[variant], {"image_id": image_id, "variant": variant}
                self.classes += [about | entry for entry in record["classes"]]
                if record["note"]:
                    self.notes[variant] = record["note"]
                for detector in self.detectors or [None]:
                    about["detector"], hits = detector and detector.name, None
                    if detector:
                        seen = measured.detections[variant, detector.name]
                        self.detections[variant, detector.name][image_id] = seen
                        hits = match(seen, annotations) >= 0
                        self.objects += [
                            about | {"object": i, "label": o.label, "crowd": o.iscrowd, "recognised": bool(hit)}
                            for i, (o, hit) in enumerate(zip(annotations, hits, strict=True))
                        ]
                    counts = {
                        "objects": len(crowd),
                        "recognised": None if hits is None else int(hits.sum()),
                        "objects_without_crowds": int((~crowd).sum()),
                        "recognised_without_crowds": None if hits is None else int(hits[~crowd].sum()),
                        "gray_photograph": record["gray_photograph"],
                    }
                    self.images.append(about | counts | record["measures"])
            confusion = measured.records[system.variants[0]]["confusion"]
            if confusion is not None:
                matrix = self.confusions.setdefault(system.variants, ConfusionMatrix(NUM_CLASSES))
                truth, prediction, count = np.array(confusion, int)  # empty where all is ignored
                matrix.counts[truth, prediction] += count

    def evaluation(self, photos: CocoSplit, leave_out_gray: bool) -> Evaluation:
        table = pd.DataFrame(self.images)
        for column in ("recognised", "recognised_without_crowds"):
            table[column] = table[column].astype("Int64")
        table["rmse_rgb"] = np.sqrt(table["rgb_squared"] / (3 * table["pixels"]))
        table["rmse_ab"] = np.sqrt(table["ab_squared"] / (2 * table["pixels"]))
        table["ab_euclid"] = table["ab_distance"] / table["pixels"]
        rows = [
            self._describe(system, variant) | self._judge(photos, variant, detector, leave_out_gray)
            for system in self.systems
            for variant in system.variants
            for detector in self.detectors or [None]
        ]
        return Evaluation(
            table, pd.DataFrame(self.classes), pd.DataFrame(self.objects), make_rows(rows, table), self.detections
        )

    def _describe(self, system: System, variant: str) -> dict:
        matrix = self.confusions.get(system.variants)
        return {
            "name": variant,
            "kind": system.kind,
            "seed": system.seed,
            "size": system.size_of(variant),
            "miou": matrix and matrix.miou(),
            "miou_objects": matrix and matrix.miou(background=False),
            "statistics": system.statistics_of(variant),
            "note": self.notes.get(variant),
        }

    def _judge(self, photos: CocoSplit, variant: str, detector: Detector | None, leave_out_gray: bool) -> dict:
        if detector is None:
            return {"signature": signature_text(None, leave_out_gray)}
        seen = self.detections[variant, detector.name]
        return {
            "detector": detector.name,
            "signature": signature_text(detector.signature, leave_out_gray),
            **average_precision(photos.coco, list(seen), seen),
        }


def _list(detector: Detector | None) -> list[Detector]:
    return [] if detector is None else [detector]
