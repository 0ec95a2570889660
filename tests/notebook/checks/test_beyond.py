"""The checks of notebook 14."""

import numpy as np
import torch

from ucolnet_lib.notebook.checks import beyond

MEASURED = [(1.0, 1.04, 0.68), (0.38, 0.96, 0.66), (0.2, 0.99, 0.67)]
RISING = [(1.0, 0.93, 0.55), (0.38, 0.96, 0.66), (0.2, 1.0, 0.7)]
WEIGHTS = [0.1875, 0.0625, 0.5625, 0.1875]


def annealed(scores, centres, temperature):
    return (scores / temperature).softmax(-1) @ centres


def by_powers(scores, centres, temperature):
    """Right on paper; at low temperatures all powers become 0."""
    power = scores.exp() ** (1 / temperature)
    return power / power.sum(-1, keepdim=True) @ centres


def planted_mean(scores, centres, temperature):
    probability = scores.softmax(-1) / temperature
    return probability / probability.sum(-1, keepdim=True) @ centres


def weights_with(uniform, mean):
    """Weights with another uniform part (a function of their number), and divided by another mean."""

    def weights(shares, rebalance):
        found = 1 / (rebalance * shares + (1 - rebalance) * uniform(len(shares)))
        return found / mean(found, shares)

    return weights


def over_pixels(weights, shares):
    return (weights * shares).sum()


def test_checks(judge):
    right = {
        beyond.three_answers: [(0.7, "red", 0.7), (7 / 10, " Red", np.float32(0.7))],
        beyond.four_weights: [(WEIGHTS,), (np.array(WEIGHTS),), (torch.tensor(WEIGHTS),), ((0.19, 0.06, 0.56, 0.19),)],
        beyond.annealed_mean: [(annealed,), (lambda s, c, t: ((s / t).softmax(1)[..., None] * c).sum(1),)],
        beyond.rare_weights: [
            (weights_with(lambda n: 1 / n, over_pixels),),
            (lambda s, r: weights_with(lambda n: 1 / n, over_pixels)(s, r).tolist(),),
        ],
        beyond.half_life: [(69,), (69.0,), (np.int64(69),)],
        beyond.best_temperature: [
            (0.38, "hardly changes", MEASURED), (0.38, "Hardly changes", np.array(MEASURED)[::-1]),
            (1, "rises", RISING), (1.0, "falls", [(1.0, 0.9, 0.8), (0.2, 1.0, 0.7)]),
        ],
    }  # fmt: skip
    wrong = {
        beyond.three_answers: [
            (0.5, "red", 0.7), (0.3, "red", 0.3), (0.7, "between", 0.7), (0.7, "blue", 0.7), (0.7, "red", 0.5),
            (0.7, "red", 1.0), (0.7, "green", 0.7),
        ],
        beyond.four_weights: [
            ([0.25, 0.25, 0.25, 0.25],), ([0.1875, 0.5625, 0.0625, 0.1875],), (WEIGHTS[::-1],), (WEIGHTS[:3],),
            ([0.25, 0.75, 0.75, 0.25],), ({0: 1},), ("soup",),
        ],
        beyond.annealed_mean: [
            (planted_mean,),
            (by_powers,),
            (lambda s, c, t: s.softmax(-1) @ c,),
            (lambda s, c, t: (s * t).softmax(-1) @ c,),
            (lambda s, c, t: s.softmax(-1) / t @ c,),
            (lambda s, c, t: (s.softmax(-1) / t).softmax(-1) @ c,),
            (lambda s, c, t: annealed(s, c, t).sum(0),),
        ],
        beyond.rare_weights: [
            (weights_with(lambda n: 1, over_pixels),),  # as planted
            (weights_with(lambda n: 1 / n, lambda w, s: w.mean()),),  # over bins
            (weights_with(lambda n: 1 / n, lambda w, s: 1),),
            (lambda s, r: torch.ones_like(s),),
            (lambda s, r: 1 / s,),
        ],
        beyond.half_life: [(50,), (100,), (0.5,), (68,)],
        beyond.best_temperature: [
            (1.0, "hardly changes", MEASURED), (0.38, "rises", MEASURED), (0.4, "hardly changes", MEASURED),
            (0.38, "up", MEASURED), (1.0, "hardly changes", MEASURED[:1]), (1.0, "rises", [(1, 2)]),
            (0.38, "rises", RISING), (1.0, "hardly changes", RISING),
        ],
    }  # fmt: skip
    judge(beyond, right, wrong)


def test_hints_fit_the_mistake(capsys):
    beyond.annealed_mean(planted_mean)
    assert "cancels" in capsys.readouterr().out
    beyond.annealed_mean(by_powers)
    assert "0.01" in capsys.readouterr().out
    beyond.rare_weights(weights_with(lambda n: 1, over_pixels))
    assert "sum to" in capsys.readouterr().out
    beyond.best_temperature(1.0, "hardly changes", MEASURED)
    assert "for the RMSE:" in capsys.readouterr().out
    beyond.best_temperature(0.5, "hardly changes", MEASURED)
    assert "1, 0.38, 0.2" in capsys.readouterr().out
