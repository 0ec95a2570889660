"""The tables of `ucolnet study coco-sample`, and what they say in plain sentences; made from results.json alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ucolnet_lib.evaluation.systems import FULL_LIGHTNESS
from ucolnet_lib.evaluation.table import Column, markdown, text_cells
from ucolnet_lib.figures.style import LABELS


def columns(results: Mapping) -> dict[str, Column]:
    """The columns of the table: RMSE, colourfulness, and two for each detector."""
    found = {
        "pictures": Column(("name",), 0),
        "trainings": Column(("seeds",), 0),
        "RMSE ↓": Column(("rmse_rgb",), 2),
        "of its gray's ↓": Column(("rmse_of_gray",), 3, ("rmse_of_gray_ci",)),
        "ab RMSE ↓": Column(("ab_rmse",), 2),
        "colourfulness, of the originals'": Column(("colourfulness",), "%"),
    }
    for signature in results["detectors"]:
        at = ("detectors", signature["detector"])
        found |= {
            f"retention, {signature['detector']} ↑": Column((*at, "retention"), "%", (*at, "retention_ci")),
            f"minus its gray's, {signature['detector']} ↑": Column((*at, "minus_gray"), "%", (*at, "minus_gray_ci")),
        }
    return found


def full_columns(results: Mapping) -> dict[str, Column]:
    """The same for programs: the ends of every interval, those too that the table leaves out."""
    found: dict[str, Column] = {}
    for name, column in columns(results).items():
        *above, last = column.path
        found[name] = column
        if last not in ("name", "seeds"):
            ends = (*above, f"{last}_ci")
            found |= {f"{name} {end}": Column((*ends, i), column.digits) for i, end in enumerate(("low", "high"))}
    return found


def reading_table(results: Mapping) -> str:
    """Markdown: a row for each kind of pictures; the paper's models at the end."""
    test = results["photographs"]["test"]
    seeds = f"Mean over {results['seeds']} trainings" if results["seeds"] > 1 else "One training"
    caption = (
        f"{test} photographs of val2017. {seeds} of each model. NAME: the model's picture at its own size, enlarged to "
        f"the photograph's, as the paper presumably does; NAME{FULL_LIGHTNESS}: its colours with the photograph's own "
        "lightness. Its gray: the gray picture that went the same way (gray_SIZE, or gray). RMSE: RGB (0-255), mean "
        "over photographs; ab RMSE: CIELAB per channel, all pixels pooled; retention: objects recognised, of those "
        "recognised in the originals; minus its gray's: in points of a hundred. In brackets: intervals of 95%, by a "
        "bootstrap over photographs, and of several trainings by their spread too. ↓ lower is better, ↑ higher is "
        "better; colourfulness: the nearer to 100% the better. The paper's rows: 5,000 photographs, another YOLOv8, "
        "and a path that it does not state, so they cannot be compared with the others."
    )
    body, below = markdown(results["rows"], columns(results), caption).split("\n\n", 1)
    return "\n".join([body, *_paper_lines(results), "", below])


def _paper_lines(results: Mapping) -> list[str]:
    """The paper's models: one RMSE, and the retention by its own detector, without intervals."""
    nothing = dict.fromkeys(("seeds", "rmse_of_gray", "ab_rmse", "colourfulness"))
    rows = [
        nothing
        | {"name": f"the paper's {model}", "rmse_rgb": results["paper"]["rmse"][model]}
        | {"detectors": {s["detector"]: {"retention": kept, "minus_gray": None} for s in results["detectors"]}}
        for model, kept in sorted(results["paper"]["retention"].items())
    ]
    plain = {name: column._replace(interval=None) for name, column in columns(results).items()}
    return ["| " + " | ".join(cells) + " |" for cells in text_cells(rows, plain)]


