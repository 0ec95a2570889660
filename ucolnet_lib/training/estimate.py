"""How long will a training take? Measured on its first steps, then projected."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import torch

from ucolnet_lib.data.batches import split_indices
from ucolnet_lib.data.prepared import open_split
from ucolnet_lib.recipes import Recipe
from ucolnet_lib.training.loop import train

_WARM_UP = 5
"""The first steps take longer: memory is claimed, kernels are chosen, a model may be compiled."""


class Estimate(NamedTuple):
    """`images_per_second` as measured; `epoch_seconds`, of one epoch with validation, as projected."""

    images_per_second: float
    epoch_seconds: float

    def sentence(self, epochs: int, session_hours: float) -> str:
        """What it means for so many epochs in sessions of limited length."""
        total = epochs * self.epoch_seconds
        cost = f"About {_duration(self.epoch_seconds)} an epoch, {epochs} epochs: {_duration(total)}."
        session = f"a session lasts up to {session_hours:g} hours"
        per_session = math.floor(session_hours * 3600 / self.epoch_seconds)
        if per_session == 0:
            return f"{cost} But {session}, and only whole epochs are kept: it would never get on."
        sessions = math.ceil(epochs / per_session)
        if sessions == 1:
            return f"{cost} It fits: {session}."
        return f"{cost} Since {session}, plan for {sessions}; run the same cell again, and it goes on by itself."


def estimate(model_name: str, recipe: Recipe, data: str | Path, seconds: float = 20) -> Estimate:
    """Train for a short time as `train` does, throw the result away, and project.

    The validation photographs are counted as if they were trained on: a little too much, which leaves room for saving.

    Args:
        seconds: how long to measure, after a few steps to warm up.
    Raises:
        UcolnetError: as `train` does.
    """
    split = open_split(data, "train2017")
    training, validation = split_indices(split, recipe.validation_share, recipe.limit, recipe.leave_out_gray)
    watch = _Stopwatch(seconds)
    with tempfile.TemporaryDirectory() as folder:
        try:
            # Epochs without end: of a small data set it takes several to fill the time.
            endless = recipe.replace(epochs=100_000, patience=0)
            train(model_name, endless, data, Path(folder) / "run", progress=False, say=_be_silent, on_step=watch)
        except _Enough:
            pass
    per_second = watch.steps_per_second * min(recipe.batch_size, len(training))
    return Estimate(per_second, (len(training) + len(validation)) / per_second)


class _Enough(Exception):
    """Ends the training."""


class _Stopwatch:
    """Counts steps until there were enough for `seconds`."""

    def __init__(self, seconds: float):
        self.seconds, self.steps, self.started, self.steps_per_second = seconds, 0, 0.0, 0.0

    def __call__(self) -> None:
        self.steps += 1
        if self.steps == _WARM_UP:
            self.started = _now()
        elif self.steps > _WARM_UP and time.perf_counter() - self.started >= self.seconds:
            self.steps_per_second = (self.steps - _WARM_UP) / (_now() - self.started)
            raise _Enough


def _now() -> float:
    """Seconds, when the device has done all that it was told to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"


def _be_silent(sentence: str) -> None:
    """The real training will say it again."""
