"""Beyond the paper: one change at a time, from the paper's loss to the recipe of the model that ships with the package.

All variants train equally many steps on the same photographs, with `demo`'s recipe made smaller. What is chosen is
chosen on photographs held out of `train2017` (`validation/`); the photographs of the test folder are looked at last.

Under the folder of the study:

    validation/NAME.json    a variant's colours at several strengths, see `strengths`
    measured/NAME-0.json    what each photograph of the test folder gave
    results.json            all numbers, and what they were made with
    table.md, table.csv     a row a variant
    figures/

and what `study.py` writes: rows/, history/, work/ (run folders: large, not to be committed).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.colorizer import Colorizer, with_chroma
from ucolnet_lib.common import write_beside
from ucolnet_lib.data.batches import need_prepared, split_indices
from ucolnet_lib.data.prepared import open_split
from ucolnet_lib.evaluation.systems import FULL_LIGHTNESS
from ucolnet_lib.evaluation.table import Column, markdown, results_table
from ucolnet_lib.experiments.measurements import Measurements, open_others
from ucolnet_lib.experiments.steps import data_manifest, made_with
from ucolnet_lib.experiments.study import StudyRun, check_choices, run_study
from ucolnet_lib.experiments.study_coco_sample_numbers import table_rows
from ucolnet_lib.figures.beyond import colouring_grid, strength_curves
from ucolnet_lib.figures.style import save
from ucolnet_lib.metrics import colourfulness, sum_of_squares
from ucolnet_lib.models import ColorizationModel, load_model
from ucolnet_lib.recipes import PROFILES, Recipe, read_recipe, recipe_for

VIVIDNESS = tuple(np.round(np.arange(0, 2.55, 0.1), 1))
"""Factors on the chroma at which each model is measured."""

TEMPERATURES = (0.2, 0.38, 0.6, 0.8, 1.0)
"""Of the annealed mean, for models that predict bins."""

_PLAIN = {"crop_area": "0.75", "exposure": "0", "ema": "0"}
_STRONG = {"ema": "0.99"}  # the trials are short: the mean runs over 100 steps, not 1,000
_MSE, _BINS = "ucolnet_v3_half_no_segmentation", "ucolnet_v3_bins_no_segmentation"


@dataclass(frozen=True)
class Variant:
    """A model and what is changed in the trial's recipe. `says`: what differs from the row it is compared with."""

    says: str
    model: str = _MSE
    changes: dict[str, str] = field(default_factory=dict)


VARIANTS: dict[str, Variant] = {
    "mse": Variant("the paper's loss; v3's colour branch at half resolution", changes=_PLAIN | {"color_loss": "mse"}),
    "mse_augmented": Variant(
        "mse, strong crops, exposure, mean of the weights", changes=_STRONG | {"color_loss": "mse"}
    ),
    "huber": Variant("Huber's loss in place of mse", changes=_PLAIN | {"color_loss": "huber"}),
    "chroma_weighted": Variant(
        "mse in which vivid pixels weigh more", changes=_PLAIN | {"color_loss": "chroma_weighted"}
    ),
    "mse_segmentation": Variant(
        "mse with the segmentation decoder and its loss", "ucolnet_v3_half", _PLAIN | {"color_loss": "mse"}
    ),
    "bins": Variant("a distribution over bins of ab, in which rare colours weigh more", _BINS, _PLAIN),
    "bins_not_rebalanced": Variant("bins in which all pixels weigh alike", _BINS, _PLAIN | {"rebalance": "0"}),
    "bins_augmented": Variant("bins, strong crops, exposure, mean of the weights", _BINS, _STRONG),
    "bins_dropout": Variant(
        "bins_augmented, a fifth of the bottleneck's channels left out", _BINS, _STRONG | {"dropout": "0.2"}
    ),
    "bins_wide": Variant("bins_augmented, half as wide again", _BINS, _STRONG | {"width": "0.75"}),
}

SHOWN = ("mse", "bins_not_rebalanced", "bins")
"""The variants in the grid of pictures, one step each; more columns would be too small to see."""

SIZES: dict[str, dict[str, str]] = {
    "smoke": {"size": "32", "width": "0.125", "epochs": "1", "limit": "48"},
    "toy": {"size": "96", "width": "0.5", "epochs": "3"},
    "full": {},
}
"""Profile -> how the recipe `demo` is changed for the trials."""


def trial(name: str, profile: str) -> StudyRun:
    """One training."""
    variant = VARIANTS[name]
    return StudyRun(name, variant.model, recipe_for("demo", variant.model, SIZES[profile] | variant.changes))


