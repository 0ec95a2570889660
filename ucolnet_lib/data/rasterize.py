"""From the outlines of the objects in a photograph to its semantic map.

COCO keeps an outline as polygons or as run lengths of a mask (RLE), plain or compressed. pycocotools turns each into a
mask; two rules say what becomes of a pixel that several objects claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pycocotools import mask as rle

from ucolnet_lib.common import BACKGROUND, IGNORE_INDEX

OVERLAPS = ("smaller_on_top", "ignore")

# No picture is as large. pycocotools walks along a polygon in steps of a fifth of a pixel and keeps each: a slip of the
# pen such as 1e12, or a coordinate that is no number, would take all memory and end the process.
_FARTHEST = 100_000


def rasterize(
    annotations: Sequence[Mapping],
    class_of_category: Mapping[int, int],
    shape: tuple[int, int],
    overlaps: str = "smaller_on_top",
) -> np.ndarray:
    """The semantic map of one photograph.

    `smaller_on_top` paints from large to small, by the annotated area: a cup on a table stays a cup. Crowds are 255
    (ignore), except where an object inside is annotated by itself.

    `ignore` is the rule of torchvision's reference for segmentation (references/segmentation/coco_utils.py,
    `ConvertCocoPolysToMask`): a pixel of several annotations is 255, also where they are of one class. A crowd is an
    annotation like any other there, and its pixels have its class. (That program also leaves out images and
    categories; this function does not.)

    Args:
        annotations: entries of COCO's annotation file, with `segmentation`, `category_id`, `area`, and `iscrowd` where
            it is 1.
        class_of_category: COCO's category ids to classes.
        shape: H and W of the photograph in pixels.
        overlaps: one of `OVERLAPS`.
    Returns:
        uint8 (H, W): the classes, 0 background, 255 ignore.
    Raises:
        ValueError: an outline cannot be read; the message names the annotation.
    """
    if overlaps not in OVERLAPS:
        raise ValueError(f"there is no rule {overlaps!r} for overlaps: choose {' or '.join(OVERLAPS)}")
    semantic_map = np.full(shape, BACKGROUND, np.uint8)
    if overlaps == "ignore":
        claims = np.zeros(shape, np.uint16)
        for annotation in annotations:
            mask = _mask_of(annotation, shape)
            semantic_map[mask] = class_of_category[annotation["category_id"]]
            claims += mask
        semantic_map[claims > 1] = IGNORE_INDEX
    else:
        # Crowds come first, as the largest of all.
        for annotation in sorted(annotations, key=lambda a: (not a.get("iscrowd", 0), -a["area"])):
            label = IGNORE_INDEX if annotation.get("iscrowd", 0) else class_of_category[annotation["category_id"]]
            semantic_map[_mask_of(annotation, shape)] = label
    return semantic_map


def mask_of(segmentation: list | dict, shape: tuple[int, int]) -> np.ndarray:
    """The pixels of one object, as pycocotools' `annToMask` draws them: bool (H, W).

    What lies outside the photograph is cut off. A polygon of fewer than three points encloses nothing, and neither does
    an empty `segmentation`.

    Args:
        segmentation: COCO's: a list of polygons [x1, y1, x2, y2, ...] in pixels, or an RLE {"size": [H, W], "counts"}
            with a list (plain) or a text (compressed).
    Raises:
        ValueError: it is none of these, an RLE has another size than the photograph, or a polygon has a coordinate
            that is no number, or farther than 100,000 pixels away.
    """
    if not segmentation:
        return np.zeros(shape, bool)
    runs = _from_polygons(segmentation, shape) if isinstance(segmentation, list) else _from_rle(segmentation, shape)
    return np.zeros(shape, bool) if runs is None else rle.decode(runs).astype(bool)


def _mask_of(annotation: Mapping, shape: tuple[int, int]) -> np.ndarray:
    try:
        return mask_of(annotation["segmentation"], shape)
    except ValueError as error:
        raise ValueError(f"annotation {annotation.get('id')} {error}") from error


def _from_polygons(polygons: list, shape: tuple[int, int]) -> dict | None:
    try:
        points = [np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in polygons]
    except (ValueError, TypeError):
        raise ValueError("is no list of polygons [x1, y1, x2, y2, ...]") from None
    if not all((np.abs(polygon) <= _FARTHEST).all() for polygon in points):  # false for nan too
        raise ValueError(f"has a coordinate that is no number, or farther than {_FARTHEST:,} pixels away")
    # pycocotools takes four numbers for a box.
    areas = [polygon.ravel().tolist() for polygon in points if len(polygon) > 2]
    return rle.merge(rle.frPyObjects(areas, *shape)) if areas else None


def _from_rle(runs: dict, shape: tuple[int, int]) -> dict:
    try:
        size = tuple(runs["size"])
        complete = _total(runs["counts"]) == shape[0] * shape[1]
        compressed = rle.frPyObjects(runs, *shape) if isinstance(runs["counts"], list) else runs
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError):
        raise ValueError("is neither polygons nor run lengths (RLE)") from None
    if size != tuple(shape):
        mask = " x ".join(str(side) for side in reversed(size))
        raise ValueError(f"has a mask of {mask} pixels, and the photograph has {shape[1]} x {shape[0]}")
    if not complete:
        raise ValueError("has run lengths (RLE) that do not fill its mask; it may have been cut off")
    return compressed


def _total(counts: list | str | bytes) -> int:
    """How many pixels the runs of an RLE fill together. pycocotools does not look: it leaves at random what they do not
    fill, and loses memory where they are too long.

    A compressed run is its difference to the run before the last, in groups of five bits, each in a byte of its own: 32
    says that another group follows, 16 in the last one that the number is negative (COCO's maskApi.c, rleFrString).
    """
    runs = list(counts) if isinstance(counts, list) else []
    value = shift = 0
    for byte in [] if isinstance(counts, list) else counts.encode() if isinstance(counts, str) else counts:
        group = byte - 48
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        value -= (group >> 4 & 1) << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift or min(runs, default=0) < 0:
        raise ValueError("a run is cut off or negative")
    return sum(runs)
