"""`ucolnet study paper-numbers`: along which paths does a picture without any colour give the paper's numbers?

The paper counts by a YOLOv8 how many of the objects recognised in the originals are recognised after colouring: 77.2%
(v1) and 76.7% (v3). It states neither the size of its pictures, nor how they are resized and become gray, nor the
detector's size and its confidence; and it gives no number for gray pictures. Its pictures are not to be had. So gray
pictures go along many paths (`evaluation.gray_paths`), and the paper's numbers are held against theirs.

*Consistent* means: a picture without any colour through this path keeps as many objects as the paper's colourings. That
is, both of the paper's numbers lie within the interval of gray's retention. It does not mean that the paper's colours
do nothing: along such a path, its retention alone cannot show that they do anything.

Of its RMSE (18.45 and 18.33, no definition stated) one thing can be asked: a model that colours better than gray has a
lower RMSE than gray through the same path. A definition is *possible* unless gray's interval ends below the paper's v1.

Every path is crossed with every detector and confidence; higher confidences come from the same detections. Intervals
are of 95%, by a bootstrap over photographs: they speak of photographs like those measured, which need not be a random
draw of val2017.

Into one folder:

    results.json     retention, originals, rmse (see the functions of these names), and what they were made with
    table.csv        a row for each detector, confidence and path
    table.md         the same for reading, with what it says
    retention.png, retention.pdf
    v1-against-v3.png, v1-against-v3.pdf    is the paper's own difference real? See `figures.paper_difference`
    work/            what was measured: a second call, or one after a kill, goes on from it; not to be committed
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.evaluation.bootstrap import Resamples, interval
from ucolnet_lib.evaluation.cache import Cache
from ucolnet_lib.evaluation.detection import CONFIDENCE, Detections, recognised
from ucolnet_lib.evaluation.detectors import open_detector
from ucolnet_lib.evaluation.evaluate import Evaluation, evaluate
from ucolnet_lib.evaluation.gray_paths import PATHS, GrayPaths
from ucolnet_lib.experiments.paper_numbers_table import DEFINITIONS, findings, full_table, reading_table
from ucolnet_lib.experiments.steps import data_manifest, made_with
from ucolnet_lib.figures.evaluation import PAPER
from ucolnet_lib.figures.paper_difference import caption, paper_difference
from ucolnet_lib.figures.paper_numbers import retention_by_size
from ucolnet_lib.figures.style import save

SPLIT = "val2017"
CONFIDENCES = (CONFIDENCE, 0.4, 0.5)

PAPER_RMSE = {"v3": 18.33, "v1": 18.45}
PAPER_SHARE = 17_554 / 36_781
"""The paper's RMSE after colouring; and the share of all objects that it recognises in the originals."""


