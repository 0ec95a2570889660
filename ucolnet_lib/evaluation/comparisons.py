"""Which differences between two variants are real? Paired over the same photographs, with intervals.

Objects of one photograph are recognised or lost together, so the interval comes from a bootstrap over images. McNemar's
test takes objects as independent and stands beside it as the optimistic one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CLASS_NAMES
from ucolnet_lib.evaluation.bootstrap import Resamples, interval
from ucolnet_lib.evaluation.evaluate import Evaluation
from ucolnet_lib.evaluation.mcnemar import mcnemar
from ucolnet_lib.evaluation.signature import warn_if_incomparable


def compare(evaluation: Evaluation, first: str, second: str, detector: str | None = None) -> dict:
    """Two variants on the same photographs.

    Args:
        first, second: names of variants; detector: the referee's name, None where there was none.
    Returns:
        `first`, `second`, `detector`; for each measure (`recognised`, `share`, `rgb_mean`, `ab_pooled`) the difference
        first minus second under its name, with `MEASURE_low`, `MEASURE_high` (95%, bootstrap over images) and
        `MEASURE_real`: whether the interval lies on one side of 0. With a detector also `only_first`, `only_second`
        (objects that one variant alone recognises) and `mcnemar_p`.
    Raises:
        UcolnetError: there is no such variant or detector.
    """
    return _compare(*(_Resampled.of(evaluation, variant, detector) for variant in (first, second)))


def compare_all(evaluation: Evaluation) -> pd.DataFrame:
    """Every two variants, with each detector: a row as `compare` gives it."""
    variants = list(dict.fromkeys(row["name"] for row in evaluation.rows))
    detectors = list(dict.fromkeys(row["detector"] for row in evaluation.rows))
    rows = []
    for detector in detectors:
        resampled = [_Resampled.of(evaluation, variant, detector) for variant in variants]
        rows += [_compare(*pair) for pair in combinations(resampled, 2)]
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Resampled:
    """One variant: its measures in all resamples of the photographs, and which objects it recognises."""

    variant: str
    detector: str | None
    signature: str
    measures: dict[str, np.ndarray]
    hits: np.ndarray | None

    @classmethod
    def of(cls, evaluation: Evaluation, variant: str, detector: str | None) -> _Resampled:
        images = _of(evaluation.per_image, variant, detector)
        resamples = _resamples(len(images))
        measures, hits = {}, None
        if detector is not None:
            recognised = images["recognised"].to_numpy(float)
            measures["recognised"] = resamples.sum(recognised)
            measures["share"] = resamples.ratio(recognised, images["objects"])
            if not evaluation.per_object.empty:
                hits = _of(evaluation.per_object, variant, detector)["recognised"].to_numpy(bool)
        measures["rgb_mean"] = resamples.mean(images["rmse_rgb"])
        measures["ab_pooled"] = resamples.rmse(images["ab_squared"], 2 * images["pixels"])
        row = next(r for r in evaluation.rows if (r["name"], r["detector"]) == (variant, detector))
        return cls(variant, detector, row["signature"], measures, hits)


def _compare(first: _Resampled, second: _Resampled) -> dict:
    warn_if_incomparable([first.signature, second.signature])
    found: dict = {"first": first.variant, "second": second.variant, "detector": first.detector}
    for measure, values in first.measures.items():
        difference = interval(values - second.measures[measure])
        found |= {measure: difference.estimate, f"{measure}_low": difference.low, f"{measure}_high": difference.high}
        found[f"{measure}_real"] = difference.sign != 0
    if first.hits is not None:
        test = mcnemar(first.hits, second.hits)
        found |= {"only_first": test.only_first, "only_second": test.only_second, "mcnemar_p": test.p_value}
    return found


@lru_cache(maxsize=128)
def _resamples(images: int) -> Resamples:
    return Resamples(images)


def category_table(evaluation: Evaluation) -> pd.DataFrame:
    """Recall by category: one row for each variant, detector and category that occurs.

    Columns: variant, detector, category, objects, recognised, recall, and low and high of its interval (95%, bootstrap
    over images).
    """
    if evaluation.per_object.empty:
        return pd.DataFrame(
            columns=["variant", "detector", "category", "objects", "recognised", "recall", "low", "high"]
        )
    rows = []
    for (variant, detector, label), table in evaluation.per_object.groupby(
        ["variant", "detector", "label"], sort=False
    ):
        by_image = table.groupby("image_id")["recognised"].agg(["sum", "count"])
        # Photographs without this category change neither sum.
        recall = interval(_resamples(len(by_image)).ratio(by_image["sum"], by_image["count"]))
        rows.append(
            {"variant": variant, "detector": detector, "category": CLASS_NAMES[label], "objects": len(table)}
            | {"recognised": int(table["recognised"].sum()), "recall": recall.estimate}
            | {"low": recall.low, "high": recall.high}
        )
    return pd.DataFrame(rows)


def compare_categories(evaluation: Evaluation, first: str, second: str, detector: str) -> pd.DataFrame:
    """Two variants category by category, on the same objects: which categories depend on what differs between them?

    Columns: category, objects, photographs (that show it), and recall: the first's minus the second's, with
    recall_low, recall_high (95%, bootstrap over the photographs that show the category; infinite where one alone does)
    and recall_real: whether the interval lies on one side of 0.

    Raises:
        UcolnetError: there is no such variant or detector.
    """
    columns = ["category", "objects", "photographs", "recall", "recall_low", "recall_high", "recall_real"]
    if evaluation.per_object.empty:
        return pd.DataFrame(columns=columns)
    hits = [_of(evaluation.per_object, variant, detector) for variant in (first, second)]
    table = hits[0][["image_id", "label"]].assign(
        first=hits[0]["recognised"].to_numpy(float), second=hits[1]["recognised"].to_numpy(float), objects=1
    )
    rows = []
    for label, images in table.groupby(["label", "image_id"]).sum().groupby(level="label"):
        resamples = _resamples(len(images))
        difference = interval(
            resamples.ratio(images["first"], images["objects"]) - resamples.ratio(images["second"], images["objects"])
        )
        rows.append(
            (CLASS_NAMES[label], int(images["objects"].sum()), len(images), difference.estimate, difference.low,
             difference.high, difference.sign != 0)
        )  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _of(table: pd.DataFrame, variant: str, detector: str | None) -> pd.DataFrame:
    chosen = table[
        (table["variant"] == variant)
        & (table["detector"].isna() if detector is None else table["detector"] == detector)
    ]
    if chosen.empty and not table.empty:
        raise UcolnetError(f"There is no row {variant} of the detector {detector}. Choose names of the results table.")
    return chosen
