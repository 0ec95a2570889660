"""The checks of notebook 02: right answers, and the mistakes that are easily made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from ucolnet_lib.notebook.checks import data as check


def resized(how):
    return lambda labels, size: np.asarray(Image.fromarray(labels).resize((size, size), how))


def strided(labels, size):
    rows, columns = labels.shape[0] // size, labels.shape[1] // size
    return labels[rows // 2 :: rows, columns // 2 :: columns].copy()


def in_place(labels, size):
    small = resized(Image.Resampling.NEAREST)(labels, size)
    labels[:] = 0
    return small


def measure(convert=lambda picture: picture.astype(int), formula=lambda r, g, b: np.abs(r - g) + np.abs(g - b)):
    return lambda picture: formula(*np.moveaxis(convert(picture), 2, 0)).mean()


def test_the_checks_of_notebook_02(judge):
    right = {
        check.class_of_bottle: [(40,), (np.int64(40),), (40.0,)],
        check.run_lengths: [
            ([4, 4, 1, 1, 2],),
            ((4, 4, 1, 1, 2),),
            (np.array([4, 4, 1, 1, 2]),),
            (torch.tensor([4, 4, 1, 1, 2]),),
        ],
        check.ignored_pixels: [(27,)],
        check.shrink: [(resized(Image.Resampling.NEAREST),), (strided,)],
        check.difference_measure: [(measure(),), (measure(lambda picture: picture.astype(np.float32)),)],
        check.held_out_by_both: [(40,), (35,), (44.0,)],
    }
    wrong = {
        # The id itself; the background forgotten; one gap overlooked; one gap too many.
        check.class_of_bottle: [(44,), (39,), (41,), (38,), (40.5,), (True,)],
        # Along the rows; ones first; the last run forgotten.
        check.run_lengths: [
            ([2, 2, 1, 2, 2, 1, 2],),
            ([0, 4, 4, 1, 1, 2],),
            ([4, 4, 1, 1],),
            ([4, 4, 1, 2, 1],),
            ([4, 4, 1, 1, 2, 0],),
            (12,),
        ],
        # The whole crowd; the car forgotten; the whole car; crowd over objects; the person forgotten.
        check.ignored_pixels: [(40,), (31,), (19,), (0,), (36,), (True,)],
        check.shrink: [
            (resized(Image.Resampling.BILINEAR),),
            (resized(Image.Resampling.BICUBIC),),
            (lambda labels, size: labels[:size, :size].copy(),),
            (lambda labels, size: np.zeros((size, size), np.uint8),),
            (lambda labels, size: strided(labels, size).T.copy(),),
            (lambda labels, size: strided(labels, size).astype(float),),
            (lambda labels, size: labels,),
            (in_place,),
        ],
        check.difference_measure: [
            (measure(lambda picture: picture),),  # the bug: bytes wrap around
            (measure(formula=lambda r, g, b: np.abs(r - g)),),
            (measure(lambda picture: picture / 255),),
            (measure(formula=lambda r, g, b: (r - g) + (g - b)),),
            (measure(formula=lambda r, g, b: np.maximum(np.maximum(r, g), b) - np.minimum(np.minimum(r, g), b)),),
            (measure(formula=lambda r, g, b: (np.abs(r - g) + np.abs(g - b)).astype(np.uint8)),),
            (measure(lambda picture: picture.astype(np.int8)),),
        ],
        check.held_out_by_both: [(200,), (199,), (180,), (100,), (20,), (0,), (1,), (0.2,), (True,)],
    }
    judge(check, right, wrong)


def test_no_hint_gives_the_answer_away(capsys):
    for answer in (44, 39, 41, 1, 99):
        check.class_of_bottle(answer)
        check.ignored_pixels(answer)
    check.run_lengths([2, 2, 1, 2, 2, 1, 2])
    check.run_lengths([4, 4, 1, 2, 1])
    said = capsys.readouterr().out
    assert "Not yet." in said
    assert "40" not in said and "27" not in said and "4, 4, 1, 1, 2" not in said


@pytest.mark.parametrize(
    ("answer", "asks_for_bytes"),
    [
        (measure(lambda picture: picture), True),
        (measure(formula=lambda r, g, b: (np.abs(r - g) + np.abs(g - b)).astype(np.uint8)), True),
        (measure(lambda picture: picture / 255), False),
        (measure(formula=lambda r, g, b: np.abs(r - g)), False),
    ],
)
def test_the_hint_on_bytes_comes_only_where_bytes_are_the_fault(capsys, answer, asks_for_bytes):
    check.difference_measure(answer)
    assert ("uint8" in capsys.readouterr().out) is asks_for_bytes


def test_hints_for_answers_of_another_kind(capsys):
    check.class_of_bottle("40")
    check.run_lengths(12)
    check.run_lengths(["4"])
    check.held_out_by_both(0.2)
    check.run_lengths([4, 4, 1, 1, 2, 0])
    assert capsys.readouterr().out.splitlines() == [
        "Not yet. Give a whole number.",
        "Not yet. Give a list of whole numbers.",
        "Not yet. Give a list of whole numbers.",
        "Not yet. Not the share is asked, but how many photographs.",
        "Not yet. A 0 is needed only at the start, and only if the first pixel is 1.",
    ]
