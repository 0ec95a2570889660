"""The numbers of a run, in one place: `paper`, `t4`, `a100`, `toy`, `study`, `sample`, `demo` and `smoke`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from ucolnet_lib.common import UcolnetError

_CHOICES = {
    "optimizer": ("sgd", "adamw", "adadelta"),
    "schedule": ("step", "cosine"),
    "alpha": ("balanced", "fixed"),
    "precision": ("fp32", "bf16", "fp16"),
    "color_loss": ("mse", "huber", "chroma_weighted", "bins"),
}
_ADDED = (
    "leave_out_gray", "data_on_device", "compile", "color_loss", "rebalance", "ema", "exposure", "dropout",
)  # fmt: skip
"""Fields that old runs and studies do not name; they were made with what are the defaults now."""
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run does, besides the model and the data.

    Raises:
        UcolnetError: a value is of the wrong type or out of its range.
    """

    name: str
    size: int
    """Side of the square pictures that the model sees, in pixels."""
    width: float
    """One common factor on all default channel widths."""
    global_size: int
    """Side at which Iizuka's global branch sees the picture."""
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    momentum: float = 0.9
    schedule: str = "step"
    """`step`: times `decay` every `decay_epochs` epochs. `cosine`: a short warm-up, then down to zero."""
    decay: float = 0.9
    decay_epochs: int = 5
    alpha: str = "balanced"
    alpha_value: float = 1.0
    """The weight of the segmentation loss when `alpha` is fixed."""
    crop_area: float = 0.5
    """Training crops keep at least this share of the picture's area; 1 is no cropping."""
    validation_share: float = 0.1
    patience: int = 0
    """Early stopping after so many epochs without a better validation colour loss; 0 is off."""
    limit: int = 0
    """Train on the first so many photographs only; 0 takes all."""
    precision: str = "fp32"
    """`bf16` becomes `fp16` on graphics cards and `fp32` on processors that have no bf16."""
    channels_last: bool = True
    seed: int = 0
    leave_out_gray: bool = False
    """Take gray photographs out of training; the data must be prepared."""
    data_on_device: bool = False
    """Keep all photographs decoded in the memory of the training device; the data must be prepared."""
    compile: bool = False
    """Let torch compile the model: a minute or two at the start, then faster steps on a GPU."""
    color_loss: str = "mse"
    """`mse` is the paper's; `bins` is for the model ucolnet_v3_bins; see `color_losses`."""
    rebalance: float = 0.5
    """How much more rare colours weigh when `color_loss` is bins: 0 all pixels alike, towards 1 all bins alike (at
    most 0.99: a colour that never occurs would weigh infinitely much)."""
    ema: float = 0.0
    """Keep, and test, an exponential moving average of the weights; this is its decay a step, 0 is off."""
    exposure: float = 0.0
    """Training pictures are made brighter or darker by a power of up to e to this number."""
    dropout: float = 0.0
    """The share of the bottleneck's channels that a training step leaves out; for models beyond the paper."""

    def __post_init__(self):
        for key, kind in get_type_hints(Recipe).items():
            value = getattr(self, key)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise UcolnetError(f"The recipe's {key} is {value!r}. It must be {_KINDS[kind]}.")
        for key, allowed in _CHOICES.items():
            value = getattr(self, key)
            if value not in allowed:
                raise UcolnetError(f"The recipe's {key} is {value!r}. Choose one of: {', '.join(allowed)}.")
        ranges = {
            "size": (8, 4096), "width": (1 / 64, 8), "global_size": (16, 4096), "epochs": (1, 100_000),
            "batch_size": (1, 65_536), "learning_rate": (1e-8, 100), "weight_decay": (0, 10), "momentum": (0, 0.9999),
            "decay": (1e-3, 1), "decay_epochs": (1, 100_000), "alpha_value": (0, 1e6), "crop_area": (0.05, 1),
            "validation_share": (0.01, 0.9), "patience": (0, 100_000), "limit": (0, 10**9), "seed": (0, 2**31 - 1),
            "rebalance": (0, 0.99), "ema": (0, 0.99999), "exposure": (0, 2), "dropout": (0, 0.9),
        }  # fmt: skip
        for key, (low, high) in ranges.items():
            if not low <= getattr(self, key) <= high:
                raise UcolnetError(f"The recipe's {key} is {getattr(self, key)}. It must lie between {low} and {high}.")

    def replace(self, **changes: Any) -> Recipe:
        """A copy with other numbers."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for recipe.json. A field that was added later stands there only where it is not the default:
        so what was made from a recipe before, and would be made the same now, is still known by the same values."""
        defaults = {field.name: field.default for field in dataclasses.fields(self) if field.name in _ADDED}
        return {key: value for key, value in dataclasses.asdict(self).items() if (key, value) not in defaults.items()}


# Every number that the paper states: SGD, momentum 0.9, weight decay 1e-5, learning rate from 0.1 times 0.9
# every 5 epochs, 90/10. What it leaves open (size, epochs, batch) is our reading.
_PAPER = Recipe(
    name="paper", size=224, width=1.0, global_size=224, epochs=50, batch_size=64,
    optimizer="sgd", learning_rate=0.1, weight_decay=1e-5, precision="bf16",
)  # fmt: skip

# The paper's numbers on the GPU of Colab that costs nothing: 16 GB, no bf16. At full width one step of v1 takes 254
# billion operations a photograph: at a quarter of the card's 65 tera-operations a second in fp16, 50 epochs of COCO
# take 23 hours, and the batch hardly fits. Half the width is a quarter of the arithmetic, and half
# of the memory (measured: 6.9 GB for what v1 keeps for the gradient of 64 photographs, in place of 11.8): so each
# model fits into one session. The hours are projected, not measured.
_T4 = _PAPER.replace(name="t4", width=0.5, precision="fp16")

