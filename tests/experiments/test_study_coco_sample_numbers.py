"""The numbers of the study of the real sample, against the same made by hand."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ucolnet_lib.experiments.study_coco_sample_numbers import (
    comparisons,
    matched_gray,
    measured,
    table_rows,
    trainings,
)

IMAGES = 40


def images(random, level: float, recognised=3) -> dict:
    return {
        "rmse_rgb": random.uniform(level, level + 2, IMAGES).tolist(),
        "rmse_ab": random.uniform(level, level + 2, IMAGES).tolist(),
        "colourfulness": random.uniform(level, level + 2, IMAGES).tolist(),
        "recognised": {"yolo": random.integers(1, recognised + 1, IMAGES).tolist()},
    }


def known(variants: dict, size=None, kind="control", seed=None) -> dict:
    pixels = np.arange(100, 100 + IMAGES).tolist()
    about = {"kind": kind, "size": size, "seed": seed, "miou": 0.25}
    return about | {"objects": [5] * IMAGES, "pixels": pixels, "variants": variants}


@pytest.fixture
def study():
    random = np.random.default_rng(0)
    controls = [
        known({"original": images(random, 30, 5), "gray": images(random, 20), "mean_colour": images(random, 19)}),
        known({name: images(random, 25) for name in ("original_16", "gray_16", "true_chroma_16")}, size=16),
    ]
    seeds = [
        known({"net": images(random, 22), "net_full_lightness": images(random, 18)}, 16, "model", seed)
        for seed in range(2)
    ]
    return controls, {"net": seeds, "other": [known({"other": images(random, 22)}, 16, "model", 7)]}


def test_the_matched_gray_went_the_same_way():
    assert [matched_gray(*v) for v in (("gray", None), ("gray_128", 128))] == [None, None]
    assert matched_gray("original", None) == matched_gray("mean_colour", None) == "gray"
    assert matched_gray("original_128", 128) == matched_gray("ucolnet_v3", 128) == "gray_128"
    assert matched_gray("true_chroma_128", 128) == matched_gray("ucolnet_v3_full_lightness", 128) == "gray"


def test_numbers_are_means_over_the_seeds(study):
    controls, systems = study
    rows = {row["name"]: row for row in table_rows(*study)}
    assert list(rows) == [
        "original", "gray", "mean_colour", "original_16", "gray_16", "true_chroma_16", "net", "net_full_lightness",
        "other",
    ]  # fmt: skip
    original, gray = (controls[0]["variants"][name] for name in ("original", "gray"))
    gray_16, pixels = controls[1]["variants"]["gray_16"], np.array(controls[0]["pixels"])
    net = [seed["variants"]["net"] for seed in systems["net"]]
    row = rows["net"]
    assert (row["seeds"], row["gray"], rows["gray"]["seeds"], rows["other"]["seeds"]) == (2, "gray_16", None, 1)
    assert row["rmse_rgb"] == pytest.approx(np.mean([s["rmse_rgb"] for s in net]))
    assert row["rmse_of_gray"] == pytest.approx(row["rmse_rgb"] / np.mean(gray_16["rmse_rgb"]))
    pooled = [np.sqrt(np.average(np.square(s["rmse_ab"]), weights=pixels)) for s in net]
    assert row["ab_rmse"] == pytest.approx(np.mean(pooled))
    assert row["colourfulness"] == pytest.approx(
        np.mean([s["colourfulness"] for s in net]) / np.mean(original["colourfulness"])
    )
    seen = row["detectors"]["yolo"]
    base = sum(original["recognised"]["yolo"])
    hits = np.mean([sum(s["recognised"]["yolo"]) for s in net])
    assert (seen["recognised"], seen["retention"]) == (hits, pytest.approx(hits / base))
    assert seen["share"] == pytest.approx(hits / (5 * IMAGES)) and seen["share_ci"][0] < seen["share"]
    assert seen["minus_gray"] == pytest.approx((hits - sum(gray_16["recognised"]["yolo"])) / base)
    full = rows["net_full_lightness"]["detectors"]["yolo"]
    assert full["minus_gray"] == pytest.approx(full["retention"] - sum(gray["recognised"]["yolo"]) / base)
    assert rows["original"]["detectors"]["yolo"]["retention_ci"] == [1, 1]
    json.dumps(list(rows.values()), allow_nan=False)


def test_intervals_hold_the_numbers_and_gray_has_no_gray(study):
    for row in table_rows(*study):
        for at, names in ((row, ("rmse_rgb", "rmse_of_gray", "ab_rmse", "colourfulness")),
                          (row["detectors"]["yolo"], ("retention", "minus_gray"))):  # fmt: skip
            for name in names:
                if row["gray"] is None and name in ("rmse_of_gray", "minus_gray"):
                    assert at[name] is None and at[f"{name}_ci"] == [None, None]
                else:
                    low, high = at[f"{name}_ci"]
                    assert low <= at[name] <= high


def test_seeds_that_differ_widen_the_interval(study):
    controls, systems = study
    one = systems["net"][:1]
    moved = json.loads(json.dumps(one[0]))
    moved["variants"]["net"]["rmse_rgb"] = [v + 3 for v in moved["variants"]["net"]["rmse_rgb"]]

    def width(seeds) -> float:
        row = next(r for r in table_rows(controls, {"net": seeds}) if r["name"] == "net")
        return np.diff(row["rmse_rgb_ci"])[0]

    assert width(one) == pytest.approx(width(one * 2), rel=0.1)
    assert width([one[0], moved]) > 5 * width(one)


def test_what_is_kept_of_an_evaluation():
    per_image = pd.DataFrame(
        [
            {"image_id": i, "variant": variant, "detector": detector, "objects": 4, "pixels": 10 + i, "rmse_rgb": 1 / 3,
             "rmse_ab": i + 0.12345, "colourfulness": 2.0, "recognised": i + (detector == "b")}
            for variant in ("net", "net_full_lightness") for i in (5, 3, 9) for detector in ("b", "a")
        ]
    ).astype({"recognised": "Int64"})  # fmt: skip
    evaluation = SimpleNamespace(rows=[{"kind": "model", "size": 16, "seed": 0, "miou": 0.5}], per_image=per_image)
    found = json.loads(json.dumps(measured(evaluation)))
    assert found["pixels"] == [15, 13, 19] and found["objects"] == [4, 4, 4]
    assert (found["size"], found["miou"]) == (16, 0.5)
    assert found["variants"]["net"] == {
        "rmse_rgb": [0.333] * 3, "rmse_ab": [5.123, 3.123, 9.123], "colourfulness": [2.0] * 3,
        "recognised": {"b": [6, 4, 10], "a": [5, 3, 9]},
    }  # fmt: skip
    assert list(found["variants"]["net"]["recognised"]) == ["b", "a"]  # as they were asked
    per_image = per_image[per_image["detector"] == "a"].assign(detector=None, recognised=pd.NA)
    alone = measured(SimpleNamespace(rows=evaluation.rows, per_image=per_image))
    assert alone["variants"]["net"]["recognised"] == {} and alone["variants"]["net"]["rmse_ab"][0] == 5.123


@pytest.fixture
def trained(study):
    """Two models, two seeds each: what the engine leaves of them, their loss curves, and what was measured."""
    net = study[1]["net"]
    moved = json.loads(json.dumps(net))
    for seed in moved:
        seed["variants"]["net"]["rmse_ab"] = [v + 1 for v in seed["variants"]["net"]["rmse_ab"]]
    contents = [
        {"rows": [], "overfitting": {"best_epoch": best, "final_gap": 2.0}, "epochs": 3, "parameters": 9,
         "train_seconds": 60, "inputs": {"recipe": {"weight_decay": 0.5}}}
        for best in (2, 3)
    ]  # fmt: skip
    histories = [
        pd.DataFrame({"epoch": [1, 2, 3], "train_color": [3.0, 2, 1], "validation_color": [4.0, low, 3]})
        for low in (2.0, 2.5)
    ]
    return {"net": contents, "far": contents}, {"net": histories, "far": histories}, {"net": net, "far": moved}


def test_trainings(trained, study):
    near, far = trainings(*trained)
    assert (near["model"], near["seeds"], near["best_epochs"], near["weight_decay"]) == ("net", 2, [2, 3], 0.5)
    assert (near["lowest"], near["training"], near["final_gap"], near["minutes"]) == (2.25, 1, 2, 1)
    assert near["rise"] == pytest.approx((50 + 20) / 2) and near["miou"] == pytest.approx(0.25)
    in_table = next(row for row in table_rows(*study) if row["name"] == "net")
    assert near["ab_rmse"] == pytest.approx(in_table["ab_rmse"]) and near["ab_rmse_std"] > 0
    alone = [{name: seeds[:1] for name, seeds in part.items()} for part in trained]
    alone[2]["net"] = [alone[2]["net"][0] | {"miou": None}]
    assert trainings(*alone)[0]["ab_rmse_std"] is None and trainings(*alone)[0]["miou"] is None


def test_comparisons_are_paired(trained):
    contents, _, systems = trained
    found = {entry["measure"]: entry for entry in comparisons(contents, systems)}
    assert list(found) == ["ab_rmse", "best_epoch", "final_gap"] and found["ab_rmse"]["first"] == "net"
    ours, theirs = (
        np.mean([np.sqrt(np.average(np.square(seed["variants"]["net"]["rmse_ab"]), weights=seed["pixels"]))
                 for seed in systems[name]])
        for name in ("net", "far")
    )  # fmt: skip
    assert found["ab_rmse"]["difference"] == pytest.approx(ours - theirs)
    # Every photograph is worse by 1: pairing sees it, though one photograph differs from another by more.
    assert -1.1 < found["ab_rmse"]["low"] < found["ab_rmse"]["high"] < -0.9
    assert (found["best_epoch"]["difference"], found["best_epoch"]["low"], found["best_epoch"]["high"]) == (0, 0, 0)
    one = comparisons({n: s[:1] for n, s in contents.items()}, {n: s[:1] for n, s in systems.items()})
    assert all(entry["low"] is entry["high"] is None for entry in one)
