"""How far would a number move with other photographs? The bootstrap over images, with percentile intervals.

Photographs are drawn, not objects or pixels: those of one photograph are recognised, or coloured badly, together. Each
resample draws as many images as there are, with replacement, and all numbers are computed from the same resamples.
So a difference of two variants is a paired one, and whatever is computed from the numbers has an interval too:

    resamples = Resamples(len(objects))
    share = resamples.ratio(recognised, objects)
    gray_share = resamples.ratio(gray_recognised, objects)
    interval(share), interval(share - gray_share)
    interval(resamples.ratio(recognised, original_recognised))           # retention
    interval(resamples.rmse(ab_squared, 2 * pixels))                     # pooled over all pixels
    interval(resamples.mean(rmse_ab) - resamples.mean(gray_rmse_ab))     # difference of means over images
    interval(resamples.sum(recognised) - resamples.sum(gray_recognised)) # difference in objects

The interval of a difference in objects also counts that other photographs hold more or fewer objects; that of a
difference of shares does not, and is the narrower one where the two variants are far apart.

Chance by the training's seed is no part of it: `statistics` counts that. What it cannot do: with fewer than about 20
images the intervals are somewhat too narrow, and a number that is the same in all images, such as a share of exactly
0, gets an interval without width.

Efron, *Bootstrap methods: another look at the jackknife*, 1979; Efron and Tibshirani, *An Introduction to the
Bootstrap*, 1993, chapter 13.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation.statistics import CONFIDENCE, Interval

RESAMPLES = 2000


class Resamples:
    """Sums, ratios, means and RMSE of a set of images, and of `RESAMPLES` sets drawn from it.

    All methods take arrays of one number an image, float or int (images,), in one order of the images, and return
    float64 (1 + RESAMPLES,): the number itself, then that of each resample; NaN where it is undefined. They raise
    `UcolnetError` for arrays of another length, and for values that are missing or infinite.

    The same images and seed give the same numbers, bit by bit. It takes 4 kB of memory an image.
    """

    def __init__(self, images: int, seed: int = 0):
        """Draw the resamples. `images` is at least 1; one alone says nothing of others, so all resamples are NaN."""
        if images < 1:
            raise UcolnetError("There is no image to compute from. Evaluate at least one photograph.")
        random = np.random.default_rng(seed)
        # How often each set holds each image; the first is the set itself.
        self._weights = np.ones((1 + RESAMPLES, images), np.uint16)
        for weights in self._weights[1:]:
            weights[:] = np.bincount(random.integers(images, size=images), minlength=images)

    def sum(self, values: ArrayLike) -> np.ndarray:
        """The sum over images, such as the number of recognised objects."""
        values = np.asarray(values, float)
        images = self._weights.shape[1]
        if values.shape != (images,):
            raise UcolnetError(
                f"A bootstrap over {images} images needs {images} numbers, not {values.shape}. "
                "Evaluate all variants on the same photographs."
            )
        if not np.isfinite(values).all():
            first = int(np.flatnonzero(~np.isfinite(values))[0])
            raise UcolnetError(
                f"The number of image {first} (counted from 0) is {values[first]}. "
                "Leave such images out, in all variants alike."
            )
        # einsum rather than @: its sums do not depend on the number of threads.
        sums = np.einsum("ri,i->r", self._weights, values)
        if images == 1:
            sums[1:] = np.nan
        return sums

    def ratio(self, numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
        """Sum of the one over sum of the other: a share, or a retention. NaN where the latter sum is 0."""
        above, below = self.sum(numerator), self.sum(denominator)
        return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)

    def mean(self, values: ArrayLike) -> np.ndarray:
        """The mean over images, of SSIM, or of each image's own RMSE."""
        return self.sum(values) / self._weights.shape[1]

    def rmse(self, squared: ArrayLike, counts: ArrayLike) -> np.ndarray:
        """RMSE pooled over all pixels, from sums of squared errors and the number of values in each sum."""
        return np.sqrt(self.ratio(squared, counts))


def interval(values: np.ndarray) -> Interval:
    """The percentile interval of numbers from `Resamples`.

    A resample in which the number is undefined could be anything, so it counts as lower than all others for the lower
    end, and as higher for the upper end: where more than a few are, the interval is infinite.

    Args:
        values: (1 + RESAMPLES,), the estimate first.
    """
    resampled = values[1:]
    undefined = np.isnan(resampled)
    rank = int((1 - CONFIDENCE) / 2 * len(resampled))
    low = np.sort(np.where(undefined, -np.inf, resampled))[rank - 1]
    high = np.sort(np.where(undefined, np.inf, resampled))[-rank]
    return Interval(float(values[0]), float(low), float(high))
