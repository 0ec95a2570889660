"""The engine of the studies: many trainings, each of which leaves small files that can be committed.

Under the folder of a study:

    rows/NAME-SEED.json     what one run measured, and from which recipe, data and detector
    classes/NAME-SEED.csv   its ab errors for each photograph and class, for paired comparisons
    history/NAME-SEED.csv   its loss curves
    models/NAME/            the weights of seed 0 in half precision, where the study keeps them
    rows/controls.json, classes/controls.csv
    work/                   data, detector, run folders: large, not to be committed

A run whose files are there, made from equal inputs, is not done again, with or without `work/`. So a study goes on
in a fresh clone, and a machine may go away between runs; within a run, the epochs in `work/` are kept.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.prepared import open_split
from ucolnet_lib.data.toy import draw_toy_world, toy_fingerprint
from ucolnet_lib.evaluation.detectors import Detector, open_detector
from ucolnet_lib.evaluation.evaluate import Evaluation, evaluate_controls, evaluate_model
from ucolnet_lib.evaluation.toy_detector import train_toy_detector
from ucolnet_lib.experiments.steps import Steps, data_manifest
from ucolnet_lib.metrics import overfitting
from ucolnet_lib.models import count_parameters, load_model
from ucolnet_lib.recipes import PROFILES, Profile, Recipe, RunDescription
from ucolnet_lib.training import Run, train
from ucolnet_lib.training.export import write_half

T = TypeVar("T")


@dataclass(frozen=True)
class StudyRun:
    """One training of a study. `name`: what the row is called; `model`: a name of `models.MODELS`."""

    name: str
    model: str
    recipe: Recipe

    @property
    def key(self) -> str:
        """NAME-SEED, as its files are called."""
        return f"{self.name}-{self.recipe.seed}"


@dataclass(frozen=True)
class _Place:
    """Where a study lies, and what all its runs share. `inputs`: which data and which detector, as plain values."""

    out: Path
    data: Path
    detector: str | Path | None
    inputs: dict
    keep: frozenset[str]
    last: bool = False
    measure: bool = True

    def referee(self) -> Detector | None:
        """The detector, opened; None where nothing is to be recognised."""
        return None if self.detector is None else open_detector(self.detector)

    def rows(self, key: str) -> Path:
        return self.out / "rows" / f"{key}.json"

    def has(self, key: str, inputs: dict) -> bool:
        """Whether the small files of a run are there, made from these inputs."""
        try:
            found = json.loads(self.rows(key).read_text(encoding="utf-8"))["inputs"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        whole = not self.measure or (self.out / "classes" / f"{key}.csv").is_file()
        return found == json.loads(json.dumps(inputs)) and whole


def check_choices(profile: str, seeds: int) -> None:
    """Raises a UcolnetError where there is no such profile, or no seed."""
    if profile not in PROFILES:
        raise UcolnetError(f"There is no profile {profile!r}. Choose one of: {', '.join(PROFILES)}.")
    if seeds < 1:
        raise UcolnetError(f"The number of seeds is {seeds}, and must be 1 or more.")


def run_study(
    out: str | Path,
    runs: Sequence[StudyRun],
    profile: Profile,
    data: str | Path | None = None,
    detector: str | Path | None = None,
    keep: Collection[str] = (),
    recognise: bool = True,
    last: bool = False,
    measure: bool = True,
    jobs: int | None = None,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> list[dict]:
    """Do what is missing of a study.

    Args:
        out: the study's folder.
        runs: the trainings, in the order in which they are done.
        profile: the size of the toy world and its detector, where no other are given.
        data: a COCO folder, or a prepared set where nothing is measured; None draws the toy world.
        detector: YOLO weights; None trains a small detector on the toy world, and recognises nothing in other data.
        keep: names of runs whose weights of seed 0 are kept in `models/`.
        recognise: False for a study of colours alone: no detector is trained or asked.
        last: measure the weights of the last epoch too, as NAME_last, beside those of the best.
        measure: False for a study that measures its models itself: there are no controls and no `classes/`, and the
            `rows` of a run are empty.
        jobs: trainings side by side; None is one for each core, or one where there is a GPU. Side by side, each
            computes on its share of the cores.
        progress: show bars, where one training runs at a time.
        say: receives a sentence a run.
    Returns:
        the contents of the files in `rows/`: the controls first, where something is measured, then the runs in order.
    Raises:
        UcolnetError: an input is missing or broken, or a run failed; what was finished before is kept.
    """
    out = Path(out)
    if data is not None:
        for split in ("train2017", "val2017") if measure else ("train2017",):
            (CocoSplit if measure else open_split)(data, split)
    referee = None if detector is None else open_detector(detector)
    own_detector = recognise and measure and data is None and detector is None
    world = {"scenes": profile.scenes, "size": profile.scene_size, "seed": 0}
    place = _Place(
        out,
        data=out / "work" / "data" if data is None else Path(data),
        detector=out / "work" / "detector.pt" if own_detector else detector,
        inputs={
            "data": {"toy": world | {"source": toy_fingerprint()}} if data is None else data_manifest(data),
            "detector": {"toy": profile.detector_epochs} if own_detector else referee and referee.signature,
        },
        keep=frozenset(keep),
        last=last,
        measure=measure,
    )
    missing = [run for run in runs if not place.has(run.key, _inputs(run, place))]
    controls = not measure or place.has("controls", place.inputs)
    say(f"{len(runs)} runs: {len(runs) - len(missing)} are done, {len(missing)} are to do, into {out}.")
    if missing or not controls:
        _prepare(place, world, profile, data is None, own_detector, controls, progress, say)
        jobs = jobs or (1 if torch.cuda.is_available() else os.cpu_count() or 1)
        _do_all(missing, place, jobs, progress, say)
    keys = (["controls"] if measure else []) + [run.key for run in runs]
    return [json.loads(place.rows(key).read_text(encoding="utf-8")) for key in keys]


def _inputs(run: StudyRun, place: _Place) -> dict:
    return {"model": run.model, "recipe": run.recipe.to_dict(), **place.inputs}


def _prepare(place: _Place, world: dict, profile: Profile, draw: bool, train_detector: bool, controls: bool,
             progress: bool, say: Callable[[str], None]) -> None:  # fmt: skip
    """The data, the detector and the controls."""
    steps = Steps(place.out / "work" / "steps", say)
    if draw:

        def draw_world() -> None:
            shutil.rmtree(place.data, ignore_errors=True)
            draw_toy_world(place.data, world["scenes"], world["size"], world["seed"], progress)

        steps.do("data", place.data, place.inputs["data"], draw_world)
    if train_detector:
        steps.do(
            "detector", place.detector, place.inputs,
            lambda: train_toy_detector(place.data, place.detector, profile.scene_size, profile.detector_epochs),
        )  # fmt: skip
    if not controls:
        say("controls: working")
        evaluation = evaluate_controls(place.data, detector=place.referee(), progress=progress)
        _write(place, "controls", [evaluation], {"inputs": place.inputs})


def _do_all(runs: list[StudyRun], place: _Place, jobs: int, progress: bool, say: Callable[[str], None]) -> None:
    """Train and measure, `jobs` at a time; say after each what came out."""
    started = time.perf_counter()

    def report(done: int, run: StudyRun) -> None:
        content = json.loads(place.rows(run.key).read_text(encoding="utf-8"))
        minutes = (time.perf_counter() - started) / 60
        measured = f"ab RMSE {content['rows'][0]['rmse']['ab_pooled']:.2f} after " if content["rows"] else ""
        say(f"{run.key}: {measured}{content['epochs']} epochs. {done} of {len(runs)} done in {minutes:.0f} minutes.")

    if jobs == 1:
        finished = (_do(run, place, progress) or run for run in runs)
    else:
        finished = in_processes(_do, runs, jobs, place, False)
    for done, run in enumerate(finished, 1):
        report(done, run)


def in_processes(do: Callable[..., None], items: Sequence[T], jobs: int, *arguments) -> Iterator[T]:
    """Call `do(item, *arguments)` for each item, `jobs` at a time, each in a process with its share of the cores.

    Returns:
        the items, as they are finished.
    Raises:
        UcolnetError: a process was killed; or what `do` raises. What is finished then is kept, the rest is not begun.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    # "spawn" works on every system, and a forked torch may hang.
    pool = ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), initializer=torch.set_num_threads, initargs=(threads,)
    )
    try:
        futures = {pool.submit(do, item, *arguments): item for item in items}
        for future in as_completed(futures):
            future.result()
            yield futures[future]
    except BrokenProcessPool as error:
        raise UcolnetError(
            "A training was killed, perhaps for want of memory. What is finished is kept: call again with --jobs 1."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _do(run: StudyRun, place: _Place, progress: bool) -> None:
    """Train one run, measure it, and write its small files; the rows last, since they say that all is there."""
    inputs = _inputs(run, place)
    folder = Run(place.out / "work" / run.key)
    Steps(place.out / "work" / "steps", _be_silent).do(
        f"train-{run.key}",
        folder.path / "finished",
        {key: inputs[key] for key in ("model", "recipe", "data")},
        lambda: train(run.model, run.recipe, place.data, folder.path, folder.path.exists(), progress, _be_silent),
        unfinished=folder.path,
    )
    model, history = load_model(folder.path), folder.history
    measured = {run.name: model} if place.measure else {}
    if place.last and place.measure:
        measured[f"{run.name}_last"] = load_model(folder.path / "last.safetensors")
    evaluations = [
        evaluate_model(
            name, run.recipe.seed, weights, run.recipe.size, place.data, detector=place.referee(), progress=progress
        )
        for name, weights in measured.items()
    ]
    if run.name in place.keep and run.recipe.seed == 0:
        write_half(model, RunDescription(run.model, run.recipe, place.data.name), place.out / "models" / run.name)
    with write_beside(place.out / "history" / f"{run.key}.csv") as file:
        history.to_csv(file, index=False, float_format="%.6g")
    content = {
        "inputs": inputs,
        "overfitting": overfitting(history),
        "epochs": len(history),
        "train_seconds": round(float(history["seconds"].sum()), 1),
        "parameters": count_parameters(model),
    }
    _write(place, run.key, evaluations, content)


def _write(place: _Place, key: str, evaluations: list[Evaluation], content: dict) -> None:
    if place.measure:
        # The colours of both ways of a model are the same but for the resizing: one is enough for comparisons.
        classes = pd.concat([evaluation.per_class for evaluation in evaluations])
        classes = classes[~classes["variant"].str.endswith("_full_lightness")]
        with write_beside(place.out / "classes" / f"{key}.csv") as file:
            classes.to_csv(file, index=False, float_format="%.1f")
    with write_beside(place.rows(key)) as file:
        content = content | {"rows": [row for evaluation in evaluations for row in evaluation.rows]}
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _be_silent(sentence: str) -> None:
    """Takes the sentences of steps and trainings: the study says one for each run."""