def paper_numbers(
    data: str | Path,
    detectors: Sequence[str | Path],
    out: str | Path,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> dict:
    """Measure gray pictures along all paths, and hold the paper's numbers against theirs.

    Args:
        data: a COCO folder; its val2017 is measured.
        detectors: what `open_detector` takes, one or more.
        out: the folder to write; a call after a kill goes on from its `work/`.
        progress: show a bar.
        say: receives the sentences for the reader.
    Returns:
        the content of results.json.
    Raises:
        UcolnetError: no detector is named, one recognises nothing in the originals, or an input is missing or broken.
    """
    if not detectors:
        raise UcolnetError("No detector is named, and without one nothing is recognised. Name one with --detector.")
    out, photos = Path(out), CocoSplit(data, SPLIT)
    referees = [open_detector(weights) for weights in detectors]
    cache = Cache(out / "work" / "cache.sqlite")
    evaluation = evaluate(photos, [GrayPaths()], referees, cache, progress=progress, description="gray paths")
    counts = count(evaluation, photos)
    results = {
        "retention": retention(counts),
        "originals": originals(counts),
        "rmse": rmse(evaluation),
        "paper": {"retention": PAPER, "share": PAPER_SHARE, "rmse": PAPER_RMSE},
        "detectors": [referee.signature for referee in referees],
        "photographs": int(counts["image_id"].nunique()),
        "data": {SPLIT: data_manifest(data)[SPLIT]},
        **made_with(),
    }
    _write(results, out)
    for sentence in (*findings(results), caption()):
        say(sentence)
    say(f"The table, results.json and the figure lie in {out}.")
    return results


def count(evaluation: Evaluation, photos: CocoSplit) -> pd.DataFrame:
    """Recognised objects for each detector, variant, confidence and photograph, matched as everywhere.

    Columns: detector, variant, confidence, image_id, objects, recognised; all variants have the photographs in one
    order.

    Raises:
        UcolnetError: a detector recognises nothing in the originals, so that there is nothing to keep.
    """
    annotated = {image_id: photos.objects(place) for place, image_id in enumerate(photos.ids)}
    counts = pd.DataFrame(
        {
            "detector": detector,
            "variant": variant,
            "confidence": confidence,
            "image_id": image_id,
            "objects": len(annotated[image_id]),
            "recognised": recognised(_of_confidence(found, confidence), annotated[image_id]),
        }
        for (variant, detector), by_image in evaluation.detections.items()
        for confidence in CONFIDENCES
        for image_id, found in by_image.items()
    )
    for row in originals(counts):
        if not row["recognised"]:
            raise UcolnetError(
                f"{row['detector']} recognises nothing in the originals at confidence {row['confidence']:g}, so there "
                "is nothing to keep. Take more photographs, or a detector that was trained on such pictures."
            )
    return counts


def _of_confidence(found: Detections, confidence: float) -> Detections:
    kept = found.scores >= confidence
    return replace(found, boxes=found.boxes[kept], scores=found.scores[kept], labels=found.labels[kept])


def retention(counts: pd.DataFrame) -> list[dict]:
    """A row for each detector, confidence and path.

    - `detector`, `confidence`, `conversion`, `kernel`, `size`;
    - `recognised_in_originals`, `recognised`: objects;
    - `retention`, `retention_ci`: recognised, as a fraction of those recognised in the originals, and its interval;
    - `gray_keeps`: `as many` as the paper's colourings (consistent), `fewer` (the interval ends below v1), `more` (it
      begins above v3); None where the interval has no end.
    """
    resamples = Resamples(counts["image_id"].nunique())
    rows = []
    for (detector, confidence), table in counts.groupby(["detector", "confidence"], sort=False):
        by_variant = {variant: part["recognised"].to_numpy() for variant, part in table.groupby("variant")}
        base = by_variant["original"]
        for path in PATHS:
            kept = by_variant[path.name]
            measured = _measured("retention", resamples.ratio(kept, base))
            rows.append(
                {"detector": detector, "confidence": confidence, **asdict(path)}
                | {"recognised_in_originals": int(base.sum()), "recognised": int(kept.sum())}
                | {**measured, "gray_keeps": _gray_keeps(*measured["retention_ci"])}
            )
    return rows


def _gray_keeps(low: float | None, high: float | None) -> str | None:
    if low is None or high is None:
        return None
    if low <= PAPER["v3"] and PAPER["v1"] <= high:
        return "as many"
    return "fewer" if high < PAPER["v1"] else "more"


def originals(counts: pd.DataFrame) -> list[dict]:
    """A row for each detector and confidence: `objects`, `recognised` in the originals, `share` with `share_ci`, and
    `as_paper`: whether the paper's share lies within the interval; None where that has no end."""
    counts = counts[counts["variant"] == "original"]
    resamples = Resamples(counts["image_id"].nunique())
    rows = []
    for (detector, confidence), table in counts.groupby(["detector", "confidence"], sort=False):
        measured = _measured("share", resamples.ratio(table["recognised"], table["objects"]))
        low, high = measured["share_ci"]
        rows.append(
            {"detector": detector, "confidence": confidence}
            | {"objects": int(table["objects"].sum()), "recognised": int(table["recognised"].sum())}
            | {**measured, "as_paper": None if low is None or high is None else low <= PAPER_SHARE <= high}
        )
    return rows


def rmse(evaluation: Evaluation) -> list[dict]:
    """A row for each path: `conversion`, `kernel`, `size`, and four dictionaries over the definitions of RMSE.

    - `rmse`, `rmse_ci`: of the gray pictures;
    - `paper_over_gray`: {v1, v3}, the paper's RMSE over gray's; None where gray's is 0;
    - `possible`: whether v1's lies below the upper end of gray's interval; None where that has no end.
    """
    by_name = {row["name"]: row for row in evaluation.rows}
    rows = []
    for path in PATHS:
        values, ends = ({name: by_name[path.name][key][name] for name in DEFINITIONS} for key in ("rmse", "rmse_ci"))
        ratios = {
            name: {model: paper / gray if gray else None for model, paper in PAPER_RMSE.items()}
            for name, gray in values.items()
        }
        possible = {name: None if high is None else PAPER_RMSE["v1"] < high for name, (_, high) in ends.items()}
        rows.append(asdict(path) | {"rmse": values, "rmse_ci": ends, "paper_over_gray": ratios, "possible": possible})
    return rows


def _measured(name: str, values: np.ndarray) -> dict:
    """A number with its interval, as plain values; None for what is undefined or infinite."""
    found = interval(values)
    estimate, low, high = (float(v) if np.isfinite(v) else None for v in (found.estimate, found.low, found.high))
    return {name: estimate, f"{name}_ci": [low, high]}


def _write(results: dict, out: Path) -> None:
    with write_beside(out / "table.csv") as file:
        full_table(results).to_csv(file, index=False, float_format="%.6g")
    with write_beside(out / "table.md") as file:
        file.write_text(reading_table(results), encoding="utf-8")
    save(retention_by_size(results["retention"]), out / "retention")
    save(paper_difference(), out / "v1-against-v3")
    with write_beside(out / "results.json") as file:
        file.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
