"""The set-up of a notebook: `lesson = start()` reads the profile, sets the seeds and says what it runs on.

The same cells serve every profile (`UCOLNET_PROFILE`): `smoke` takes seconds and shows that all cells run, `toy` is
for a laptop and made the saved outputs, `full` is for a GPU. Only the numbers differ, and they stand here.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from ucolnet_lib import __version__
from ucolnet_lib.common import UcolnetError, seed_everything
from ucolnet_lib.data.toy import draw_toy_world, toy_fingerprint
from ucolnet_lib.recipes import PROFILES, RECIPES, Profile, Recipe
from ucolnet_lib.training import Run, train

# Trainings that a reader waits for. On 2 CPU cores v3 takes seconds (smoke) or about a minute (toy).
LESSON_RECIPES: dict[str, Recipe] = {
    "smoke": RECIPES["smoke"].replace(name="lesson"),
    "toy": RECIPES["toy"].replace(name="lesson"),
    "full": RECIPES["toy"].replace(name="lesson", epochs=60, size=128, width=1.0),
}

SAVING = "UCOLNET_SAVE_OUTPUTS"
"""Set by `execute` for the kernels whose outputs it saves."""


def has_reader() -> bool:
    """Whether a person runs the notebook, who wants progress bars and widgets; tests and saved outputs want neither."""
    return not any(name in os.environ for name in (SAVING, "PYTEST_CURRENT_TEST"))


@dataclass(frozen=True)
class Lesson:
    """The numbers of the profile, and a place for data and runs.

    `name`: the profile; `profile`: the size of its toy world; `recipe`: a training short enough to wait for;
    `folder`: where data and runs lie, ignored by git; `progress`: whether to show progress bars.
    """

    name: str
    profile: Profile
    recipe: Recipe
    folder: Path
    progress: bool

    def toy_world(self) -> Path:
        """The profile's toy world as a COCO folder: drawn at the first call, found again by later notebooks."""
        size, pixels = self.profile.scenes, self.profile.scene_size
        out = self.folder / f"toy-{size}x{pixels}px-{toy_fingerprint()}"
        if not out.exists():
            # Two notebooks may draw at once: each draws into its own folder, and the first one to end gives its own.
            own = Path(tempfile.mkdtemp(prefix="drawing-", dir=self.folder))
            try:
                draw_toy_world(own, size, pixels, progress=self.progress)
                with contextlib.suppress(OSError):
                    own.rename(out)
            finally:
                shutil.rmtree(own, ignore_errors=True)
        return out

    def train(self, model: str, into: str, **changes) -> Run:
        """Train a model on the toy world with the lesson's recipe, in place of an older run of that name.

        Args:
            model: a name of `models.MODELS`.
            into: the name of the run; it begins with the notebook's number, such as `00-tour`.
            changes: other numbers for the recipe, such as `epochs=3`.
        """
        data, out = self.toy_world(), self.folder / into
        shutil.rmtree(out, ignore_errors=True)
        recipe = self.recipe.replace(**changes)
        return train(model, recipe, data, out, progress=self.progress, say=print if self.progress else _be_silent)


def start(seed: int = 0) -> Lesson:
    """Prepare a notebook: read the profile, set the seeds, print what it runs on.

    Raises:
        UcolnetError: UCOLNET_PROFILE names no profile.
    """
    name = os.environ.get("UCOLNET_PROFILE", "toy")
    if name not in PROFILES:
        raise UcolnetError(f"UCOLNET_PROFILE is {name!r}. Set it to one of: {', '.join(PROFILES)}.")
    seed_everything(seed)
    folder = _scratch_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    versions = f"Python {platform.python_version()}, torch {version('torch')}, numpy {version('numpy')}"
    print(f"ucolnet {__version__} on {device}, profile {name} ({versions})")
    return Lesson(name, PROFILES[name], LESSON_RECIPES[name], folder, progress=has_reader())


def repository() -> Path | None:
    """The clone that this library stands in, or None when only the package is installed."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "notebooks").is_dir() and (root / "pyproject.toml").is_file() else None


def _scratch_folder() -> Path:
    root = repository()
    return root / "runs" / "notebooks" if root else Path(tempfile.gettempdir()) / "ucolnet-notebooks"


def _be_silent(sentence: str) -> None:
    """Takes the sentences of a training that depend on the machine, which saved outputs must not hold."""
