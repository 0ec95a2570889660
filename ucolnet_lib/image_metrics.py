"""How near a coloured picture comes to its truth, and how colourful it is: the measures of other colorization papers.

Functions of arrays; no files. `image_metrics` gives them all for one picture; a set's value is the mean over images,
and all numbers of a picture of at least 11 x 11 pixels are finite. None of them alone says how good a colouring is:
PSNR and CIEDE2000 prefer no colour to a vivid wrong one, colourfulness asks only for vivid ones. Read each beside its
value for the gray picture.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from skimage.color import deltaE_ciede2000

from ucolnet_lib.color import is_gray as is_gray  # measured beside the others
from ucolnet_lib.metrics import colourfulness, colourfulness_absolute, sum_of_squares

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # pixels
ROUNDING_ERROR = 1 / 12  # variance of what rounding to whole numbers takes away
CHROMA_BIN, CHROMA_BINS = 10, 23  # CIELAB units; bins for each of a and b


class Truth:
    """One true picture, and what the measures of all its colourings share, each part computed when first used.

    Args:
        rgb: uint8 (H, W, 3), 0-255; lab: `rgb8_to_lab(rgb)`.
    """

    def __init__(self, rgb: np.ndarray, lab: np.ndarray):
        self.rgb, self.lab = rgb, lab

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return _moments(_reduced(self.rgb))

    @cached_property
    def colourfulness(self) -> float:
        return colourfulness(self.rgb)

    @cached_property
    def chroma_histogram(self) -> np.ndarray:
        return chroma_histogram(self.lab)


def image_metrics(picture: np.ndarray, lab: np.ndarray, truth: Truth) -> dict[str, float]:
    """All measures of one coloured picture.

    Args:
        picture: uint8 (H, W, 3), RGB 0-255, as large as the truth; lab: `rgb8_to_lab(picture)`.
    Returns:
        `psnr`, `ssim` (nan below 11 x 11 pixels), `ciede2000`, `chroma_histogram_distance`: see the functions here;
        `colourfulness`, `colourfulness_absolute`: see `metrics`;
        `colourfulness_distance`: |colourfulness - the truth's|. Its mean over images counts too dull and too gaudy
        pictures alike. (The distance of the two means over a set, as in DDColor, lets them cancel.)
    Raises:
        ValueError: the sizes differ, or there is no pixel.
    """
    if picture.shape != truth.rgb.shape or not picture.size:
        raise ValueError(f"picture {picture.shape}, truth {truth.rgb.shape}: sizes differ, or there is no pixel")
    own = colourfulness(picture)
    return {
        "psnr": float(psnr(sum_of_squares(picture, truth.rgb), picture.size / 3)),
        "ssim": _ssim(_moments(_reduced(picture)), truth.moments),
        "ciede2000": mean_ciede2000(lab, truth.lab),
        "colourfulness": own,
        "colourfulness_absolute": colourfulness_absolute(picture),
        "colourfulness_distance": abs(own - truth.colourfulness),
        "chroma_histogram_distance": histogram_distance(chroma_histogram(lab), truth.chroma_histogram),
    }


def psnr(rgb_squared: float | pd.Series, pixels: float | pd.Series) -> float | pd.Series:
    """Peak signal-to-noise ratio of 8-bit RGB in decibels, from the sums of `metrics.image_errors`; at most 58.9.

    10 log10(255^2 / MSE), where an MSE below 1/12 counts as 1/12: so much do 8 bits take from any picture by rounding.
    So a picture that equals its truth has 58.9, not infinity, and one such picture does not make the mean over images
    infinite. (Other programs give infinity there, and the same numbers up to 58.9.)

    Args:
        rgb_squared: sum of squared errors over pixels and channels, of one picture, or a column of many;
        pixels: the number of pixels, likewise.
    """
    return 10 * np.log10(255**2 / np.maximum(rgb_squared / (3 * pixels), ROUNDING_ERROR))


def ssim(picture: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity (Wang et al., 2004) of RGB, mean over the three channels; 1 for equal pictures.

    Gaussian window of 11 x 11 pixels (sigma 1.5), the picture mirrored at its borders: equal to torchmetrics' within
    1e-4 and more than twice as fast, since the window is applied along rows, then columns, and to each truth once.
    As in the authors' own program of 2009 ("with automatic downsampling"), both pictures are first reduced by the whole
    number nearest to (shorter side / 256), by means of blocks: 640 x 480 becomes 320 x 240, and nothing below 384 is
    reduced. At full size the numbers differ: compare only numbers of one definition.
    A picture that keeps the photograph's lightness is high already without a colour: 0.91 on photographs of COCO.

    Args:
        picture, truth: uint8 (H, W, 3), RGB 0-255.
    Returns:
        nan where a side is shorter than the window.
    """
    return _ssim(_moments(_reduced(picture)), _moments(_reduced(truth)))