# The paper's numbers on a large GPU with bf16. Compiling takes minutes at the start, which days of training repay.
_A100 = _PAPER.replace(name="a100", compile=True)

# What trains fast and well in minutes on two CPU cores. Not the paper's optimiser, size or width.
_TOY = Recipe(
    name="toy", size=48, width=0.5, global_size=64, epochs=12, batch_size=16,
    optimizer="adamw", learning_rate=8e-3, weight_decay=1e-4, schedule="cosine", crop_area=0.75, precision="bf16",
)  # fmt: skip

# Seconds: it only shows that everything runs.
_SMOKE = _TOY.replace(name="smoke", size=32, width=0.125, global_size=32, epochs=2, limit=512)

# The studies: every model to its end, with several seeds. The width is the largest at which the weights of v1 and
# Iizuka's model, the largest two, take at most 2 MB in half precision, so that they can be committed.
_STUDY = _TOY.replace(name="study", size=64, width=0.16, learning_rate=1.5e-2, epochs=90, patience=15)

# The paper's models on a few hundred real photographs (`ucolnet study coco-sample`): large enough for the metric to see
# more than resolution, and small enough for many trainings on two cores. AdamW: in a trial of v3 on the same
# photographs, its lowest validation loss lay below that of SGD with the learning rate 0.3 after as many steps. No
# weight decay and no early stopping: the study shows the overfitting.
_SAMPLE = _TOY.replace(
    name="sample", size=128, width=0.25, global_size=128, epochs=20, learning_rate=4e-3, weight_decay=0.0,
    precision="fp32",
)  # fmt: skip

# The model that ships with the package. Not the paper's: see models/ucolnet_v3_half.py and notebook 14.
_DEMO = _TOY.replace(
    name="demo", size=128, width=0.5, epochs=18, learning_rate=4e-3, crop_area=0.3, validation_share=0.05,
    leave_out_gray=True, color_loss="bins", ema=0.999, exposure=0.2,
)  # fmt: skip

OWN_MODEL = {"demo": "ucolnet_v3_bins_no_segmentation"}
"""Recipe -> the model that it was made for, where that is none of the paper's."""

_AS_THE_PAPER = ("paper", "t4", "a100")

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (_PAPER, _T4, _A100, _TOY, _STUDY, _SAMPLE, _SMOKE, _DEMO)
}


@dataclass(frozen=True)
class Profile:
    """How large an experiment or a notebook is: its recipe, and the toy world and detector that go with it."""

    recipe: str
    study_recipe: str
    """The recipe of the studies, which train to the end."""
    scenes: int
    """Toy scenes to draw; a fifth of them is for validation."""
    scene_size: int
    """Side of a toy scene, in pixels."""
    detector_epochs: int
    """Epochs of the toy detector."""


PROFILES: dict[str, Profile] = {
    "smoke": Profile(recipe="smoke", study_recipe="smoke", scenes=80, scene_size=96, detector_epochs=2),
    "toy": Profile(recipe="toy", study_recipe="study", scenes=1000, scene_size=128, detector_epochs=6),
    "full": Profile(recipe="paper", study_recipe="paper", scenes=1000, scene_size=256, detector_epochs=30),
}


def recipe_for(name: str, model: str, settings: dict[str, str] | None = None) -> Recipe:
    """The recipe `name` as it applies to one model, with the reader's own settings on top.

    Args:
        name: a name of `RECIPES`.
        model: a name of `models.MODELS`.
        settings: field name -> value as text, as `--set key=value` gives them.
    Raises:
        UcolnetError: unknown recipe or key, a value of the wrong type or out of range.
    """
    if name not in RECIPES:
        raise UcolnetError(f"There is no recipe {name!r}. Choose one of: {', '.join(RECIPES)}.")
    recipe = RECIPES[name]
    if name in _AS_THE_PAPER and model.startswith("ucolnet_v3"):
        recipe = recipe.replace(weight_decay=0.0)  # the paper trains v3 without L2
    if name in _AS_THE_PAPER and model.startswith("iizuka"):
        recipe = recipe.replace(optimizer="adadelta", learning_rate=1.0, weight_decay=0.0)  # Iizuka et al. 2016
    return recipe.replace(**{key: _parse(key, text) for key, text in (settings or {}).items()})


class RunDescription(NamedTuple):
    """The content of a run folder's recipe.json."""

    model: str
    recipe: Recipe
    data: str


def read_recipe(folder: str | Path) -> RunDescription:
    """Read recipe.json: which model a run trains, with which numbers, on which data.

    Raises:
        UcolnetError: the file is missing or broken.
    """
    file = Path(folder) / "recipe.json"
    if not file.is_file():
        raise UcolnetError(f"{folder} is no run folder: it has no recipe.json. Name the --out of an `ucolnet train`.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return RunDescription(content["model"], Recipe(**content["recipe"]), content["data"])
    except (UcolnetError, ValueError, KeyError, TypeError) as error:
        raise UcolnetError(f"{file} is broken ({error}). Train the model again.") from error


def _parse(key: str, text: str) -> Any:
    types = {k: v for k, v in get_type_hints(Recipe).items() if k != "name"}
    if key not in types:
        raise UcolnetError(f"A recipe has no key {key!r}. Known keys: {', '.join(types)}.")
    kind = types[key]
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError) as error:
        raise UcolnetError(f"{key} takes {_KINDS[kind]}, not {text!r}.") from error
