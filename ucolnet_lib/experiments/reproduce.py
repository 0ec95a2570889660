"""The paper's whole experiment: data, models, detector, evaluation, tables and figures.

Everything lies under one folder:

    data/                    the toy world, when no other data are given
    NAME-SEED/               one run folder a model
    detector.pt              the toy detector, when no other is given
    rows/                    what was measured, one file a model, with a table per image
    results.json             all rows, and what they were made with
    table.md, table.csv      the results table in the paper's format
    pictures/                what the figure of before and after shows
    figures/                 the figures as PNG and PDF
    steps/                   from which inputs each of these was made: a second call redoes what changed
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from ucolnet_lib import __version__
from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.colorizer import with_chroma
from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.show import color_semantic_map
from ucolnet_lib.data.toy import draw_toy_world, toy_fingerprint
from ucolnet_lib.evaluation.detectors import Detector, open_detector
from ucolnet_lib.evaluation.evaluate import Evaluation, evaluate_controls, evaluate_model
from ucolnet_lib.evaluation.rows import with_retention
from ucolnet_lib.evaluation.systems import model_pictures
from ucolnet_lib.evaluation.table import markdown, write_tables
from ucolnet_lib.evaluation.toy_detector import train_toy_detector
from ucolnet_lib.experiments.steps import Steps, data_manifest, made_with, sha256
from ucolnet_lib.figures.make import make_figures
from ucolnet_lib.metrics import overfitting
from ucolnet_lib.models import load_model
from ucolnet_lib.recipes import PROFILES, Recipe, recipe_for
from ucolnet_lib.training import Run, train

MODELS = ("iizuka", "iizuka_no_classes", "ucolnet_v1", "ucolnet_v2", "ucolnet_v3", "ucolnet_v3_no_segmentation")
"""The paper's models and the two ablations that its claims stand on."""

GRID_ROWS = 5


