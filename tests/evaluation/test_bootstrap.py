"""The bootstrap over images: against a plain loop, against scipy, and by how often the interval holds the truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation.bootstrap import RESAMPLES, Resamples, interval
from ucolnet_lib.evaluation.mcnemar import mcnemar, p_value
from ucolnet_lib.evaluation.statistics import Interval


@pytest.fixture
def images():
    """25 images: objects (some have none), recognised by two variants, sums of squared errors and pixels."""
    random = np.random.default_rng(0)
    objects = random.integers(0, 12, 25)
    return {
        "objects": objects,
        "first": random.binomial(objects, 0.6),
        "second": random.binomial(objects, 0.4),
        "squared": random.gamma(2, 5e7, 25),
        "pixels": random.integers(100_000, 300_000, 25),
    }


# Each number in the words of the library, and in plain Python over a list of the images drawn.
NUMBERS = {
    "share": (
        lambda r, d: r.ratio(d["first"], d["objects"]),
        lambda d, drawn: sum(d["first"][i] for i in drawn) / sum(d["objects"][i] for i in drawn),
    ),
    "difference of shares": (
        lambda r, d: r.ratio(d["first"], d["objects"]) - r.ratio(d["second"], d["objects"]),
        lambda d, drawn: sum(d["first"][i] - d["second"][i] for i in drawn) / sum(d["objects"][i] for i in drawn),
    ),
    "retention": (
        lambda r, d: r.ratio(d["second"], d["first"]),
        lambda d, drawn: sum(d["second"][i] for i in drawn) / sum(d["first"][i] for i in drawn),
    ),
    "difference in objects": (
        lambda r, d: r.sum(d["first"]) - r.sum(d["second"]),
        lambda d, drawn: sum(d["first"][i] for i in drawn) - sum(d["second"][i] for i in drawn),
    ),
    "pooled RMSE": (
        lambda r, d: r.rmse(d["squared"], 2 * d["pixels"]),
        lambda d, drawn: (sum(d["squared"][i] for i in drawn) / sum(2 * d["pixels"][i] for i in drawn)) ** 0.5,
    ),
    "mean over images": (
        lambda r, d: r.mean(np.sqrt(d["squared"] / (2 * d["pixels"]))),
        lambda d, drawn: sum((d["squared"][i] / (2 * d["pixels"][i])) ** 0.5 for i in drawn) / len(drawn),
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_plain_loop_gives_the_same_interval(images, name):
    ours, plain = NUMBERS[name]
    random = np.random.default_rng(7)
    drawn = sorted(plain(images, random.integers(25, size=25)) for _ in range(2000))
    found = interval(ours(Resamples(25, seed=7), images))
    # 95%: the 50th of 2,000 from below, and the 50th from above.
    expected = (plain(images, range(25)), drawn[49], drawn[1950])
    assert (found.estimate, found.low, found.high) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", NUMBERS)
def test_scipy_gives_nearly_the_same_interval(images, name):
    def statistic(index):
        return float(NUMBERS[name][1](images, index))

    theirs = stats.bootstrap(
        (np.arange(25),), statistic, n_resamples=4000, vectorized=False, method="percentile", rng=1
    ).confidence_interval
    found = interval(NUMBERS[name][0](Resamples(25), images))
    # The ends of two bootstraps with different draws differ by a few hundredths of the width.
    tolerance = 0.06 * (theirs.high - theirs.low)
    assert found.low == pytest.approx(theirs.low, abs=tolerance)
    assert found.high == pytest.approx(theirs.high, abs=tolerance)


def clustered(random: np.random.Generator, images: int, edge: float) -> tuple[np.ndarray, ...]:
    """Objects of images that go together: per image the number of objects, and those that the first variant alone
    and the second alone recognises. `edge` (-1 to 1) is the first's advantage; one image favours one of the two."""
    objects = 1 + random.negative_binomial(1.2, 0.12, images)
    differing = random.binomial(objects, random.beta(1, 4, images))
    favour = np.clip(0.5 + edge / 2 + random.uniform(-0.5, 0.5, images), 0, 1)
    only_first = random.binomial(differing, favour)
    return objects, only_first, differing - only_first


def test_the_interval_of_a_share_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(1)
    resamples = Resamples(60)
    held = []
    for _ in range(400):
        objects = 1 + random.negative_binomial(1.2, 0.12, 60)
        recognised = random.binomial(objects, random.beta(2, 2, 60))
        found = interval(resamples.ratio(recognised, objects))
        held.append(found.low <= 0.5 <= found.high)
    assert 0.90 <= np.mean(held) <= 0.98


def test_the_interval_of_pooled_rmse_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(2)
    resamples = Resamples(60)
    held = []
    for _ in range(400):
        pixels = random.integers(100_000, 300_000, 60)
        squared = pixels * random.gamma(3, 100, 60)  # mean 300
        found = interval(resamples.rmse(squared, pixels))
        held.append(found.low <= np.sqrt(300) <= found.high)
    assert 0.90 <= np.mean(held) <= 0.98


