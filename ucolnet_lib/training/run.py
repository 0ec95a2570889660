"""The run folder: everything that is known about one training run.

    recipe.json          the model's name, every number of the recipe, the data
    history.csv          one row an epoch; its columns stand below
    steps.csv            one row a step: the loss terms and alpha
    config.json          how to build the model again
    model.safetensors    the weights of the epoch with the best validation colour loss
    last.safetensors     the weights of the last epoch
    samples/             a few validation photographs as coloured after each epoch, and the truth
    finished             there when the run came to its end
    state/               what `--resume` needs; one folder an epoch, only the newest is kept

The columns of history.csv:

    epoch, steps                        both counted from 1; steps from the start of the run
    train_TERM, validation_TERM         mean of a loss term (`losses.LossTerms`): over the epoch's steps, and over the
                                        validation photographs after them
    alpha                               weight of the segmentation loss after the epoch's last step
    learning_rate                       of the epoch's last step
    gradient_norm                       mean, over the steps, of the length of the gradient over all weights; steps
                                        whose gradient was infinite, which fp16 leaves out, do not count
    seconds, images_per_second          of the epoch's training steps, all processes together; without validation
    gpu_memory_gb                       the most that tensors took on the first GPU in the epoch, in units of 2^30
                                        bytes; the column is there on NVIDIA cards alone
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.recipes import Recipe, RunDescription, read_recipe

TIMING_COLUMNS = ("seconds", "images_per_second")
"""The only columns of history.csv that may differ between two equal runs."""


class Run:
    """Reads and writes one run folder."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @property
    def description(self) -> RunDescription:
        """The model's name, the recipe and the data of this run."""
        return read_recipe(self.path)

    def describe(self, model: str, recipe: Recipe, data: str) -> None:
        """Write recipe.json."""
        content = {"model": model, "recipe": recipe.to_dict(), "data": data}
        with write_beside(self.path / "recipe.json") as file:
            file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def write_config(self, config: dict) -> None:
        """Write config.json: with it, `models.load_model` builds the model again."""
        with write_beside(self.path / "config.json") as file:
            file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / "finished").exists()

    def finish(self) -> None:
        with write_beside(self.path / "finished") as file:
            file.write_text(f"{len(self.history)} epochs\n", encoding="utf-8")

    # History: one table, rewritten whole, since an epoch is one row.

    @property
    def history(self) -> pd.DataFrame:
        file = self.path / "history.csv"
        if not file.is_file():
            raise UcolnetError(f"{self.path} has no history.csv: the run has not finished an epoch.")
        return pd.read_csv(file)

    def write_history(self, rows: list[dict]) -> None:
        with write_beside(self.path / "history.csv") as file:
            pd.DataFrame(rows).to_csv(file, index=False)

    def append_steps(self, rows: list[dict], first: bool) -> None:
        pd.DataFrame(rows).to_csv(self.path / "steps.csv", mode="w" if first else "a", header=first, index=False)

    def forget_steps_after(self, epoch: int) -> None:
        """Drop the steps of an epoch that was interrupted, a half-written last line with them."""
        file = self.path / "steps.csv"
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = lines[:1] + [line for line in lines[1:] if line.endswith("\n") and int(line.split(",", 1)[0]) <= epoch]
        with write_beside(file) as beside:
            beside.write_text("".join(kept), encoding="utf-8")

    # States: a folder an epoch, made whole beside and then renamed.

    def state(self) -> tuple[int, Path] | None:
        """The newest whole state: (epoch, folder), or None."""
        found = [(int(p.name.removeprefix("epoch-")), p) for p in (self.path / "state").glob("epoch-*") if p.is_dir()]
        return max(found, default=None)

    def keep_only_state(self, epoch: int) -> None:
        for p in (self.path / "state").iterdir():
            if p.name != f"epoch-{epoch:05d}":
                shutil.rmtree(p, ignore_errors=True)
