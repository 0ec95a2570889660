"""The exercises of notebook 07: the mean and the median, Dice, alpha, and the weights that are learnt."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from ucolnet_lib.notebook.checks.base import exercise, number, result_of

VALUES = (-40.0, 10.0, 60.0, 60.0, 70.0)
"""The a of five pixels, as exercise 1 gives them."""


@exercise
def best_constants(squared: float, absolute: float) -> str | None:
    """The constants with the smallest squared and the smallest absolute error of `VALUES`."""
    squared, absolute = number(squared), number(absolute)
    mean, median = sum(VALUES) / len(VALUES), sorted(VALUES)[len(VALUES) // 2]
    right = math.isclose(squared, mean, abs_tol=0.05), math.isclose(absolute, median, abs_tol=0.05)
    if all(right):
        return None
    if math.isclose(squared, median, abs_tol=0.05) and math.isclose(absolute, mean, abs_tol=0.05):
        return "Which of the two errors listens to a single far value? Look at the two curves again."
    if right[0]:
        return "The first is right. For the absolute error, every value pulls equally hard, however far it is."
    if right[1]:
        return "The second is right. For the squared error, a far value pulls harder than a near one."
    return "Set the derivative of the mean squared error to 0, and do the same in thought for the absolute error."


@exercise
def dice_of_class(function: Callable) -> str | None:
    """A function of p, the probability of one class at n pixels, and t, its truth (0 or 1): soft Dice."""
    p, t = torch.tensor([0.9, 0.6, 0.2, 0.1]), torch.tensor([1.0, 1, 0, 0])
    if not math.isclose(number(result_of(function, t, t)), 1, abs_tol=1e-5):
        return "A prediction that equals the truth has a Dice of 1."
    if not math.isclose(number(result_of(function, 1 - t, t)), 0, abs_tol=1e-5):
        return "A prediction that never meets the truth has a Dice of 0."
    if not math.isclose(number(result_of(function, p, t)), 2 * 1.5 / (1.8 + 2), abs_tol=1e-4):
        return "Both extremes are right. Are the probabilities used as they are? Or is it another measure of overlap?"
    # Twice as many pixels of the same kind: sums double, Dice stays.
    if not math.isclose(number(result_of(function, p.repeat(2), t.repeat(2))), 3 / 3.8, abs_tol=1e-4):
        return "The same pixels twice should give the same Dice."
    return None


@exercise
def missed_object(cross_entropy_share: float, dice: float) -> str | None:
    """An object of 1 pixel among 100, missed: its share of the pixels in cross-entropy, and the Dice loss."""
    cross_entropy_share, dice = number(cross_entropy_share), number(dice)
    if math.isclose(cross_entropy_share, 1, abs_tol=0.01):
        return "The first number is a share, from 0 to 1: cross-entropy is a mean over pixels."
    if not math.isclose(cross_entropy_share, 0.01, abs_tol=1e-3):
        return "Cross-entropy is a mean over pixels. How many of them belong to the object?"
    background, missed = 2 * 99 / (100 + 99), 0.0
    if math.isclose(dice, (background + missed) / 2, abs_tol=1e-4):
        return "This is the mean Dice. The loss is 1 minus it."
    if math.isclose(dice, 1 - (99 / 100 + missed) / 2, abs_tol=5e-4):
        return "This is the loss with IoU in place of Dice, which counts the common area twice."
    rounded = math.isclose(dice, 0.5, abs_tol=1e-6)  # to one digit: the background's Dice is nearly 1
    if not rounded and not math.isclose(dice, 1 - (background + missed) / 2, abs_tol=0.002):
        return "Compute the Dice of each of the two classes first; both count equally."
    return None


@exercise
def mean_dice_loss(function: Callable) -> str | None:
    """A function of p (n, classes) and t (n,), classes: 1 - mean Dice over the classes that occur in t."""
    t = torch.tensor([0, 0, 3, 3, 5])
    perfect = torch.eye(7)[t]
    if not math.isclose(number(result_of(function, perfect, t)), 0, abs_tol=1e-5):
        return "For a perfect prediction the loss should be 0. Which classes have a Dice below 1, and why?"
    p = torch.tensor([[0.7, 0.1, 0, 0.1, 0, 0.1, 0], [0.5, 0, 0, 0.3, 0, 0.2, 0], [0.2, 0, 0.1, 0.6, 0, 0.1, 0],
                      [0.1, 0, 0, 0.9, 0, 0, 0], [0.6, 0, 0, 0.1, 0, 0.3, 0]])  # fmt: skip
    one_hot = torch.eye(7)[t]
    dice = (2 * (p * one_hot).sum(0) / (p.sum(0) + one_hot.sum(0)))[[0, 3, 5]]
    if not math.isclose(number(result_of(function, p, t)), float(1 - dice.mean()), abs_tol=1e-4):
        return "A perfect prediction is right now. Does each class that occurs still count once, whatever its size?"
    loss = result_of(function, p.requires_grad_(), t)
    if not getattr(loss, "requires_grad", False):
        return "The value is right. But no gradient reaches p, so a network could not learn from this loss."
    return None


@exercise
def detached_alpha(function: Callable) -> str | None:
    """A function of two losses: their ratio, so that alpha x segmentation equals the colour loss in size."""
    weight = torch.tensor(2.0, requires_grad=True)
    color, segmentation = 0.03 * weight, 1.5 * weight  # 0.06 and 3
    alpha = torch.as_tensor(result_of(function, color, segmentation))
    if math.isclose(float(alpha), 50, rel_tol=1e-4):
        return "alpha times the segmentation loss should equal the colour loss, and not the other way round."
    if not math.isclose(float(alpha), 0.02, rel_tol=1e-4):
        return "For losses of 0.06 and 3, alpha times 3 should be 0.06."
    if alpha.requires_grad:
        through = torch.autograd.grad(alpha, (color, segmentation), retain_graph=True, allow_unused=True)
        if any(gradient is None for gradient in through):
            return "The value is right. But a gradient still flows through alpha, by one of the two losses."
        return "The value is right. But a gradient still flows through alpha: what does the whole loss become?"
    (gradient,) = torch.autograd.grad(color + alpha * segmentation, weight)
    return None if math.isclose(float(gradient), 0.06, rel_tol=1e-4) else "The losses themselves must keep theirs."


@exercise
def learnt_ratio(alpha: float) -> str | None:
    """alpha = exp(s1 - s2) where both s have settled, for a colour loss of 0.02 and a segmentation loss of 0.5."""
    alpha = number(alpha)
    if math.isclose(alpha, 25, rel_tol=0.01):
        return "alpha stands before the segmentation loss: which of the two weights is divided by which?"
    if math.isclose(alpha, math.log(0.02) - math.log(0.5), rel_tol=0.02):
        return "This is s1 - s2. alpha is its exponential."
    right = math.isclose(alpha, 0.02 / 0.5, rel_tol=0.01)
    return None if right else "Set the derivative of exp(-s) L + s to 0: which weight exp(-s) follows?"
