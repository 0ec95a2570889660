"""When do v1 and v3 overfit, and does L2 help? Two sizes of data, four strengths of L2, several seeds.

The paper trains v1 with L2 (1e-5) and v3 without, and says that v3 overfits too, but much later. There, two things
differ at once. So here each model is trained with each strength, and models are compared at equal strength.

By SGD, as in the paper: for it weight decay is L2. (AdamW takes it out of the gradient: another method.)

- **whole**: all photographs of `train2017`, less those held out for validation.
- **small**: a tenth of them, with the same photographs held out. Each is seen ten times as often, and the learning rate
  falls a tenth as fast: both sizes take equally many steps, along the same course.

Beside what `study.py` writes:

    results.json            the numbers of all runs, means, comparisons, and what they were made with
    runs.csv                a row a run
    comparisons.csv         every difference with its interval
    summary.md              means over the seeds
    findings.md             what it says, in sentences
    figures/
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.toy import VALIDATION_SHARE
from ucolnet_lib.experiments.steps import made_with
from ucolnet_lib.experiments.study import StudyRun, check_choices, run_study
from ucolnet_lib.experiments.study_overfitting_numbers import (
    CONDITIONS,
    SIZES,
    STRENGTHS,
    STUDIED,
    Condition,
    Measured,
    comparisons,
    run_numbers,
)
from ucolnet_lib.experiments.study_overfitting_table import findings, summary_table
from ucolnet_lib.figures.overfitting import make_overfitting_figures
from ucolnet_lib.recipes import PROFILES, Profile, Recipe, recipe_for

SHARE = 10
"""The small data set is this part of the whole."""

_TOY = {
    "size": "32", "epochs": "20", "batch_size": "8", "optimizer": "sgd", "learning_rate": "0.3", "schedule": "step",
    "decay_epochs": "2", "crop_area": "1", "precision": "fp32", "patience": "0",
}  # fmt: skip
CHANGES: dict[str, dict[str, str]] = {
    "smoke": _TOY | {"epochs": "1", "size": "16", "decay_epochs": "1"},
    "toy": _TOY,
    "full": {},
}
"""What each profile changes in the recipe of the studies; at full scale the recipe is the paper's.

