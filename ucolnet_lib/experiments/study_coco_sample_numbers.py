"""What `ucolnet study coco-sample` measures on each photograph, and the numbers made of it, with intervals.

What was measured is kept small enough to be committed, one dictionary a system and seed:

    kind, size, seed, miou  of `evaluation.rows`
    objects, pixels         a number a photograph, in the order of the split
    variants                name -> rmse_rgb, rmse_ab, colourfulness: a number a photograph;
                            recognised: detector -> a number a photograph

From it come all numbers of the table, each a mean over the seeds with an interval of 95%.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from ucolnet_lib.evaluation.bootstrap import Resamples, interval
from ucolnet_lib.evaluation.evaluate import Evaluation
from ucolnet_lib.evaluation.statistics import interval_over_seeds, pooled_interval, rmse_difference
from ucolnet_lib.evaluation.systems import FULL_LIGHTNESS

DIGITS = {"rmse_rgb": 3, "rmse_ab": 3, "colourfulness": 2}
"""What is kept of a photograph -> with so many decimals."""


def measured(evaluation: Evaluation) -> dict:
    """What is kept of one system's evaluation: plain values, see above."""
    about = evaluation.rows[0]
    found: dict = {key: about[key] for key in ("kind", "size", "seed", "miou")} | {"variants": {}}
    for variant, table in evaluation.per_image.groupby("variant", sort=False):
        by_detector = dict(tuple(table.groupby(table["detector"].fillna(""), sort=False)))
        images = next(iter(by_detector.values()))
        found |= {column: images[column].tolist() for column in ("objects", "pixels")}
        found["variants"][variant] = {c: images[c].round(digits).tolist() for c, digits in DIGITS.items()} | {
            "recognised": {name: t["recognised"].astype(int).tolist() for name, t in by_detector.items() if name}
        }
    return found


def matched_gray(variant: str, size: int | None) -> str | None:
    """The gray picture that went the same way as a variant's; None for gray itself.

    What has the photograph's own lightness is held against gray at full resolution.
    """
    if variant == "gray" or variant.startswith("gray_"):
        return None
    if size is None or variant.endswith(FULL_LIGHTNESS) or variant.startswith("true_chroma_"):
        return "gray"
    return f"gray_{size}"


def table_rows(controls: Sequence[Mapping], systems: Mapping[str, Sequence[Mapping]]) -> list[dict]:
    """A row for each variant: of the controls, then of each system.

    - `name`, `kind`, `size`, `seeds` (None of a control), `gray`: the matched gray picture, or None;
    - `rmse_rgb` (0-255, mean over photographs), `rmse_of_gray` (as a share of the matched gray's), `ab_rmse` (CIELAB a
      channel, all pixels pooled), `colourfulness` (as a share of the originals'), each with `NAME_ci`;
    - `colourfulness_distance`: mean over photographs of the absolute difference to the original's;
    - `detectors`: detector -> `recognised` (mean over the seeds), and with `_ci` `share` (recognised, as a fraction of
      all objects), `retention` (of those recognised in the originals) and `minus_gray` (retention minus that of the
      matched gray).

    What is not defined is None.

    Args:
        controls: what is known of the systems of controls, one seed each.
        systems: name -> what is known of its seeds.
    """
    plain = {variant: images for known in controls for variant, images in known["variants"].items()}
    objects, pixels = (np.array(controls[0][column], float) for column in ("objects", "pixels"))
    resamples = Resamples(len(pixels))
    rows = []
    for seeds in [[known] for known in controls] + list(systems.values()):
        first = seeds[0]
        for variant in first["variants"]:
            gray = matched_gray(variant, first["size"])
            about = {
                "name": variant, "kind": first["kind"], "size": first["size"],
                "seeds": len(seeds) if first["kind"] == "model" else None, "gray": gray,
            }  # fmt: skip
            images = [known["variants"][variant] for known in seeds]
            rows.append(about | _numbers(images, plain["original"], plain.get(gray), objects, pixels, resamples))
    return rows


def _numbers(
    seeds: Sequence[Mapping], original: Mapping, gray: Mapping | None, objects: np.ndarray, pixels: np.ndarray,
    resamples: Resamples,
) -> dict:  # fmt: skip
    def of_seeds(value, needed: Mapping | None = original) -> list[np.ndarray] | None:
        """For each seed what `Resamples` gives; None without what is `needed`."""
        return None if needed is None else [value(images) for images in seeds]

    found = _with_interval("rmse_rgb", of_seeds(lambda i: resamples.mean(i["rmse_rgb"])))
    found |= _with_interval(
        "rmse_of_gray", of_seeds(lambda i: resamples.ratio(i["rmse_rgb"], gray["rmse_rgb"]), needed=gray)
    )
    squared = [np.square(images["rmse_ab"]) * 2 * pixels for images in seeds]
    found |= _with_interval("ab_rmse", [resamples.rmse(s, 2 * pixels) for s in squared])
    found |= _with_interval(
        "colourfulness", of_seeds(lambda i: resamples.ratio(i["colourfulness"], original["colourfulness"]))
    )
    distances = [
        np.abs(np.subtract(images["colourfulness"], original["colourfulness"])).mean() for images in seeds
    ]
    found["colourfulness_distance"] = float(np.mean(distances))
    found["detectors"] = {}
    for detector, base in original["recognised"].items():

        def retention(images: Mapping, detector=detector, base=base) -> np.ndarray:
            return resamples.ratio(images["recognised"][detector], base)

        def minus_gray(images: Mapping, retention=retention) -> np.ndarray:
            return retention(images) - retention(gray)

        found["detectors"][detector] = {
            "recognised": float(np.mean([sum(images["recognised"][detector]) for images in seeds])),
            **_with_interval("share", of_seeds(lambda i, d=detector: resamples.ratio(i["recognised"][d], objects))),
            **_with_interval("retention", of_seeds(retention)),
            **_with_interval("minus_gray", of_seeds(minus_gray, needed=gray)),
        }
    return found


