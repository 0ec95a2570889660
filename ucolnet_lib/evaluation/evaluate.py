"""The evaluation that joins pictures, metrics and detector: one pass over a split, one row a variant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.colorizer import with_chroma
from ucolnet_lib.data.coco import NUM_CLASSES, CocoSplit, Photograph
from ucolnet_lib.evaluation.controls import CONTROLS, chroma_statistics, control_pictures, gray_picture
from ucolnet_lib.evaluation.detection import recognised
from ucolnet_lib.evaluation.detectors import Detector
from ucolnet_lib.evaluation.stream import stream
from ucolnet_lib.metrics import ConfusionMatrix, class_errors, colourfulness, image_errors, rmse, squared_ab_error

FULL_LIGHTNESS = "_full_lightness"


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    `per_image`: one row for each image and variant: image_id, variant, objects, recognised (missing without a
    detector), the sums of `metrics.image_errors`, the image's own rmse_rgb, rmse_ab and ab_euclid, colourfulness.
    `per_class`: one row for each image, variant and class in it: image_id, variant, and what `metrics.class_errors`
    gives.
    `rows`: one dictionary for each variant, as in results.json: name, kind, seed, objects, recognised, share,
    retention, rmse, miou, miou_objects, colourfulness; a control's row has `statistics` (the split its colours
    come from, or None) besides.
    """

    per_image: pd.DataFrame
    per_class: pd.DataFrame
    rows: list[dict]


def evaluate_controls(
    folder: str | Path, split: str = "val2017", detector: Detector | None = None, progress: bool = True
) -> Evaluation:
    """Measure the controls (original, gray, mean_colour, image_mean, class_oracle) on a split of a COCO folder.

    The colours of `mean_colour` and `class_oracle` come from train2017, or from the split itself where the folder
    has no train2017; the rows say so in `statistics`.
    """
    photos = CocoSplit(folder, split)
    source = CocoSplit(folder, "train2017") if (Path(folder) / "train2017").is_dir() else photos
    statistics = chroma_statistics(source, progress)

    def measure(index: int) -> list[dict]:
        photo = photos[index]
        lab = rgb8_to_lab(photo.rgb)
        pictures = control_pictures(photo.rgb, lab, photo.semantic_map, statistics)
        return _measure(photo, lab, photos.objects(index), pictures, detector)

    per_image, per_class = _tables(stream(measure, len(photos), "controls", progress))
    rows = [row(name, "control", None, per_image[per_image["variant"] == name]) for name in CONTROLS]
    for entry in rows:
        entry["statistics"] = statistics.split if entry["name"] in ("mean_colour", "class_oracle") else None
    return Evaluation(per_image, per_class, with_retention(rows))


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
    """Measure a model on a split of a COCO folder: the rows `name` and `name_full_lightness`.

    See `model_pictures` for the two ways. `retention` is None until `with_retention` sees the row of the originals.
    `miou` is the same for both rows, and None for a model that does not segment.

    Args:
        model: returns `Output(ab, logits)` for lightness (1, 1, size, size); it is put into evaluation mode.
        size: side of the square that the model sees, in pixels.
    """
    photos = CocoSplit(folder, split)
    model.eval()

    def measure(index: int) -> tuple[list[dict], np.ndarray | None]:
        photo = photos[index]
        lab = rgb8_to_lab(photo.rgb)
        small, full, semantic_map = model_pictures(model, lab[..., 0], size)
        records = _measure(photo, lab, photos.objects(index), {name: small, name + FULL_LIGHTNESS: full}, detector)
        if semantic_map is None:
            return records, None
        confusion = ConfusionMatrix(NUM_CLASSES)
        confusion.add(photo.semantic_map, semantic_map)
        return records, confusion.counts

    confusion = ConfusionMatrix(NUM_CLASSES)
    segments = False
    records = []
    for measured, counts in stream(measure, len(photos), name, progress):
        records.append(measured)
        if counts is not None:
            segments = True
            confusion.counts += counts
    per_image, per_class = _tables(records)
    rows = []
    for variant in (name, name + FULL_LIGHTNESS):
        entry = row(variant, "model", seed, per_image[per_image["variant"] == variant])
        if segments:
            entry |= {"miou": confusion.miou(), "miou_objects": confusion.miou(background=False)}
        rows.append(entry)
    return Evaluation(per_image, per_class, rows)


