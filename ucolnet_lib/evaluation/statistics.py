"""Is a difference between two models real? Paired over seeds and scenes, with an interval.

Two models are trained with the same seeds and tested on the same scenes. Their difference would come out a little
different with other seeds, and with other scenes. Both are counted:

- seeds: the standard error of the seeds' differences, `std / sqrt(number of seeds)`;
- scenes: the jackknife's standard error, from leaving out one scene at a time (Efron and Stein, 1981).

The two are added as variances. The interval is Student's, with the degrees of freedom of Satterthwaite (1946): three
seeds give few, and the interval says so by its width. What one scene does with one seed alone is counted in both,
so the interval is rather too wide than too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from ucolnet_lib.common import UcolnetError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval of 95% confidence. `low` and `high` are infinite where nothing can be said."""

    estimate: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """-1 or 1 where the whole interval lies on that side of 0, else 0: it cannot be told."""
        return int(self.low > 0) - int(self.high < 0)


def seed_interval(differences: np.ndarray) -> Interval:
    """The mean of one number a seed, such as the differences of two models' mIoU: Student's interval over the seeds.

    Args:
        differences: (S,). With one seed the interval is infinite.
    """
    values = np.asarray(differences, float)
    return _student([(_variance_of_mean(values), len(values) - 1)], values.mean())


def pooled_interval(values: np.ndarray, first: int, second: int) -> Interval:
    """The difference of two of several models in one number a training, mean over the seeds.

    Where there are two or three seeds, the differences of two models may agree by luck, above all if the number is a
    whole one, such as an epoch. So chance is estimated from all models together: it is what neither the model nor the
    seed explains (two-way analysis of variance without repetition). All models' trainings are taken to vary alike.

    Args:
        values: (M, S), for each model and seed. With one model or one seed the interval is infinite.
        first, second: rows of `values`; the first's minus the second's.
    """
    values = np.asarray(values, float)
    models, seeds = values.shape
    unexplained = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    freedom = (models - 1) * (seeds - 1)
    variance = 2 * np.square(unexplained).sum() / freedom / seeds if freedom else np.inf
    return _student([(variance, freedom)], (values[first] - values[second]).mean())


def interval_over_seeds(values: np.ndarray) -> Interval:
    """The mean over the seeds of a number, with chance by seeds and by images; the images' is the variance over the
    resamples of a bootstrap (`bootstrap.Resamples`) in place of the jackknife's.

    Args:
        values: (S, 1 + R): for each seed the number itself, then that of each resample, the same resamples for all.
            With one seed, and where a resample is not defined, the interval is infinite.
    """
    means = np.asarray(values, float).mean(axis=0)
    images = float(np.var(means[1:], ddof=1))
    by_images = (images, len(means) - 2) if np.isfinite(images) else (np.inf, 0)
    return _student([(_variance_of_mean(values[:, 0]), len(values) - 1), by_images], means[0])


def rmse_difference(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> Interval:
    """RMSE of the first model minus RMSE of the second, pooled over all pixels, mean over the seeds.

    Args:
        first, second: (S, N), sums of squared errors for each seed and each scene, the same seeds and scenes in both.
        counts: (N,), the number of values in each sum (pixels times channels). Scenes without any are left out.
    Raises:
        UcolnetError: the shapes do not belong together, or no scene has a value.
    """
    first, second, counts = (np.asarray(a, float) for a in (first, second, counts))
    if first.shape != second.shape or first.ndim != 2 or counts.shape != first.shape[1:]:
        raise UcolnetError(
            f"A paired comparison needs the same seeds and scenes on both sides, not {first.shape}, {second.shape} "
            f"and {counts.shape}. Evaluate both models on the same photographs."
        )
    used = counts > 0
    if not used.any():
        raise UcolnetError("No scene has a pixel to compare. Choose a class that occurs in the photographs.")
    first, second, counts = first[:, used], second[:, used], counts[used]

    def difference(a: np.ndarray, b: np.ndarray, n: np.ndarray) -> np.ndarray:
        return np.sqrt(a / n) - np.sqrt(b / n)

    totals = first.sum(axis=1), second.sum(axis=1), counts.sum()
    by_seed = difference(*totals)
    sources = [(_variance_of_mean(by_seed), len(by_seed) - 1)]
    scenes = len(counts)
    if scenes > 1:
        # The difference without each scene in turn, mean over the seeds.
        without = difference(totals[0][:, None] - first, totals[1][:, None] - second, totals[2] - counts).mean(axis=0)
        sources.append(((scenes - 1) / scenes * np.square(without - without.mean()).sum(), scenes - 1))
    else:
        sources.append((np.inf, 0))
    return _student(sources, by_seed.mean())


def _variance_of_mean(values: np.ndarray) -> float:
    return float(np.var(values, ddof=1) / len(values)) if len(values) > 1 else np.inf


def _student(sources: list[tuple[float, int]], estimate: float) -> Interval:
    """The interval from the variance and the degrees of freedom of each source of chance."""
    variance = sum(v for v, _ in sources)
    if variance == 0:
        return Interval(float(estimate), float(estimate), float(estimate))
    if not np.isfinite(variance):
        return Interval(float(estimate), -np.inf, np.inf)
    freedom = variance**2 / sum(v**2 / df for v, df in sources)
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(variance))
    return Interval(float(estimate), float(estimate - margin), float(estimate + margin))
