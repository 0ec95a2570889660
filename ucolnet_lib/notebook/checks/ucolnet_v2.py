"""The exercises of notebook 05: what each task of UColNet v2 has for itself, and the angle of two gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F

from ucolnet_lib.notebook.checks.base import Unanswered, exercise, number, result_of, whole_number


@exercise
def own_parameters(color: int, segmentation: int) -> str | None:
    """The parameters of v2's two output convolutions at width 1, biases included."""
    channels, numbers = 32, (whole_number(color), whole_number(segmentation))
    outputs = (2, 81)
    if numbers == tuple(channels * n for n in outputs):
        return "Each output channel has a bias, too."
    if numbers == tuple(channels * 9 * n + n for n in outputs):
        return "A 1x1 convolution looks at one pixel, not at nine."
    right = tuple((channels + 1) * n for n in outputs)
    if numbers == right[::-1]:
        return "The other way round: which task has fewer outputs?"
    return None if numbers == right else "Count: inputs times outputs, and a bias for each output."


@exercise
def cosine(function: Callable) -> str | None:
    """A function of two lists of tensors that returns the cosine of their angle."""
    generator = torch.Generator().manual_seed(0)
    first, second = ([torch.randn(shape, generator=generator) for shape in ((3, 2), (4,))] for _ in range(2))
    found = number(result_of(function, first, second))
    expected = float(F.cosine_similarity(*(torch.cat([t.flatten() for t in ts]) for ts in (first, second)), dim=0))
    if math.isclose(found, math.acos(expected), abs_tol=1e-4):
        return "This is the angle. Its cosine is asked for."
    if not math.isclose(found, expected, abs_tol=1e-5):
        return "Join each list to one vector, then divide the dot product by both lengths."
    if not math.isclose(number(result_of(function, first, [-3 * t for t in first])), -1, abs_tol=1e-5):
        return "A vector and -3 times itself point in opposite directions: -1, whatever their lengths."
    return None


@exercise
def segmentation_share(function: Callable) -> str | None:
    """A function of two lists of tensors: the second's size as a share of both sizes."""
    color = [torch.tensor([3.0, 0]), torch.tensor([[0.0, 4]])]
    # Equally long as a whole, but spread otherwise: only the length of the joined vector says one half.
    for segmentation in ([torch.tensor([0.0, 3]), torch.tensor([[4.0, 0]])],
                         [torch.tensor([0.0, 5]), torch.tensor([[0.0, 0]])],
                         [torch.tensor([3.0, 3]), torch.tensor([[7**0.5, 0]])]):  # fmt: skip
        if not math.isclose(number(result_of(function, color, segmentation)), 0.5, abs_tol=1e-6):
            return "Both joined vectors of this test have the length 5. Is the size of each that length?"
    if not math.isclose(number(result_of(function, color, [3 * t for t in segmentation])), 0.75, abs_tol=1e-6):
        return "With a segmentation gradient three times as large, the share is three quarters."
    return None


@exercise
def trained_cosine(prediction: str, cosines: Iterable[float]) -> str | None:
    """A prediction, "above", "zero" or "below", against the mean of the cosines that were measured."""
    cosines = np.asarray(cosines, float)
    if cosines.size == 0 or not (np.abs(cosines) <= 1).all():
        return "Run the cell above first: it measures the cosines."
    if not isinstance(prediction, str) or prediction.strip().lower() not in ("above", "zero", "below"):
        return 'Write one of "above", "zero", "below".'
    mean = cosines.mean()
    found = "zero" if abs(mean) <= 0.1 else "above" if mean > 0 else "below"
    if prediction.strip().lower() == found:
        return None
    return f"The measurement says otherwise: the mean of the numbers above is {mean:.2f}."


@exercise
def without_conflict(function: Callable) -> str | None:
    """Gradient surgery for two vectors (n,)."""
    g, h = torch.tensor([1.0, 2, 0]), torch.tensor([2.0, -3, 1])
    found = torch.as_tensor(result_of(function, g.clone(), h.clone()), dtype=torch.float32)
    if found.shape != g.shape:
        return "The result is a vector of the same length."
    if abs(float(found @ h)) > 1e-5:
        return "After the surgery nothing of g may be left along h: their dot product is 0."
    if not torch.allclose(found, g - (g @ h) / (h @ h) * h, atol=1e-5):
        return "Only the part along h is taken away; the rest of g stays."
    agreeing = torch.tensor([1.0, 0.5, 2])
    try:
        found = torch.as_tensor(result_of(function, agreeing.clone(), g.clone()), dtype=torch.float32)
    except Unanswered:
        return "Your function returns nothing where the two agree (a positive dot product)."
    if found.shape != g.shape or not torch.allclose(found, agreeing):
        return "Where the two agree (a positive dot product), g stays as it is."
    return None
