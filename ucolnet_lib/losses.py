"""The losses: colour, segmentation, and the balance of the two.

The paper (section on UColNet v1): mean squared error for colour; cross-entropy and Dice for segmentation,
multiplied by an adaptive coefficient alpha so that both tasks get the same importance.

Each loss is a ratio of sums over the batch. `LossSums` are these sums. They add up over the parts of a batch, be they
micro-batches or processes; the ratios do not: their mean is another number as soon as the parts hold unequally many
labelled pixels. So training adds the sums and divides once (`training.step`).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import nn

from ucolnet_lib.color import AB_MAX
from ucolnet_lib.color_losses import ColorLoss, MeanSquaredError, create_color_loss
from ucolnet_lib.common import IGNORE_INDEX, UcolnetError


def color_loss(predicted_ab: torch.Tensor, true_ab: torch.Tensor) -> torch.Tensor:
    """Mean squared error of ab in units of AB_MAX (110), so that it lies in 0..4.

    Args:
        predicted_ab, true_ab: (N, 2, H, W), CIELAB units.
    """
    return _ratio(MeanSquaredError()(SimpleNamespace(ab=predicted_ab), true_ab))


def _ratio(sums: torch.Tensor) -> torch.Tensor:
    return sums[0] / sums[1].clamp_min(1)


def cross_entropy_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the labelled places; 0 (with a gradient of 0) where nothing is labelled.

    Args:
        logits: (N, C, H, W), or (N, C) for one class an image.
        target: int64 (N, H, W) or (N,), 0..C-1 or 255 (ignore).
    """
    return _ratio(_Places(logits, target).cross_entropy_sums())


def dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Multiclass soft Dice over the whole batch: 1 - mean over the classes that occur in the target.

    Dice of a class: 2 sum(p t) / (sum(p) + sum(t)), p the softmax, t the one-hot target, sums over all
    labelled pixels of the batch (Milletari et al. 2016, without the square). 0 where nothing is labelled.

    Args:
        logits: (N, C, H, W).
        target: int64 (N, H, W), 0..C-1 or 255 (ignore).
    """
    return _dice(_Places(logits, target).dice_sums())


def _dice(sums: torch.Tensor) -> torch.Tensor:
    overlap, predicted, true = sums
    dice = 2 * overlap / (predicted + true).clamp_min(1e-7)
    present = true > 0
    return torch.where(present, 1 - dice, 0).sum() / present.sum().clamp_min(1)


class _Places:
    """Predictions as one row a place, (M, C), from which both losses of segmentation are computed.

    A model of 81 classes has 40 times as many logits as values of ab: what costs time are the passes over all of them,
    forward and backward. So the two losses share the softmax and what stands at the target.
    """

    def __init__(self, logits: torch.Tensor, target: torch.Tensor):
        labelled = (target != IGNORE_INDEX).flatten()
        self.target = torch.where(labelled, target.flatten(), 0)
        # The classes of a place side by side: for a tensor in `channels_last` this moves nothing in memory.
        self.log_probability = logits.movedim(1, -1).flatten(0, -2).log_softmax(dim=-1)
        self.labelled = labelled.to(self.log_probability.dtype)
        self.at_target = self.log_probability.gather(1, self.target[:, None])[:, 0]

    def cross_entropy_sums(self) -> torch.Tensor:
        """(sum over the labelled places, number of these)."""
        return torch.stack((-(self.at_target * self.labelled).sum(), self.labelled.sum()))

    def dice_sums(self) -> torch.Tensor:
        """(3, C), sums over the labelled places for each class: p t, p, t."""
        # The logarithm of 0 is -infinity, and its exponential 0 again: so the ignored places drop out of the sum. Times
        # 0 or 1 would need one more pass over all values for the gradient.
        predicted = (self.log_probability + self.labelled.log()[:, None]).exp_().sum(dim=0)
        # Sums a class, without building a one-hot volume.
        zeros = torch.zeros_like(predicted)
        overlap = zeros.index_add(0, self.target, self.at_target.exp() * self.labelled)
        true = zeros.index_add(0, self.target, self.labelled)
        return torch.stack((overlap, predicted, true))


def main_class(semantic_map: torch.Tensor, num_classes: int) -> torch.Tensor:
    """The image-level class for Iizuka's classification: the category with the largest area, else ignore.

    Args:
        semantic_map: int64 (N, H, W), classes 0..num_classes-1 (0 background) or 255.
    Returns:
        int64 (N,): 1..num_classes-1, or 255 where an image has no object.
    """
    area = torch.stack([torch.bincount(m[m != IGNORE_INDEX].flatten(), minlength=num_classes) for m in semantic_map])
    area[:, 0] = 0
    largest, label = area.max(dim=1)
    return torch.where(largest > 0, label, IGNORE_INDEX)


class BalancedAlpha(nn.Module):
    """Our reading of the paper's alpha: the ratio of the running means of the two losses, detached.

    alpha = mean(colour loss) / mean(segmentation loss), so that alpha x segmentation loss equals the colour
    loss in size. The means are exponential with `momentum` 0.99 and corrected for their start, as Adam's are.
    """

    def __init__(self, momentum: float = 0.99):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("color", torch.zeros(()))
        self.register_buffer("segmentation", torch.zeros(()))

    def forward(self, color: torch.Tensor, segmentation: torch.Tensor) -> torch.Tensor:
        """Both losses are scalars; in training the running means take them in. Returns alpha, a scalar."""
        # A batch without a labelled pixel has a segmentation loss of 0, which says nothing about its size.
        if self.training and segmentation > 0:
            self.color.lerp_(color.detach().float(), 1 - self.momentum)
            self.segmentation.lerp_(segmentation.detach().float(), 1 - self.momentum)
        # The correction for the zero start is the same factor in both means: it cancels in the ratio.
        return torch.where(self.segmentation > 0, self.color / self.segmentation.clamp_min(1e-12), 1.0)


class FixedAlpha(nn.Module):
    """The same interface with a constant: a plain weighted sum of the two losses."""

    def __init__(self, value: float):
        super().__init__()
        self.register_buffer("value", torch.tensor(float(value)))

    def forward(self, color: torch.Tensor, segmentation: torch.Tensor) -> torch.Tensor:
        return self.value


class LossSums(NamedTuple):
    """What the losses of a batch are made of; a term that a model does not have is None.

    `color`: (sum of errors, sum of their weights), and what a colour loss adds to these; `cross_entropy`: (its sum,
    number of labelled places); `dice`: (3, C), for each class the sums of p t, p and t over the labelled pixels.
    """

    color: torch.Tensor
    cross_entropy: torch.Tensor | None = None
    dice: torch.Tensor | None = None


class LossTerms(NamedTuple):
    """Scalars. `loss` is what is minimised; a term that a model does not have is 0."""

    loss: torch.Tensor
    color: torch.Tensor
    cross_entropy: torch.Tensor
    dice: torch.Tensor
    alpha: torch.Tensor


class _Loss(nn.Module):
    """colour + alpha x (the losses of the second task)."""

    def __init__(self, alpha: nn.Module, color: ColorLoss | None = None):
        super().__init__()
        self.alpha = alpha
        self.color = color or MeanSquaredError()

    def forward(self, output, ab: torch.Tensor, semantic_map: torch.Tensor) -> LossTerms:
        """`output`: Output(ab, logits or None); `ab` (N, 2, H, W); `semantic_map` int64 (N, H, W)."""
        return self.terms(self.sums(output, ab, semantic_map))

    def sums(self, output, ab: torch.Tensor, semantic_map: torch.Tensor) -> LossSums:
        """The sums of a batch, or of a part of one; arguments as of `forward`."""
        raise NotImplementedError

    def terms(self, sums: LossSums) -> LossTerms:
        """The losses of a whole batch, from its sums. In training, the running means take them in."""
        color = _ratio(sums.color)
        if self.training:
            self.color.take_in(sums.color)
        zero = torch.zeros_like(color)
        if sums.cross_entropy is None:
            return LossTerms(color, color, zero, zero, zero)
        cross_entropy = _ratio(sums.cross_entropy)
        dice = zero if sums.dice is None else _dice(sums.dice)
        alpha = self.alpha(color, cross_entropy + dice)
        return LossTerms(color + alpha * (cross_entropy + dice), color, cross_entropy, dice, alpha)


class UColNetLoss(_Loss):
    """colour + alpha x (cross-entropy + Dice), as the paper trains the UColNets."""

    def sums(self, output, ab: torch.Tensor, semantic_map: torch.Tensor) -> LossSums:
        color = self.color(output, ab)
        if output.logits is None:
            return LossSums(color)
        places = _Places(output.logits, semantic_map)
        return LossSums(color, places.cross_entropy_sums(), places.dice_sums())


class IizukaLoss(_Loss):
    """MSE + 1/300 x cross-entropy of the image's class (Iizuka et al. 2016): the category of the largest area.

    Their MSE is on ab scaled from -100..100 to 0..1. Here it is in units of 110, like every colour loss of this
    library; the weight of the cross-entropy is scaled by the same (200 / 110)^2, so only a constant factor differs.
    """

    WEIGHT = (200 / AB_MAX) ** 2 / 300

    def __init__(self):
        super().__init__(FixedAlpha(self.WEIGHT))

    def sums(self, output, ab: torch.Tensor, semantic_map: torch.Tensor) -> LossSums:
        color = self.color(output, ab)
        if output.logits is None:
            return LossSums(color)
        label = main_class(semantic_map, output.logits.shape[1])
        return LossSums(color, _Places(output.logits, label).cross_entropy_sums())


def create_loss(
    model_name: str, alpha: str, alpha_value: float, color_loss: str = "mse", rebalance: float = 0.5
) -> nn.Module:
    """The loss that a model is trained with.

    Args:
        model_name: a name of `models.MODELS` or `models.BEYOND_THE_PAPER`.
        alpha: `balanced` or `fixed` (then `alpha_value` counts).
        color_loss, rebalance: see `color_losses.create_color_loss`.
    Raises:
        UcolnetError: no such alpha rule, or a colour loss that this model cannot be trained with.
    """
    if (color_loss == "bins") != model_name.startswith("ucolnet_v3_bins"):
        raise UcolnetError(
            f"{model_name} cannot be trained with the colour loss {color_loss!r}: `bins` and the model ucolnet_v3_bins "
            "belong together. Change color_loss or the model."
        )
    if model_name.startswith("iizuka"):
        if color_loss != "mse":
            raise UcolnetError(f"{model_name} is trained with its own loss. Leave color_loss at mse, not {color_loss}.")
        return IizukaLoss()
    color = create_color_loss(color_loss, rebalance)
    if alpha == "balanced":
        return UColNetLoss(BalancedAlpha(), color)
    if alpha == "fixed":
        return UColNetLoss(FixedAlpha(alpha_value), color)
    raise UcolnetError(f"There is no alpha rule {alpha!r}. Choose balanced or fixed.")
