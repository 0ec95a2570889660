"""The paper's models on a few hundred real photographs: trained on `train2017` alone, tested on `val2017`.

All models are trained by one recipe and equally long, without early stopping: so the loss curves show the overfitting.
Tested are the weights of the epoch with the lowest loss on the tenth held out of `train2017`; no photograph of
`val2017` enters any training or choice. Every model is tested in both ways of `evaluation.systems.ModelSystem`, beside
the controls: gray pictures through the same path above all. Models trained elsewhere can be added to the same table.

Beside what `study.py` writes (`rows/`, `history/`, `work/`):

    measured/NAME-SEED.json     what each photograph of val2017 gave, see `study_coco_sample_numbers`
    results.json                rows (see `study_coco_sample_numbers.table_rows`), trainings, comparisons of every two
                                models, and what they were made with
    table.md, table.csv         all pictures in one table, with intervals; the paper's numbers beside them
    trainings.md                when each model overfits
    comparisons.csv             every two models
    findings.md                 what so few photographs say, and what not, in sentences
    figures/

Only `work/` is large and not to be committed. Without it nothing is trained again, and tables and figures can be made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from ucolnet_lib.common import write_beside
from ucolnet_lib.data.batches import split_indices
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.evaluation.table import results_table
from ucolnet_lib.experiments.measurements import Measurements, open_others
from ucolnet_lib.experiments.paper_numbers import PAPER_RMSE
from ucolnet_lib.experiments.steps import made_with
from ucolnet_lib.experiments.study import StudyRun, check_choices, run_study
from ucolnet_lib.experiments.study_coco_sample_numbers import comparisons, table_rows, trainings
from ucolnet_lib.experiments.study_coco_sample_table import findings, full_columns, reading_table, trainings_table
from ucolnet_lib.figures.coco_sample import make_coco_sample_figures
from ucolnet_lib.figures.evaluation import PAPER
from ucolnet_lib.recipes import PROFILES, recipe_for

L2 = "ucolnet_v3_l2"
SYSTEMS = {
    name: name
    for name in ("iizuka", "iizuka_no_classes", "ucolnet_v1", "ucolnet_v2", "ucolnet_v3", "ucolnet_v3_no_segmentation")
} | {L2: "ucolnet_v3"}
"""How a row is called -> the model."""

RECIPE = {"smoke": "smoke", "toy": "sample", "full": "paper"}
"""Profile -> recipe."""

STRENGTH = {"smoke": 1.0, "toy": 1.0, "full": 1e-5}
"""Profile -> weight decay of the row `ucolnet_v3_l2`; without it, v3 has none.