@torch.inference_mode()
def model_pictures(
    model: nn.Module, lightness: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Colour a photograph by a model, in the paper's presumed way and with full-resolution lightness.

    The model sees the 8-bit gray picture resized to size x size (PIL bicubic, antialiased, aspect ratio not kept):
    a model that predicts no chroma is then exactly the gray picture through this size and back.

    Args:
        lightness: float32 (H, W), L of the photograph, 0-100.
    Returns:
        the picture at the model's size (its lightness and the predicted ab) resized back by PIL bicubic;
        the picture of the full-resolution lightness and the ab upsampled bilinearly; both uint8 (H, W, 3);
        the semantic map, uint8 (H, W), or None when the model does not segment.
    """
    height, width = lightness.shape
    gray = Image.fromarray(gray_picture(lightness)[..., 0])
    small = np.asarray(gray.resize((size, size), Image.Resampling.BICUBIC))
    small = rgb8_to_lab(np.repeat(small[..., None], 3, axis=-1))[..., 0]
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    output = model(torch.from_numpy(small)[None, None].to(device))
    ab = output.ab[0].float().cpu().permute(1, 2, 0).numpy()
    presumed = Image.fromarray(with_chroma(small, ab)).resize((width, height), Image.Resampling.BICUBIC)
    full = with_chroma(lightness, ab)
    semantic_map = None
    if output.logits is not None and output.logits.ndim == 4:
        semantic_map = _upsampled_classes(output.logits[0].float().cpu(), (height, width))
    return np.asarray(presumed), full, semantic_map


def _upsampled_classes(logits: torch.Tensor, shape: tuple[int, int]) -> np.ndarray:
    """Argmax of the bilinearly upsampled logits (classes, h, w), among the classes that win somewhere at their own
    size: interpolating all 81 would cost ten times as much, and a class that wins only in between is no loss."""
    winners = logits.argmax(dim=0).unique()
    upsampled = nn.functional.interpolate(logits[winners][None], size=shape, mode="bilinear", align_corners=False)[0]
    return winners[upsampled.argmax(dim=0)].byte().numpy()


def row(name: str, kind: str, seed: int | None, images: pd.DataFrame) -> dict:
    """The row of one variant from its per-image table; `retention` and the mIoU are still None."""
    objects = int(images["objects"].sum())
    found = None if images["recognised"].isna().any() else int(images["recognised"].sum())
    return {
        "name": name,
        "kind": kind,
        "seed": seed,
        "objects": objects,
        "recognised": found,
        "share": found / objects if found is not None and objects else None,
        "retention": None,
        "rmse": rmse(images),
        "miou": None,
        "miou_objects": None,
        "colourfulness": float(images["colourfulness"].mean()),
    }


def with_retention(rows: Iterable[dict]) -> list[dict]:
    """The rows with `retention`: recognised, as a fraction of what was recognised in the row `original`.

    None where that row is missing or nothing was recognised in it, and where there was no detector.
    """
    rows = list(rows)
    base = next((entry["recognised"] for entry in rows if entry["name"] == "original"), None)
    return [
        entry | {"retention": entry["recognised"] / base if base and entry["recognised"] is not None else None}
        for entry in rows
    ]


def _measure(
    photo: Photograph, lab: np.ndarray, objects: list, pictures: dict, detector: Detector | None
) -> list[dict]:
    """One record for each picture of a photograph."""
    found = detector.detect(list(pictures.values())) if detector else [None] * len(pictures)
    records = []
    for (variant, picture), detections in zip(pictures.items(), found, strict=True):
        squared = squared_ab_error(picture, lab)
        record = {
            "image_id": photo.id,
            "variant": variant,
            "objects": len(objects),
            "recognised": None if detections is None else recognised(detections, objects),
            **image_errors(picture, photo.rgb, photo.semantic_map, squared),
            "colourfulness": colourfulness(picture),
            "classes": class_errors(squared, photo.semantic_map),
        }
        records.append(record)
    return records


def _tables(records: Iterable[list[dict]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables per image and per class."""
    records = [record for measured in records for record in measured]
    per_class = pd.DataFrame(
        [
            {"image_id": record["image_id"], "variant": record["variant"], **entry}
            for record in records
            for entry in record.pop("classes")
        ]
    )
    table = pd.DataFrame(records)
    table["recognised"] = table["recognised"].astype("Int64")
    table["rmse_rgb"] = np.sqrt(table["rgb_squared"] / (3 * table["pixels"]))
    table["rmse_ab"] = np.sqrt(table["ab_squared"] / (2 * table["pixels"]))
    table["ab_euclid"] = table["ab_distance"] / table["pixels"]
    return table, per_class
