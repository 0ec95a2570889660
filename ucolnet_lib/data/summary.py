"""What a set of photographs holds, as tables: its classes, its colours, its gray photographs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from ucolnet_lib.color import is_gray, rgb8_to_lab
from ucolnet_lib.common import IGNORE_INDEX
from ucolnet_lib.data.choice import by_hash
from ucolnet_lib.data.coco import CLASS_NAMES, CocoSplit, Photograph
from ucolnet_lib.data.photo_folder import PhotoFolder
from ucolnet_lib.data.prepared import PreparedSplit

AB_EDGES = np.arange(-111, 112, 2)
"""Edges of the bins of a and of b, CIELAB units. All colours of sRGB lie inside, and gray in the middle of one bin."""

_BINS = len(AB_EDGES) - 1


@dataclass(frozen=True)
class Summary:
    """What was counted.

    `name`: of the set; `size`: how many photographs it has, counted or not.
    `photographs`: one row each: id, file, width, height (pixels), gray (`color.is_gray`), labelled (share of the pixels
    that are not 255), mean_chroma (CIELAB units).
    `classes`: one row for each class that occurs, 0 background and 255 ignore among them: class, name, objects, crowds
    (missing for a prepared set, which keeps no objects), images (with a pixel of it), pixels, share (of all pixels),
    mean_chroma (CIELAB units; nan without a pixel).
    `chroma`: int64 (111, 111), pixels in the bins of a (rows) and b (columns) between `AB_EDGES`.
    """

    name: str
    size: int
    photographs: pd.DataFrame
    classes: pd.DataFrame
    chroma: np.ndarray


def sample(split: CocoSplit | PreparedSplit | PhotoFolder, limit: int = 0) -> list[int]:
    """Indices of `limit` photographs in order, the same in every call; all where there are no more, or for 0."""
    chosen = set(by_hash(split.ids)[: limit or None])
    return [index for index, image_id in enumerate(split.ids) if image_id in chosen]


def summarize(split: CocoSplit | PreparedSplit | PhotoFolder, limit: int = 0, progress: bool = True) -> Summary:
    """Count classes and colours in one pass over the photographs, at their own size.

    Args:
        split: the set.
        limit: look at so many photographs, chosen by `sample`; 0 looks at all.
        progress: show a bar with rate and remaining time.
    Raises:
        UcolnetError: a photograph cannot be read.
    """
    indices = sample(split, limit)
    pixels, images, chroma = (np.zeros(IGNORE_INDEX + 1, kind) for kind in (np.int64, np.int64, np.float64))
    histogram, rows = np.zeros((_BINS, _BINS), np.int64), []
    for index in tqdm(indices, desc=f"Looking at {split.split}", unit="photo", disable=not progress):
        photo = split[index]
        ab = rgb8_to_lab(photo.rgb)[..., 1:]
        distance, classes = np.hypot(ab[..., 0], ab[..., 1]).ravel(), photo.semantic_map.ravel()
        here = np.bincount(classes, minlength=IGNORE_INDEX + 1)
        pixels, images = pixels + here, images + (here > 0)
        chroma += np.bincount(classes, distance, minlength=IGNORE_INDEX + 1)
        histogram += _histogram(ab)
        rows.append(_row(photo, 1 - here[IGNORE_INDEX] / classes.size, distance.mean(dtype=np.float64)))
    photographs = pd.DataFrame(rows)
    table = pd.DataFrame({"images": images, "pixels": pixels, "share": pixels / pixels.sum()})
    with np.errstate(invalid="ignore"):
        table["mean_chroma"] = chroma / pixels
    if not isinstance(split, PreparedSplit):
        counts = _count_objects(split, indices)
        table.insert(0, "objects", counts[0])
        table.insert(1, "crowds", counts[1])
    occurs = (table[[c for c in ("objects", "crowds", "pixels") if c in table]] > 0).any(axis=1)
    table = table[occurs].rename_axis("class").reset_index()
    table.insert(1, "name", [name_of(label) for label in table["class"]])
    name = ", ".join(dict.fromkeys([split.root.resolve().name, split.split]))  # a plain folder has one name
    return Summary(name, len(split), photographs, table, histogram)


def name_of(label: int) -> str:
    """What a class of a semantic map is called; 255 is `ignore`."""
    return "ignore" if label == IGNORE_INDEX else CLASS_NAMES[label]


def _histogram(ab: np.ndarray) -> np.ndarray:
    # Whole numbers as bins are ten times as fast as numpy's histogram2d.
    places = ((ab - AB_EDGES[0]) / (AB_EDGES[1] - AB_EDGES[0])).astype(np.int32)
    return np.bincount((places[..., 0] * _BINS + places[..., 1]).ravel(), minlength=_BINS**2).reshape(_BINS, _BINS)


def _row(photo: Photograph, labelled: float, mean_chroma: float) -> dict:
    height, width = photo.semantic_map.shape
    size = {"id": photo.id, "file": photo.path.name, "width": width, "height": height}
    return size | {"gray": is_gray(photo.rgb), "labelled": labelled, "mean_chroma": mean_chroma}


def _count_objects(split: CocoSplit | PhotoFolder, indices: Iterable[int]) -> np.ndarray:
    """Objects, and crowds, of each class: int64 (2, 256)."""
    counts = np.zeros((2, IGNORE_INDEX + 1), np.int64)
    for index in indices:
        for one in split.objects(index):
            counts[int(one.iscrowd), one.label] += 1
    return counts
