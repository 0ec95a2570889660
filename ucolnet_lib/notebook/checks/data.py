"""Checks of notebook 02: category ids, run lengths, crowds, resizing of semantic maps, gray pictures, the split."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from ucolnet_lib.common import IGNORE_INDEX
from ucolnet_lib.data.coco import CLASS_OF_CATEGORY
from ucolnet_lib.notebook.checks.base import WrongKind, exercise, number, result_of, whole_number

BOTTLE = 44
MASK = np.array([[0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 0, 0]])


@exercise
def class_of_bottle(answer: Any) -> str | None:
    """The class (1..80) of COCO's category 44."""
    found = whole_number(answer)
    if found == BOTTLE:
        return "That is the category's id. The ids have gaps, the classes have none."
    if found == CLASS_OF_CATEGORY[BOTTLE] - 1:
        return "Off by one: class 0 is the background, the first category is class 1."
    if found != CLASS_OF_CATEGORY[BOTTLE]:
        return "Count how many of the missing ids are smaller than 44."
    return None


@exercise
def run_lengths(counts: Any) -> str | None:
    """The run lengths of `MASK`, column by column, zeros first: a list of whole numbers."""
    try:
        lengths = [whole_number(count) for count in counts]
    except TypeError:  # WrongKind is one, too
        raise WrongKind("Give a list of whole numbers.") from None
    rows, columns = _runs(MASK.ravel()), _runs(MASK.T.ravel())
    if lengths == rows:
        return "You went along the rows. RLE goes down the columns."
    if sum(lengths) != MASK.size:
        return f"The numbers should add up to the {MASK.size} pixels of the mask; yours add up to {sum(lengths)}."
    if 0 in lengths:
        return "A 0 is needed only at the start, and only if the first pixel is 1."
    if lengths != columns:
        return "Write the columns one after the other in one line, then count equal neighbours. Zeros come first."
    return None


@exercise
def ignored_pixels(answer: Any) -> str | None:
    """How many pixels of a crowd of 8 x 5 stay 255 with a person of 3 x 3 in it and a car of 4 x 3 half over it."""
    found = whole_number(answer)
    crowd, person, car = np.s_[0:5, 0:8], np.s_[1:4, 2:5], np.s_[3:6, 6:10]
    labels = np.zeros((6, 10), int)
    labels[crowd] = IGNORE_INDEX
    if found == (labels == IGNORE_INDEX).sum():
        return "That is the whole crowd. Objects are painted over crowds."
    labels[person] = 1
    if found == (labels == IGNORE_INDEX).sum():
        return "The person is right. Now look whether the car covers a part of the crowd, too."
    labels[car] = 3
    if found != (labels == IGNORE_INDEX).sum():
        return "Begin with the crowd's pixels and take away those that an object covers. Only a part of the car counts."
    return None


@exercise
def shrink(function: Any) -> str | None:
    """`function(labels uint8 (H, W), size)` gives uint8 (size, size) in which each pixel has a class of its place."""
    for labels, size in _maps():
        before = labels.copy()
        found = result_of(function, labels, size)
        if not isinstance(found, np.ndarray) or found.dtype != np.uint8 or found.shape != (size, size):
            return "The function should return a uint8 array of the shape (size, size)."
        if not np.array_equal(labels, before):
            return "The function changed the picture that it was given."
        if invented := set(np.unique(found)) - set(np.unique(labels)):
            return f"There are classes in the result that the picture does not have, such as {min(invented)}."
        rows, columns = labels.shape[0] // size, labels.shape[1] // size
        blocks = labels.reshape(size, rows, size, columns)
        if not (blocks == found[:, None, :, None]).any(axis=(1, 3)).all():
            return "Some pixels have a class that does not stand at their place in the large map."
    return None


@exercise
def difference_measure(function: Any) -> str | None:
    """`function(picture uint8 (H, W, 3))` gives the mean over the pixels of |R - G| + |G - B|, a float."""
    random = np.random.RandomState(0)
    pictures = [
        np.full((4, 4, 3), (100, 101, 101), np.uint8),
        np.full((4, 4, 3), (0, 255, 0), np.uint8),
        random.randint(0, 256, (6, 5, 3)).astype(np.uint8),
    ]
    for picture in pictures:
        red, green, blue = np.moveaxis(picture.astype(int), 2, 0)
        wanted = (np.abs(red - green) + np.abs(green - blue)).mean()
        found = float(result_of(function, picture.copy()))
        if not np.isclose(found, wanted, rtol=1e-3):
            # What comes out when the subtractions, the sum, or both are done in uint8.
            exact = np.abs(red - green) + np.abs(green - blue)
            red, green, blue = np.moveaxis(picture, 2, 0)
            first, second = red - green, green - blue
            wrapped = [(first + second).mean(), (first.astype(int) + second).mean(), exact.astype(np.uint8).mean()]
            question = "Which numbers can a uint8 hold?"
            if not np.isclose(found, wrapped, rtol=1e-3).any():
                question = "Keep the scale 0-255, and add both differences."
            return (
                f"For a picture with the first pixel {picture[0, 0].tolist()} the measure should be {wanted:.3g}, "
                f"and yours is {found:.3g}. {question}"
            )
    return None


@exercise
def held_out_by_both(answer: Any) -> str | None:
    """Of 200 photographs held out of 1000, how many does a shuffle of another order hold out: about as by chance."""
    if 0 < number(answer) < 1:
        return "Not the share is asked, but how many photographs."
    found = whole_number(answer)
    if found >= 80:
        return "The same seed picks the same places. But in the two lists, other photographs stand there."
    if not 30 <= found <= 50:  # such a draw has a standard deviation of about 5
        return "The second shuffle knows nothing of the first. What share of ANY photographs does it hold out?"
    return None


def _runs(line: np.ndarray) -> list[int]:
    """Lengths of runs of equal values of a line of 0 and 1, the first of zeros."""
    borders = np.flatnonzero(np.diff(line)) + 1
    runs = np.diff([0, *borders, line.size]).tolist()
    return [0, *runs] if line[0] else runs


def _maps() -> list[tuple[np.ndarray, int]]:
    """Semantic maps and a side that divides theirs: one of flat regions, one of changing shape, one of many classes."""
    regions = np.zeros((24, 24), np.uint8)
    regions[:, 9:], regions[5:17, 3:20], regions[13:, :7] = 40, 2, IGNORE_INDEX
    many = np.random.RandomState(1).randint(0, 81, (8, 12)).astype(np.uint8)
    wide = np.asarray(Image.fromarray(many).resize((72, 32), Image.Resampling.NEAREST))
    return [(regions, 8), (wide, 8), (regions, 6)]
