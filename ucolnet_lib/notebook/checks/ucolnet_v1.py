"""Checks of notebook 04: the U-Net, the fusion of two branches, and the signs of overfitting."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ucolnet_lib.models import count_parameters
from ucolnet_lib.models.blocks import Decoder, Encoder
from ucolnet_lib.models.ucolnet_v1 import UColNetV1
from ucolnet_lib.notebook.checks.base import Unanswered, exercise, number, result_of, whole_number


@exercise
def bottleneck_shape(shape: Sequence[int]) -> str | None:
    """(channels, height, width) of the classic encoder's bottleneck, for an image of 96 x 160 pixels."""
    try:
        sizes = [number(size) for size in shape]
    except TypeError:  # WrongKind is one, too
        sizes = []
    if len(sizes) != 3:
        return "Give three numbers: channels, height, width."
    channels, height, width = sizes
    if (height, width) == (160 / 16, 96 / 16):
        return "Height comes before width."
    if (height, width) != (96 / 16, 160 / 16):
        return "Count the poolings between the five levels: each of them halves both sides."
    if channels != 1024:
        return "Height and width are right. The channels are doubled at each level after the first, which has 64."
    return None


@exercise
def ascend(function: Callable[[Decoder, Tensor, list[Tensor]], Tensor]) -> str | None:
    """What a decoder's `forward` does: decoder, bottleneck (N, C, h, w), skips, top first -> (N, channels[0], H, W)."""
    generator = torch.Generator().manual_seed(0)
    channels = [3, 5, 7]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        decoder = Decoder(channels).eval()
        x, skips = Encoder(channels).eval()(torch.rand(2, 1, 16, 24, generator=generator))
        wanted = decoder(x, skips)
        found = result_of(function, decoder, x, list(skips))
        if not isinstance(found, Tensor) or found.shape != wanted.shape:
            return f"Return a tensor of shape {tuple(wanted.shape)} here."
        if torch.allclose(found, wanted, atol=1e-5):
            return None
        # `1 - skip` differs from the skip at every place.
        if torch.equal(found, function(decoder, x, [1 - skip for skip in skips])):
            return "Change the volumes of the encoder, and your result stays the same. Where do they come in?"
        hint = "Your result now depends on the encoder's volumes, but not as the decoder's does. "
        if torch.allclose(found, _ascend_with_the_skip_behind(decoder, x, skips), atol=1e-5):
            return hint + "Mind the order of the two."
    return hint + "The concatenation holds two volumes: the skip once, and the enlarged one once."


def _ascend_with_the_skip_behind(decoder: Decoder, x: Tensor, skips: list[Tensor]) -> Tensor:
    for up, level, skip in zip(decoder.ups, decoder.levels, reversed(skips), strict=True):
        x = level(torch.cat([up(x), skip], dim=1))
    return x


@exercise
def fusion_weights(one_by_one: int, three_by_three: int) -> str | None:
    """Numbers of weights of the fusion, from 256 + 1024 to 256 channels, with kernels of 1 x 1 and of 3 x 3."""
    one_by_one, three_by_three = whole_number(one_by_one), whole_number(three_by_three)
    right = (256 + 1024) * 256
    if one_by_one in (right + 256, right + 2 * 256):
        return "Count the weights of the convolution only: no bias, and nothing for batch norm."
    if one_by_one != right:
        return "Multiply the channels that go in (of both branches) by those that come out, and by the kernel's places."
    if three_by_three != 9 * right:
        return "The first number is right. How many places does the larger kernel look at?"
    return None


@exercise
def largest_part(part: str, percent: float) -> str | None:
    """The part of UColNet v1 with the most parameters, and its share in percent, give or take 10 percentage points."""
    with torch.device("meta"):
        model = UColNetV1()
    numbers = {
        "upper branch": count_parameters(model.low_level) + count_parameters(model.mid_level),
        "encoder": count_parameters(model.encoder),
        "fusion": count_parameters(model.fusion),
        "colour network": count_parameters(model.color),
        "decoder": count_parameters(model.decoder) + count_parameters(model.segmentation_output),
    }
    part, percent = str(part).strip().lower(), number(percent)
    if part not in numbers:
        return f"Take one of: {', '.join(numbers)}."
    if numbers[part] != max(numbers.values()):
        return "Another part has more. Look for the widest layers, and multiply their channels by 9."
    if 0 < percent <= 1:
        return "The part is right. Give its share in percent, from 0 to 100."
    # Half a point more: who rounds the share to 50 may say 40 or 60.
    if not abs(percent - 100 * numbers[part] / sum(numbers.values())) <= 10.5:
        return "The part is right, its share is not. Add the layers of its last two levels, and divide by all."
    return None


TRAINING = (0.040, 0.031, 0.025, 0.021, 0.017, 0.013, 0.010)
VALIDATION = (0.038, 0.032, 0.028, 0.026, 0.027, 0.030, 0.031)
"""The two rows of the table of exercise 5."""


@exercise
def signs(best_epoch: int, gap: float) -> str | None:
    """The epoch of the lowest validation loss, counted from 1, and validation minus training loss in the last epoch."""
    best_epoch, gap = number(best_epoch), number(gap)
    if best_epoch != VALIDATION.index(min(VALIDATION)) + 1:
        return "Which line tells how the network does on scenes that it does not learn from? Find its lowest value."
    right = VALIDATION[-1] - TRAINING[-1]
    if math.isclose(gap, -right, abs_tol=5e-4):
        return "The epoch is right. Mind the sign of the gap: which loss is taken from which?"
    if math.isclose(gap, round(right, 2), abs_tol=1e-9):
        return "The epoch is right. Give the gap with three decimals."
    if not math.isclose(gap, right, abs_tol=5e-4):
        return "The epoch is right. The gap is asked for at the end of the training."
    return None


@exercise
def stop_epoch(function: Callable[[Sequence[float], int], int]) -> str | None:
    """Early stopping: validation losses, one an epoch, and the patience -> number of epochs that are trained."""
    cases = [
        ([5, 3, 4, 4, 2], 2, 4, "Your answer is wrong for the example in the text."),
        ([5, 4, 3, 2, 1], 2, 5, "The losses of some trainings fall to the end: then nothing stops them."),
        ([5, 3, 4, 2, 3, 1], 2, 6, "A new best loss starts the counting anew."),
        ([9, 5, 7, 6, 6, 8], 3, 5, "A loss that falls, but not below the best one, does not count as better."),
        ([5, 3, 3, 3, 2], 2, 4, "A loss that only equals the best one is not lower than it."),
        ([4, 6, 5, 1], 3, 4, "With this patience, the training lives just long enough to find its best epoch."),
        ([4, 6, 5, 1], 1, 2, "Try a patience of 1."),
    ]
    for i, (losses, patience, right, hint) in enumerate(cases):
        try:
            found = result_of(function, list(losses), patience)
        except Unanswered:
            if i == 0:
                raise
            hint = f"Your function returns nothing here. {hint}"
            found = None
        if found != right:
            return f"{hint} Tried: losses {losses}, patience {patience}."
    return None
