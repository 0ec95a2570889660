"""The checks of notebook 07."""

import math

import numpy as np
import torch

from ucolnet_lib.notebook.checks import losses


def dice(p, t):
    return 2 * (p * t).sum() / (p.sum() + t.sum())


def mean_over(classes):
    """1 - the mean Dice over the classes that `classes(p, t)` names."""
    return lambda p, t: 1 - torch.stack([dice(p[:, c], (t == c).float()) for c in classes(p, t)]).mean()


def whole_batch(p, t):
    """Dice over the batch, classes not apart."""
    return 1 - dice(p, torch.eye(p.shape[1])[t])


def by_size(p, t):
    """Each class counts by its number of pixels."""
    return 1 - torch.stack([dice(p[:, c], (t == c).float()) for c in t]).mean()


def test_checks(judge):
    present = mean_over(lambda p, t: t.unique())
    right = {
        losses.best_constants: [(32, 60), (32.0, 60.0), (np.float32(32), torch.tensor(60))],
        losses.dice_of_class: [(dice,), (lambda p, t: float(dice(p, t)),)],
        losses.missed_object: [(0.01, 0.5025), (0.01, 0.5), (0.01, 0.503), (1 / 100, 1 - 99 / 199)],
        losses.mean_dice_loss: [(present,), (lambda p, t: present(p, t)[None][0],)],
        losses.detached_alpha: [
            (lambda c, s: (c / s).detach(),),
            (lambda c, s: c.detach() / s.detach(),),
            (lambda c, s: c.item() / s.item(),),
        ],
        losses.learnt_ratio: [(0.04,), (1 / 25,)],
    }
    wrong = {
        losses.best_constants: [(60, 32), (60, 60), (32, 32), (15, 60), (32, 10)],
        losses.dice_of_class: [
            (lambda p, t: (p * t).sum() / (p.sum() + t.sum()),),  # without the 2
            (lambda p, t: (p * t).sum() / (p.sum() + t.sum() - (p * t).sum()),),  # IoU
            (lambda p, t: 1 - dice(p, t),),  # the loss
            (lambda p, t: dice((p > 0.5).float(), t),),  # rounded
            (lambda p, t: 2 * (p * t).sum() / (p.square().sum() + t.sum()),),  # squared
        ],
        losses.missed_object: [
            (0.01, 0.01),
            (0.01, 1.0),
            (0.01, 0.4975),
            (1.0, 0.5025),
            (0.5, 0.5),
            (0.01, 0.005),
            (0.01, 0.505),  # IoU in place of Dice
            (0.01, 0.499),
        ],
        losses.mean_dice_loss: [
            (mean_over(lambda p, t: range(p.shape[1])),),  # as planted: all classes
            (whole_batch,),
            (by_size,),
            (lambda p, t: 1 - present(p, t),),
            (mean_over(lambda p, t: [c for c in t.unique() if c > 0]),),  # no background
            (lambda p, t: float(present(p, t)),),  # no gradient
            (lambda p, t: present(p.detach(), t),),
        ],
        losses.detached_alpha: [
            (lambda c, s: c / s,),  # as planted
            (lambda c, s: (s / c).detach(),),  # inverted
            (lambda c, s: c / s.detach(),),
            (lambda c, s: c.detach() / s,),
            (lambda c, s: c.detach() / (c.detach() + s.detach()),),
        ],
        losses.learnt_ratio: [(25,), (math.log(0.04),), (0.01,), (0.02,), (1.0,)],
    }
    judge(losses, right, wrong)


def test_hints_fit_the_mistake(capsys):
    """A loss that is half detached is told so; IoU is called by its name; the planted bug is not told outright."""
    losses.detached_alpha(lambda c, s: c / s.detach())
    assert "one of the two" in capsys.readouterr().out
    losses.detached_alpha(lambda c, s: c / s)
    assert "the whole loss" in capsys.readouterr().out
    losses.missed_object(0.01, 0.505)
    assert "IoU" in capsys.readouterr().out
    losses.mean_dice_loss(lambda p, t: mean_over(lambda p, t: t.unique())(p, t).detach())
    assert "gradient" in capsys.readouterr().out
    losses.mean_dice_loss(mean_over(lambda p, t: range(p.shape[1])))
    assert "occur" not in capsys.readouterr().out