def reproduce(
    out: str | Path | None = None,
    profile: str = "toy",
    data: str | Path | None = None,
    detector: str | Path | None = None,
    settings: dict[str, str] | None = None,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> dict:
    """Run the experiment, or only what is missing of it, and say what came out.

    Args:
        out: folder for everything that is made; None is `runs/reproduce`, or `runs/reproduce-NAME` for the data
            folder NAME.
        profile: `smoke`, `toy` or `full`.
        data: a COCO folder; None draws the toy world.
        detector: YOLO weights; None trains a small detector on the toy world.
        settings: changes to the recipe of every model, field -> value as text.
        progress: show bars.
        say: receives the sentences for the reader.
    Returns:
        the content of results.json.
    Raises:
        UcolnetError: an input is missing or broken; all are checked before work starts.
    """
    started = time.perf_counter()
    if out is None:
        out = "runs/reproduce" if data is None else f"runs/reproduce-{Path(data).resolve().name}"
    out = Path(out)
    if profile not in PROFILES:
        raise UcolnetError(f"There is no profile {profile!r}. Choose one of: {', '.join(PROFILES)}.")
    size = PROFILES[profile]
    recipes = {name: recipe_for(size.recipe, name, settings) for name in MODELS}
    if data is not None:
        for split in ("train2017", "val2017"):
            CocoSplit(data, split)
        if detector is None:
            raise UcolnetError("Real photographs need a real detector. Name its weights: --detector yolov8n.pt")
    referee = open_detector(detector) if detector is not None else None
    say(_plan(out, profile, data, detector, recipes))
    steps = Steps(out / "steps", say)

    # 1. Data.
    if data is None:
        folder = out / "data"
        arguments = {"scenes": size.scenes, "size": size.scene_size, "seed": 0}

        def draw() -> None:
            shutil.rmtree(folder, ignore_errors=True)
            draw_toy_world(folder, **arguments, progress=progress)

        steps.do("data", folder, {**arguments, "source": toy_fingerprint()}, draw)
    else:
        folder = Path(data)
    manifest = data_manifest(folder)

    # 2. The models.
    runs = {name: Run(out / f"{name}-{recipe.seed}") for name, recipe in recipes.items()}
    for name, recipe in recipes.items():
        steps.do(
            f"train-{name}", runs[name].path / "finished", {"recipe": recipe.to_dict(), "data": manifest},
            lambda name=name, recipe=recipe: train(
                name, recipe, folder, runs[name].path, resume=runs[name].path.exists(), progress=progress, say=say
            ),
            unfinished=runs[name].path,
        )  # fmt: skip

    # 3. The referee.
    if referee is None:
        weights = out / "detector.pt"
        steps.do(
            "detector", weights, {"data": manifest, "size": size.scene_size, "epochs": size.detector_epochs},
            lambda: train_toy_detector(folder, weights, size.scene_size, size.detector_epochs),
        )  # fmt: skip
        referee = open_detector(weights)
    judged = {"data": manifest, "detector": referee.signature, "version": __version__}

    # 4. What each variant is worth.
    steps.do(
        "evaluate-controls", _rows_file(out, "controls"), judged,
        lambda: _write_rows(out, "controls", evaluate_controls(folder, detector=referee, progress=progress)),
    )  # fmt: skip
    for name, run in runs.items():
        inputs = {**judged, "weights": sha256(run.path / "model.safetensors"), "size": recipes[name].size}
        steps.do(
            f"evaluate-{name}", _rows_file(out, name), inputs,
            lambda name=name: _write_rows(
                out, name, _evaluate(name, recipes[name], runs[name], folder, referee, progress)
            ),
        )  # fmt: skip

    # 5. Tables and figures: cheap, made each time.
    rows = [
        row for name in ("controls", *MODELS) for row in json.loads(_rows_file(out, name).read_text(encoding="utf-8"))
    ]
    results = {
        "rows": with_retention(rows),
        "overfitting": {name: overfitting(run.history) for name, run in runs.items()},
        "profile": profile,
        "data": manifest,
        "detector": referee.signature,
        **made_with(),
    }
    with write_beside(out / "results.json") as file:
        file.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    write_tables(results["rows"], out / "table")
    _write_pictures(out, runs, recipes, folder)
    make_figures(out, out / "figures")
    say(_summary(results["rows"], out, time.perf_counter() - started))
    return results


def _evaluate(name: str, recipe: Recipe, run: Run, folder: Path, referee: Detector, progress: bool) -> Evaluation:
    model = load_model(run.path)
    return evaluate_model(name, recipe.seed, model, recipe.size, folder, detector=referee, progress=progress)


def _rows_file(out: Path, name: str) -> Path:
    return out / "rows" / f"{name}.json"


def _write_rows(out: Path, name: str, evaluation: Evaluation) -> None:
    with write_beside(out / "rows" / f"{name}-per-image.csv") as file:
        evaluation.per_image.to_csv(file, index=False)
    with write_beside(_rows_file(out, name)) as file:
        file.write_text(json.dumps(evaluation.rows, indent=2) + "\n", encoding="utf-8")


def _write_pictures(out: Path, runs: dict[str, Run], recipes: dict[str, Recipe], folder: Path) -> None:
    """What the before/after figure shows, a folder a photograph: gray, each model with full-resolution lightness,
    truth, v3's segmentation, the true one."""
    split = CocoSplit(folder, "val2017")
    models = {name: load_model(run.path) for name, run in runs.items()}
    with write_beside(out / "pictures") as pictures:
        for number, index in enumerate(np.linspace(0, len(split) - 1, min(GRID_ROWS, len(split))).astype(int)):
            photo = split[int(index)]
            lightness = np.ascontiguousarray(rgb8_to_lab(photo.rgb)[..., 0])
            row = {"gray": with_chroma(lightness, np.zeros((1, 1, 2), np.float32))}
            for name, model in models.items():
                _, row[name], semantic_map = model_pictures(model, lightness, recipes[name].size)
                if name == "ucolnet_v3":
                    v3_classes = color_semantic_map(semantic_map)
            row |= {
                "truth": photo.rgb,
                "v3's classes": v3_classes,
                "true classes": color_semantic_map(photo.semantic_map),
            }
            (pictures / f"{number}").mkdir(parents=True)
            for column, (name, picture) in enumerate(row.items()):
                Image.fromarray(picture).save(pictures / f"{number}" / f"{column:02d}-{name}.png")


def _plan(out: Path, profile: str, data, detector, recipes: dict[str, Recipe]) -> str:
    recipe, size = next(iter(recipes.values())), PROFILES[profile]
    scenes = f"the toy world, {size.scenes} scenes of {size.scene_size} px"
    own = f"YOLOv8n, trained on the toy scenes for {size.detector_epochs} epochs"
    return (
        f"The paper's experiment, profile {profile}, into {out}:\n"
        f"  data      {scenes if data is None else data}\n"
        f"  models    {', '.join(recipes)}\n"
        f"  recipe    {recipe.name}: {recipe.size} px, width {recipe.width}, {recipe.epochs} epochs, "
        f"batch {recipe.batch_size}\n"
        f"  detector  {own if detector is None else detector}"
    )


def _summary(rows: list[dict], out: Path, seconds: float) -> str:
    by_name = {row["name"]: row for row in rows}
    gray, oracle, v3 = by_name["gray"]["rmse"], by_name["class_oracle"]["rmse"], by_name["ucolnet_v3"]
    lines = [
        markdown(rows),
        f"UColNet v3: ab RMSE is {v3['rmse']['ab_pooled'] / gray['ab_pooled']:.2f} of gray's over whole images.",
    ]
    if gray["ab_objects_pooled"] and gray["ab_objects_pooled"] > oracle["ab_objects_pooled"]:
        way = (gray["ab_objects_pooled"] - v3["rmse"]["ab_objects_pooled"]) / (
            gray["ab_objects_pooled"] - oracle["ab_objects_pooled"]
        )
        lines.append(f"On the pixels of objects it goes {way:.0%} of the way from gray to the class oracle.")
    original = by_name["original"]
    if original["recognised"]:
        lines.append(
            f"The detector recognises {original['share']:.0%} of the objects in the originals. Of these, it keeps "
            f"{by_name['gray']['retention']:.0%} in gray and {v3['retention']:.0%} after v3's colours "
            f"({by_name['ucolnet_v3_full_lightness']['retention']:.0%} with full-resolution lightness)."
        )
    lines.append(f"Done in {seconds / 60:.1f} minutes. Table, results.json and figures lie in {out}.")
    return "\n".join(lines)
