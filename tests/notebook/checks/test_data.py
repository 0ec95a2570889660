"""The checks of notebook 02: right answers, and the mistakes that are easily made."""

from __future__ import annotations

import numpy as np
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
        check.run_lengths: [([4, 4, 1, 1, 2],), ((4, 4, 1, 1, 2),), (np.array([4, 4, 1, 1, 2]),)],
        check.ignored_pixels: [(27,)],
        check.shrink: [(resized(Image.Resampling.NEAREST),), (strided,)],
        check.difference_measure: [(measure(),), (measure(lambda picture: picture.astype(np.float32)),)],
        check.held_out_by_both: [(10,), (8,), (13.0,)],
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
            (measure(formula=lambda r, g, b: (r - g) + (g - b)),),
            (measure(formula=lambda r, g, b: np.maximum(np.maximum(r, g), b) - np.minimum(np.minimum(r, g), b)),),
            (measure(formula=lambda r, g, b: (np.abs(r - g) + np.abs(g - b)).astype(np.uint8)),),
            (measure(lambda picture: picture.astype(np.int8)),),
        ],
        check.held_out_by_both: [(100,), (99,), (90,), (0,), (1,), (50,), (True,)],
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