def trainings_table(results: Mapping) -> str:
    """Markdown: a row a model, when it overfits."""
    head = ["model", "parameters", "weight decay", "lowest loss in epoch", "lowest loss ↓", "rise by the end ↓",
            "gap at the end ↓", "ab RMSE ↓", "mIoU ↑", "minutes a training"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for row in results["trainings"]:
        spread = "" if row["ab_rmse_std"] is None else f" ± {row['ab_rmse_std']:.2f}"
        cells = [
            LABELS.get(row["model"], row["model"]), f"{row['parameters']:,}", f"{row['weight_decay']:g}",
            f"{_listed(map(str, row['best_epochs']))} of {row['epochs']:.0f}", f"{row['lowest']:.5f}",
            f"{row['rise']:.1f}%", f"{row['final_gap']:+.5f}", f"{row['ab_rmse']:.2f}{spread}",
            "–" if row["miou"] is None else f"{row['miou']:.3f}", f"{row['minutes']:.1f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    photographs = results["photographs"]
    caption = (
        f"Means over the trainings ({results['seeds']}), ± standard deviation; lowest loss in epoch: of each training. "
        f"Trained on {photographs['training']:,} photographs of train2017. Loss: of colour, on the "
        f"{photographs['validation']:,} held out of them. Rise: from the lowest to the last epoch's. Gap: validation "
        "minus training loss in the last epoch. ab RMSE and mIoU: on val2017, weights of the lowest loss. Minutes: as "
        "it ran beside other work. ↓ lower is better, ↑ higher is better."
    )
    return "\n".join([*lines, "", caption, ""])


def findings(results: Mapping) -> str:
    """What the study says, in sentences with intervals of 95%, as Markdown.

    The words follow the intervals: what does not lie on one side with its whole interval cannot be told.
    """
    questions = {
        "Do so few photographs teach colour?": _colours(results),
        "When do the models overfit?": _overfitting(results),
        "Which of two models is better?": _models(results),
        "Do the colours help a detector?": _detection(results),
        "What can so few photographs not say?": _limits(results),
    }
    if results["others"]:
        questions["What of the models trained elsewhere?"] = _others(results)
    lines = []
    for question, sentences in questions.items():
        lines += [f"- **{question}**", *(f"  - {sentence}" for sentence in sentences)]
    return "\n".join([*lines, ""])


def _colours(results: Mapping) -> list[str]:
    rows = {row["name"]: row for row in results["rows"]}
    models = [rows[row["model"] + FULL_LIGHTNESS] for row in results["trainings"]]
    lower = [row for row in models if _side(row["rmse_of_gray_ci"], 1) < 0]
    higher = [row for row in models if _side(row["rmse_of_gray_ci"], 1) > 0]
    best, mean = min(models, key=lambda row: row["rmse_of_gray"]), rows["mean_colour"]
    shares = [row["colourfulness"] for row in models]
    said = [
        f"With the photographs' own lightness, {_count(len(lower), len(models))} models have a lower RMSE than gray, "
        f"{len(higher)} a higher one; of the others it cannot be told. The best is {_label(best)}, with "
        f"{_measured(best, 'rmse_of_gray', '.3f')} of gray's.",
        f"One colour for all pixels of all photographs (*mean colour*) has {_measured(mean, 'rmse_of_gray', '.3f')} of "
        f"gray's. Below it lie {_list_of([r for r in models if r['rmse_of_gray'] < mean['rmse_of_gray']])}.",
        f"The models' pictures have {min(shares):.0%} to {max(shares):.0%} of the originals' colourfulness.",
    ]
    mious = [row["miou"] for row in results["trainings"] if row["miou"] is not None]
    said.append(f"The segmentation reaches a mIoU of {min(mious):.3f} to {max(mious):.3f}.")
    return said


_LATER = {1: "later", -1: "earlier", 0: "it cannot be told"}
_LARGER = {1: "larger", -1: "smaller", 0: "it cannot be told"}


def _overfitting(results: Mapping) -> list[str]:
    rows, epochs = results["trainings"], round(results["trainings"][0]["epochs"])
    best = [epoch for row in rows for epoch in row["best_epochs"]]
    early = sum(epoch <= epochs / 2 for epoch in best)
    said = [
        f"Of {len(best)} trainings of {epochs} epochs, {early} reach their lowest loss on the held-out photographs in "
        f"the first half, the earliest in epoch {min(best)}, the latest in epoch {max(best)}. By the end the loss has "
        f"risen by {min(r['rise'] for r in rows):.1f}% to {max(r['rise'] for r in rows):.1f}% (means of the models)."
    ]
    epoch, gap = (_comparison(results, "ucolnet_v3", "ucolnet_v1", m) for m in ("best_epoch", "final_gap"))
    said.append(
        "The paper says that v3 overfits too, but much later than v1. Here v3's lowest loss comes "
        f"{_difference(epoch, '+.1f')} epochs after v1's: "
        f"**{_LATER[_sign(epoch)]}**. Its gap at the end, validation "
        f"minus training loss, differs from v1's by {_difference(gap, '+.5f')}: "
        f"**{_LARGER[_sign(gap)]}**."
    )
    plain, decayed = (next(r for r in rows if r["model"] == m) for m in ("ucolnet_v3", "ucolnet_v3_l2"))
    entry = _comparison(results, "ucolnet_v3_l2", "ucolnet_v3", "final_gap")
    said.append(
        f"With a weight decay of {decayed['weight_decay']:g}, v3's gap at the end is {decayed['final_gap']:+.5f} in "
        f"place of {plain['final_gap']:+.5f}, a change of {_difference(entry, '+.5f')}; its lowest loss is "
        f"{decayed['lowest']:.5f} in place of {plain['lowest']:.5f}."
    )
    return said


PAIRS = {
    "v3 against v1": ("ucolnet_v3", "ucolnet_v1"),
    "v3 against v2": ("ucolnet_v3", "ucolnet_v2"),
    "v3 with segmentation against v3 without": ("ucolnet_v3", "ucolnet_v3_no_segmentation"),
    "v3 with weight decay against v3 without": ("ucolnet_v3_l2", "ucolnet_v3"),
    "Iizuka with classes against Iizuka without": ("iizuka", "iizuka_no_classes"),
    "v3 against Iizuka": ("ucolnet_v3", "iizuka"),
}
"""What is compared -> the two models."""


def _models(results: Mapping) -> list[str]:
    answers = {-1: "better", 1: "worse", 0: "cannot be told"}
    said = [f"ab RMSE, {what}: {_difference(entry, '+.2f')}, **{answers[_sign(entry)]}**."
            for what, pair in PAIRS.items() for entry in [_comparison(results, *pair, "ab_rmse")]]  # fmt: skip
    told = [c for c in results["comparisons"] if c["measure"] == "ab_rmse"]
    real = sum(_sign(c) != 0 for c in told)
    return [
        *said,
        f"Of all {len(told)} pairs of models, the ab RMSE tells {real} apart. Of so many comparisons, about "
        f"{max(1, round(len(told) / 20))} would seem real by chance.",
    ]


def _detection(results: Mapping) -> list[str]:
    if not results["detectors"]:
        return ["No detector was asked."]
    rows = {row["name"]: row for row in results["rows"]}
    said = []
    for signature in results["detectors"]:
        name = signature["detector"]
        if rows["original"]["detectors"][name]["retention"] is None:
            said.append(f"{name} recognises nothing in the originals, so there is nothing to keep.")
            continue
        for suffix, way in ((FULL_LIGHTNESS, "With the photographs' own lightness"), ("", "At the models' own size")):
            models = [rows[row["model"] + suffix] for row in results["trainings"]]
            sides = [_side(row["detectors"][name]["minus_gray_ci"], 0) for row in models]
            gray = rows[models[0]["gray"]]["detectors"][name]
            kept = [row["detectors"][name]["retention"] for row in models]
            said.append(
                f"{way}, {name} keeps {min(kept):.1%} to {max(kept):.1%} of its objects, in gray pictures "
                f"of the same way {_measured(gray, 'retention', '.1%')}: {sides.count(1)} models lie above their gray "
                f"with the whole interval, {sides.count(-1)} below, of {sides.count(0)} it cannot be told."
            )
    paper = results["paper"]["retention"]
    said.append(f"The paper's models keep {paper['v1']:.1%} and {paper['v3']:.1%}. It gives no number for gray.")
    return said


def _limits(results: Mapping) -> list[str]:
    photographs, seeds = results["photographs"], results["seeds"]
    widths = [
        (high - low) / 2
        for row in results["rows"]
        if row["kind"] == "model"
        for low, high in [row["rmse_of_gray_ci"]]
        if low is not None
    ]
    said = [
        f"{photographs['training']:,} photographs are {118_287 / photographs['training']:.0f} times fewer than "
        "COCO's train2017. What a model learns of them is no measure of what it learns of all: that one loses here "
        "says nothing about the paper's order of its models.",
        f"{photographs['validation']:,} photographs choose the epoch, so the epoch of the lowest loss jumps from one "
        f"training to the next; {seeds} {'trainings' if seeds > 1 else 'training'} a model can show large differences "
        "only.",
        f"{photographs['test']:,} photographs test: a share of gray's RMSE is known to "
        f"±{np.median(widths):.3f} (median)." if widths else "No interval of a model is known.",
        "They can say: how early such models overfit on few photographs; how far resolution alone explains a "
        "retention; and whether a model's colours are nearer to the truth than none.",
    ]  # fmt: skip
    return said


def _others(results: Mapping) -> list[str]:
    rows = {row["name"]: row for row in results["rows"]}
    said = []
    for name in results["others"]:
        row = rows[name + FULL_LIGHTNESS]
        text = (
            f"{name}, with the photographs' own lightness: RMSE {_measured(row, 'rmse_of_gray', '.3f')} of gray's, "
            f"{_measured(row, 'colourfulness', '.0%')} of the originals' colourfulness"
        )
        for detector, numbers in row["detectors"].items():
            answer = {1: "more than gray", -1: "less than gray", 0: "against gray it cannot be told"}
            text += (
                f"; {detector} keeps {_measured(numbers, 'retention', '.1%')}, that is "
                f"{_measured(numbers, 'minus_gray', '+.1%')} against gray's, "
                f"**{answer[_side(numbers['minus_gray_ci'], 0)]}**"
            )
        said.append(text + ".")
    return said


# Small words.


def _comparison(results: Mapping, first: str, second: str, measure: str) -> dict:
    """The first's value minus the second's, in whichever order the two stand."""
    for entry in results["comparisons"]:
        if entry["measure"] == measure and {entry["first"], entry["second"]} == {first, second}:
            if entry["first"] == first:
                return entry
            low, high = (None if entry[end] is None else 0 - entry[end] for end in ("high", "low"))
            return entry | {"first": first, "second": second, "difference": 0 - entry["difference"],
                            "low": low, "high": high}  # fmt: skip
    raise KeyError((first, second, measure))


def _side(ends: Sequence, value: float) -> int:
    """1 or -1 where the whole interval lies on that side of a value, else 0."""
    low, high = ends
    return (0 if low is None else int(low > value)) - (0 if high is None else int(high < value))


def _sign(entry: Mapping) -> int:
    return _side((entry["low"], entry["high"]), 0)


def _difference(entry: Mapping, digits: str) -> str:
    return _text(entry["difference"], (entry["low"], entry["high"]), digits)


def _measured(row: Mapping, name: str, digits: str) -> str:
    return _text(row[name], row[f"{name}_ci"], digits)


def _text(value: float | None, ends: Sequence, digits: str) -> str:
    if value is None:
        return "an unknown share"
    low, high = (end if text is None else f"{text:{digits}}" for end, text in zip(("−∞", "∞"), ends, strict=True))
    return f"{value:{digits}} ({low} to {high})"


def _label(row: Mapping) -> str:
    name = row["name"].removesuffix(FULL_LIGHTNESS)
    return LABELS.get(name, name)


def _list_of(rows: Sequence[Mapping]) -> str:
    return _listed(map(_label, rows)) or "none of the models"


def _listed(words: Iterable[str]) -> str:
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _count(some: int, of: int) -> str:
    return f"all {of}" if some == of else f"{some} of {of}"
