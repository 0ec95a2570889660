"""From what was measured per image to one row a variant and detector, with intervals: the schema of results.json.

A row is a dictionary. What was not measured, or cannot be told, is None.

- `name`, `kind`, `seed`, `size`: the variant; `control`, `model` or `pictures`; the seed of a model; the side in pixels
  of the square that its pictures went through.
- `detector`, `signature`: the referee's name, and a short text of all that decides whether two rows can be compared.
- `images`, `gray_images`: photographs, and how many of them are gray or nearly gray themselves.
- `objects`, `recognised`, `share`, `share_ci`: annotated objects, crowds among them; how many of them the detector
  recognises; as a fraction, and its interval [low, high].
- `objects_without_crowds`, `recognised_without_crowds`: the same counts without crowds.
- `retention`, `retention_ci`: recognised, as a fraction of what is recognised in the originals.
- `ap`, `ap50`, `ar100`: see `average_precision`.
- `rmse`, `rmse_ci`: RMSE in the definitions of `metrics.RMSE_NAMES`, and their intervals.
- `psnr`, `ssim`, `ciede2000`, `chroma_histogram_distance`, `colourfulness`, `colourfulness_absolute`,
  `colourfulness_distance`: means over images, see `image_metrics`.
- `miou`, `miou_objects`: of a model that segments.
- `statistics`: the split that the colours of a control come from.
- `note`: what a reader of the row should know.

Intervals are of 95%, by a bootstrap over images (`bootstrap`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ucolnet_lib.evaluation.bootstrap import Resamples, interval
from ucolnet_lib.metrics import rmse

MEANS = (
    "psnr",
    "ssim",
    "ciede2000",
    "chroma_histogram_distance",
    "colourfulness",
    "colourfulness_absolute",
    "colourfulness_distance",
)
FIELDS = (
    "name", "kind", "seed", "size", "detector", "signature", "images", "gray_images", "objects", "recognised", "share",
    "share_ci", "objects_without_crowds", "recognised_without_crowds", "retention", "retention_ci", "ap", "ap50",
    "ar100", "rmse", "rmse_ci", *MEANS, "miou", "miou_objects", "statistics", "note",
)  # fmt: skip


def make_rows(described: Iterable[dict], per_image: pd.DataFrame) -> list[dict]:
    """Complete rows, with retention where the row `original` of the same detector is among them.

    Args:
        described: for each row what does not come from the photographs: name, detector, and what else is known.
        per_image: see `evaluate.Evaluation`; the same photographs in one order for all variants.
    """
    by_row = dict(tuple(per_image.groupby(["variant", per_image["detector"].fillna("")], sort=False)))
    resamples = Resamples(per_image["image_id"].nunique())
    rows = []
    for about in described:
        detector = about.get("detector") or ""
        images, original = by_row[about["name"], detector], by_row.get(("original", detector))
        row = dict.fromkeys(FIELDS) | about | _counts(images, original, resamples)
        row |= {"rmse": rmse(images), "rmse_ci": _rmse_intervals(images, resamples)}
        row |= {name: _plain(images[name].mean()) for name in MEANS}
        rows.append(row)
    return rows


def with_retention(rows: Iterable[dict]) -> list[dict]:
    """The rows with `retention`: recognised, as a fraction of what was recognised in the row `original` of the same
    detector, for rows of several evaluations on the same photographs.

    None where that row is missing or nothing was recognised in it, and where there was no detector.
    """
    rows = list(rows)
    base = {row.get("detector"): row["recognised"] for row in rows if row["name"] == "original"}
    return [
        row | {"retention": row["recognised"] / base[row.get("detector")] if _can_be_told(row, base) else None}
        for row in rows
    ]


def _can_be_told(row: dict, base: dict) -> bool:
    return row["recognised"] is not None and bool(base.get(row.get("detector")))


def _counts(images: pd.DataFrame, original: pd.DataFrame | None, resamples: Resamples) -> dict:
    counts = {
        "images": len(images),
        "gray_images": int(images["gray_photograph"].sum()),
        "objects": int(images["objects"].sum()),
        "objects_without_crowds": int(images["objects_without_crowds"].sum()),
    }
    if images["recognised"].isna().any():
        return counts
    recognised = images["recognised"].to_numpy(float)
    counts |= {
        "recognised": int(recognised.sum()),
        "recognised_without_crowds": int(images["recognised_without_crowds"].sum()),
    }
    counts |= _with_interval("share", resamples.ratio(recognised, images["objects"]))
    if original is not None:
        counts |= _with_interval("retention", resamples.ratio(recognised, original["recognised"].to_numpy(float)))
    return counts


def _with_interval(name: str, values: np.ndarray) -> dict:
    found = interval(values)
    return {name: _plain(found.estimate), f"{name}_ci": [_plain(found.low), _plain(found.high)]}


def _rmse_intervals(images: pd.DataFrame, resamples: Resamples) -> dict[str, list]:
    pixels = images["pixels"]
    values = {
        "rgb_pooled": resamples.rmse(images["rgb_squared"], 3 * pixels),
        "rgb_mean": resamples.mean(images["rmse_rgb"]),
        "ab_pooled": resamples.rmse(images["ab_squared"], 2 * pixels),
        "ab_mean": resamples.mean(images["rmse_ab"]),
        "ab_euclid_pooled": resamples.ratio(images["ab_distance"], pixels),
        "ab_euclid_mean": resamples.mean(images["ab_euclid"]),
        "ab_objects_pooled": resamples.rmse(images["ab_objects_squared"], 2 * images["object_pixels"]),
    }
    found = {name: interval(v) for name, v in values.items()}
    return {name: [_plain(i.low), _plain(i.high)] for name, i in found.items()}


def _plain(value: float) -> float | None:
    """A number for JSON, which has neither infinity nor nan."""
    return float(value) if np.isfinite(value) else None
