"""Rows of results.json, from tables per image made by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from ucolnet_lib.evaluation.bootstrap import Resamples, interval
from ucolnet_lib.evaluation.rows import FIELDS, MEANS, make_rows, with_retention
from ucolnet_lib.metrics import RMSE_NAMES, rmse


def table(images=40, variants=("original", "gray"), detectors=("d",), seed=0) -> pd.DataFrame:
    """Random but possible numbers of each image, variant and detector, photograph by photograph."""
    rng = np.random.default_rng(seed)
    records = []
    for image_id in range(1, images + 1):
        objects, pixels, gray = int(rng.integers(1, 9)), int(rng.integers(50, 90)), bool(rng.random() < 0.2)
        crowds = int(rng.integers(0, 2))
        for variant in variants:
            measures = {name: rng.random() for name in MEANS} | {
                "pixels": pixels,
                "object_pixels": pixels // 3,
                "rgb_squared": int(rng.integers(1000, 9000)),
                "ab_squared": rng.random() * 900,
                "ab_objects_squared": rng.random() * 300,
                "ab_distance": rng.random() * 90,
            }
            for detector in detectors:
                recognised = None if detector is None else int(rng.integers(0, objects + 1))
                counts = {
                    "objects": objects,
                    "recognised": recognised,
                    "objects_without_crowds": objects - crowds,
                    "recognised_without_crowds": recognised and max(0, recognised - crowds),
                    "gray_photograph": gray,
                }
                about = {"image_id": image_id, "variant": variant, "detector": detector}
                records.append(about | counts | measures)
    frame = pd.DataFrame(records)
    for column in ("recognised", "recognised_without_crowds"):
        frame[column] = frame[column].astype("Int64")
    frame["rmse_rgb"] = np.sqrt(frame["rgb_squared"] / (3 * frame["pixels"]))
    frame["rmse_ab"] = np.sqrt(frame["ab_squared"] / (2 * frame["pixels"]))
    frame["ab_euclid"] = frame["ab_distance"] / frame["pixels"]
    return frame


def rows_of(frame, detectors=("d",)) -> dict:
    """(variant, detector) -> its row."""
    about = [{"name": v, "kind": "control", "detector": d} for v in frame["variant"].unique() for d in detectors]
    rows = make_rows(about, frame)
    assert all(tuple(row) == FIELDS for row in rows)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    return {(row["name"], row["detector"]): row for row in rows}


def test_a_tiny_case_by_hand():
    """Two photographs: 4 objects, 3 and then 1 recognised; 2 objects, 1 and then 1."""
    frame = table(2)
    frame["objects"] = [4, 4, 2, 2]
    frame["objects_without_crowds"] = [3, 3, 2, 2]
    frame["recognised"] = pd.array([3, 1, 1, 1], "Int64")
    frame["recognised_without_crowds"] = pd.array([2, 0, 1, 1], "Int64")
    frame["gray_photograph"] = [True, True, False, False]
    rows = rows_of(frame)
    original, gray = rows["original", "d"], rows["gray", "d"]
    assert [original[k] for k in ("images", "gray_images", "objects", "objects_without_crowds")] == [2, 1, 6, 5]
    assert [original[k] for k in ("recognised", "recognised_without_crowds")] == [4, 3]
    assert [gray[k] for k in ("recognised", "recognised_without_crowds")] == [2, 1]
    assert (original["share"], gray["share"]) == (4 / 6, 2 / 6)
    assert (original["retention"], gray["retention"]) == (1, 2 / 4)
    # Half of the resamples are mixed, a quarter hold one photograph twice: the ends are these.
    assert gray["retention_ci"] == [1 / 3, 1] and original["retention_ci"] == [1, 1]
    assert gray["share_ci"] == [1 / 4, 1 / 2] and original["share_ci"] == [1 / 2, 3 / 4]
    assert gray["rmse"] == rmse(frame[frame["variant"] == "gray"])


def test_all_intervals_against_resamples_drawn_anew():
    frame = table()
    row = rows_of(frame)["gray", "d"]
    gray = frame[frame["variant"] == "gray"].reset_index(drop=True)
    original = frame[frame["variant"] == "original"].reset_index(drop=True)
    g = {name: gray[name].to_numpy(float) for name in gray if name not in ("variant", "detector")}
    originals = original["recognised"].to_numpy(float)
    rng = np.random.default_rng(0)
    values = {name: [] for name in (*RMSE_NAMES, "share", "retention")}
    for i in (rng.integers(40, size=40) for _ in range(2000)):
        pixels = g["pixels"][i]
        values["rgb_pooled"].append((g["rgb_squared"][i].sum() / (3 * pixels.sum())) ** 0.5)
        values["rgb_mean"].append(((g["rgb_squared"][i] / (3 * pixels)) ** 0.5).mean())
        values["ab_pooled"].append((g["ab_squared"][i].sum() / (2 * pixels.sum())) ** 0.5)
        values["ab_mean"].append(((g["ab_squared"][i] / (2 * pixels)) ** 0.5).mean())
        values["ab_euclid_pooled"].append(g["ab_distance"][i].sum() / pixels.sum())
        values["ab_euclid_mean"].append((g["ab_distance"][i] / pixels).mean())
        values["ab_objects_pooled"].append(
            (g["ab_objects_squared"][i].sum() / (2 * g["object_pixels"][i].sum())) ** 0.5
        )
        values["share"].append(g["recognised"][i].sum() / g["objects"][i].sum())
        values["retention"].append(g["recognised"][i].sum() / originals[i].sum())
    found = row["rmse_ci"] | {"share": row["share_ci"], "retention": row["retention_ci"]}
    assert found.keys() == values.keys() and list(row["rmse_ci"]) == list(RMSE_NAMES)
    for name, ends in found.items():
        ordered = np.sort(values[name])
        assert ends == pytest.approx([ordered[49], ordered[-50]], rel=1e-9), name
        estimate = row["rmse"].get(name, row.get(name))
        assert ends[0] < estimate < ends[1]


def test_intervals_equal_those_of_the_bootstrap_module():
    frame = table()
    row, gray = rows_of(frame)["gray", "d"], frame[frame["variant"] == "gray"]
    expected = interval(Resamples(40).rmse(gray["ab_squared"], 2 * gray["pixels"]))
    assert row["rmse_ci"]["ab_pooled"] == [expected.low, expected.high]
    assert row["rmse"]["ab_pooled"] == pytest.approx(expected.estimate)


def test_means_over_images():
    frame = table()
    frame.loc[frame.index[:7], "ssim"] = np.nan  # photographs below 11 pixels
    rows = rows_of(frame)
    for variant in ("original", "gray"):
        images = frame[frame["variant"] == variant]
        for name in MEANS:
            values = images[name].to_numpy()
            assert rows[variant, "d"][name] == pytest.approx(values[np.isfinite(values)].mean())
    frame["ssim"] = np.nan
    assert rows_of(frame)["gray", "d"]["ssim"] is None


def test_each_detector_has_its_own_counts_and_originals():
    frame = table(detectors=("a", "b"))
    rows = rows_of(frame, ("a", "b"))
    counts = frame.groupby(["variant", "detector"])["recognised"].sum()
    assert counts["gray", "a"] != counts["gray", "b"] and counts["original", "a"] != counts["original", "b"]
    for variant, detector in rows:
        row = rows[variant, detector]
        assert row["recognised"] == counts[variant, detector] and row["images"] == 40
        assert row["retention"] == counts[variant, detector] / counts["original", detector]
    alone = rows_of(frame[frame["detector"] == "b"], ("b",))
    assert alone["gray", "b"] == rows["gray", "b"]


def test_without_a_detector():
    for row in rows_of(table(detectors=(None,)), (None,)).values():
        for name in ("recognised", "recognised_without_crowds", "share", "share_ci", "retention", "retention_ci", "ap"):
            assert row[name] is None
        assert row["objects"] > 0 and row["rmse_ci"]["ab_mean"][0] < row["rmse"]["ab_mean"]


def test_without_the_originals():
    row = rows_of(table(variants=("gray",)))["gray", "d"]
    assert row["retention"] is row["retention_ci"] is None and row["share"] > 0


def test_nothing_to_divide_by():
    frame = table()
    frame[["recognised", "recognised_without_crowds"]] = 0
    row = rows_of(frame)["gray", "d"]
    assert (row["share"], row["share_ci"]) == (0, [0, 0])
    assert (row["retention"], row["retention_ci"]) == (None, [None, None])
    frame[["objects", "objects_without_crowds", "object_pixels", "ab_objects_squared"]] = 0
    row = rows_of(frame)["gray", "d"]
    assert (row["share"], row["share_ci"]) == (None, [None, None])
    assert row["rmse"]["ab_objects_pooled"] is None and row["rmse_ci"]["ab_objects_pooled"] == [None, None]


def test_one_image_has_no_interval():
    row = rows_of(table(1))["gray", "d"]
    assert row["share"] is not None and row["share_ci"] == [None, None]
    assert all(value is not None for value in row["rmse"].values())
    assert set(map(tuple, row["rmse_ci"].values())) == {(None, None)}


def test_what_is_said_of_a_row_stays():
    about = {"name": "gray", "kind": "model", "seed": 3, "size": 8, "detector": "d", "ap": 0.5, "note": "a note"}
    row = make_rows([about], table())[0]
    assert {key: row[key] for key in about} == about and row["miou"] is None and row["retention"] is not None


# Rows of several evaluations.


def test_retention_is_of_what_the_originals_gave_not_of_all_objects():
    rows = [{"name": n, "objects": 10, "recognised": r} for n, r in (("m", 3), ("original", 4), ("none", None))]
    assert [row["retention"] for row in with_retention(rows)] == [0.75, 1.0, None]
    assert "retention" not in rows[0]  # the rows given are left as they were


def test_retention_is_of_the_originals_of_the_same_detector():
    rows = [
        {"name": n, "detector": d, "recognised": r}
        for n, d, r in (("original", "a", 4), ("original", "b", 8), ("m", "a", 2), ("m", "b", 2), ("m", "c", 2))
    ]
    assert [row["retention"] for row in with_retention(iter(rows))] == [1, 1, 0.5, 0.25, None]


def test_retention_where_nothing_is_recognised_in_the_originals():
    rows = [{"name": "original", "recognised": 0}, {"name": "m", "recognised": 0}]
    assert [row["retention"] for row in with_retention(rows)] == [None, None]
    assert with_retention([]) == []