The recipe `sample` trains by AdamW, which takes the decay out of the gradient: in each step the weights shrink by this
times the learning rate. The paper's 1e-5 would do nothing there; 1.0 shrinks them by up to 0.4% a step.
"""


def study_coco_sample(
    data: str | Path,
    out: str | Path | None = None,
    detectors: Sequence[str | Path] = (),
    others: Sequence[str | Path] = (),
    seeds: int = 2,
    profile: str = "toy",
    settings: dict[str, str] | None = None,
    jobs: int | None = None,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> dict:
    """Run the study, or only what is missing of it, and say what came out.

    Args:
        data: a COCO folder with both splits.
        out: the study's folder; what is finished there already is not done again. None is `results/coco-sample` for
            the committed study (a folder `coco-sample`, profile toy), else `runs/coco-sample`, which leaves that alone.
        detectors: what `open_detector` takes; without one nothing is recognised.
        others: run folders of models trained elsewhere, for the same table, called as their folders.
        seeds: trainings of each model.
        profile: `smoke`, `toy` or `full`: the recipes `smoke`, `sample` and `paper`.
        settings: changes to the recipe of every model, field -> value as text.
        jobs: trainings side by side, see `run_study`.
        progress: show bars.
        say: receives the sentences for the reader.
    Returns:
        the content of results.json.
    Raises:
        UcolnetError: an input is missing or broken, or a training failed.
    """
    check_choices(profile, seeds)
    if out is None:
        committed = profile == "toy" and Path(data).name == "coco-sample" and not settings
        out = "results/coco-sample" if committed else "runs/coco-sample"
    out = Path(out)
    # Opened before hours of training, so that what is missing is missed now.
    measurements = Measurements(out, data, detectors, progress, say)
    added = open_others(others, SYSTEMS)
    runs = [planned(name, profile, seed, settings) for seed in range(seeds) for name in SYSTEMS]
    contents = run_study(out, runs, PROFILES[profile], data, measure=False, jobs=jobs, progress=progress, say=say)

    known = measurements.controls({run.recipe.size for run in runs} | {system.size for system, _ in added.values()})
    pairs = list(zip(runs, contents, strict=True))
    of_runs = {name: [measurements.of_run(*pair) for pair in pairs if pair[0].name == name] for name in SYSTEMS}
    of_others = {
        name: [measurements.of(name, inputs, lambda system=system: system)]
        for name, (system, inputs) in added.items()
    }

    left = {name: [content for run, content in pairs if run.name == name] for name in SYSTEMS}
    histories = {name: [_history(out, run) for run in runs if run.name == name] for name in SYSTEMS}
    results = {
        "rows": table_rows(known, of_runs | of_others),
        "trainings": trainings(left, histories, of_runs),
        "comparisons": comparisons(left, of_runs),
        "others": list(of_others),
        "paper": {"rmse": PAPER_RMSE, "retention": PAPER},
        "photographs": _photographs(data, runs[0]) | {"test": len(measurements.photos)},
        "detectors": measurements.detectors,
        "profile": profile,
        "recipe": {key: value for key, value in runs[0].recipe.to_dict().items() if key != "seed"},
        "seeds": seeds,
        "data": measurements.manifest,
        "train_minutes": round(sum(content["train_seconds"] for content in contents) / 60, 1),
        **made_with(),
    }
    write_results(results, out)
    make_coco_sample_figures(out)
    for text in (reading_table(results), trainings_table(results), findings(results)):
        say(text)
    say(f"Tables, results.json and figures lie in {out}.")
    return results


def planned(name: str, profile: str, seed: int, settings: Mapping[str, str] | None = None) -> StudyRun:
    """One training: the same recipe for all models of a profile, but for the weight decay of `ucolnet_v3_l2`."""
    recipe = recipe_for(RECIPE[profile], SYSTEMS[name], dict(settings or {})).replace(seed=seed)
    if name == L2:
        recipe = recipe.replace(weight_decay=STRENGTH[profile])
    return StudyRun(name, SYSTEMS[name], recipe)


def _photographs(data: str | Path, run: StudyRun) -> dict[str, int]:
    """How many train the models, and how many are held out to choose the epoch."""
    recipe = run.recipe
    training, validation = split_indices(CocoSplit(data, "train2017"), recipe.validation_share, recipe.limit)
    return {"training": len(training), "validation": len(validation)}


def _history(out: Path, run: StudyRun) -> pd.DataFrame:
    return pd.read_csv(out / "history" / f"{run.key}.csv")


def write_results(results: dict, out: Path) -> None:
    """Everything but the figures, from the content of results.json."""
    texts = {
        "results.json": json.dumps(results, indent=1, allow_nan=False) + "\n",
        "table.md": reading_table(results),
        "trainings.md": trainings_table(results),
        "findings.md": findings(results),
    }
    for name, text in texts.items():
        with write_beside(out / name) as file:
            file.write_text(text, encoding="utf-8")
    tables = {
        "table": results_table(results["rows"], full_columns(results)),
        "comparisons": pd.DataFrame(results["comparisons"]),
    }
    for name, table in tables.items():
        with write_beside(out / f"{name}.csv") as file:
            table.to_csv(file, index=False, float_format="%.6g")
