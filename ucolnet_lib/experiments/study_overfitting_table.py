"""The table of `ucolnet study overfitting`, and what it says in plain sentences; made from results.json alone."""

from __future__ import annotations

from functools import partial

import pandas as pd

from ucolnet_lib.experiments.study_overfitting_numbers import SIZES, STRENGTHS, STUDIED, Condition
from ucolnet_lib.figures.style import LABELS

PAPER = "1e-5"
"""The strength of L2 with which the paper trains v1; v3 it trains without."""


def summary_table(results: dict) -> str:
    """Markdown: a row for each size, model and strength, mean over the seeds and standard deviation."""
    head = ["data", "model", "L2", "lowest loss in epoch", "in step", "of running mean", "rise by the end ↓",
            "gap at the end ↓", "ab RMSE, best ↓", "ab RMSE, end ↓", "of gray"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---|---|---" + "|---:" * (len(head) - 3) + "|"]
    runs = pd.DataFrame(results["runs"])
    for (size, model, strength), group in runs.groupby(["size", "model", "strength"], sort=False):
        cells = [
            size, LABELS[model], strength,
            f"{_spread(group['best_epoch'], '.0f')} of {group['epochs'].max()}",
            _spread(group["best_step"], ",.0f"), _spread(group["smooth_step"], ",.0f"),
            f"{_spread(group['rise'], '.1f')}%", _spread(group["final_gap"], ".4f"),
            _spread(group["ab_rmse"], ".2f"), _spread(group["ab_rmse_last"], ".2f"),
            f"{group['ab_rmse'].mean() / results['gray_ab_rmse']:.3f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    small, whole = (f"{results['photographs'][size]:,}" for size in ("small", "whole"))
    caption = (
        f"Means over the seeds ({results['seeds']}), ± standard deviation. small: {small} photographs to train on, "
        f"whole: {whole}, both with the same held out and the same number of steps. Loss: of colour, on the held-out "
        "photographs. The running mean goes over a twentieth of all epochs. Gap: validation minus training loss; the "
        "training loss is measured while training, on flipped or cropped pictures. ab RMSE: on val2017, CIELAB per "
        "channel, with the weights of the lowest loss (best) and of the last epoch (end); of gray: best, as a share of "
        "the gray pictures' RMSE. ↓ lower is better."
    )
    return "\n".join([*lines, "", caption, ""])


def _spread(values: pd.Series, digits: str) -> str:
    return f"{values.mean():{digits}}" + (f" ± {values.std():{digits}}" if len(values) > 1 else "")


def findings(results: dict) -> str:
    """What the study says, in sentences with intervals of 95%, as Markdown.

    The words follow the intervals: what does not lie on one side of 0 with its whole interval cannot be told.
    """
    lines = []
    for question, answers in (
        ("Does v3 overfit later than v1?", _later),
        ("Does v3 overfit less than v1?", _less),
        ("Does L2 help v3?", partial(_l2, "ucolnet_v3")),
        ("Does L2 help v1?", partial(_l2, "ucolnet_v1")),
    ):
        lines.append(f"- **{question}**")
        lines += [
            f"  - On {results['photographs'][size]:,} photographs: {sentence}"
            for size in SIZES
            for sentence in answers(results, size)
        ]
    return "\n".join([*lines, f"- **What is a fair comparison?** {_fair(results)}", ""])


def _later(results: dict, size: str) -> list[str]:
    v1, v3 = STUDIED
    equal, single = (
        _difference(results, Condition(v3, size, "all"), Condition(v1, size, "all"), measure)
        for measure in ("smooth_step", "best_step")
    )
    paper = _difference(results, Condition(v3, size, "0"), Condition(v1, size, PAPER), "smooth_step")
    runs = pd.DataFrame(results["runs"]).query("size == @size")
    late = runs[runs["best_step"] > 0.9 * runs["steps"]].groupby("model").size()
    answer = {1: "later", -1: "earlier", 0: "it cannot be told"}
    return [
        f"**{answer[_sign(equal)]}**, by the running mean. Of {runs['steps'].max():,} steps, v3's lowest validation "
        f"loss comes {_with_interval(equal, '+,.0f')} steps after v1's, at equal L2, mean over the strengths. By "
        f"single epochs, which jump: {_with_interval(single, '+,.0f')}, {answer[_sign(single)]}. As the paper trains "
        f"them (v1 with {PAPER}, v3 without L2), by the running mean: {_with_interval(paper, '+,.0f')}, "
        f"{answer[_sign(paper)]}.",
        f"{late.get(v1, 0)} of v1's and {late.get(v3, 0)} of v3's {len(runs) // 2} runs reach their lowest loss in the "
        "last tenth of the steps: they have not begun to overfit, or hardly.",
    ]


def _less(results: dict, size: str) -> list[str]:
    sentences = []
    for measure, digits, text in (
        ("rise", "+.1f", "the rise of the validation loss from its lowest to the end, in percent"),
        ("final_gap", "+.4f", "the gap at the end, validation minus training loss"),
        ("at_equal_training", "+.4f", "the validation loss at equal training loss"),
    ):
        v1, v3 = (Condition(model, size, "all") for model in STUDIED)
        entry = _difference(results, v3, v1, measure)
        answer = {-1: "smaller", 1: "larger", 0: "cannot be told"}[_sign(entry)]
        sentences.append(f"{text}, v3 minus v1: {_with_interval(entry, digits)}, **{answer}**.")
    return sentences


def _l2(model: str, results: dict, size: str) -> list[str]:
    none = Condition(model, size, "0")
    sentences = []
    for measure, digits, what in (
        ("ab_rmse", "+.2f", "the ab RMSE of the best epoch"),
        ("ab_rmse_last", "+.2f", "the ab RMSE of the last epoch"),
        ("at_equal_training", "+.4f", "the validation loss at equal training loss"),
    ):
        changes = []
        for strength in list(STRENGTHS)[1:]:
            entry = _difference(results, none._replace(strength=strength), none, measure)
            answer = {-1: "helps", 1: "harms", 0: "cannot be told"}[_sign(entry)]
            changes.append(f"{_with_interval(entry, digits)} with {strength}, **{answer}**")
        sentences.append(f"it changes {what} by {'; '.join(changes)}.")
    return sentences


def _fair(results: dict) -> str:
    v1, v3 = STUDIED
    sizes = pd.DataFrame(results["runs"]).groupby("model")["parameters"].first()
    return (
        f"v1 has {sizes[v1]:,} parameters, v3 {sizes[v3]:,}: v1 is {sizes[v1] / sizes[v3]:.1f} times as large. "
        "The paper's two trainings differ in L2 too; so here models are compared at equal L2. And a model that "
        "learns more slowly overfits later for that reason alone; so they are compared at equal training loss as well."
    )


def _difference(results: dict, first: Condition, second: Condition, measure: str) -> dict:
    wanted = (first.name, second.name, measure)
    return next(c for c in results["comparisons"] if (c["first"], c["second"], c["measure"]) == wanted)


def _sign(entry: dict) -> int:
    """1 or -1 where the whole interval lies on that side of 0, else 0."""
    return 0 if entry["low"] is None else int(entry["low"] > 0) - int(entry["high"] < 0)


def _with_interval(entry: dict, digits: str) -> str:
    low = "−∞" if entry["low"] is None else f"{entry['low']:{digits}}"
    high = "∞" if entry["high"] is None else f"{entry['high']:{digits}}"
    return f"{entry['difference']:{digits}} ({low} to {high})"
