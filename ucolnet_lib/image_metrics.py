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
import torch
from skimage.color import deltaE_ciede2000
from torch.nn.functional import avg_pool2d

from ucolnet_lib.metrics import colourfulness, colourfulness_absolute, sum_of_squares

GRAY_BELOW = 4  # of 255
SSIM_WINDOW = 11  # pixels
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
    def reduced(self) -> torch.Tensor:
        return _reduced(self.rgb)

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
        "ssim": _ssim(_reduced(picture), truth.reduced),
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

    Gaussian window of 11 x 11 pixels (sigma 1.5), by torchmetrics, which mirrors the picture at its borders.
    As in the authors' own program of 2009 ("with automatic downsampling"), both pictures are first reduced by the whole
    number nearest to (shorter side / 256), by means of blocks: 640 x 480 becomes 320 x 240, and nothing below 384 is
    reduced. At full size the numbers differ: compare only numbers of one definition.
    A picture that keeps the photograph's lightness is high already without a colour: 0.91 on photographs of COCO.

    Args:
        picture, truth: uint8 (H, W, 3), RGB 0-255.
    Returns:
        nan where a side is shorter than the window.
    """
    return _ssim(_reduced(picture), _reduced(truth))


def _reduced(rgb: np.ndarray) -> torch.Tensor:
    """Float (1, 3, h, w), 0-255: means of blocks; what is left over at the right and below is cut off."""
    factor = max(1, int(min(rgb.shape[:2]) / 256 + 0.5))
    # Pixel by pixel in memory (channels last), torch's convolutions of three channels are faster by a third.
    picture = torch.tensor(np.ascontiguousarray(rgb))[None].permute(0, 3, 1, 2).float()
    return picture if factor == 1 else avg_pool2d(picture, factor)


def _ssim(picture: torch.Tensor, truth: torch.Tensor) -> float:
    # Here, because it takes seconds: torchmetrics imports torchvision and matplotlib.
    from torchmetrics.functional.image import structural_similarity_index_measure

    if min(picture.shape[2:]) < SSIM_WINDOW:
        return float("nan")
    return float(structural_similarity_index_measure(picture, truth, sigma=1.5, data_range=255.0))


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


def is_gray(picture: np.ndarray) -> bool:
    """Is a picture gray, or nearly? Its mean over pixels of max(R, G, B) - min(R, G, B) is below 4 of 255.

    A photograph like this says nothing about colours. Notebook 02 shows why 4 is a safe limit, and that a sepia
    photograph is not found.

    Args:
        picture: uint8 (H, W, 3), RGB 0-255.
    """
    # Plane by plane: NumPy's max over an axis of three is twenty times as slow.
    red, green, blue = np.moveaxis(picture, -1, 0)
    largest = np.maximum(np.maximum(red, green), blue)
    return bool((largest - np.minimum(np.minimum(red, green), blue)).mean() < GRAY_BELOW)
