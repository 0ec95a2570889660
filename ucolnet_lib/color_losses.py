"""Colour losses: the paper's mean squared error, and what others have tried against dull colours.

Each takes the output of a model and the true ab, and gives the sums that the loss is made of: (sum of the errors, sum
of their weights). The loss is their ratio. Why sums: see `losses`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ucolnet_lib.ab_bins import bin_centres, encode
from ucolnet_lib.color import AB_MAX

HUBER_DELTA = 10 / AB_MAX
"""Errors above 10 CIELAB units count linearly: an object of a surprising colour pulls less."""

CHROMA_SCALE = 20.0
"""CIELAB units: a pixel of this chroma weighs twice as much as a gray one, where vivid pixels are to weigh more."""

FREQUENCY_MOMENTUM = 0.99


class ColorLoss(nn.Module):
    """What all have in common."""

    def forward(self, output, ab: torch.Tensor) -> torch.Tensor:
        """`output`: its `.ab`, and `ab`: (N, 2, H, W), CIELAB units. Returns (2,): sum of errors, sum of weights."""
        raise NotImplementedError

    def take_in(self, sums: torch.Tensor) -> None:
        """Called in training with the sums of each whole batch."""


class MeanSquaredError(ColorLoss):
    """The paper's: squared error of ab in units of AB_MAX (110), so that it lies in 0..4."""

    def forward(self, output, ab: torch.Tensor) -> torch.Tensor:
        squares = F.mse_loss(output.ab / AB_MAX, ab / AB_MAX, reduction="sum")
        return torch.stack((squares, torch.full_like(squares, ab.numel())))


class Huber(ColorLoss):
    """Huber's loss (1964) on ab in units of AB_MAX: half the square up to HUBER_DELTA, linear above."""

    def forward(self, output, ab: torch.Tensor) -> torch.Tensor:
        errors = F.huber_loss(output.ab / AB_MAX, ab / AB_MAX, reduction="sum", delta=HUBER_DELTA)
        return torch.stack((errors, torch.full_like(errors, ab.numel())))


class ChromaWeighted(ColorLoss):
    """Squared error in which a pixel weighs 1 + chroma / CHROMA_SCALE, its true chroma: vivid pixels are rare."""

    def forward(self, output, ab: torch.Tensor) -> torch.Tensor:
        weight = 1 + ab.norm(dim=1, keepdim=True) / CHROMA_SCALE
        squares = ((output.ab - ab) / AB_MAX).square() * weight
        return torch.stack((squares.sum(), 2 * weight.sum()))


class RebalancedCrossEntropy(ColorLoss):
    """Cross-entropy over the bins of the ab plane, in which rare colours weigh more (Zhang et al. 2016, section 2.2).

    The weight of a bin is 1 / (rebalance * p + (1 - rebalance) / BINS), p its share of all pixels, scaled so that the
    mean weight is 1. The shares are running means over the training batches: no pass over the data comes first.

    Args:
        rebalance: 0 (all pixels alike) towards 1 (all bins alike), below 1; 0.5 in the paper by Zhang et al.
    """

    def __init__(self, rebalance: float):
        super().__init__()
        self.rebalance = rebalance
        bins = len(bin_centres())
        self.register_buffer("frequency", torch.full((bins,), 1 / bins))
        self.register_buffer("weights", torch.ones(bins))

    def balance(self) -> torch.Tensor:
        """The weight of each bin by the shares as they are now: (BINS,)."""
        weights = 1 / (self.rebalance * self.frequency + (1 - self.rebalance) / len(self.frequency))
        return weights / (weights * self.frequency).sum()

    def forward(self, output, ab: torch.Tensor) -> torch.Tensor:
        """`output`: a `BinsOutput`. Returns (2 + BINS,): the two sums, and how many pixels fell into each bin."""
        if self.training:
            # Not later: a batch that is done in several parts has one set of weights (see `training.step`).
            self.weights.copy_(self.balance())
        # At the size of the scores. A mean over pixels is what eyes see from afar, too.
        small = F.interpolate(ab, output.ab_logits.shape[-2:], mode="area")
        bins, shares = encode(small)  # (M, 4)
        log_probability = output.ab_logits.movedim(1, -1).flatten(0, -2).log_softmax(dim=-1)  # (M, BINS)
        weight = (self.weights[bins] * shares).sum(dim=1)
        errors = -(log_probability.gather(1, bins) * shares).sum(dim=1)
        counts = torch.zeros_like(self.frequency).index_add(0, bins.flatten(), shares.flatten().to(self.frequency))
        return torch.cat((torch.stack(((errors * weight).sum(), weight.sum())), counts))

    def take_in(self, sums: torch.Tensor) -> None:
        counts = sums[2:].detach()
        self.frequency.lerp_(counts / counts.sum().clamp_min(1e-12), 1 - FREQUENCY_MOMENTUM)


def create_color_loss(name: str, rebalance: float = 0.5) -> ColorLoss:
    """The colour loss of a recipe: `mse`, `huber`, `chroma_weighted`, or `bins`, for models that predict bins."""
    kinds = {"mse": MeanSquaredError, "huber": Huber, "chroma_weighted": ChromaWeighted}
    return RebalancedCrossEntropy(rebalance) if name == "bins" else kinds[name]()
