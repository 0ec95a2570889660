"""The numbers of the overfitting study, from made-up curves of which all is known."""

import numpy as np
import pandas as pd
import pytest

from ucolnet_lib.evaluation.statistics import rmse_difference, seed_interval
from ucolnet_lib.experiments.study import StudyRun
from ucolnet_lib.experiments.study_overfitting_numbers import (
    CONDITIONS,
    MEASURES,
    Condition,
    Measured,
    comparisons,
    differences,
    pairs,
    run_numbers,
)
from ucolnet_lib.recipes import RECIPES

V1, V3 = (Condition(model, "small", "0") for model in ("ucolnet_v1", "ucolnet_v3"))


def history(validation, train, steps_per_epoch=9) -> pd.DataFrame:
    epochs = np.arange(1, len(validation) + 1)
    return pd.DataFrame(
        {"epoch": epochs, "steps": epochs * steps_per_epoch, "train_color": train, "validation_color": validation}
    )


def test_numbers_of_a_run():
    curve = history([5, 3, 2, 2.5, 3], [5, 4, 3, 2, 1])
    run = StudyRun(V1.name, V1.model, RECIPES["smoke"].replace(seed=4))
    rows = [
        {"name": name, "rmse": {"ab_pooled": value}, "miou": 0.5}
        for name, value in ((V1.name, 7.0), (f"{V1.name}_last", 8.0), (f"{V1.name}_last_full_lightness", 9.0))
    ]
    content = {"rows": rows, "overfitting": {"final_gap": 2.0}, "parameters": 10, "train_seconds": 3.0}
    found = run_numbers(V1, run, content, curve)
    assert found == {
        "model": "ucolnet_v1", "size": "small", "strength": "0", "seed": 4, "best_epoch": 3, "epochs": 5,
        "best_step": 27, "smooth_step": 27, "steps": 45, "lowest": 2.0, "final": 3.0, "rise": 50.0, "final_gap": 2.0,
        "ab_rmse": 7.0, "ab_rmse_last": 8.0, "miou": 0.5, "parameters": 10, "train_seconds": 3.0,
    }  # fmt: skip


def test_the_running_mean_does_not_follow_one_lucky_epoch():
    epochs = np.arange(1, 101)
    validation = 1 + 1e-4 * (epochs - 60.0) ** 2
    validation[9] = 0.9  # lower than all, alone among high ones
    run = StudyRun(V1.name, V1.model, RECIPES["smoke"])
    rows = [{"name": n, "rmse": {"ab_pooled": 1.0}, "miou": None} for n in (V1.name, f"{V1.name}_last")]
    content = {"rows": rows, "overfitting": {"final_gap": 0}, "parameters": 1, "train_seconds": 1}
    found = run_numbers(V1, run, content, history(validation, validation))
    assert (found["best_epoch"], found["smooth_step"]) == (10, 540)


def made_up(levels: dict[str, float], seeds=3, scenes=20) -> dict[Condition, Measured]:
    """`levels`: model -> what its RMSE, steps and gap are about."""
    random, measured = np.random.default_rng(0), {}
    for condition in CONDITIONS:
        numbers, histories, errors = [], [], []
        for _ in range(seeds):
            level = levels[condition.model] * random.uniform(0.99, 1.01)
            numbers.append(dict.fromkeys(MEASURES, level))
            histories.append(history(np.linspace(2, level, 30), np.linspace(3, 1, 30)))
            table = pd.DataFrame({"image_id": np.tile(np.arange(scenes), 2), "class": 3, "class_pixels": 50})
            table["variant"] = np.repeat([condition.name, f"{condition.name}_last"], scenes)
            last = table["variant"].str.endswith("_last")
            table["class_ab_squared"] = 100 * (level + last) ** 2 * random.uniform(0.9, 1.1, scenes * 2)
            errors.append(table)
        measured[condition] = Measured(numbers, histories, errors)
    return measured


