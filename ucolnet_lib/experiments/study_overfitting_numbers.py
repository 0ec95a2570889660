"""What `ucolnet study overfitting` measures: the numbers of a run, and differences of conditions with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from ucolnet_lib.evaluation.statistics import Interval, rmse_difference, seed_interval
from ucolnet_lib.experiments.study import StudyRun
from ucolnet_lib.experiments.study_models import by_scene
from ucolnet_lib.figures.overfitting import smooth

STUDIED = ("ucolnet_v1", "ucolnet_v3")
SIZES = ("small", "whole")
STRENGTHS = {"0": 0.0, "1e-5": 1e-5, "1e-4": 1e-4, "1e-3": 1e-3}
"""How a strength of L2 is called in names and tables -> the recipe's weight_decay."""

MEASURES = {
    "best_step": "step of the lowest validation loss",
    "smooth_step": "the same of its running mean",
    "final_gap": "colour loss at the end, validation minus training",
    "at_equal_training": "validation loss at equal training loss",
    "rise": "rise of the validation loss from its lowest to the end, percent",
    "ab_rmse": "ab RMSE on val2017, weights of the lowest validation loss",
    "ab_rmse_last": "ab RMSE on val2017, weights of the last epoch",
}
"""What is compared -> how it is called; the less the better, but for the steps."""


class Condition(NamedTuple):
    """What is trained with several seeds: `model` of STUDIED, `size` of SIZES, `strength` of STRENGTHS."""

    model: str
    size: str
    strength: str

    @property
    def name(self) -> str:
        """As its rows and files are called."""
        return f"{self.model}-{self.size}-{self.strength}"


class Measured(NamedTuple):
    """What the runs of one condition left, an entry a seed: `run_numbers`, loss curves, and ab errors by class."""

    numbers: list[dict]
    histories: list[pd.DataFrame]
    errors: list[pd.DataFrame]


CONDITIONS = [Condition(model, size, strength) for size in SIZES for model in STUDIED for strength in STRENGTHS]


def run_numbers(condition: Condition, run: StudyRun, content: dict, history: pd.DataFrame) -> dict:
    """The numbers of one run; losses are colour losses.

    Returns:
        `best_epoch`, `best_step`: where the loss on the held-out photographs is lowest (`lowest`), of `epochs` and
        `steps`; `smooth_step`: the same of its running mean, see `smooth`;
        `final`: the loss after the last epoch; `rise`: how far it has risen from the lowest, percent;
        `final_gap`: final minus the training loss, which is measured while training, on flipped and cropped pictures;
        `ab_rmse`, `ab_rmse_last`: on val2017 with the weights of the best and of the last epoch, CIELAB a channel;
        `miou`: of the best; `parameters`; `train_seconds`.
    """
    validation, steps = history["validation_color"], history["steps"]
    best, lowest, final = validation.idxmin(), validation.min(), validation.iloc[-1]
    rows = {row["name"]: row for row in content["rows"]}
    return {
        **condition._asdict(),
        "seed": run.recipe.seed,
        "best_epoch": int(history["epoch"][best]),
        "epochs": len(history),
        "best_step": int(steps[best]),
        "smooth_step": int(steps[smooth(validation).idxmin()]),
        "steps": int(steps.iloc[-1]),
        "lowest": float(lowest),
        "final": float(final),
        "rise": float(100 * (final / lowest - 1)),
        "final_gap": content["overfitting"]["final_gap"],
        "ab_rmse": rows[run.name]["rmse"]["ab_pooled"],
        "ab_rmse_last": rows[f"{run.name}_last"]["rmse"]["ab_pooled"],
        "miou": rows[run.name]["miou"],
        "parameters": content["parameters"],
        "train_seconds": content["train_seconds"],
    }


def pairs() -> Iterator[tuple[Condition, Condition]]:
    """What is compared: v3 with v1 at equal strength, and as the paper trained them; each strength with none."""
    v1, v3 = STUDIED
    for size in SIZES:
        for strength in STRENGTHS:
            yield Condition(v3, size, strength), Condition(v1, size, strength)
        yield Condition(v3, size, "0"), Condition(v1, size, "1e-5")
        for model in STUDIED:
            for strength in list(STRENGTHS)[1:]:
                yield Condition(model, size, strength), Condition(model, size, "0")


def comparisons(measured: Mapping[Condition, Measured]) -> list[dict]:
    """By every measure, the first condition's value minus the second's: mean over the seeds, with its interval.

    The RMSE are paired over seeds and scenes, the other measures over seeds. After the pairs of `pairs` comes, for each
    size, v3 minus v1 in the mean over all strengths (strength "all"), over seeds alone.
    """
    found = []
    for first, second in pairs():
        for measure in MEASURES:
            if measure in ("ab_rmse", "ab_rmse_last"):
                interval = _rmse_interval(measured, first, second, measure.removeprefix("ab_rmse"))
            else:
                interval = seed_interval(differences(measured[first], measured[second], measure))
            found.append(_entry(first, second, measure, interval))
    for size in SIZES:
        v1, v3 = (Condition(model, size, "all") for model in STUDIED)
        for measure in MEASURES:
            of_each = [
                differences(measured[v3._replace(strength=s)], measured[v1._replace(strength=s)], measure)
                for s in STRENGTHS
            ]
            found.append(_entry(v3, v1, measure, seed_interval(np.mean(of_each, axis=0))))
    return found


def differences(first: Measured, second: Measured, measure: str) -> np.ndarray:
    """The first's value minus the second's, for each seed (S,)."""
    if measure == "at_equal_training":
        level = max(smooth(h["train_color"]).min() for h in first.histories + second.histories)
        values = [[_validation_at(h, level) for h in side.histories] for side in (first, second)]
    else:
        values = [[n[measure] for n in side.numbers] for side in (first, second)]
    return np.subtract(*values)


def _validation_at(history: pd.DataFrame, level: float) -> float:
    """The validation loss where the training loss first falls to `level`, both as running means."""
    place = (smooth(history["train_color"]) <= level).idxmax()
    return float(smooth(history["validation_color"])[place])


def _rmse_interval(
    measured: Mapping[Condition, Measured], first: Condition, second: Condition, suffix: str
) -> Interval:
    (ours, counts), (theirs, _) = (
        by_scene([t[t["variant"] == c.name + suffix] for t in measured[c].errors], lambda labels: labels >= 0)
        for c in (first, second)
    )
    return rmse_difference(ours, theirs, counts)


def _entry(first: Condition, second: Condition, measure: str, interval: Interval) -> dict:
    known = np.isfinite(interval.low)  # JSON has no infinity: with one seed an interval has no ends
    return {
        "first": first.name,
        "second": second.name,
        "measure": measure,
        "difference": interval.estimate,
        "low": interval.low if known else None,
        "high": interval.high if known else None,
    }