def test_objects_that_go_together_fool_mcnemar_and_not_the_bootstrap():
    """Two variants of equal worth. How often does each way say that they differ? It should be 5%."""
    random = np.random.default_rng(3)
    resamples = Resamples(60)
    bootstrap, exact, inflated = [], [], []
    # Per image, the variance of the difference over that of independent objects: the truth, from many images.
    _, first, second = clustered(random, 200_000, 0)
    inflation = np.square(first - second).mean() / (first + second).mean()
    for _ in range(400):
        _, first, second = clustered(random, 60, 0)
        bootstrap.append(interval(resamples.sum(first) - resamples.sum(second)).sign != 0)
        differing = int((first + second).sum())
        exact.append(mcnemar(np.arange(differing) < first.sum(), np.arange(differing) >= first.sum()).p_value <= 0.05)
        inflated.append(p_value(int((first - second).sum()), differing, inflation) <= 0.05)
    assert inflation > 1.5
    assert 0.02 <= np.mean(bootstrap) <= 0.10
    assert np.mean(exact) > 0.14
    assert 0.01 <= np.mean(inflated) <= 0.09


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_real_difference_is_found(sign):
    objects, first, second = clustered(np.random.default_rng(4), 300, sign * 0.4)
    resamples = Resamples(300)
    assert interval(resamples.ratio(first, objects) - resamples.ratio(second, objects)).sign == sign


def test_equal_variants_differ_by_exactly_nothing(images):
    resamples = Resamples(25)
    for ours, _ in NUMBERS.values():
        first, second = ours(resamples, images), ours(resamples, {k: v.copy() for k, v in images.items()})
        assert interval(first - second) == Interval(0, 0, 0)


def test_the_same_input_gives_the_same_bits_and_another_seed_others(images):
    for ours, _ in NUMBERS.values():
        first, second = ours(Resamples(25), images), ours(Resamples(25), images)
        assert first.tobytes() == second.tobytes()
        assert first.tobytes() != ours(Resamples(25, seed=1), images).tobytes()
        assert first.shape == (1 + RESAMPLES,) and first.dtype == np.float64


def test_of_one_image_nothing_can_be_told():
    resamples = Resamples(1)
    assert interval(resamples.ratio([3], [4])) == Interval(0.75, -np.inf, np.inf)
    assert interval(resamples.mean([5]) - resamples.mean([5])) == Interval(0, -np.inf, np.inf)


def test_without_any_object_there_is_no_share():
    found = interval(Resamples(30).ratio(np.zeros(30), np.zeros(30)))
    assert np.isnan(found.estimate) and (found.low, found.high, found.sign) == (-np.inf, np.inf, 0)


def test_images_without_objects_count_for_no_share_but_for_chance():
    resamples = Resamples(40)
    # All objects lie in one image: a third of the resamples lack it, and nothing can be told.
    alone = np.eye(40)[0]
    assert interval(resamples.ratio(3 * alone, 4 * alone)) == Interval(0.75, -np.inf, np.inf)
    # In ten of 40, practically no resample lacks them all, and the interval has ends.
    objects = np.where(np.arange(40) < 10, 4, 0)
    found = interval(resamples.ratio(objects * (np.arange(40) % 2), objects))
    assert found.estimate == 0.5 and 0 <= found.low < 0.5 < found.high <= 1


def test_a_few_undefined_resamples_widen_the_interval_to_both_sides():
    values = np.concatenate([[0], np.arange(RESAMPLES)]).astype(float)
    rank = RESAMPLES // 40
    assert interval(values) == Interval(0, rank - 1, RESAMPLES - rank)
    values[1 + RESAMPLES // 2 : 11 + RESAMPLES // 2] = np.nan
    assert interval(values) == Interval(0, rank - 11, RESAMPLES - rank + 10)


def test_nothing_recognised_anywhere_is_a_share_of_nothing():
    assert interval(Resamples(20).ratio(np.zeros(20), np.ones(20))) == Interval(0, 0, 0)


@pytest.mark.parametrize("bad", [[1, 2, np.nan], [1, 2, np.inf], [1, 2, None], pd.Series([1, 2, pd.NA], dtype="Int64")])
def test_missing_numbers_are_refused(bad):
    with pytest.raises(UcolnetError, match="image 2 .* is (nan|inf)"):
        Resamples(3).sum(bad)


@pytest.mark.parametrize("bad", [[1, 2], [1, 2, 3, 4], [], 1, [[1, 2, 3]]])
def test_numbers_of_other_images_are_refused(bad):
    with pytest.raises(UcolnetError, match="needs 3 numbers"):
        Resamples(3).ratio([1, 2, 3], bad)


def test_no_image_is_refused():
    with pytest.raises(UcolnetError, match="no image"):
        Resamples(0)