def test_every_pair_is_compared_by_every_measure():
    measured = made_up({"ucolnet_v1": 10.0, "ucolnet_v3": 5.0})
    found = {(c["first"], c["second"], c["measure"]): c for c in comparisons(measured)}
    assert len(list(pairs())) == len(set(pairs())) == 2 * (4 + 1 + 6)
    assert len(found) == (22 + 2) * len(MEASURES)
    entry = found[V3.name, V1.name, "final_gap"]
    values = [[n["final_gap"] for n in measured[c].numbers] for c in (V3, V1)]
    assert entry["difference"] == pytest.approx(np.mean(values[0]) - np.mean(values[1]))
    assert entry["low"] < entry["difference"] < entry["high"] < 0
    assert (V3.name, "ucolnet_v1-small-1e-5", "smooth_step") in found  # as in the paper
    assert ("ucolnet_v3-whole-1e-3", "ucolnet_v3-whole-0", "ab_rmse") in found


def test_rmse_of_the_best_and_of_the_last_epoch_are_kept_apart():
    measured = made_up({"ucolnet_v1": 10.0, "ucolnet_v3": 5.0})
    found = {(c["first"], c["second"], c["measure"]): c for c in comparisons(measured)}
    for measure, suffix in (("ab_rmse", ""), ("ab_rmse_last", "_last")):
        squares = [
            np.stack([t[t["variant"] == c.name + suffix]["class_ab_squared"].to_numpy() for t in measured[c].errors])
            for c in (V3, V1)
        ]
        direct = rmse_difference(*squares, np.full(20, 100))
        entry = found[V3.name, V1.name, measure]
        assert (entry["difference"], entry["low"], entry["high"]) == (direct.estimate, direct.low, direct.high)


def test_over_all_strengths_the_seeds_are_averaged_first():
    measured = made_up({"ucolnet_v1": 10.0, "ucolnet_v3": 5.0})
    entry = next(
        c for c in comparisons(measured) if (c["first"], c["measure"]) == ("ucolnet_v3-whole-all", "best_step")
    )
    by_strength = np.array([
        [
            measured[Condition("ucolnet_v3", "whole", s)].numbers[seed]["best_step"]
            - measured[Condition("ucolnet_v1", "whole", s)].numbers[seed]["best_step"]
            for seed in range(3)
        ]
        for s in ("0", "1e-5", "1e-4", "1e-3")
    ])  # fmt: skip
    direct = seed_interval(by_strength.mean(axis=0))
    assert entry["low"] == pytest.approx(direct.low) and entry["high"] == pytest.approx(direct.high)


def test_at_equal_training_loss_slow_learning_is_no_merit():
    """The second learns the same half as fast: later in every epoch, equal at equal training loss."""
    train, validation = np.linspace(3, 1, 41), np.abs(np.linspace(3, 1, 41) - 1.7) + 1
    fast = history(np.concatenate([validation, validation[-1:].repeat(40)]), np.concatenate([train, [1.0] * 40]))
    slow = history(
        np.interp(np.arange(81) / 2, np.arange(41), validation), np.interp(np.arange(81) / 2, np.arange(41), train)
    )
    sides = [Measured([], [side], []) for side in (slow, fast)]
    assert differences(*sides, "at_equal_training") == pytest.approx(0, abs=0.06)
    assert slow["validation_color"].idxmin() == 2 * fast["validation_color"].idxmin()
    # One that never reaches the other's training loss: both are compared where this one ends.
    stopped = Measured([], [slow[:41]], [])
    assert differences(stopped, sides[1], "at_equal_training") == pytest.approx(0, abs=0.06)


def test_one_seed_has_no_interval():
    entries = comparisons(made_up({"ucolnet_v1": 10.0, "ucolnet_v3": 5.0}, seeds=1))
    assert all(entry["low"] is None and entry["high"] is None for entry in entries if "all" in entry["first"])
