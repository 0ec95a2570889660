"""All models compared, with seeds: each trained to its end by one rule, and every two compared.

The paper's order of its models is a claim about models trained to their end, and a difference between two trainings
may be chance. So each model is trained with several seeds, early stopping by one rule for all, and every difference
comes with an interval over seeds and scenes (`evaluation/statistics.py`).

Beside what `study.py` writes:

    results.json            all rows, the comparisons, the paper's statements, and what they were made with
    table.md, table.csv     the results table in the paper's format, a row a run
    summary.md              a row a model: means over the seeds
    statements.md           what the paper says, and whether it holds here
    comparisons.csv         every two models
    categories.csv          what segmentation helps, category by category
    figures/
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from ucolnet_lib.common import BACKGROUND, IGNORE_INDEX, write_beside
from ucolnet_lib.data.coco import CLASS_NAMES
from ucolnet_lib.evaluation.rows import with_retention
from ucolnet_lib.evaluation.statistics import Interval, rmse_difference, seed_interval
from ucolnet_lib.evaluation.table import write_tables
from ucolnet_lib.experiments.steps import made_with, sha256
from ucolnet_lib.experiments.study import StudyRun, check_choices, run_study
from ucolnet_lib.figures.study import make_study_figures
from ucolnet_lib.models import MODELS
from ucolnet_lib.recipes import PROFILES, recipe_for

KEPT = ("iizuka", "ucolnet_v1", "ucolnet_v2", "ucolnet_v3")
"""The models whose weights are small enough, and useful enough, to be committed."""

VERDICTS = {True: "holds here", False: "does not hold here", None: "cannot be told"}


def study_models(
    out: str | Path | None = None,
    data: str | Path | None = None,
    detector: str | Path | None = None,
    seeds: int = 3,
    profile: str = "toy",
    settings: dict[str, str] | None = None,
    jobs: int | None = None,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> dict:
    """Run the study, or only what is missing of it, and say what came out.

    Args:
        out: the study's folder; what is finished there already is not done again. None is `results/study-models` for
            the committed study (profile toy, drawn scenes), else `runs/study-models`, which leaves that one alone.
        data: a COCO folder; None draws the toy world.
        detector: YOLO weights; None trains a small detector on the toy world, and recognises nothing in other data.
        seeds: trainings of each model.
        profile: `smoke`, `toy` or `full`.
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
        committed = profile == "toy" and data is None and not settings
        out = "results/study-models" if committed else "runs/study-models"
    out = Path(out)
    recipe = PROFILES[profile].study_recipe
    runs = [
        StudyRun(name, name, recipe_for(recipe, name, settings).replace(seed=seed))
        for seed in range(seeds)
        for name in reversed(MODELS)  # v3 first: it is what readers wait for
    ]
    controls, *contents = run_study(
        out, runs, PROFILES[profile], data, detector, keep=KEPT, jobs=jobs, progress=progress, say=say
    )
    by_model = {name: [c for run, c in zip(runs, contents, strict=True) if run.name == name] for name in MODELS}
    errors = {name: read_errors(out, [run.key for run in runs if run.name == name]) for name in MODELS}
    compared = comparisons(by_model, errors)
    kept = [name for name in KEPT if (out / "models" / name).is_dir()]
    results = {
        "rows": with_retention(controls["rows"] + [row for content in contents for row in content["rows"]]),
        "overfitting": {run.key: content["overfitting"] for run, content in zip(runs, contents, strict=True)},
        "summary": summary(by_model, controls["rows"]),
        "statements": statements(by_model, compared),
        "comparisons": compared,
        "models": {name: sha256(out / "models" / name / "model.safetensors") for name in kept},
        "profile": profile,
        "recipe": runs[0].recipe.to_dict(),
        "seeds": seeds,
        "inputs": controls["inputs"],
        "train_minutes": round(sum(content["train_seconds"] for content in contents) / 60, 1),
        **made_with(),
    }
    _write_json(results, out / "results.json")
    write_tables(results["rows"], out / "table")
    by_category = categories(errors, out)
    for name, table in (("comparisons", pd.DataFrame(compared)), ("categories", by_category)):
        with write_beside(out / f"{name}.csv") as file:
            table.to_csv(file, index=False, float_format="%.6g")
    for name, text in (("summary", summary_table(results["summary"])), ("statements", statements_table(results))):
        with write_beside(out / f"{name}.md") as file:
            file.write_text(text, encoding="utf-8")
    make_study_figures(out)
    say(summary_table(results["summary"]))
    say(statements_table(results))
    say(f"Tables, results.json and figures lie in {out}.")
    return results


