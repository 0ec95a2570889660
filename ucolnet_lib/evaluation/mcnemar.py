"""Do two variants recognise different numbers of the same objects? McNemar's test, and what it takes to apply it.

Only objects that one variant recognises and the other does not say anything: if the two are equally good, each such
object is as likely to be of the one kind as of the other. The test takes the objects as independent. Those of one
photograph are not, so its p value is rather too small: it is the optimistic one, to be shown beside the interval of
`bootstrap`, not instead of it.

McNemar, *Note on the sampling error of the difference between correlated proportions or percentages*, 1947; with the
correction for continuity: Edwards, 1948.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation.statistics import CONFIDENCE


@dataclass(frozen=True)
class McNemar:
    """`only_first`, `only_second`: objects that one variant alone recognises; `p_value`: exact, two-sided."""

    only_first: int
    only_second: int
    p_value: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """McNemar's exact test. With no object that only one recognises, the p value is 1.

    Args:
        first, second: bool (objects,), whether each variant recognises each object, the same objects in both.
    Raises:
        UcolnetError: the arrays are not boolean, or not of one length.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.dtype != bool or second.dtype != bool or first.ndim != 1 or first.shape != second.shape:
        raise UcolnetError(
            f"McNemar's test compares two boolean arrays over the same objects, not {first.dtype} {first.shape} and "
            f"{second.dtype} {second.shape}. Match both variants with the same annotations."
        )
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing = only_first + only_second
    p_value = float(stats.binomtest(only_first, differing).pvalue) if differing else 1.0
    return McNemar(only_first, only_second, p_value)


def p_value(difference: int, differing: ArrayLike, inflation: float = 1.0) -> np.ndarray:
    """McNemar's p value where only the difference of two counts is known: a function of the unknown.

    z = (|difference| - 1) / sqrt(inflation * differing), which with inflation 1 is the exact test's p value to about
    three digits for hundreds of objects.

    Args:
        difference: recognised by the first minus recognised by the second.
        differing: how many objects only one of the two recognises, any shape; NaN is returned where it is smaller
            than the difference, which cannot be.
        inflation: how many times larger the variance of the difference is than with independent objects.
    """
    differing = np.asarray(differing, float)
    z = max(abs(difference) - 1, 0) / np.sqrt(inflation * np.maximum(differing, 1))
    return np.where(differing >= abs(difference), 2 * stats.norm.sf(z), np.nan)


def most_differing(difference: int, inflation: float = 1.0) -> int:
    """At most so many objects may be recognised by one of the two alone for the difference to be real at 5%.

    A number below the difference says that it cannot be real at all. For the arguments see `p_value`.
    """
    critical = stats.norm.ppf((1 + CONFIDENCE) / 2)
    return int((max(abs(difference) - 1, 0) / critical) ** 2 / inflation)
