"""Checks of notebook 01: sRGB, CIELAB, the gamut, grays and errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.notebook.checks.base import Unanswered, WrongKind, exercise, number, result_of, whole_number


@exercise
def half_light(answer: int) -> str | None:
    """The number in a file, 0-255, that sends half the light of white. The two nearest numbers pass."""
    found = whole_number(answer)
    if not 0 <= found <= 255:
        return "A number in the file lies between 0 and 255."
    light = ((found / 255 + 0.055) / 1.055) ** 2.4
    if abs(light - 0.5) < 0.004:
        return None
    return f"{found} sends {light:.1%} of the light of white. Which number gives 50%?"


@exercise
def signs(answers: Mapping[str, Sequence[str]]) -> str | None:
    """The signs of a and b, a pair of "+" and "-" for each of four colours."""
    colours = {
        "orange": (255, 150, 20), "leaf green": (70, 140, 50), "turquoise": (0, 160, 170), "violet": (130, 60, 190)
    }  # fmt: skip
    if not isinstance(answers, Mapping) or set(answers) != set(colours):
        return "Keep the dictionary with its four names, and put a pair of signs for each."
    if all(pair is None for pair in answers.values()):
        raise Unanswered
    for name, rgb in colours.items():
        pair = answers[name]
        if isinstance(pair, tuple | list):
            pair = [str(sign).strip().replace("\u2212", "-").replace("\u2013", "-") for sign in pair]  # longer minuses
        if not isinstance(pair, list) or len(pair) != 2 or not set(pair) <= {"+", "-"}:
            return f'{name}: give a pair of signs, such as ("+", "+").'
        truth = ["+" if value > 0 else "-" for value in rgb8_to_lab(np.array([[rgb]], np.uint8))[0, 0, 1:]]
        if pair != truth:
            return f"{name}: between which two of green, red, blue and yellow does it lie? Which end of each axis?"
    return None


@exercise
def picture_to_lab(function: Callable[[np.ndarray], np.ndarray]) -> str | None:
    """A function from a uint8 picture (H, W, 3) to CIELAB (H, W, 3), L 0-100."""
    rows = [[119, 119, 119], [255, 0, 0], [20, 90, 200]], [[0, 0, 0], [3, 5, 2], [255, 255, 255]]
    picture = np.array(rows, np.uint8)
    found = _array(result_of(function, picture.copy()), picture.shape)
    error = abs(found[0, 0, 0] - 50.03)
    if 0.1 <= error < 5:
        return (
            f"A gray pixel of 119 gets L = {found[0, 0, 0]:.1f}, which is close to 50. "
            "Take the exact formula of section 2, and compare the line of the matrix with that of rgb_to_lab."
        )
    if not error < 0.1:
        return f"A gray pixel of 119 gets L = {found[0, 0, 0]:.1f}. Which of the three steps of section 1 is missing?"
    if not np.allclose(found, rgb8_to_lab(picture), atol=0.02):
        return "The gray is right, but another colour is not. Compare it with rgb_to_lab, line by line."
    return None


@exercise
def limit_chroma(function: Callable[[np.ndarray, float], np.ndarray]) -> str | None:
    """A function (ab, most) that limits the chroma at fixed hue. ab: (..., 2), CIELAB units."""
    ab = np.array([[[3.0, 4.0], [30.0, -40.0]], [[-80.0, 10.0], [0.0, 0.0]]])
    most = 25.0
    try:
        found = np.asarray(result_of(function, ab.copy(), most), dtype=np.float64)
    except ValueError as error:
        if "truth value" not in str(error):
            raise
        return "ab holds many pixels, and `if` decides only once. Use np.where or np.minimum, which go through all."
    if found.shape != ab.shape:
        return f"For ab of shape {ab.shape} the result has shape {found.shape}. Both should be the same."
    if np.isnan(found).any():
        return "The result holds NaN. What does your formula do where the chroma is 0?"
    chroma, wanted = np.linalg.norm(found, axis=-1), np.linalg.norm(ab, axis=-1)
    if (chroma > most + 1e-3).any():
        return f"A chroma of {chroma.max():.1f} comes out where at most {most:g} is allowed."
    if not np.allclose(found[wanted <= most], ab[wanted <= most], atol=1e-3):
        return "A colour below the limit was changed. It should stay as it is."
    if not np.allclose(found[..., 0] * ab[..., 1], found[..., 1] * ab[..., 0], atol=1e-2 * most):
        return "The hue moved: a and b must get the same factor."
    if not np.allclose(chroma, np.minimum(wanted, most), atol=1e-3):
        return "A colour above the limit should end with exactly the chroma of the limit, on its own side of gray."
    return None if (np.sum(found * ab, axis=-1) >= 0).all() else "A colour went to the other side of gray."


@exercise
def grays_of_yellow(order: Sequence[str]) -> str | None:
    """The four grays of pure yellow, from the darkest to the lightest: names in a list."""
    yellow = np.array([[[255, 255, 0]]], np.uint8)
    red, green, blue = yellow[0, 0].astype(float) / 2.55
    grays = {
        "L": rgb8_to_lab(yellow)[0, 0, 0], "luma": 0.299 * red + 0.587 * green + 0.114 * blue,
        "mean": (red + green + blue) / 3, "value": max(red, green, blue),
    }  # fmt: skip
    order = order.tolist() if isinstance(order, np.ndarray) else order
    if not isinstance(order, list | tuple) or sorted(map(str, order)) != sorted(grays):
        return "Give a list with each of the four names once."
    for darker, lighter in zip(order, order[1:], strict=False):
        if grays[darker] > grays[lighter]:
            return f"{darker} comes before {lighter} in your list. Compute both for yellow, on a scale of 0 to 100."
    return None


@exercise
def two_errors(distance: float, per_channel: float) -> str | None:
    """Errors of 5 in a and 12 in b in every pixel: the mean distance in the ab plane, and the RMSE per channel."""
    error = np.array([5.0, 12.0])
    far = abs(number(distance) - np.linalg.norm(error)), abs(number(per_channel) - np.sqrt(np.mean(error**2)))
    if far[0] > 0.05:
        return "The distance is not right yet. It is the longest side of a triangle with a right angle."
    if far[1] > 0.3:
        return "The distance is right. For the RMSE per channel, average over two numbers a pixel before the root."
    if far[1] > 0.05:
        return "The distance is right, and the RMSE nearly. Give it to one digit behind the point."
    return None


def _array(answer: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    found = np.asarray(answer, dtype=np.float64)
    if found.shape != shape:
        raise WrongKind(f"For a picture of shape {shape} the result has shape {found.shape}. Both should be the same.")
    return found
