"""Checks of notebook 06: the two decoders, what each task needs, and which differences are real."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from ucolnet_lib.models import count_parameters, create_model
from ucolnet_lib.models.blocks import Decoder, Encoder
from ucolnet_lib.notebook.checks.base import exercise, result_of


@exercise
def two_decoders(build: Callable[[list[int]], nn.Module]) -> str | None:
    """A class of channels -> a module of (bottleneck, skips) -> (features for colour, features for segmentation)."""
    channels = [3, 5, 7]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        encoder, module = Encoder(channels).eval(), result_of(build, channels)
        if not isinstance(module, nn.Module) or not hasattr(module, "color_decoder"):
            return "Give a class, an nn.Module, whose decoders are color_decoder and segmentation_decoder."
        module.eval()
        if count_parameters(module) != 2 * count_parameters(Decoder(channels)):
            return "Count its parameters: two decoders have twice as many as one. How many decoders are made?"
        volumes = encoder(torch.rand(1, 1, 16, 24))
        before = [f.clone() for f in result_of(module, *volumes)]
        if len(before) != 2 or any(f.shape != (1, 3, 16, 24) for f in before):
            return "Return two volumes: the features of the colour decoder, and those of the segmentation decoder."
        if not all(map(torch.equal, before, module(*volumes))):
            return "The same input gave two results. The decoders must be made once, in __init__."
        for weight in module.color_decoder.parameters():
            weight.add_(0.5)
        color, segmentation = module(*volumes)
    if torch.allclose(color, before[0]):
        return "Other weights in color_decoder, and the first result stays the same. Which decoder makes it?"
    if not torch.allclose(segmentation, before[1]):
        return "Other weights in color_decoder change the features of the segmentation. Do the two share something?"
    return None


@exercise
def decoder_parameters(function: Callable[[Sequence[int]], int]) -> str | None:
    """A function from the channels of the levels, top first, to the number of parameters of a decoder."""
    for channels in ([32, 64, 128, 256, 512], [3, 5], [4, 8, 16], [5, 7, 11, 13]):
        found = result_of(function, list(channels))
        right = count_parameters(Decoder(channels))
        if found != right:
            near = " You are near: think of the biases and of batch norm." if abs(found / right - 1) < 0.02 else ""
            if found < 0.8 * right:
                near = " Half of the first 3 x 3 convolution's input comes over the skip."
            return f"For channels {channels} your count is {found}, and a decoder has another number.{near}"
    return None


@exercise
def color_only(function: Callable[[nn.Module, Tensor], Tensor]) -> str | None:
    """A function (model, L) -> ab, without the segmentation decoder."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = create_model("ucolnet_v3", width=0.0625).eval()
        nn.init.normal_(model.color_output.weight)
        lightness = torch.rand(2, 1, 32, 48) * 100
        wanted = model(lightness).ab
        ran = []
        for part in (model.segmentation_decoder, model.segmentation_output):
            part.register_forward_hook(lambda *_: ran.append(True))
        found = result_of(function, model, lightness)
    if not isinstance(found, Tensor) or found.shape != wanted.shape:
        return f"Return a tensor of shape {tuple(wanted.shape)} for lightness of shape {tuple(lightness.shape)}."
    if torch.allclose(found * 110, wanted, atol=1e-2):
        return "a and b come in units of CIELAB: what does the model do after tanh?"
    if not torch.allclose(found, wanted, atol=1e-2):
        return "Your a and b differ from the model's. Follow its forward step by step, from the lightness on."
    return "Right colours, but the segmentation decoder ran too." if ran else None


@exercise
def most_needed(objects: int, background: int, damaged: np.ndarray) -> str | None:
    """Predictions, 0 to 4, against what was measured: a row for each volume left out; the first two columns are the
    colour errors of objects and of the background."""
    damaged = np.asarray(damaged, float)
    if damaged.shape != (5, 3) or not np.isfinite(damaged).all():
        return "Run the cell above first: it measures the damage."
    if not {float(objects), float(background)} <= {0, 1, 2, 3, 4}:
        return "Write two numbers from 0 to 4."
    guesses = {"objects": objects, "background": background}
    wrong = [name for i, (name, guess) in enumerate(guesses.items()) if int(guess) != damaged[:, i].argmax()]
    return f"The measurement says otherwise for the {' and the '.join(wrong)}: look at the table." if wrong else None


@exercise
def interval(function: Callable[[Sequence[float]], tuple[float, float]]) -> str | None:
    """A function from n differences to (low, high): Student's 95% interval of their mean."""
    for values in ([1.0, 2.0, 4.0], [-0.5, 0.25, 0.1, 0.7], [3.0, 5.0]):
        found = result_of(function, list(values))
        if len(found) != 2:
            return "Return two numbers: low and high."
        low, high = map(float, found)
        if low > high:
            return "The lower end comes first."
        n, mean, s = len(values), np.mean(values), np.std(values, ddof=1)
        margin = stats.t.ppf(0.975, n - 1) * s / math.sqrt(n)
        near = 1e-4 * margin  # what half of float32's digits allow
        if math.isclose(low, mean - margin, abs_tol=near) and math.isclose(high, mean + margin, abs_tol=near):
            continue
        if not math.isclose((low + high) / 2, mean, abs_tol=near):
            return "The mean of the differences lies in the middle of the interval. Do not round."
        ratio = (high - low) / 2 / margin
        if math.isclose(ratio, math.sqrt(n), rel_tol=1e-3):
            return "The interval is that of a single difference. Of their mean we know more."
        if math.isclose(ratio, math.sqrt((n - 1) / n), rel_tol=1e-3):
            return "The standard deviation divides by n - 1, not by n: NumPy's `std` has an argument for this."
        if math.isclose(ratio, 1 / math.sqrt(n), rel_tol=1e-3):
            return "Too narrow: the standard deviation is divided by the root of n, not by n."
        if ratio < 1:
            return "Too narrow for so few differences. Which t belongs to this n?"
        return "The width is not right. Compare with the formula, factor by factor."
    return None


INTERVALS = ((-0.9, -0.1), (0.1, 6.0), (-3.0, 0.1), (-0.2, 0.3), (-1.4, -1.3))
"""The table of exercise 6: error of A minus error of B."""


@exercise
def verdicts(words: Sequence[str]) -> str | None:
    """One word an interval: "A", "B" or "cannot be told"."""
    if isinstance(words, str) or len(words) != len(INTERVALS):
        return "Give a list of five words."
    words = [word.upper() if len(word) == 1 else word.lower().removeprefix("it ") for word in map(str, words)]
    if not set(words) <= {"A", "B", "cannot be told"}:
        return 'Use the words "A", "B" and "cannot be told".'
    right = ["A" if high < 0 else "B" if low > 0 else "cannot be told" for low, high in INTERVALS]
    if [{"A": "B", "B": "A"}.get(word, word) for word in words] == right:
        return "A and B are swapped: a smaller error is better."
    wrong = [str(i) for i, (word, answer) in enumerate(zip(words, right, strict=True), 1) if word != answer]
    return f"Look again at {', '.join(wrong)}. Does the whole interval lie on one side of 0?" if wrong else None
