"""The checks of notebook 05."""

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


def surgery(g, h):
    return g - (g @ h) / (h @ h) * h if g @ h < 0 else g


def test_checks(judge):
    right = {
        ucolnet_v2.own_parameters: [(66, 2673)],
        ucolnet_v2.cosine: [(cosine,)],
        ucolnet_v2.segmentation_share: [(share,)],
        ucolnet_v2.last_level: [("higher", 0.4, 0.1), ("lower", -0.2, 0.3), ("equal", 0.10, 0.12)],
        ucolnet_v2.without_conflict: [(surgery,)],
    }
    wrong = {
        ucolnet_v2.own_parameters: [(64, 2592), (578, 23409), (2673, 66), (66, 2640)],
        ucolnet_v2.cosine: [
            (lambda a, b: float(join(a) @ join(b)),),  # not divided by the lengths
            (lambda a, b: sum(cosine([x], [y]) for x, y in zip(a, b, strict=True)) / len(a),),  # mean of the cosines
            (lambda a, b: abs(cosine(a, b)),),
        ],
        ucolnet_v2.segmentation_share: [
            (lambda a, b: float(join(b).norm() / (sum(t.norm() for t in a) + join(b).norm())),),  # as planted
            (lambda a, b: 1 - share(a, b) if share(a, b) != 0.5 else 0.5,),  # the colour's share
            (lambda a, b: float(join(b).norm() / join(a).norm()),),
            (lambda a, b: float(join(b).square().sum() / (join(a).square().sum() + join(b).square().sum())),),
        ],
        ucolnet_v2.last_level: [("lower", 0.4, 0.1), ("equal", 0.4, 0.1), ("more", 0.4, 0.1)],
        ucolnet_v2.without_conflict: [
            (lambda g, h: g - (g @ h) / (h @ h) * h,),  # also where they agree
            (lambda g, h: g - (g @ h) * h if g @ h < 0 else g,),  # not divided by the length
            (lambda g, h: torch.zeros_like(g),),
            (lambda g, h: h - (g @ h) / (g @ g) * g if g @ h < 0 else g,),  # the wrong one is changed
        ],
    }
    judge(ucolnet_v2, right, wrong)
