"""What models and controls gave on each photograph of a test set, measured once and kept in small files.

`OUT/measured/NAME.json` is what `study_coco_sample_numbers.measured` keeps of a system, with what it was made from. A
system whose file was made from equal inputs is not measured again, with or without its weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.evaluation.cache import Cache
from ucolnet_lib.evaluation.detectors import open_detector
from ucolnet_lib.evaluation.evaluate import control_statistics, evaluate
from ucolnet_lib.evaluation.systems import Controls, ModelSystem, SizedControls, System
from ucolnet_lib.experiments.steps import data_manifest, sha256
from ucolnet_lib.experiments.study import StudyRun
from ucolnet_lib.experiments.study_coco_sample_numbers import measured
from ucolnet_lib.models import load_model
from ucolnet_lib.recipes import read_recipe


class Measurements:
    """Measures on `val2017` of a COCO folder what is not known yet.

    Args:
        out: the study's folder.
        data: a COCO folder with both splits: the colours of the controls come from `train2017`.
        detectors: what `open_detector` takes.
        progress: show bars.
        say: receives a sentence a system that is measured.
    Raises:
        UcolnetError: an input is missing or broken.
    """

    def __init__(
        self, out: Path, data: str | Path, detectors: Sequence[str | Path], progress: bool, say: Callable[[str], None]
    ):
        self.out, self.data, self.progress, self.say = out, data, progress, say
        self.photos, self.referees = CocoSplit(data, "val2017"), [open_detector(weights) for weights in detectors]
        self.detectors = [referee.signature for referee in self.referees]
        self.manifest = data_manifest(data)

    @cached_property
    def cache(self) -> Cache:
        """Of single pictures: what a kill interrupts goes on from here."""
        return Cache(self.out / "work" / "cache.sqlite")

    def of(self, key: str, inputs: dict, system: Callable[[], System]) -> dict:
        """What is known of the system `key`, measured only if it is not known; `system` is called only then."""
        wanted = inputs | {"data": {"val2017": self.manifest["val2017"]}, "detectors": self.detectors}
        file, wanted = self.out / "measured" / f"{key}.json", json.loads(json.dumps(wanted))
        if (known := _read(file)) and known["inputs"] == wanted:
            return known
        self.say(f"{key}: measuring")
        evaluation = evaluate(
            self.photos, [system()], self.referees, self.cache, progress=self.progress, description=key
        )
        content = {"inputs": wanted} | measured(evaluation)
        with write_beside(file) as beside:
            beside.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
        return content

    def of_run(self, run: StudyRun, content: dict) -> dict:
        """What is known of a run of the study's; `content` is that of its file in `rows/`."""
        return self.of(run.key, {"training": content["inputs"]}, lambda: self._trained(run))

    def controls(self, sizes: Collection[int]) -> list[dict]:
        """What is known of the controls, and of those for models of these sizes."""

        def plain() -> System:
            return Controls(control_statistics(self.data, self.photos, self.cache, self.progress))

        return [self.of("controls", {"colours": self.manifest["train2017"]}, plain)] + [
            self.of(f"controls_{size}", {"size": size}, lambda size=size: SizedControls(size)) for size in sorted(sizes)
        ]

    def _trained(self, run: StudyRun) -> System:
        folder = self.out / "work" / run.key
        if not folder.is_dir():
            raise UcolnetError(
                f"{run.key} was trained elsewhere and is not measured with these detectors yet, and its weights "
                f"({folder}) are not here. Remove {self.out / 'rows' / run.key}.json to train it again, or name the "
                "detectors of its results.json."
            )
        return ModelSystem(run.name, load_model(folder), run.recipe.size, run.recipe.seed)


def open_others(folders: Sequence[str | Path], taken: Collection[str]) -> dict[str, tuple[ModelSystem, dict]]:
    """Models trained elsewhere, called as their folders.

    Args:
        folders: run folders, or exported models.
        taken: names that a study has already.
    Returns:
        name -> the model, and what its measurements depend on.
    """
    found = {}
    for folder in map(Path, folders):
        name, about = folder.resolve().name, read_recipe(folder)
        if name in taken or name in found or name.startswith("controls"):
            raise UcolnetError(f"--run {folder}: the table has a row {name} already. Give the folder another name.")
        system = ModelSystem(name, load_model(folder), about.recipe.size, about.recipe.seed)
        inputs = {
            "model": about.model, "size": about.recipe.size, "weights": sha256(folder / "model.safetensors"),
            "config": system.model.config,
        }  # fmt: skip
        found[name] = system, inputs
    return found


def _read(file: Path) -> dict | None:
    """What was measured before; None where there is nothing, or no whole file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and {"inputs", "variants"} <= set(content) else None
