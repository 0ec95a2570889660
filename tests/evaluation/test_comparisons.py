"""Comparisons of two variants against numbers computed by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation.bootstrap import Resamples, interval
from ucolnet_lib.evaluation.comparisons import category_table, compare, compare_all
from ucolnet_lib.evaluation.evaluate import Evaluation
from ucolnet_lib.evaluation.signature import SignatureWarning

IMAGES = 40
VARIANTS = ("original", "gray", "brown")


@pytest.fixture
def evaluation():
    """40 images, two objects each (a person, and a car in every second one, else a person); two detectors."""
    random = np.random.default_rng(0)
    images, objects, rows = [], [], []
    for detector, chance in (
        ("one", {"original": 0.8, "gray": 0.5, "brown": 0.5}),
        ("two", dict.fromkeys(VARIANTS, 0.6)),
    ):
        for variant in VARIANTS:
            rows.append({"name": variant, "detector": detector, "signature": f"{detector}#0|a"})
            for image in range(IMAGES):
                hits = random.random(2) < chance[variant]
                about = {"image_id": image, "variant": variant, "detector": detector}
                error = {"original": 0, "gray": 30, "brown": 20}[variant] * (1 + image / IMAGES)
                images.append(
                    about | {"objects": 2, "recognised": int(hits.sum()), "rmse_rgb": error, "pixels": 100}
                    | {"ab_squared": 200 * (error / 2) ** 2}
                )  # fmt: skip
                labels = (1, 3 if image % 2 else 1)
                objects += [
                    about | {"object": i, "label": labels[i], "crowd": False, "recognised": bool(hit)}
                    for i, hit in enumerate(hits)
                ]
    return Evaluation(pd.DataFrame(images), pd.DataFrame(), pd.DataFrame(objects), rows, {})


def values(evaluation, variant, detector, column):
    table = evaluation.per_image
    return table[(table["variant"] == variant) & (table["detector"] == detector)][column].to_numpy(float)


def test_a_comparison_by_hand(evaluation):
    found = compare(evaluation, "original", "gray", "one")
    one, other = (values(evaluation, v, "one", "recognised") for v in ("original", "gray"))
    assert found["recognised"] == one.sum() - other.sum()
    assert found["share"] == pytest.approx(found["recognised"] / (2 * IMAGES))
    resamples = Resamples(IMAGES)
    expected = interval(resamples.sum(one) - resamples.sum(other))
    assert (found["recognised_low"], found["recognised_high"]) == (expected.low, expected.high)
    assert found["recognised_real"] and expected.low > 0
    assert found["rgb_mean"] == pytest.approx(-np.mean([30 * (1 + i / IMAGES) for i in range(IMAGES)]))
    assert found["rgb_mean_real"] and found["rgb_mean_high"] < 0
    ab = np.sqrt(np.mean([(15 * (1 + i / IMAGES)) ** 2 for i in range(IMAGES)]))
    assert found["ab_pooled"] == pytest.approx(-ab)
    hits = [
        evaluation.per_object.query("variant == @v and detector == 'one'")["recognised"].to_numpy()
        for v in ("original", "gray")
    ]
    only = (hits[0] & ~hits[1]).sum(), (hits[1] & ~hits[0]).sum()
    assert (found["only_first"], found["only_second"]) == only
    assert found["mcnemar_p"] == pytest.approx(stats.binomtest(int(only[0]), int(sum(only))).pvalue)


def test_a_variant_with_itself_is_no_difference(evaluation):
    found = compare(evaluation, "gray", "gray", "one")
    for measure in ("recognised", "share", "rgb_mean", "ab_pooled"):
        assert found[measure] == found[f"{measure}_low"] == found[f"{measure}_high"] == 0
        assert not found[f"{measure}_real"]
    assert found["mcnemar_p"] == 1


def test_every_two_variants_of_each_detector(evaluation):
    table = compare_all(evaluation)
    pairs = [("original", "gray"), ("original", "brown"), ("gray", "brown")]
    assert list(zip(table["first"], table["second"], strict=True)) == 2 * pairs
    assert table["detector"].tolist() == 3 * ["one"] + 3 * ["two"]
    for row in table.to_dict("records"):
        assert row == compare(evaluation, row["first"], row["second"], row["detector"])


def test_recall_by_category(evaluation):
    table = category_table(evaluation)
    assert len(table) == 2 * len(VARIANTS) * 2
    cars = table.query("variant == 'gray' and detector == 'two' and category == 'car'").iloc[0]
    hits = evaluation.per_object.query("variant == 'gray' and detector == 'two' and label == 3")["recognised"]
    assert (cars["objects"], cars["recognised"]) == (IMAGES // 2, hits.sum())
    assert cars["low"] < cars["recall"] == hits.mean() < cars["high"]


def test_without_a_detector(evaluation):
    images = evaluation.per_image.query("detector == 'one'").assign(detector=None, recognised=None)
    rows = [{"name": v, "detector": None, "signature": "none"} for v in VARIANTS]
    blind = Evaluation(images, pd.DataFrame(), pd.DataFrame(), rows, {})
    table = compare_all(blind)
    assert len(table) == 3 and "recognised" not in table and table["rgb_mean_real"].all()
    assert category_table(blind).empty


def test_what_is_not_there(evaluation):
    for names in (("original", "blue", "one"), ("original", "gray", "three")):
        with pytest.raises(UcolnetError, match="There is no row"):
            compare(evaluation, *names)


def test_rows_measured_otherwise_are_not_compared_in_silence(evaluation):
    evaluation.rows[1]["signature"] = "one#1|b"
    with pytest.warns(SignatureWarning, match="different signatures"):
        compare(evaluation, "original", "gray", "one")