def read_errors(out: Path, keys: list[str]) -> list[pd.DataFrame]:
    """The ab errors of the runs of one model, a table a seed: image_id, class, class_pixels, class_ab_squared."""
    return [pd.read_csv(out / "classes" / f"{key}.csv") for key in keys]


def by_scene(errors: list[pd.DataFrame], classes: Callable[[pd.Series], pd.Series]) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the chosen classes: squared errors (S, N) for each seed and scene, and numbers of values (N,)."""
    columns = ["class_pixels", "class_ab_squared"]
    sums = [table.loc[classes(table["class"])].groupby("image_id")[columns].sum() for table in errors]
    return np.stack([s["class_ab_squared"] for s in sums]), 2 * sums[0]["class_pixels"].to_numpy()


def _everything(labels: pd.Series) -> pd.Series:
    return labels >= 0


def _objects(labels: pd.Series) -> pd.Series:
    return (labels != BACKGROUND) & (labels != IGNORE_INDEX)


MEASURES: dict[str, tuple[str, int]] = {
    "ab_pooled": ("ab RMSE, whole images", -1),
    "ab_objects_pooled": ("ab RMSE, pixels of objects", -1),
    "miou": ("mIoU", 1),
    "best_epoch": ("epoch of the lowest validation colour loss", 1),
    "final_gap": ("colour loss at the end, validation minus training", -1),
}
"""What is compared -> how it is called, and whether more (1) or less (-1) of it is better."""


def comparisons(by_model: dict[str, list[dict]], errors: dict[str, list[pd.DataFrame]]) -> list[dict]:
    """Every two models by every measure: the first's value minus the second's, mean over the seeds, with its interval.

    The RMSE are paired over seeds and scenes, the other measures over seeds alone. `better` names the model whose
    value is better with the whole interval on one side of 0, and is None where it cannot be told.
    """
    found = []
    for first, second in combinations(by_model, 2):
        for measure, (_, better) in MEASURES.items():
            if measure in ("ab_pooled", "ab_objects_pooled"):
                classes = _everything if measure == "ab_pooled" else _objects
                ours, counts = by_scene(errors[first], classes)
                theirs, _ = by_scene(errors[second], classes)
                interval = rmse_difference(ours, theirs, counts)
            else:
                values = [[_value(content, measure) for content in by_model[name]] for name in (first, second)]
                if None in values[0] + values[1]:
                    continue  # not both of them segment
                interval = seed_interval(np.subtract(*values))
            sign = interval.sign * better
            found.append(
                {
                    "first": first, "second": second, "measure": measure,
                    "difference": interval.estimate, "low": _finite(interval.low), "high": _finite(interval.high),
                    "better": {1: first, -1: second, 0: None}[sign],
                }
            )  # fmt: skip
    return found


def _finite(value: float) -> float | None:
    """JSON has no infinity: with one seed an interval has no ends."""
    return value if np.isfinite(value) else None


def _value(content: dict, measure: str) -> float | None:
    row = content["rows"][0]
    if measure in row["rmse"]:
        return row["rmse"][measure]
    return row["miou"] if measure == "miou" else content["overfitting"][measure]


def summary(by_model: dict[str, list[dict]], controls: list[dict]) -> list[dict]:
    """A row a model: means over the seeds, and standard deviations where a reader will ask for them."""
    gray, oracle = (next(row["rmse"] for row in controls if row["name"] == name) for name in ("gray", "class_oracle"))
    rows = []
    for name, contents in by_model.items():
        values = {m: [_value(content, m) for content in contents] for m in MEASURES}
        # On objects, from gray (0) to the class oracle (1).
        span = gray["ab_objects_pooled"] - oracle["ab_objects_pooled"]
        way = [(gray["ab_objects_pooled"] - v) / span for v in values["ab_objects_pooled"]]
        segments = None not in values["miou"]
        rows.append(
            {
                "model": name,
                "seeds": len(contents),
                "ab_rmse": float(np.mean(values["ab_pooled"])),
                "ab_rmse_std": float(np.std(values["ab_pooled"], ddof=1)) if len(contents) > 1 else None,
                "of_gray": float(np.mean(values["ab_pooled"]) / gray["ab_pooled"]),
                "way_to_oracle": float(np.mean(way)),
                "way_to_oracle_std": float(np.std(way, ddof=1)) if len(contents) > 1 else None,
                "miou": float(np.mean(values["miou"])) if segments else None,
                "best_epoch": float(np.mean(values["best_epoch"])),
                "epochs": float(np.mean([content["epochs"] for content in contents])),
                "final_gap": float(np.mean(values["final_gap"])),
                "parameters": contents[0]["parameters"],
                "minutes": float(np.mean([content["train_seconds"] for content in contents]) / 60),
            }
        )
    return rows


def statements(by_model: dict[str, list[dict]], compared: list[dict]) -> list[dict]:
    """The paper's statements about its models, each against the comparisons that speak to it.

    `differences`: the comparisons, turned so that a positive difference supports the statement. `holds`: True where
    every one of them lies above 0 with its whole interval, False where one lies below 0, None where it cannot be told.
    """

    def gain(better: str, worse: str, measure: str) -> dict:
        """How much better `better` is than `worse`."""
        entry = next(c for c in compared if {c["first"], c["second"]} == {better, worse} and c["measure"] == measure)
        turn = (1 if entry["first"] == better else -1) * MEASURES[measure][1]
        ends = [None if entry[end] is None else turn * entry[end] for end in ("low", "high")]
        low, high = ends if turn > 0 else ends[::-1]
        return {"better": better, "worse": worse, "measure": measure,
                "gain": turn * entry["difference"], "low": low, "high": high}  # fmt: skip

    colours = ("ab_pooled", "ab_objects_pooled")
    claims = [
        ("v2 is the worst of the three", [(v, "ucolnet_v2", m) for m in colours for v in ("ucolnet_v1", "ucolnet_v3")]),
        ("v3 is at least as good as v1", [("ucolnet_v3", "ucolnet_v1", m) for m in colours]),
        ("v3 overfits later than v1", [("ucolnet_v3", "ucolnet_v1", m) for m in ("best_epoch", "final_gap")]),
        ("segmentation helps colour", [("ucolnet_v3", "ucolnet_v3_no_segmentation", m) for m in colours]),
        ("classification helps Iizuka", [("iizuka", "iizuka_no_classes", m) for m in colours]),
        ("the global branch helps Iizuka", [("iizuka_no_classes", "iizuka_no_global", m) for m in colours]),
    ]
    found = []
    for claim, pairs in claims:
        for measure in dict.fromkeys(m for _, _, m in pairs):
            gains = [gain(*pair) for pair in pairs if pair[2] == measure]
            signs = [_sign(g) for g in gains]
            holds = False if -1 in signs else True if 0 not in signs else None
            found.append({"statement": claim, "measure": measure, "gains": gains, "holds": holds})
    return found


def _sign(gain: dict) -> int:
    ends = (-np.inf if gain["low"] is None else gain["low"], np.inf if gain["high"] is None else gain["high"])
    return Interval(gain["gain"], *ends).sign


def categories(errors: dict[str, list[pd.DataFrame]], out: Path) -> pd.DataFrame:
    """What segmentation helps: v3 with and without it on the pixels of each category.

    Columns: category, pixels; ambiguity (the RMSE of the class oracle: how far the category's colours lie from
    their mean, CIELAB units a channel); with_segmentation, without_segmentation (ab RMSE, mean over the seeds);
    gain (without minus with), low, high.
    """
    controls = pd.read_csv(out / "classes" / "controls.csv")
    oracle = controls[controls["variant"] == "class_oracle"]
    rows = []
    for label in sorted(set(oracle["class"]) - {IGNORE_INDEX}):

        def this(labels: pd.Series, label: int = label) -> pd.Series:
            return labels == label

        squares, counts = by_scene([oracle], this)
        ours, _ = by_scene(errors["ucolnet_v3"], this)
        theirs, _ = by_scene(errors["ucolnet_v3_no_segmentation"], this)
        interval = rmse_difference(theirs, ours, counts)
        rows.append(
            {
                "category": CLASS_NAMES[label],
                "pixels": int(counts.sum() // 2),
                "ambiguity": float(np.sqrt(squares.sum() / counts.sum())),
                "with_segmentation": float(np.sqrt(ours.sum(axis=1) / counts.sum()).mean()),
                "without_segmentation": float(np.sqrt(theirs.sum(axis=1) / counts.sum()).mean()),
                "gain": interval.estimate,
                "low": interval.low,
                "high": interval.high,
            }
        )
    return pd.DataFrame(rows)


def summary_table(rows: list[dict]) -> str:
    """`summary` as Markdown."""
    head = ["model", "runs", "ab RMSE ↓", "of gray ↓", "way to the oracle ↑", "mIoU ↑", "lowest loss in epoch",
            "gap at the end ↓", "parameters", "minutes a run"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]

    def spread(value: float | None, digits: str) -> str:
        return "" if value is None else f" ± {value:{digits}}"

    for row in rows:
        miou = "–" if row["miou"] is None else f"{row['miou']:.3f}"
        cells = [
            row["model"], str(row["seeds"]), f"{row['ab_rmse']:.2f}{spread(row['ab_rmse_std'], '.2f')}",
            f"{row['of_gray']:.3f}", f"{row['way_to_oracle']:.1%}{spread(row['way_to_oracle_std'], '.1%')}", miou,
            f"{row['best_epoch']:.0f} of {row['epochs']:.0f}", f"{row['final_gap']:+.4f}", f"{row['parameters']:,}",
            f"{row['minutes']:.1f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    caption = (
        "Means over the runs, ± standard deviation. ab RMSE: CIELAB per channel, all pixels of the test scenes; "
        "of gray: as a share of the gray pictures' RMSE; way to the oracle: on the pixels of objects, from gray (0%) "
        "to the class oracle (100%); lowest loss: of the colour loss on the 10% held out of training; gap: validation "
        "minus training colour loss in the last epoch; minutes: of training, as it ran beside others. "
        "↓ lower is better, ↑ higher is better."
    )
    return "\n".join([*lines, "", caption, ""])


def statements_table(results: dict) -> str:
    """`statements` as Markdown."""
    lines = ["| the paper's statement | measured by | gain, 95% interval | here |", "|---|---|---|---|"]
    for entry in results["statements"]:
        digits = {"best_epoch": ".1f", "final_gap": ".5f"}.get(entry["measure"], ".2f")
        gains = "; ".join(_gain_text(g, digits) for g in entry["gains"])
        name = MEASURES[entry["measure"]][0]
        lines.append(f"| {entry['statement']} | {name} | {gains} | **{VERDICTS[entry['holds']]}** |")
    caption = (
        f"Gain: by how much the model that the statement prefers is better, mean over the seeds ({results['seeds']}); "
        "above 0 supports it. The intervals of RMSE count chance by seeds and by scenes, the others by seeds alone. "
        "*Holds* and *does not hold*: the whole interval lies on one side of 0; else it *cannot be told*."
    )
    return "\n".join([*lines, "", caption, ""])


def _gain_text(gain: dict, digits: str) -> str:
    low = "−∞" if gain["low"] is None else f"{gain['low']:+{digits}}"
    high = "+∞" if gain["high"] is None else f"{gain['high']:+{digits}}"
    return f"{gain['better']} over {gain['worse']}: {gain['gain']:+{digits}} ({low} to {high})"


def _write_json(content: dict, path: Path) -> None:
    with write_beside(path) as file:
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
