"""The exercises of notebook 05: what each task of UColNet v2 has for itself, and the angle of two gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from ucolnet_lib.notebook.checks.base import exercise, result_of


@exercise
def own_parameters(color: int, segmentation: int) -> str | None:
    """The parameters of v2's two output convolutions at width 1, biases included."""
    channels, numbers = 32, (int(color), int(segmentation))
    outputs = (2, 81)
    if numbers == tuple(channels * n for n in outputs):
        return "Each output channel has a bias, too."
    if numbers == tuple(channels * 9 * n + n for n in outputs):
        return "A 1x1 convolution looks at one pixel, not at nine."
    right = tuple((channels + 1) * n for n in outputs)
    return None if (color, segmentation) == right else "Count: inputs times outputs, and a bias for each output."


@exercise
def cosine(function: Callable) -> str | None:
    """A function of two lists of tensors that returns the cosine of their angle."""
    generator = torch.Generator().manual_seed(0)
    first, second = ([torch.randn(shape, generator=generator) for shape in ((3, 2), (4,))] for _ in range(2))
    found = float(result_of(function, first, second))
    expected = float(F.cosine_similarity(*(torch.cat([t.flatten() for t in ts]) for ts in (first, second)), dim=0))
    if not math.isclose(found, expected, abs_tol=1e-5):
        return "Join each list to one vector, then divide the dot product by both lengths."
    if not math.isclose(float(result_of(function, first, [-3 * t for t in first])), -1, abs_tol=1e-5):
        return "A vector and -3 times itself point in opposite directions: -1, whatever their lengths."
    return None


@exercise
def segmentation_share(function: Callable) -> str | None:
    """A function of two lists of tensors: the second's size as a share of both sizes."""
    first = [torch.tensor([3.0, 0]), torch.tensor([[0.0, 4]])]
    second = [torch.tensor([0.0, 3]), torch.tensor([[4.0, 0]])]
    if not math.isclose(float(result_of(function, first, second)), 0.5, abs_tol=1e-6):
        return "Both gradients of this test are equally large. Is each measured in the same way?"
    if not math.isclose(float(result_of(function, first, [3 * t for t in second])), 0.75, abs_tol=1e-6):
        return "With a segmentation gradient three times as large, the share is three quarters."
    return None


@exercise
def last_level(prediction: str, last: float, bottleneck: float) -> str | None:
    """A prediction, "higher", "lower" or "equal", against the two cosines that were measured."""
    if not (-1 <= last <= 1 and -1 <= bottleneck <= 1):
        return "Run the cell above first: it measures the two cosines."
    if prediction not in ("higher", "lower", "equal"):
        return 'Write one of "higher", "lower", "equal".'
    difference = last - bottleneck
    found = "equal" if abs(difference) < 0.05 else "higher" if difference > 0 else "lower"
    return None if prediction == found else "The measurement says otherwise: compare the two numbers above."


@exercise
def without_conflict(function: Callable) -> str | None:
    """Gradient surgery for two vectors (n,)."""
    g, h = torch.tensor([1.0, 2, 0]), torch.tensor([2.0, -3, 1])
    found = result_of(function, g, h)
    if found.shape != g.shape:
        return "The result is a vector of the same length."
    if abs(float(found @ h)) > 1e-5:
        return "After the surgery nothing of g may be left along h: their dot product is 0."
    if not torch.allclose(found, g - (g @ h) / (h @ h) * h, atol=1e-5):
        return "Only the part along h is taken away; the rest of g stays."
    agreeing = torch.tensor([1.0, 0.5, 2])
    if not torch.allclose(result_of(function, agreeing, g), agreeing):
        return "Where the two agree (a positive dot product), g stays as it is."
    return None
