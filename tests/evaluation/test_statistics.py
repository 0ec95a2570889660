"""Paired comparisons: against scipy where it has them, and by how often the interval holds the truth."""

import numpy as np
import pytest
from scipy import stats

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation.bootstrap import Resamples
from ucolnet_lib.evaluation.statistics import (
    Interval,
    interval_over_seeds,
    pooled_interval,
    rmse_difference,
    seed_interval,
)


def test_the_interval_over_seeds_is_scipys():
    values = np.array([0.2, 0.5, 0.1, 0.4])
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    ours = seed_interval(values)
    assert (ours.estimate, ours.low, ours.high) == pytest.approx((values.mean(), theirs.low, theirs.high))


def ends(interval: Interval) -> tuple[float, float, float]:
    return interval.estimate, interval.low, interval.high


def test_two_models_alone_have_nothing_to_pool():
    values = np.array([[3.0, 5, 4, 9], [2.0, 2, 4, 5]])
    assert ends(pooled_interval(values, 0, 1)) == pytest.approx(ends(seed_interval(values[0] - values[1])))
    assert pooled_interval(values, 1, 0).low == pytest.approx(-pooled_interval(values, 0, 1).high)


def test_differences_that_agree_by_luck_are_not_certain():
    """Two seeds in which v3 comes 4 epochs after v1, while other models jump by 5: no certainty."""
    values = np.array([[12, 14], [16, 18], [12, 7], [13, 17]])
    assert ends(seed_interval(values[1] - values[0])) == (4, 4, 4)
    found = pooled_interval(values, 1, 0)
    # By hand: the seeds' means are 13.25 and 14; what is left is 0.625, 0.625, 2.875 and 1.625 in either seed.
    variance = 2 * 2 * (0.625**2 * 2 + 2.875**2 + 1.625**2) / 3 / 2
    assert ends(found) == pytest.approx((4, *(4 + np.array([-1, 1]) * stats.t.ppf(0.975, 3) * np.sqrt(variance))))
    assert found.sign == 0


def test_the_pooled_interval_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    level = np.array([[0.0], [1], [5], [2]])
    held = 0
    for _ in range(2000):
        values = level + random.normal(0, 3, 2) + random.normal(0, 1, (4, 2))
        found = pooled_interval(values, 2, 0)
        held += found.low <= 5 <= found.high
    assert 0.935 < held / 2000 < 0.965


@pytest.mark.parametrize("shape", [(1, 3), (4, 1)])
def test_one_model_or_one_seed_says_nothing(shape):
    found = pooled_interval(np.ones(shape), 0, 0)
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_seeds_and_resamples_are_both_counted():
    random = np.random.default_rng(0)
    resamples = Resamples(200)
    images = random.normal(5, 1, 200)
    same = np.stack([resamples.mean(images)] * 3)
    # Seeds that agree: the normal interval of the mean over images.
    found = interval_over_seeds(same)
    margin = stats.t.ppf(0.975, 199) * images.std(ddof=1) / np.sqrt(200)
    assert found.estimate == pytest.approx(images.mean())
    assert (found.high - found.low) / 2 == pytest.approx(margin, rel=0.06)
    # Images that agree: Student's interval over the seeds.
    levels = np.array([1.0, 2, 4])
    constant = interval_over_seeds(np.repeat(levels[:, None], 2001, axis=1))
    theirs = seed_interval(levels)
    assert (constant.low, constant.high) == pytest.approx((theirs.low, theirs.high))
    both = interval_over_seeds(same + levels[:, None])
    assert both.estimate == pytest.approx(images.mean() + levels.mean()) and both.high - both.low > 2 * margin


def test_where_a_resample_is_undefined_or_one_seed_is_there_nothing_can_be_said():
    values = np.ones((2, 2001)) + np.arange(2)[:, None]
    values[0, 7] = np.nan
    for found in (interval_over_seeds(values), interval_over_seeds(np.random.default_rng(0).random((1, 2001)))):
        assert (found.low, found.high) == (-np.inf, np.inf)


def test_signs():
    assert [Interval(0, low, high).sign for low, high in ((1, 2), (-2, -1), (-1, 1), (0, 1), (-np.inf, np.inf))] == [
        1, -1, 0, 0, 0,
    ]  # fmt: skip