def _with_interval(name: str, seeds: list[np.ndarray] | None) -> dict:
    """One training speaks of photographs alone; several of the seeds too."""
    if seeds is None:
        return {name: None, f"{name}_ci": [None, None]}
    joined = interval(seeds[0]) if len(seeds) == 1 else interval_over_seeds(np.stack(seeds))
    values = [float(v) if np.isfinite(v) else None for v in (joined.estimate, joined.low, joined.high)]
    return {name: values[0], f"{name}_ci": values[1:]}


def trainings(
    contents: Mapping[str, Sequence[Mapping]],
    histories: Mapping[str, Sequence[pd.DataFrame]],
    systems: Mapping[str, Sequence[Mapping]],
) -> list[dict]:
    """A row a model, means over the seeds; losses are colour losses.

    `model`, `seeds`, `parameters`, `weight_decay`, `epochs`, `minutes`; `best_epochs`: of each seed, the epoch of the
    lowest loss on the held-out photographs; `lowest`: that loss; `rise`: how far it has risen from there by the last
    epoch, percent; `training`: the last epoch's loss in training; `final_gap`: validation minus training loss there;
    `ab_rmse` with `ab_rmse_std` (None of one seed), `miou` (None of a model that does not segment): on the test
    photographs, as the table has them.

    Args:
        contents: name -> what `run_study` returns of its seeds; histories: their loss curves; systems: what was
            measured of them.
    """
    rows = []
    for name, seeds in contents.items():
        curves = [history["validation_color"] for history in histories[name]]
        errors = [_ab_rmse(known) for known in systems[name]]
        mious = [known["miou"] for known in systems[name]]
        rows.append(
            {
                "model": name,
                "seeds": len(seeds),
                "parameters": seeds[0]["parameters"],
                "weight_decay": seeds[0]["inputs"]["recipe"]["weight_decay"],
                "best_epochs": [content["overfitting"]["best_epoch"] for content in seeds],
                "epochs": seeds[0]["epochs"],
                "lowest": float(np.mean([curve.min() for curve in curves])),
                "rise": float(np.mean([100 * (curve.iloc[-1] / curve.min() - 1) for curve in curves])),
                "training": float(np.mean([history["train_color"].iloc[-1] for history in histories[name]])),
                "final_gap": float(np.mean([content["overfitting"]["final_gap"] for content in seeds])),
                "ab_rmse": float(np.mean(errors)),
                "ab_rmse_std": float(np.std(errors, ddof=1)) if len(seeds) > 1 else None,
                "miou": None if None in mious else float(np.mean(mious)),
                "minutes": float(np.mean([content["train_seconds"] for content in seeds]) / 60),
            }
        )
    return rows


def _ab_rmse(known: Mapping) -> float:
    squared, counts = _squared(known)
    return float(np.sqrt(squared.sum() / counts.sum()))


def _squared(known: Mapping) -> tuple[np.ndarray, np.ndarray]:
    """Of a model at its own size, for each photograph: the sum of squared ab errors, and how many they are."""
    images, counts = next(iter(known["variants"].values())), 2 * np.array(known["pixels"], float)
    return np.square(images["rmse_ab"]) * counts, counts


MEASURES = ("ab_rmse", "best_epoch", "final_gap")
"""What two models are compared by: see `trainings`."""


def comparisons(contents: Mapping[str, Sequence[Mapping]], systems: Mapping[str, Sequence[Mapping]]) -> list[dict]:
    """Every two models by every measure: the first's value minus the second's, mean over the seeds, and its interval
    from `low` to `high`, None where it has no end. The ab RMSE is paired over seeds and photographs; of the others
    there is one number a training, and chance is estimated from all models (`pooled_interval`).
    """
    found, names = [], list(contents)
    for first, second in combinations(names, 2):
        for measure in MEASURES:
            if measure == "ab_rmse":
                (ours, counts), (theirs, _) = (
                    map(np.stack, zip(*map(_squared, systems[name]), strict=True)) for name in (first, second)
                )
                told = rmse_difference(ours, theirs, counts[0])
            else:
                values = [[content["overfitting"][measure] for content in contents[name]] for name in names]
                told = pooled_interval(values, names.index(first), names.index(second))
            low, high = (float(end) if np.isfinite(end) else None for end in (told.low, told.high))
            found.append(
                {"first": first, "second": second, "measure": measure, "difference": float(told.estimate)}
                | {"low": low, "high": high}
            )
    return found
