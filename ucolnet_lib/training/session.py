"""Training on a machine that may be taken away, such as Google Colab: call it again, and it goes on.

The cell of a notebook:

    from google.colab import drive
    from ucolnet_lib.notebook import LiveCurves
    from ucolnet_lib.training.session import train_session

    drive.mount("/content/drive")
    run = train_session(
        "ucolnet_v3",
        data="/content/drive/MyDrive/coco-prepared",
        drive="/content/drive/MyDrive/ucolnet/v3",
        on_epoch=LiveCurves(),
    )
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm.auto import tqdm

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.data.prepared import DESCRIPTION, read_description
from ucolnet_lib.recipes import Recipe, read_recipe, recipe_for
from ucolnet_lib.training.backup import back_up, newest_copy, restore
from ucolnet_lib.training.estimate import estimate
from ucolnet_lib.training.loop import train
from ucolnet_lib.training.run import Run

MOUNT = Path("/content/drive")
"""Where a notebook on Colab mounts Google Drive."""

_LARGE = 30
"""GB of GPU memory from which the recipe a100 is chosen. An L4 has 24, a T4 16, an A100 40 or 80."""


def train_session(
    model: str,
    data: str | Path,
    drive: str | Path,
    recipe: str | None = None,
    settings: Mapping[str, str] | None = None,
    local: str | Path = "/content",
    session_hours: float = 12,
    on_epoch: Callable[[Run], None] | None = None,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Run:
    """Train a model, keep a copy of the run on the drive after each epoch, and go on from there in the next session.

    It says how long an epoch will take before it trains. Training itself is `training.train`.

    Args:
        model: a name of `models.MODELS`.
        data: a data set. One on the mounted drive must be prepared, and is copied to the machine's own disk.
        drive: a folder on the mounted drive, for this run alone.
        recipe: a name of `recipes.RECIPES`; None: that of the run on the drive, or else the one for this GPU.
        settings: field name -> value as text, changes of the recipe.
        local: a folder on the machine's own disk, for the data and the run.
        session_hours: how long a session lasts at most. On Colab 12 hours, with some subscriptions 24.
        on_epoch: called after each epoch, as by `train`.
        progress: show bars.
        say: receives the sentences for the reader.
    Returns:
        the finished run; its folder is `local/runs/NAME`, NAME being that of `drive`.
    Raises:
        UcolnetError: the drive is not mounted, there is no GPU and no recipe, the data are missing or not prepared,
            `drive` holds another run, an epoch takes longer than a session, or as `train` does.
    """
    drive, run = Path(drive), Run(Path(local) / "runs" / Path(drive).name)
    _check_mounted(drive), _check_mounted(Path(data))
    copy = newest_copy(drive, say)
    begun = read_recipe(copy) if copy else run.description if (run.path / "recipe.json").exists() else None
    if begun and recipe is None:
        recipe = begun.recipe.name
        say(f"{_gpu()}. The run was begun with the recipe {recipe}, and keeps it.")
    elif recipe is None:
        recipe = choose_recipe()
        say(f"{_gpu()}. Taking the recipe {recipe}.")
    numbers = recipe_for(recipe, model, dict(settings or {}))
    for other in (copy, run.path):
        if other and (other / "recipe.json").exists():
            _check_same_run(other, model, numbers, Path(data).name)
    data = bring_here(data, Path(local) / "data", progress)
    if copy and restore(copy, run):
        say(f"The run is back from {copy}.")
    if not run.finished:
        left = numbers.epochs - (run.state() or (0,))[0]
        say("Measuring how long an epoch takes.")
        cost = estimate(model, numbers, data)
        if cost.epoch_seconds > session_hours * 3600:
            raise UcolnetError(
                f"{cost.sentence(left, session_hours)} Take less: settings={{'width': ...}}, {{'size': ...}} or "
                "{'limit': ...}; or name a longer session_hours."
            )
        say(cost.sentence(left, session_hours))

    def after_epoch(run: Run) -> None:
        back_up(run, drive, say)
        if on_epoch:
            on_epoch(run)

    run = train(model, numbers, data, run.path, resume=True, progress=progress, say=say, on_epoch=after_epoch)
    back_up(run, drive, say)
    return run


def choose_recipe() -> str:
    """The recipe for the GPU at hand, by its memory and whether it has bf16.

    Raises:
        UcolnetError: there is no GPU. A small recipe in its place would be begun, and kept, by mistake.
    """
    if not torch.cuda.is_available():
        raise UcolnetError(f"{_gpu()}; or name a recipe for this processor: recipe='toy'.")
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return "a100" if memory >= _LARGE and torch.cuda.is_bf16_supported(including_emulation=False) else "t4"


def bring_here(data: str | Path, local: Path, progress: bool = True) -> Path:
    """Where to read `data` from: a copy in `local` of what lies on the mounted drive, else where it is.

    What an interrupted call has copied stays and is not copied again.

    Raises:
        UcolnetError: the data on the drive are not prepared, or do not fit on the disk.
    """
    data = Path(data)
    if MOUNT not in data.parents:
        return data
    read_description(data)  # single photographs would take hours
    here = local / data.name
    # The description comes last: without it the set counts as not prepared.
    files = sorted((f for f in data.iterdir() if f.is_file()), key=lambda file: (file.name == DESCRIPTION, file.name))
    missing = [f for f in files if not _same_file(f, here / f.name)]
    total = sum(f.stat().st_size for f in missing)
    with tqdm(
        total=total, desc=f"copying {data.name}", unit="B", unit_scale=True, disable=not (progress and missing)
    ) as bar:
        for file in missing:
            with write_beside(here / file.name) as beside, file.open("rb") as source, beside.open("wb") as target:
                while block := source.read(2**24):
                    target.write(block)
                    bar.update(len(block))
            shutil.copystat(file, here / file.name)
    return here


def _same_file(one: Path, other: Path) -> bool:
    if not other.is_file():
        return False
    a, b = one.stat(), other.stat()
    return a.st_size == b.st_size and int(a.st_mtime) == int(b.st_mtime)


def _check_mounted(path: Path) -> None:
    # A folder of that name on the machine's own disk would be lost with the machine.
    if MOUNT in path.parents and not (MOUNT / "MyDrive").is_dir():
        raise UcolnetError(
            f"Google Drive is not mounted, so {path} cannot be used. Run this first: "
            f"from google.colab import drive; drive.mount('{MOUNT}')"
        )


def _check_same_run(folder: Path, model: str, recipe: Recipe, data: str) -> None:
    found = read_recipe(folder)
    wanted = {"model": model, "data": data, **asdict(recipe)}
    there = {"model": found.model, "data": Path(found.data).name, **asdict(found.recipe)}
    changed = [f"{key} ({there[key]}, now {wanted[key]})" for key in wanted if wanted[key] != there[key]]
    if changed:
        raise UcolnetError(
            f"{folder} holds a run with another {', '.join(changed)}. Choose another folder on the drive for this run."
        )


def _gpu() -> str:
    if not torch.cuda.is_available():
        return "No GPU found: on Colab choose Runtime > Change runtime type > T4 GPU, then run all cells again"
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name} with {properties.total_memory / 2**30:.0f} GB"
