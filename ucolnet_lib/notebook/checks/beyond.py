"""The exercises of notebook 14: three losses, four bins, the annealed mean, rare colours, a mean of weights, T."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from ucolnet_lib.notebook.checks.base import WrongKind, exercise, number, result_of, whole_number

RED_CARS = 0.7
"""Seven of the ten cars of exercise 1 are red."""


@exercise
def three_answers(squared: float, huber: str, probability: float) -> str | None:
    """Places from 0 (blue) to 1 (red): the best for the squared error; in a word, for Huber's; the probability."""
    squared, probability = number(squared), number(probability)
    word = _word(huber, ("red", "blue", "between"))
    if math.isclose(squared, 1 - RED_CARS, abs_tol=0.005) or math.isclose(probability, 1 - RED_CARS, abs_tol=0.005):
        return "0 is blue and 1 is red, and red is the majority."
    if not math.isclose(squared, RED_CARS, abs_tol=0.005):
        return "The squared error wants the mean of the ten cars. Where does it lie between blue, 0, and red, 1?"
    if word != "red":
        return "The place is right. Far from a car, Huber's loss pulls equally hard, however far: who pulls more?"
    if not math.isclose(probability, RED_CARS, abs_tol=0.005):
        return "Two are right. Cross-entropy is smallest where the probability is the share."
    return None


CORNERS = ((0, 0), (0, 12), (12, 0), (12, 12))
"""The bins around the colour of exercise 2, a = 9 and b = 3, in the order in which the weights are asked for."""


@exercise
def four_weights(weights: Sequence[float]) -> str | None:
    """The bilinear weights of the four bins around a = 9, b = 3."""
    if isinstance(weights, str | bytes) or len(weights) != 4:
        raise WrongKind("Give four numbers, one for each bin.")
    found = np.array([number(weight) for weight in weights])
    wanted = np.array([0.25 * 0.75, 0.25 * 0.25, 0.75 * 0.75, 0.75 * 0.25])
    if np.allclose(found, wanted, atol=5e-3):
        return None
    if np.allclose(found, wanted[[0, 2, 1, 3]], atol=5e-3):
        return "a and b are swapped: in each pair, a comes first."
    if np.allclose(found, wanted[::-1], atol=5e-3):
        return "The near bin should weigh more, not the far one."
    if not math.isclose(found.sum(), 1, abs_tol=5e-3):
        return "The four weights should sum to 1."
    return "They sum to 1. Now their mean should be the colour: weights times a give 9, weights times b give 3."


@exercise
def annealed_mean(function: Callable) -> str | None:
    """A function of scores (n, bins), centres (bins, 2) and the temperature: the annealed mean, (n, 2)."""
    scores = torch.tensor([[2.0, 1.0, 0.0, -1.0], [-3.0, 0.5, 0.4, 0.0]])
    centres = torch.tensor([[60.0, 40.0], [0.0, -48.0], [0.0, 0.0], [-36.0, 24.0]])
    for temperature in (1.0, 0.38):
        found = torch.as_tensor(result_of(function, scores, centres, temperature))
        if found.shape != (2, 2):
            return f"Return a tensor of shape (2, 2) for two pixels, not {tuple(found.shape)}."
        if not torch.allclose(found, (scores / temperature).softmax(-1) @ centres, atol=1e-2):
            if temperature == 1:
                return "At temperature 1 the plain mean should come out."
            if torch.allclose(found, scores.softmax(-1) @ centres, atol=1e-2):
                return "At temperature 1 it is right. But it is the same at every other temperature: what cancels?"
            return "At temperature 1 it is right. At others compare with the first form, by powers."
    # Scores of a network that is sure, and a low temperature: powers of small probabilities become 0.
    cold = torch.as_tensor(result_of(function, scores - 40, centres, 0.01))
    if not torch.allclose(cold, centres[[0, 1]], atol=0.2):
        return "Right so far. But at a temperature of 0.01 the likeliest colour should come out: print what you get."
    return None


@exercise
def rare_weights(function: Callable) -> str | None:
    """A function of the shares of the bins (bins,) and rebalance: the weights, with a mean of 1 over pixels."""
    shares = torch.tensor([0.75, 0.2, 0.05, 0.0])
    for rebalance in (0.0, 0.5, 0.9):
        found = torch.as_tensor(result_of(function, shares, rebalance), dtype=torch.float32)
        if found.shape != shares.shape:
            return "Return a weight for each bin."
        weights = 1 / (rebalance * shares + (1 - rebalance) / len(shares))
        weights /= (weights * shares).sum()
        if torch.allclose(found, weights, atol=1e-4):
            continue
        if rebalance == 0:
            return "With rebalance 0 all pixels should count alike: a weight of 1 everywhere."
        if not math.isclose(float((found * shares).sum()), 1, abs_tol=1e-3):
            return "The mean weight over pixels should be 1: each bin counts as often as it occurs."
        return "The mean over pixels is 1. But what is mixed with the shares should be shares too: what do they sum to?"
    return None


@exercise
def half_life(steps: int) -> str | None:
    """After how many steps the weights of now count half as much, for a decay of 0.99."""
    found = whole_number(steps)
    if found == 50:
        return "That would be so if each step took away one hundredth of the *first* weight."
    right = found == round(math.log(0.5) / math.log(0.99))
    return None if right else "After n steps it counts 0.99 to the power of n."


FLAT = 0.05
"""A colourfulness that changes by less hardly changes, exercise 6 says."""


@exercise
def best_temperature(temperature: float, colourfulness: str, measured: Sequence[Sequence[float]]) -> str | None:
    """The temperature of the lowest RMSE, and what becomes of the colourfulness from the highest temperature to the
    lowest, against what was measured: rows (temperature, RMSE, colourfulness)."""
    guess, word = number(temperature), _word(colourfulness, ("rises", "falls", "hardly changes"))
    table = np.asarray(measured, float)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] != 3 or not np.isfinite(table).all():
        raise WrongKind("Run the cell above first: it gives the numbers at each temperature.")
    table = table[table[:, 0].argsort()]
    if not np.isclose(table[:, 0], guess).any():
        return f"Choose one of the temperatures {', '.join(f'{t:g}' for t in table[::-1, 0])}."
    change = table[0, 2] - table[-1, 2]
    right = {
        "the RMSE": math.isclose(guess, table[table[:, 1].argmin(), 0]),
        "the colourfulness": word == ("hardly changes" if abs(change) < FLAT else "rises" if change > 0 else "falls"),
    }
    wrong = [name for name, is_right in right.items() if not is_right]
    return f"The measurement says otherwise for {' and '.join(wrong)}: look at the table." if wrong else None


def _word(answer: str, known: tuple[str, ...]) -> str:
    word = answer.strip().lower() if isinstance(answer, str) else answer
    if not isinstance(word, str) or word not in known:
        quoted = [f'"{one}"' for one in known]
        raise WrongKind(f"Use one of the words {', '.join(quoted[:-1])} and {quoted[-1]}.")
    return word
