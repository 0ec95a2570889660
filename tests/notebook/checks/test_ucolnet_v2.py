"""The checks of notebook 05."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ucolnet_lib.notebook.checks import ucolnet_v2


def join(tensors):
    return torch.cat([t.flatten() for t in tensors])


def cosine(first, second):
    return float(F.cosine_similarity(join(first), join(second), dim=0))


def share(color, segmentation):
    a, b = join(color).norm(), join(segmentation).norm()
    return float(b / (a + b))


def share_of_sums(color, segmentation):
    """The planted bug on both sides: sums of the single tensors' norms."""
    a, b = (float(sum(t.norm() for t in ts)) for ts in (color, segmentation))
    return b / (a + b)


def surgery(g, h):
    return g - (g @ h) / (h @ h) * h if g @ h < 0 else g


def surgery_in_numpy(g, h):
    g, h = np.asarray(g), np.asarray(h)
    return g - g.dot(h) / h.dot(h) * h if g.dot(h) < 0 else g


def surgery_without_else(g, h):
    if g @ h < 0:
        return surgery(g, h)


def test_checks(judge):
    right = {
        ucolnet_v2.own_parameters: [(66, 2673), (66.0, np.int64(2673)), (torch.tensor(66), 2673)],
        ucolnet_v2.cosine: [(cosine,), (lambda a, b: F.cosine_similarity(join(a), join(b), dim=0),)],
        ucolnet_v2.segmentation_share: [(share,)],
        ucolnet_v2.trained_cosine: [
            ("above", [0.6, 0.3, 0.1]),
            ("zero", [0.2, -0.1]),
            ("below", np.array([-0.3, 0.0])),
            (" Above ", [0.4]),
        ],
        ucolnet_v2.without_conflict: [(surgery,), (surgery_in_numpy,)],
    }
    wrong = {
        ucolnet_v2.own_parameters: [(64, 2592), (578, 23409), (2673, 66), (66, 2640)],
        ucolnet_v2.cosine: [
            (lambda a, b: float(join(a) @ join(b)),),  # not divided by the lengths
            (lambda a, b: sum(cosine([x], [y]) for x, y in zip(a, b, strict=True)) / len(a),),  # mean of the cosines
            (lambda a, b: abs(cosine(a, b)),),
            (lambda a, b: float(np.arccos(cosine(a, b))),),  # the angle
        ],
        ucolnet_v2.segmentation_share: [
            (lambda a, b: float(join(b).norm() / (sum(t.norm() for t in a) + join(b).norm())),),  # as planted
            (share_of_sums,),
            (lambda a, b: 1 - share(a, b) if share(a, b) != 0.5 else 0.5,),  # the colour's share
            (lambda a, b: float(join(b).norm() / join(a).norm()),),
            (lambda a, b: float(join(b).square().sum() / (join(a).square().sum() + join(b).square().sum())),),
        ],
        ucolnet_v2.trained_cosine: [
            ("zero", [0.4, 0.1]), ("below", [0.4, 0.1]), ("above", [0.1, 0.05]), ("more", [0.4, 0.1]), ("above", [2.0]),
        ],
        ucolnet_v2.without_conflict: [
            (lambda g, h: g - (g @ h) / (h @ h) * h,),  # also where they agree
            (lambda g, h: g - (g @ h) * h if g @ h < 0 else g,),  # not divided by the length
            (lambda g, h: torch.zeros_like(g),),
            (surgery_without_else,),
            (lambda g, h: h - (g @ h) / (g @ g) * g if g @ h < 0 else g,),  # the wrong one is changed
        ],
    }  # fmt: skip
    judge(ucolnet_v2, right, wrong)


@pytest.mark.parametrize(
    ("check", "answers", "words"),
    [
        (ucolnet_v2.own_parameters, (2673, 66), "other way round"),
        (ucolnet_v2.cosine, (lambda a, b: float(np.arccos(cosine(a, b))),), "Its cosine is asked"),
        (ucolnet_v2.segmentation_share, (share_of_sums,), "length"),
        (ucolnet_v2.trained_cosine, ("below", [0.4, 0.2]), "0.30"),
        (ucolnet_v2.without_conflict, (surgery_without_else,), "returns nothing where the two agree"),
    ],
)
def test_hints_name_the_mistake(capsys, check, answers, words):
    assert not check(*answers)
    assert words in capsys.readouterr().out
