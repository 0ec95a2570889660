"""`ucolnet evaluate`: the controls, models and pictures of other systems, measured alike, with tables, figures, report.

Everything lies under one folder:

    results.json                      rows (the schema of `evaluation.rows`), and what they were made with
    results.csv, table-DETECTOR.md, table-DETECTOR.tex
    comparisons.csv                   every two variants: differences with intervals (`evaluation.comparisons`)
    per-image.csv, per-category.csv   for pandas
    figures/, report.html             for looking
    pictures/VARIANT/                 on request: the pictures themselves
    cache.sqlite                      what was measured: a second call, or one after a kill, goes on from it
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.evaluation.cache import Cache
from ucolnet_lib.evaluation.comparisons import category_table, compare_all
from ucolnet_lib.evaluation.detectors import open_detector
from ucolnet_lib.evaluation.evaluate import Evaluation, control_statistics, evaluate
from ucolnet_lib.evaluation.pictures import save_pictures
from ucolnet_lib.evaluation.report import report
from ucolnet_lib.evaluation.systems import Controls, Damages, ModelSystem, PictureFolder, SizedControls, System
from ucolnet_lib.evaluation.table import EVALUATION_CAPTION, EVALUATION_COLUMNS, by_detector, latex, markdown
from ucolnet_lib.experiments.steps import data_manifest, made_with
from ucolnet_lib.figures.evaluation import evaluation_figures
from ucolnet_lib.figures.style import save
from ucolnet_lib.models import load_model
from ucolnet_lib.recipes import read_recipe

PAPER_SIZE = 224
"""Side of the square for the controls, where no run says another: our reading of the paper."""


def evaluate_runs(
    runs: Sequence[str | Path],
    data: str | Path,
    out: str | Path,
    detectors: Sequence[str | Path] = (),
    pictures: Mapping[str, str | Path] | None = None,
    split: str = "val2017",
    allow_missing: bool = False,
    leave_out_gray: bool = False,
    keep_pictures: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Measure models and pictures beside all controls, and write tables, figures and a report into `out`.

    Args:
        runs: run folders of `ucolnet train`; without one the controls alone are measured.
        data: a COCO folder; its `split` is measured.
        detectors: what `open_detector` takes; without one nothing is recognised.
        pictures: name -> folder of pictures that another system coloured, see `PictureFolder`.
        allow_missing: evaluate the common part where pictures are missing.
        leave_out_gray: leave out photographs that are gray themselves.
        keep_pictures: write the pictures of all variants too, for a detector of your own, see `save_pictures`.
        say: receives the sentences for the reader.
    Returns:
        the rows as a table: one row a variant and detector, nested fields with dots, such as `rmse.ab_pooled`.
    Raises:
        UcolnetError: an input is missing or broken; all are checked before work starts.
    """
    out = Path(out)
    photos = CocoSplit(data, split)
    models = _models(runs)
    foreign = [PictureFolder(name, folder, photos, allow_missing) for name, folder in (pictures or {}).items()]
    referees = [open_detector(weights) for weights in detectors]
    sizes = sorted({model.size for model in models}) or [PAPER_SIZE]
    cache = Cache(out / "cache.sqlite")
    controls = Controls(control_statistics(data, photos, cache, progress))
    systems = [controls, *map(SizedControls, sizes), Damages(), *models, *foreign]
    if keep_pictures:
        save_pictures(photos, systems, out / "pictures", progress)
    evaluation = evaluate(photos, systems, referees, cache, leave_out_gray, progress)
    _write(out, evaluation, data, split)
    _draw(out, evaluation, photos, systems)
    say(_summary(evaluation, out))
    return pd.json_normalize(evaluation.rows)


def _models(runs: Sequence[str | Path]) -> list[ModelSystem]:
    """One system a run, named as its model, or as its folder where two runs are of one model."""
    described = {Path(run): read_recipe(run) for run in runs}
    count = Counter(d.model for d in described.values())
    return [
        ModelSystem(
            d.model if count[d.model] == 1 else run.resolve().name, load_model(run), d.recipe.size, d.recipe.seed, True
        )
        for run, d in described.items()
    ]


def _write(out: Path, evaluation: Evaluation, data: str | Path, split: str) -> None:
    comparisons = compare_all(evaluation)
    results = {"rows": evaluation.rows, "split": split, "data": data_manifest(data), **made_with()}
    with write_beside(out / "results.json") as file:
        file.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    tables = {
        "results": pd.json_normalize(evaluation.rows),
        "comparisons": comparisons,
        "per-image": evaluation.per_image,
        "per-category": category_table(evaluation),
    }
    for name, table in tables.items():
        with write_beside(out / f"{name}.csv") as file:
            table.to_csv(file, index=False, float_format="%.6g")
    for detector, rows in by_detector(evaluation.rows).items():
        caption = f"{EVALUATION_CAPTION} Signature: {rows[0]['signature']}"
        for suffix, write in ((".md", markdown), (".tex", latex)):
            with write_beside(out / f"table-{detector or 'no-detector'}{suffix}") as file:
                file.write_text(write(rows, EVALUATION_COLUMNS, caption), encoding="utf-8")


def _draw(out: Path, evaluation: Evaluation, photos: CocoSplit, systems: Sequence[System]) -> None:
    for name, figure in evaluation_figures(evaluation).items():
        save(figure, out / "figures" / name)
    with write_beside(out / "report.html") as file:
        file.write_text(report(evaluation, photos, systems), encoding="utf-8")


def _summary(evaluation: Evaluation, out: Path) -> str:
    lines = []
    for detector, rows in by_detector(evaluation.rows).items():
        lines += [f"Detector: {detector}" if detector else "No detector.", markdown(rows, EVALUATION_COLUMNS, "")]
    first = evaluation.rows[0]
    lines.append(f"{first['images']} photographs, {first['gray_images']} of them gray.")
    lines.append(f"Tables, figures and report.html lie in {out}.")
    return "\n".join(lines)


def parse_pictures(texts: Sequence[str]) -> dict[str, Path]:
    """`NAME=FOLDER` as the command line takes it.

    Raises:
        UcolnetError: a text has no name or folder, or two have one name.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not (equals and name and folder):
            raise UcolnetError(f"--images {text}: write NAME=FOLDER, such as --images ddcolor=results/ddcolor.")
        if name in found:
            raise UcolnetError(f"--images names {name} twice. Give each folder its own name.")
        found[name] = Path(folder)
    return found
