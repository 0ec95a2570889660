"""Checks of notebook 03, The Iizuka baseline."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import torch

from ucolnet_lib.common import IGNORE_INDEX
from ucolnet_lib.losses import main_class as main_class_of_batch
from ucolnet_lib.notebook.checks.base import Unanswered, WrongKind, exercise, number, result_of, whole_number

PARTS = ("low_level", "mid_level", "global_maps", "global_512", "global_256", "classifier", "fusion", "color")


@exercise
def field_of_view(answer: float) -> str | None:
    """How many pixels, along one side, one place of the mid-level map sees: a number."""
    side = number(answer)
    if side == 75:
        return None
    if side == 75**2:
        return "This is the area. The number of pixels along one side is asked for."
    if side == 59:
        return "One convolution is missing: the mid-level features are two."
    if side == 43:
        return "This is what the low-level features see. Two convolutions follow them."
    return "Go through the eight convolutions one by one: first widen the field with the step so far, then the step."


@exercise
def first_fully_connected(answer: float) -> str | None:
    """Parameters of the first fully connected layer, biases included: a number."""
    parameters = whole_number(answer)
    inputs = 7 * 7 * 512
    if parameters == inputs * 1024 + 1024:
        return None
    if parameters == inputs * 1024:
        return "These are the weights. Each output also has a bias."
    if parameters == inputs * 1024 + inputs:
        return "A bias belongs to an output, not to an input."
    if parameters == 512 * 1024 + 1024:
        return "The layer sees every place of the 7 x 7 map, not only its channels."
    return "Count the numbers that are flattened; each is joined to each output, and each output has a bias."


@exercise
def fusion(function: Callable) -> str | None:
    """`function(local, vector)`: (N, A, H, W) and (N, B) -> (N, A + B, H, W), local channels first."""
    local, vector = torch.arange(2 * 3 * 2 * 5).reshape(2, 3, 2, 5).float(), -1 - torch.arange(2.0 * 4).reshape(2, 4)
    fused = result_of(function, local, vector)
    if not isinstance(fused, torch.Tensor):
        raise TypeError(f"fusion gives a tensor, not {type(fused).__name__}")
    if tuple(fused.shape) != (2, 7, 2, 5):
        return f"Local (2, 3, 2, 5) and vector (2, 4) gave {tuple(fused.shape)}. Which sizes may change?"
    if not torch.equal(fused[:, :3], local):
        return "The local features should come first, and stay as they are."
    wanted = vector[:, :, None, None].expand(2, 4, 2, 5)
    if torch.equal(fused[:, 3:], wanted):
        return None
    if torch.equal(fused[:1, 3:], wanted[:1]):
        return "Try it on a batch of two pictures: each must get its own vector."
    return "The shape is right, the values are not: a channel of the copies should hold one number of the vector."


@exercise
def taught_by_classification(answer: Collection[str]) -> str | None:
    """The parts whose weights the loss of the class can change: a collection of names out of `PARTS`."""
    if isinstance(answer, str) or not all(isinstance(name, str) for name in answer):
        raise TypeError("this exercise wants a set of names")
    names = set(answer)
    if unknown := names - set(PARTS):
        return f"There is no part {sorted(unknown)[0]!r}. The parts are: {', '.join(PARTS)}."
    right = set(PARTS) - {"mid_level", "global_256", "fusion", "color"}
    if names == right:
        return None
    if names - right:
        return "Some part in your set cannot be reached. Walk backwards from the class scores, against the arrows."
    return "Some part is missing. Walk backwards from the class scores, to the very first layer."


@exercise
def main_class(function: Callable) -> str | None:
    """`function(semantic_map)`: int (H, W) of classes 0-80 or 255 -> the class of the largest area, or 255."""
    cases = [
        ([[0, 0, 0], [0, 7, 7], [0, 3, 0]], "Background is no object, however large it is."),
        ([[255, 255, 255], [255, 12, 255], [0, 12, 4]], "Pixels of 255 (ignore) belong to no class."),
        ([[5, 0, 5], [0, 80, 80], [80, 80, 0]], "Count pixels, not places in the picture, and look at all 80 classes."),
        ([[0, 0], [0, 255]], "What should come out where there is no object?"),
        ([[9, 2], [2, 2]], "Try it on a picture without background."),
    ]
    for i, (rows, hint) in enumerate(cases):
        semantic_map = np.array(rows, np.int64)
        wanted = int(main_class_of_batch(torch.from_numpy(semantic_map)[None], IGNORE_INDEX)[0])
        try:
            found = number(result_of(function, semantic_map.copy()))
        except Unanswered:
            if i == 0:
                raise
            return f"For one map your function returns nothing. {hint}"
        except WrongKind:
            return "Your function should return one number: a class."
        if found == wanted:
            continue
        if wanted != IGNORE_INDEX and found not in semantic_map:
            if found == wanted - 1:
                return "The place in a shortened list is not the class: what did you cut off in front?"
            if found == (semantic_map == wanted).sum():
                return "This is the number of pixels. The class that has them is asked for."
        return hint
    return None
