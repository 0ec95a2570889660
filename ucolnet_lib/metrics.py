"""Numbers about pictures and trainings: RMSE in six definitions, mIoU, colourfulness, overfitting.

Functions of arrays, used in training and evaluation alike; no files. Pictures are 8-bit RGB at the photograph's
own size. What is needed for a whole set is first measured image by image (sums and counts), so that any row of
a table, and any bootstrap over images, can be computed from the per-image numbers alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.common import BACKGROUND, IGNORE_INDEX, UcolnetError

RMSE_NAMES = (
    "rgb_pooled",
    "rgb_mean",
    "ab_pooled",
    "ab_mean",
    "ab_euclid_pooled",
    "ab_euclid_mean",
    "ab_objects_pooled",
)


def squared_ab_error(lab: np.ndarray, truth_lab: np.ndarray) -> np.ndarray:
    """Squared distance in the ab plane at each pixel, CIELAB units: float32 (H, W).

    Args:
        lab, truth_lab: float32 (H, W, 3), `rgb8_to_lab` of the picture and of the truth.
    """
    return (lab[..., 1] - truth_lab[..., 1]) ** 2 + (lab[..., 2] - truth_lab[..., 2]) ** 2


def image_errors(
    picture: np.ndarray, truth: np.ndarray, semantic_map: np.ndarray, squared_ab: np.ndarray | None = None
) -> dict[str, float]:
    """Sums of errors of one picture, from which `rmse` computes a whole set's RMSE.

    Args:
        picture, truth: uint8 (H, W, 3), RGB 0-255.
        semantic_map: uint8 (H, W) of the truth; the pixels of objects are those of class 1..80.
        squared_ab: `squared_ab_error` of the two, where the caller has it already.
    Returns:
        `pixels`, `object_pixels`: counts;
        `rgb_squared`: sum of squared errors over pixels and the three channels, 0-255;
        `ab_squared`, `ab_objects_squared`: over pixels (of objects) and the two channels, CIELAB units;
        `ab_distance`: sum over pixels of the distance in the ab plane.
    """
    if picture.shape != truth.shape or picture.shape[:2] != semantic_map.shape:
        raise ValueError(
            f"picture {picture.shape}, truth {truth.shape}, semantic map {semantic_map.shape}: sizes differ"
        )
    squared = squared_ab_error(rgb8_to_lab(picture), rgb8_to_lab(truth)) if squared_ab is None else squared_ab
    objects = (semantic_map != BACKGROUND) & (semantic_map != IGNORE_INDEX)
    return {
        "pixels": int(semantic_map.size),
        "object_pixels": int(np.count_nonzero(objects)),
        "rgb_squared": sum_of_squares(picture, truth),
        "ab_squared": float(squared.sum(dtype=np.float64)),
        "ab_objects_squared": float((squared * objects).sum(dtype=np.float64)),
        "ab_distance": float(np.sqrt(squared).sum(dtype=np.float64)),
    }


def class_errors(squared_ab: np.ndarray, semantic_map: np.ndarray) -> list[dict[str, float]]:
    """The ab error of one picture, class by class.

    Args:
        squared_ab: (H, W), from `squared_ab_error`; semantic_map: uint8 (H, W).
    Returns:
        for each class of the picture, 255 (ignore) among them: `class`, `class_pixels`, and `class_ab_squared`, the
        sum of squared errors over its pixels and the two channels.
    """
    pixels = np.bincount(semantic_map.ravel())
    sums = np.bincount(semantic_map.ravel(), squared_ab.ravel())
    return [
        {"class": int(i), "class_pixels": int(pixels[i]), "class_ab_squared": float(sums[i])}
        for i in np.flatnonzero(pixels)
    ]


def sum_of_squares(picture: np.ndarray, truth: np.ndarray) -> int:
    """Sum of squared differences of two uint8 arrays, exact."""
    difference = np.subtract(picture, truth, dtype=np.int16)
    return int(np.square(difference, dtype=np.int32).sum(dtype=np.int64))


def rmse(errors: pd.DataFrame | Iterable[Mapping[str, float]]) -> dict[str, float | None]:
    """RMSE of a set of pictures in the definitions of `RMSE_NAMES`, from one `image_errors` an image.

    `pooled` takes all pixels of all images together, `mean` is the mean over images of each image's value.
    `rgb` and `ab` are per channel (the mean of squares runs over pixels and channels); `ab_euclid` is the mean
    distance in the ab plane; `ab_objects` looks at the pixels of objects alone, and is None where there are none.
    """
    table = errors if isinstance(errors, pd.DataFrame) else pd.DataFrame(list(errors))
    if table.empty:
        return dict.fromkeys(RMSE_NAMES)
    total = table[["pixels", "object_pixels", "rgb_squared", "ab_squared", "ab_objects_squared", "ab_distance"]].sum()
    objects = total["object_pixels"]
    return {
        "rgb_pooled": float(np.sqrt(total["rgb_squared"] / (3 * total["pixels"]))),
        "rgb_mean": float(np.sqrt(table["rgb_squared"] / (3 * table["pixels"])).mean()),
        "ab_pooled": float(np.sqrt(total["ab_squared"] / (2 * total["pixels"]))),
        "ab_mean": float(np.sqrt(table["ab_squared"] / (2 * table["pixels"])).mean()),
        "ab_euclid_pooled": float(total["ab_distance"] / total["pixels"]),
        "ab_euclid_mean": float((table["ab_distance"] / table["pixels"]).mean()),
        "ab_objects_pooled": float(np.sqrt(total["ab_objects_squared"] / (2 * objects))) if objects else None,
    }


def colourfulness(picture: np.ndarray) -> float:
    """Colourfulness of one picture (Hasler and Suesstrunk, 2003): 0 gray, 15 slightly, 33 moderately, 59 quite.

    With the signed opponent differences rg = R - G and yb = (R + G) / 2 - B:
    sqrt(var rg + var yb) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2).

    Args:
        picture: uint8 (H, W, 3), RGB 0-255.
    """
    return _colourfulness(*_opponents(picture))


def colourfulness_absolute(picture: np.ndarray) -> float:
    """`colourfulness` with |rg| and |yb|, as in the program of DDColor (Kang et al., 2023; its file
    basicsr/metrics/colorfulness.py) and others: a picture of red and green things loses most of its spread.

    Only for comparing with numbers of such programs.
    """
    rg, twice_yb = _opponents(picture)
    return _colourfulness(np.abs(rg), np.abs(twice_yb))


def _opponents(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """rg and twice yb, whole numbers: int16 (H, W)."""
    red, green, blue = (picture[..., channel].astype(np.int16) for channel in range(3))
    return red - green, red + green - 2 * blue


def _colourfulness(rg: np.ndarray, twice_yb: np.ndarray) -> float:
    mean_rg, mean_yb = rg.mean(), twice_yb.mean() / 2
    square_rg = np.square(rg, dtype=np.int32).mean()
    square_yb = np.square(twice_yb, dtype=np.int32).mean() / 4
    variance = max(square_rg - mean_rg**2 + square_yb - mean_yb**2, 0.0)
    return float(np.sqrt(variance) + 0.3 * np.hypot(mean_rg, mean_yb))


class ConfusionMatrix:
    """Counts of (true class, predicted class) over a whole set of semantic maps; pixels of `IGNORE_INDEX` are left out.

    `counts` is int64 (classes, classes), rows are the truth.
    """

    def __init__(self, num_classes: int):
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def add(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Add semantic maps of one shape: `truth` holds 0..classes-1 or 255, `prediction` 0..classes-1."""
        classes = len(self.counts)
        known = truth != IGNORE_INDEX
        pairs = truth[known].astype(np.int32) * classes + prediction[known]
        self.counts += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    def miou(self, background: bool = True) -> float | None:
        """Mean over classes of intersection / union, over the classes of which the truth has a pixel.

        With `background=False` class 0 is not averaged over (its pixels still count as errors of the others).
        None where no class occurs.
        """
        truth = self.counts.sum(axis=1)
        union = truth + self.counts.sum(axis=0) - self.counts.diagonal()
        occurs = truth > 0
        occurs[BACKGROUND] &= background
        if not occurs.any():
            return None
        return float((self.counts.diagonal()[occurs] / union[occurs]).mean())


def overfitting(history: pd.DataFrame) -> dict[str, float]:
    """How far a training overfits, by the colour loss: it is what all models have in common, and it stays
    comparable over the epochs, while alpha moves the sum of the losses.

    Args:
        history: columns epoch, train_color, validation_color.
    Returns:
        `best_epoch`: the (first) epoch of the lowest validation loss;
        `final_gap`: validation loss - training loss at the last epoch.
    """
    if history.empty or history["validation_color"].isna().all():
        raise UcolnetError("The history holds no validation loss: train for at least one epoch first.")
    last = history.loc[history["epoch"].idxmax()]
    best = history.loc[history["validation_color"].idxmin()]
    return {"best_epoch": int(best["epoch"]), "final_gap": float(last["validation_color"] - last["train_color"])}