def test_the_estimate_is_the_difference_of_pooled_rmse():
    random = np.random.default_rng(0)
    first, second, counts = random.uniform(1, 9, (3, 20)), random.uniform(1, 9, (3, 20)), random.integers(1, 50, 20)
    expected = np.mean([np.sqrt(a.sum() / counts.sum()) - np.sqrt(b.sum() / counts.sum())
                        for a, b in zip(first, second, strict=True)])  # fmt: skip
    found = rmse_difference(first, second, counts)
    assert found.estimate == pytest.approx(expected)
    swapped = rmse_difference(second, first, counts)
    assert (swapped.estimate, swapped.low, swapped.high) == pytest.approx((-expected, -found.high, -found.low))


def test_the_scenes_part_agrees_with_a_bootstrap():
    """With seeds that agree, only scenes are left to chance; scipy's bootstrap over scenes must give the same error."""
    random = np.random.default_rng(1)
    counts = random.integers(50, 150, 120)
    a = counts * random.gamma(2, 1, 120)
    b = counts * random.gamma(2, 0.8, 120) + 0.3 * a
    found = rmse_difference(np.stack([a, a, a]), np.stack([b, b, b]), counts)

    def statistic(index, axis=-1):
        return np.sqrt(a[index].sum(axis) / counts[index].sum(axis)) - np.sqrt(
            b[index].sum(axis) / counts[index].sum(axis)
        )

    boot = stats.bootstrap((np.arange(120),), statistic, n_resamples=4000, vectorized=True, rng=2, method="basic")
    assert (found.high - found.low) / 2 / 1.98 == pytest.approx(boot.standard_error, rel=0.1)


@pytest.mark.parametrize(("seed_noise", "scene_noise"), [(0.3, 0.0), (0.0, 1.0), (0.1, 0.4), (0.3, 1.0)])
def test_the_interval_holds_the_truth_as_often_as_it_says(seed_noise, scene_noise):
    """Two models of equal worth: their true difference is 0. Seeds and scenes add what chance adds."""
    random = np.random.default_rng(3)
    held = 0
    trials = 600
    for _ in range(trials):
        squares = []
        for _ in range(2):
            by_seed = 1 + seed_noise * random.uniform(-1, 1, (3, 1))
            by_scene = 1 + scene_noise * random.uniform(-1, 1, (1, 60))
            squares.append(100 * by_seed * by_scene)
        found = rmse_difference(*squares, np.full(60, 100))
        held += found.low <= 0 <= found.high
    # 95% within four standard errors of 600 trials below; above it may be too careful.
    assert held / trials > 0.95 - 4 * np.sqrt(0.95 * 0.05 / trials)


def test_a_real_difference_is_found():
    random = np.random.default_rng(4)
    scenes = random.gamma(2, 50, 200)
    seeds = np.array([[1.0], [1.02], [0.98]])
    assert rmse_difference(1.3 * scenes * seeds, scenes * seeds, np.full(200, 100)).sign == 1


def test_scenes_without_a_pixel_count_for_nothing():
    first, second = np.array([[4.0, 9, 0], [5, 8, 0]]), np.array([[1.0, 2, 0], [1, 3, 0]])
    whole, less = rmse_difference(first, second, [3, 3, 0]), rmse_difference(first[:, :2], second[:, :2], [3, 3])
    assert whole == less


def test_with_one_seed_or_one_scene_nothing_can_be_told():
    one = seed_interval(np.array([3.0]))
    assert one.estimate == 3 and one.low == -np.inf and one.high == np.inf and one.sign == 0
    for shape in ((1, 5), (3, 1)):
        values = np.random.default_rng(5).uniform(1, 2, shape)
        assert rmse_difference(values, values + 1, np.ones(shape[1])).sign == 0


def test_equal_models_differ_by_exactly_nothing():
    values = np.random.default_rng(6).uniform(1, 2, (3, 5))
    assert rmse_difference(values, values, np.ones(5)) == Interval(0, 0, 0)


def test_what_does_not_belong_together():
    with pytest.raises(UcolnetError, match="same seeds and scenes"):
        rmse_difference(np.ones((3, 4)), np.ones((2, 4)), np.ones(4))
    with pytest.raises(UcolnetError, match="same seeds and scenes"):
        rmse_difference(np.ones((3, 4)), np.ones((3, 4)), np.ones(3))
    with pytest.raises(UcolnetError, match="No scene"):
        rmse_difference(np.ones((3, 4)), np.ones((3, 4)), np.zeros(4))
