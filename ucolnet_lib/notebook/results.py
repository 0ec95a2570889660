"""What the long runs measured, for notebooks that show trained models at once: read from `results/` of the clone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models import load_model
from ucolnet_lib.notebook.setup import repository

STUDY, BEYOND = "study-models", "beyond"


def study() -> dict[str, Any]:
    """results.json of `ucolnet study models`: rows, summary, statements, comparisons."""
    return json.loads((_folder() / "results.json").read_text(encoding="utf-8"))


def study_history(model: str, seed: int = 0) -> pd.DataFrame:
    """The loss curves of one run of the study: a row an epoch."""
    file = _folder() / "history" / f"{model}-{seed}.csv"
    if not file.is_file():
        raise UcolnetError(f"The study has no run {model} with seed {seed}. Its runs are those of `ucolnet models`.")
    return pd.read_csv(file)


def study_categories() -> pd.DataFrame:
    """What segmentation brings v3, a row a category: pixels, ambiguity, ab RMSE with and without it, the interval."""
    return pd.read_csv(_folder() / "categories.csv")


def trained_model(model: str) -> nn.Module:
    """A model of the study (seed 0), in evaluation mode: iizuka, ucolnet_v1, ucolnet_v2 or ucolnet_v3."""
    return load_model(trained_folder(model))


def trained_folder(model: str) -> Path:
    """Where the weights of a model of the study lie, as `Colorizer.load` takes it."""
    folder = _folder() / "models" / model
    if not folder.is_dir():
        raise UcolnetError(f"The study keeps no weights of {model}. Take iizuka, ucolnet_v1, ucolnet_v2 or ucolnet_v3.")
    return folder


def beyond() -> dict[str, Any]:
    """results.json of `ucolnet study beyond`: validation, rows, says, and what they were made with."""
    return json.loads((_folder(BEYOND) / "results.json").read_text(encoding="utf-8"))


def _folder(study: str = STUDY) -> Path:
    root = repository()
    if root is None:
        raise UcolnetError("The results stand only in a clone of the repository. Clone it, and install it with -e.")
    return root / "results" / study
