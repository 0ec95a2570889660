"""McNemar's test: against the sum of binomials by hand, and the paper's difference as a function of the unknown."""

from math import comb

import numpy as np
import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation.mcnemar import McNemar, mcnemar, most_differing, p_value


def by_hand(only_first: int, only_second: int) -> float:
    """Twice the chance that the smaller of two counts is so small, if each object falls to either side evenly."""
    differing, smaller = only_first + only_second, min(only_first, only_second)
    return min(1.0, 2 * sum(comb(differing, k) for k in range(smaller + 1)) / 2**differing)


def objects(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = (both, only_first, only_second, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize("counts", [(9, 5, 1, 4), (9, 1, 5, 4), (0, 7, 7, 0), (100, 60, 35, 3), (0, 12, 0, 0)])
def test_the_p_value_is_the_one_by_hand(counts):
    found = mcnemar(*objects(*counts))
    assert found == McNemar(counts[1], counts[2], pytest.approx(by_hand(*counts[1:3]), rel=1e-12))


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (5, 0, 0, 0), (3, 0, 0, 4)])
def test_without_a_differing_object_nothing_speaks_for_a_difference(counts):
    assert mcnemar(*objects(*counts)) == McNemar(0, 0, 1.0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.ones(3, bool), np.ones(4, bool)),
        (np.ones((2, 2), bool), np.ones((2, 2), bool)),
        (np.ones(3), np.ones(3, bool)),
        (np.ones(3, bool), np.array([1, np.nan, 0])),
        (np.ones(3, bool), [0, 1, 1]),
    ],
)
def test_what_does_not_belong_together(first, second):
    with pytest.raises(UcolnetError, match="boolean arrays over the same objects"):
        mcnemar(first, second)


@pytest.mark.parametrize(
    ("difference", "differing"), [(87, 1001), (87, 1925), (-87, 3457), (20, 300), (2, 500), (0, 400), (1, 301)]
)
def test_from_the_difference_alone_comes_the_exact_p_value_nearly(difference, differing):
    exact = by_hand((differing + difference) // 2, (differing - difference) // 2)
    assert p_value(difference, differing) == pytest.approx(exact, abs=0.001)


def test_the_papers_threshold_is_the_exact_one():
    """13,546 against 13,459: with 1,925 differing objects the exact test says real, with the next possible not."""
    assert most_differing(13_546 - 13_459) == 1925
    assert by_hand((1925 + 87) // 2, (1925 - 87) // 2) <= 0.05 < by_hand((1927 + 87) // 2, (1927 - 87) // 2)


@pytest.mark.parametrize("difference", [15, -40, 87])
@pytest.mark.parametrize("inflation", [1.0, 1.6])
def test_the_limit_is_where_the_p_value_crosses_5_percent(difference, inflation):
    limit = most_differing(difference, inflation)
    assert p_value(difference, limit, inflation) <= 0.05 < p_value(difference, limit + 1, inflation)


def test_an_inflated_variance_is_as_good_as_more_differing_objects():
    assert p_value(87, 1000, 1.6) == pytest.approx(p_value(87, 1600), rel=1e-12)
    assert most_differing(87, 1.6) == 1203


def test_fewer_differing_objects_than_the_difference_cannot_be():
    found = p_value(5, np.array([[0, 4], [5, np.nan]]))
    assert np.isnan(found).tolist() == [[True, True], [False, True]]
    assert p_value(0, [0, 10]).tolist() == [1, 1]
    assert most_differing(0) == 0 and most_differing(2) < 2  # too small to be real at all