At toy scale pictures are flipped, not cropped: with crops, validation losses rose by 2 to 4% only. The learning rate is
the smallest of those tried (0.1, 0.3, 1) with which v3 learns about as fast as v1; it falls to 0.35, as the paper's.
"""


def study_overfitting(
    out: str | Path | None = None,
    data: str | Path | None = None,
    seeds: int = 3,
    profile: str = "toy",
    settings: dict[str, str] | None = None,
    jobs: int | None = None,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> dict:
    """Run the study, or only what is missing of it, and say what came out.

    Args:
        out: the study's folder; what is finished there already is not done again. None is `results/overfitting` for
            the committed study (profile toy, drawn scenes), else `runs/overfitting`, which leaves that one alone.
        data: a COCO folder; None draws the toy world.
        seeds: trainings of each condition.
        profile: `smoke`, `toy` or `full`.
        settings: changes to the recipe on whole data, field -> value as text.
        jobs: trainings side by side, see `run_study`.
        progress: show bars.
        say: receives the sentences for the reader.
    Returns:
        the content of results.json.
    Raises:
        UcolnetError: an input is missing or broken, or a training failed.
    """
    check_choices(profile, seeds)
    if "weight_decay" in (settings or {}):
        raise UcolnetError("The study compares strengths of weight_decay itself. Leave out --set weight_decay.")
    if out is None:
        committed = profile == "toy" and data is None and not settings
        out = "results/overfitting" if committed else "runs/overfitting"
    out = Path(out)
    recipe = recipe_for(PROFILES[profile].study_recipe, "ucolnet_v1", CHANGES[profile] | (settings or {}))
    recipe = recipe.replace(name="overfitting")
    photographs = _count_photographs(PROFILES[profile], data)
    runs = {
        condition: [study_run(condition, recipe.replace(seed=seed), photographs) for seed in range(seeds)]
        for condition in CONDITIONS
    }
    in_order = [runs[condition][seed] for seed in range(seeds) for condition in CONDITIONS]
    controls, *contents = run_study(
        out, in_order, PROFILES[profile], data, recognise=False, last=True, jobs=jobs, progress=progress, say=say
    )
    measured = _collect(runs, dict(zip([run.key for run in in_order], contents, strict=True)), out)
    numbers = [n for condition in CONDITIONS for n in measured[condition].numbers]
    results = {
        "runs": numbers,
        "comparisons": comparisons(measured),
        "gray_ab_rmse": next(row["rmse"]["ab_pooled"] for row in controls["rows"] if row["name"] == "gray"),
        "photographs": {
            size: _training_photographs(runs[STUDIED[0], size, "0"][0].recipe, photographs) for size in SIZES
        },
        "profile": profile,
        "recipe": {key: value for key, value in recipe.to_dict().items() if key not in ("weight_decay", "seed")},
        "seeds": seeds,
        "inputs": controls["inputs"],
        **made_with(),
    }
    with write_beside(out / "results.json") as file:
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for name, table in (("runs", numbers), ("comparisons", results["comparisons"])):
        with write_beside(out / f"{name}.csv") as file:
            pd.DataFrame(table).to_csv(file, index=False, float_format="%.6g")
    texts = {"summary": summary_table(results), "findings": findings(results)}
    for name, text in texts.items():
        with write_beside(out / f"{name}.md") as file:
            file.write_text(text, encoding="utf-8")
    make_overfitting_figures(out)
    for text in texts.values():
        say(text)
    say(f"Tables, results.json and figures lie in {out}.")
    return results


def _count_photographs(profile: Profile, data: str | Path | None) -> int:
    """How many there are in train2017; of the toy world before it is drawn."""
    if data is None:
        return profile.scenes - max(1, round(VALIDATION_SHARE * profile.scenes))
    return len(CocoSplit(data, "train2017").ids)


def study_run(condition: Condition, recipe: Recipe, photographs: int) -> StudyRun:
    """One training. `recipe`: for the whole of so many photographs, with its seed."""
    recipe = recipe.replace(weight_decay=STRENGTHS[condition.strength])
    if condition.size == "small":
        recipe = on_small_data(recipe, photographs)
    return StudyRun(condition.name, condition.model, recipe)


def on_small_data(recipe: Recipe, photographs: int) -> Recipe:
    """The recipe for a tenth of the training photographs: the same are held out, and the steps are equally many.

    `split_indices` holds out the first photographs of its order and takes the next for training; `limit` cuts the
    order off. So a smaller limit with a larger share held out leaves the held-out photographs as they are.
    """
    photographs = min(photographs, recipe.limit or photographs)
    held_out = round(photographs * recipe.validation_share)
    limit = held_out + max(1, (photographs - held_out) // SHARE)
    return recipe.replace(
        limit=limit, validation_share=held_out / limit,
        epochs=recipe.epochs * SHARE, decay_epochs=recipe.decay_epochs * SHARE, patience=recipe.patience * SHARE,
    )  # fmt: skip


def _training_photographs(recipe: Recipe, photographs: int) -> int:
    photographs = min(photographs, recipe.limit or photographs)
    return photographs - round(photographs * recipe.validation_share)


def _collect(
    runs: Mapping[Condition, list[StudyRun]], contents: Mapping[str, dict], out: Path
) -> dict[Condition, Measured]:
    """Reads what `run_study` has left."""
    found = {}
    for condition, of_condition in runs.items():
        histories, errors = (
            [pd.read_csv(out / folder / f"{run.key}.csv") for run in of_condition] for folder in ("history", "classes")
        )
        numbers = [
            run_numbers(condition, run, contents[run.key], history)
            for run, history in zip(of_condition, histories, strict=True)
        ]
        found[condition] = Measured(numbers, histories, errors)
    return found