def study_beyond(
    data: str | Path,
    test: str | Path,
    out: str | Path | None = None,
    detectors: Sequence[str | Path] = (),
    others: Sequence[str | Path] = (),
    profile: str = "toy",
    jobs: int | None = None,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> dict:
    """Run the study, or only what is missing of it, and say what came out.

    Args:
        data: a prepared data set to train on.
        test: a COCO folder; its `val2017` is the test set, and its `train2017` gives the controls their colours.
        out: the study's folder; None is `results/beyond` for the profile toy, else `runs/beyond`.
        detectors: what `open_detector` takes; without one nothing is recognised.
        others: run folders of models trained elsewhere on the same data, for the same tables, called as their folders.
        profile: `smoke`, `toy` or `full`.
        jobs, progress, say: see `run_study`.
    Returns:
        the content of results.json.
    Raises:
        UcolnetError: an input is missing or broken, or a training failed.
    """
    check_choices(profile, 1)
    out = Path(out or ("results/beyond" if profile == "toy" else "runs/beyond"))
    need_prepared(open_split(data, "train2017"), "This study")
    measurements = Measurements(out, test, detectors, progress, say)
    added = open_others(others, VARIANTS)
    runs = [trial(name, profile) for name in VARIANTS]
    contents = run_study(out, runs, PROFILES[profile], data, measure=False, jobs=jobs, progress=progress, say=say)

    tested = {run.name: [measurements.of_run(run, content)] for run, content in zip(runs, contents, strict=True)}
    chosen = {
        run.name: _strengths(out, run.name, {"training": content["inputs"]}, out / "work" / run.key, data, say)
        for run, content in zip(runs, contents, strict=True)
    }
    for (name, (system, inputs)), folder in zip(added.items(), others, strict=True):
        tested[name] = [measurements.of(name, inputs, lambda system=system: system)]
        inputs = inputs | {"trained_on": data_manifest(data)["train2017"]}
        chosen[name] = _strengths(out, name, inputs, folder, data, say)
    sizes = {run.recipe.size for run in runs} | {system.size for system, _ in added.values()}
    results = {
        "rows": table_rows(measurements.controls(sizes), tested),
        "validation": chosen,
        "says": {name: variant.says for name, variant in VARIANTS.items()} | _say_others(added, others),
        "others": list(added),
        "profile": profile,
        "recipes": {run.name: run.recipe.to_dict() for run in runs},
        "photographs": _photographs(data, runs[0].recipe) | {"test": len(measurements.photos)},
        "detectors": measurements.detectors,
        "data": {"training": data_manifest(data), "test": measurements.manifest},
        **made_with(),
    }
    write_results(results, out)
    save(strength_curves(chosen), out / "figures" / "strengths")
    keys = {run.name: run.key for run in runs}
    folders = {name: out / "work" / keys[name] for name in SHOWN if name in keys}
    folders |= dict(zip(added, map(Path, others), strict=True))
    if all(folder.is_dir() for folder in folders.values()):  # not in a clone, where the weights are not
        grid = colouring_grid({name: Colorizer.load(folder) for name, folder in folders.items()})
        save(grid, out / "figures" / "colourings")
    say(reading_table(results))
    say(f"Tables, results.json and figures lie in {out}.")
    return results


def _say_others(names: Iterable[str], folders: Sequence[str | Path]) -> dict[str, str]:
    """What the table says of models trained elsewhere."""
    recipes = [read_recipe(folder).recipe for folder in folders]
    return {
        name: f"trained apart: {recipe.color_loss}, {recipe.epochs} epochs, {recipe.size} px"
        for name, recipe in zip(names, recipes, strict=True)
    }


def _photographs(data: str | Path, recipe: Recipe) -> dict[str, int]:
    training, validation = split_indices(
        open_split(data, "train2017"), recipe.validation_share, recipe.limit, recipe.leave_out_gray
    )
    return {"training": len(training), "validation": len(validation)}


def _strengths(
    out: Path, name: str, inputs: dict, folder: str | Path, data: str | Path, say: Callable[[str], None]
) -> list[dict]:
    """`strengths` of a run folder, measured only if they are not known yet."""
    file, inputs = out / "validation" / f"{name}.json", json.loads(json.dumps(inputs))
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        if known["inputs"] == inputs:
            return known["strengths"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    say(f"{name}: at several strengths, on the photographs held out")
    rows = strengths(load_model(folder), read_recipe(folder).recipe, data)
    with write_beside(file) as beside:
        beside.write_text(json.dumps({"inputs": inputs, "strengths": rows}, indent=1) + "\n", encoding="utf-8")
    return rows


def strengths(model: ColorizationModel, recipe: Recipe, data: str | Path) -> list[dict]:
    """A model's colours on the photographs held out of training, made paler and more vivid.

    The photographs keep their own lightness. Gray ones are left out.

    Returns:
        a row a setting: `temperature` (None for a model without bins), `vividness` (factor on ab), `rmse` (RGB 0-255,
        mean over photographs), `of_gray` (as a share of the gray pictures'), `colourfulness` (as a share of the true
        pictures').
    """
    split = open_split(data, "train2017")
    _, held_out = split_indices(split, recipe.validation_share, recipe.limit)
    settings = [(t, 1.0) for t in TEMPERATURES] if hasattr(model, "centres") else []
    own = model.temperature if settings else None
    colorizer = Colorizer(model, recipe.size)
    settings += [(own, float(v)) for v in VIVIDNESS if (own, v) not in settings]
    rows: dict[tuple, list] = {setting: [] for setting in settings}
    truth = []
    for index in held_out:
        photo = split[index].rgb
        lightness = rgb8_to_lab(photo)[..., 0]
        truth.append(colourfulness(photo))
        chroma: dict[float | None, np.ndarray] = {}
        for temperature, vividness in settings:
            if temperature not in chroma:
                if temperature is not None:
                    model.temperature = temperature
                chroma[temperature] = colorizer.predict_ab(lightness)
            picture = with_chroma(lightness, np.float32(vividness) * chroma[temperature])
            rows[temperature, vividness].append(
                ((sum_of_squares(picture, photo) / photo.size) ** 0.5, colourfulness(picture))
            )
    gray = np.mean([error for error, _ in rows[own, 0.0]])
    found = []
    for (temperature, vividness), values in rows.items():
        error, colour = np.mean(values, axis=0)
        found.append(
            {"temperature": temperature, "vividness": float(vividness), "rmse": error,
             "of_gray": error / gray, "colourfulness": colour / np.mean(truth)}
        )  # fmt: skip
    return found


def columns(results: Mapping) -> dict[str, Column]:
    """The columns of the table."""
    found = {
        "variant": Column(("name",), 0),
        "what differs": Column(("says",), 0),
        "held out: RMSE, of gray's ↓": Column(("held_out", "of_gray"), 3),
        "colourfulness": Column(("held_out", "colourfulness"), "%"),
        "test: RMSE, of gray's ↓": Column(("rmse_of_gray",), 3, ("rmse_of_gray_ci",)),
        "colourfulness, of the originals'": Column(("colourfulness",), "%"),
        "distance to the originals' ↓": Column(("colourfulness_distance",), 1),
    }
    for signature in results["detectors"]:
        at = ("detectors", signature["detector"])
        found[f"retention minus gray's, {signature['detector']} ↑"] = Column(
            (*at, "minus_gray"), "%", (*at, "minus_gray_ci")
        )
    return found


def variant_rows(results: Mapping) -> list[dict]:
    """The variants and the added models with the photographs' own lightness: rows for `columns`."""
    rows = {row["name"].removesuffix(FULL_LIGHTNESS): row for row in results["rows"] if FULL_LIGHTNESS in row["name"]}
    found = []
    for name, strength in results["validation"].items():
        as_it_is = next(r for r in strength if r["vividness"] == 1 and r["temperature"] == strength[-1]["temperature"])
        found.append(rows[name] | {"name": name, "says": results["says"][name], "held_out": as_it_is})
    return found


def reading_table(results: Mapping) -> str:
    """Markdown: a row a variant."""
    photographs = results["photographs"]
    caption = (
        f"One training each, on {photographs['training']:,} photographs. Held out: {photographs['validation']:,} "
        f"photographs of the same sources, by which a variant may be chosen. Test: {photographs['test']:,} of COCO's "
        "val2017, looked at last. All pictures have the photograph's own lightness. RMSE: RGB, mean over photographs, "
        "as a share of the gray pictures'; distance: mean of |colourfulness - the original's|, in its own units; "
        "retention: of the objects recognised in the originals, minus that of gray, in points of a hundred. In "
        "brackets: intervals of 95%, by a bootstrap over photographs. ↓ lower is better, ↑ higher is better; "
        "colourfulness: the nearer to 100% the better."
    )
    return markdown(variant_rows(results), columns(results), caption)


def write_results(results: dict, out: Path) -> None:
    """The tables, from the content of results.json."""
    for name, text in {
        "results.json": json.dumps(results, indent=1, allow_nan=False) + "\n",
        "table.md": reading_table(results),
    }.items():
        with write_beside(out / name) as file:
            file.write_text(text, encoding="utf-8")
    with write_beside(out / "table.csv") as file:
        results_table(variant_rows(results), columns(results)).to_csv(file, index=False, float_format="%.6g")
