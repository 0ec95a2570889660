"""The exercises of notebook 01."""

import numpy as np
import pytest
import torch

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.notebook.checks import cielab as check

SIGNS = {"orange": ("+", "+"), "leaf green": ("-", "+"), "turquoise": ("-", "-"), "violet": ("+", "-")}


def limit(ab, most):
    chroma = np.linalg.norm(ab, axis=-1, keepdims=True)
    return ab * np.minimum(1, most / np.maximum(chroma, 1e-9))


def always_scaled(ab, most):
    return ab * most / np.maximum(np.linalg.norm(ab, axis=-1, keepdims=True), 1e-9)


def nan_at_gray(ab, most):
    chroma = np.linalg.norm(ab, axis=-1, keepdims=True)
    return ab / chroma * np.minimum(chroma, most)


MATRIX = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])


def by_hand(light, matrix=MATRIX):
    def lab(picture):
        x, y, z = np.moveaxis(np.cbrt(light(picture / 255) @ matrix.T / MATRIX.sum(1)), -1, 0)
        return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)

    return lab


without_linear_light = by_hand(lambda c: c)
gamma_of_two_point_two = by_hand(lambda c: c**2.2)
without_transpose = by_hand(lambda c: ((c + 0.055) / 1.055) ** 2.4, MATRIX.T)


def for_one_pixel(ab, most):
    chroma = np.linalg.norm(ab, axis=-1)
    if chroma > most:
        ab = ab * most / chroma
    return ab


def changed(**pairs):
    return ({**SIGNS, **{name.replace("_", " "): pair for name, pair in pairs.items()}},)


def test_right_and_wrong_answers(judge):
    judge(
        check,
        right={
            check.half_light: [(188,), (187,), (np.int64(188),), (188.0,), (torch.tensor(188),)],
            check.signs: [
                (SIGNS,),
                ({name: list(pair) for name, pair in SIGNS.items()},),
                changed(leaf_green=("\u2212", " +")),  # a minus from another keyboard, and a blank
            ],
            check.picture_to_lab: [(rgb8_to_lab,), (lambda picture: rgb8_to_lab(picture).astype(np.float64),)],
            check.limit_chroma: [(limit,)],
            check.grays_of_yellow: [
                (["mean", "luma", "L", "value"],),
                (("mean", "luma", "L", "value"),),
                (np.array(["mean", "luma", "L", "value"]),),
            ],
            check.two_errors: [(13, 84.5**0.5), (13.0, 9.2), (13, 9.19)],
        },
        wrong={
            check.half_light: [(128,), (55,), (186,), (190,), (0.5,), (187.5,), (500,), (True,)],
            check.signs: [
                changed(orange=("-", "+")),
                changed(leaf_green=("+", "-")),  # a and b swapped
                changed(violet=("-", "+")),
                changed(turquoise=None),
                changed(turquoise="--"),
                ({name: None for name in SIGNS},),
            ],
            check.picture_to_lab: [
                (without_linear_light,),
                (gamma_of_two_point_two,),
                (without_transpose,),
                (lambda picture: rgb8_to_lab(picture)[..., [0, 2, 1]],),
                (lambda picture: rgb8_to_lab(picture) * [0.01, 1, 1],),
                (lambda picture: rgb8_to_lab(picture[..., ::-1]),),
                (lambda picture: rgb8_to_lab(picture)[0],),
                (lambda picture: rgb8_to_lab(picture) * np.nan,),
            ],
            check.limit_chroma: [
                (lambda ab, most: np.clip(ab, -most, most),),
                (lambda ab, most: np.clip(ab, -most / 2**0.5, most / 2**0.5),),
                (always_scaled,),
                (nan_at_gray,),
                (for_one_pixel,),
                (lambda ab, most: ab,),
                (lambda ab, most: -limit(ab, most),),
                (lambda ab, most: limit(ab, most)[..., ::-1],),
                (lambda ab, most: np.where(np.linalg.norm(ab, axis=-1, keepdims=True) > most, 0, ab),),
                (lambda ab, most: np.where(ab == limit(ab, most), ab, -limit(ab, most)),),
            ],
            check.grays_of_yellow: [
                (["luma", "mean", "L", "value"],),
                (["mean", "L", "luma", "value"],),
                (["value", "L", "luma", "mean"],),
                (["mean", "luma", "L"],),
            ],
            check.two_errors: [(9.2, 13), (17, 9.2), (13, 13), (13, 9), (13, 8.5), (13, 84.5)],
        },
    )


def test_untouched_signs_are_told_as_unanswered(capsys):
    check.signs({name: None for name in SIGNS})
    assert capsys.readouterr().out == "Not answered yet.\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (without_linear_light, "119 gets L = 74"),
        (without_linear_light, "Which of the three steps"),
        (gamma_of_two_point_two, "close to 50"),
        (without_transpose, "close to 50"),
        (lambda picture: rgb8_to_lab(picture)[..., [0, 2, 1]], "another colour"),
    ],
)
def test_the_hint_fits_the_mistake(capsys, answer, words):
    check.picture_to_lab(answer)
    assert words in capsys.readouterr().out


def test_hints_for_one_pixel_for_rounding_and_for_text(capsys):
    check.limit_chroma(for_one_pixel)
    check.two_errors(13, 9)
    check.two_errors(13, 8.5)
    check.half_light("188")
    check.picture_to_lab(lambda picture: rgb8_to_lab(picture)[0])
    one_pixel, rounded, wrong, text, shape = capsys.readouterr().out.splitlines()
    assert "`if` decides only once" in one_pixel
    assert "nearly" in rounded and "nearly" not in wrong and "The distance is right." in wrong
    assert text == "Not yet. Give a whole number."
    assert "has shape (3, 3)" in shape and "Error" not in shape