def _reduced(rgb: np.ndarray) -> np.ndarray:
    """Float32 (3, h, w), 0-255: means of blocks; what is left over at the right and below is cut off."""
    factor = max(1, int(min(rgb.shape[:2]) / 256 + 0.5))
    height, width = rgb.shape[0] // factor, rgb.shape[1] // factor
    planes = np.moveaxis(rgb[: height * factor, : width * factor], -1, 0).astype(np.float32)
    rows = sum(planes[:, start::factor] for start in range(factor))
    return np.ascontiguousarray(sum(rows[..., start::factor] for start in range(factor)) / factor**2)


def _window_mean(values: np.ndarray) -> np.ndarray:
    return gaussian_filter(values, SSIM_SIGMA, axes=(1, 2), radius=SSIM_WINDOW // 2, mode="mirror")


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture, and under the window its mean and its variance; each float32 (3, h, w)."""
    mean = _window_mean(values)
    return values, mean, _window_mean(values * values) - mean * mean


def _ssim(picture: tuple[np.ndarray, ...], truth: tuple[np.ndarray, ...]) -> float:
    (x, mean_x, variance_x), (y, mean_y, variance_y) = picture, truth
    if min(x.shape[1:]) < SSIM_WINDOW:
        return float("nan")
    means = mean_x * mean_y
    covariance = _window_mean(x * y) - means
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * means + c1) * (2 * covariance + c2)
    similarity /= (mean_x * mean_x + mean_y * mean_y + c1) * (variance_x + variance_y + c2)
    return float(similarity.mean(dtype=np.float64))


def mean_ciede2000(lab: np.ndarray, truth_lab: np.ndarray) -> float:
    """Mean colour difference CIEDE2000 (Sharma, Wu, Dalal, 2005), by scikit-image; 1 is about just noticeable.

    Of pictures of more than 256 x 256 pixels only every third pixel in both directions is looked at: on photographs
    of COCO the mean then lies within 1.5% of that over all pixels.

    Args:
        lab, truth_lab: float (H, W, 3): L 0-100, a, b.
    """
    # All pixels of 640 x 480 cost as much time as a detector. Three has no factor in common with the blocks of JPEG
    # (8 or 16): every fourth pixel would meet the same places of all blocks, and the mean would be biased.
    step = 3 if lab[..., 0].size > 256**2 else 1
    grid = np.s_[step // 2 :: step, step // 2 :: step]
    return float(deltaE_ciede2000(lab[grid], truth_lab[grid]).mean(dtype=np.float64))


def chroma_histogram(lab: np.ndarray) -> np.ndarray:
    """Share of the pixels in each bin of the ab plane: float64 (23, 23), rows a, columns b; the sum is 1.

    Bins of 10 x 10 CIELAB units, centred on -110, -100, ... 110, as in Zhang et al. 2016. So gray lies in the middle of
    one bin: were it on a border, noise would spread gray over four.

    Args:
        lab: float (H, W, 3): L, a, b of colours of sRGB.
    """
    a, b = ((lab[..., channel] / CHROMA_BIN + CHROMA_BINS / 2).astype(np.int32) for channel in (1, 2))
    counts = np.bincount((a * CHROMA_BINS + b).ravel(), minlength=CHROMA_BINS**2)
    return counts.reshape(CHROMA_BINS, CHROMA_BINS) / counts.sum()


def histogram_distance(first: np.ndarray, second: np.ndarray) -> float:
    """1 - histogram intersection (Swain and Ballard, 1991) of two histograms of sum 1: 0 equal, 1 nothing in common.

    It is the share of the pixels that would have to change their bin; the places of the colours do not count.
    It weighs all pixels alike; Hellinger's distance would weigh rare colours more.
    """
    return float(np.abs(first - second).sum() / 2)
