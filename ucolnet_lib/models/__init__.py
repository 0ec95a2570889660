"""The models: gray image in, chroma and classes out. `create_model` builds one by name, `load_model` reads one."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models.base import ColorizationModel, Output
from ucolnet_lib.models.ucolnet_v3 import UColNetV3

__all__ = ["MODELS", "ColorizationModel", "Output", "create_model", "load_model"]

# Name -> what builds it. The ablations are the same classes with one part left out.
MODELS: dict[str, Callable[..., ColorizationModel]] = {
    "ucolnet_v3": UColNetV3,
    "ucolnet_v3_no_segmentation": partial(UColNetV3, segmentation=False),
}


def create_model(name: str, width: float = 1.0, **kwargs) -> ColorizationModel:
    """Build the model `name` of `MODELS` with random weights; `width` multiplies all of its channel widths."""
    if name not in MODELS:
        raise UcolnetError(f"There is no model {name!r}: take one of {', '.join(MODELS)}.")
    return MODELS[name](width=width, **kwargs)


def load_model(path: str | Path) -> ColorizationModel:
    """Read a saved model, in evaluation mode; nothing is asked from the network.

    path: a folder with `config.json` and `model.safetensors`, or one file of weights beside a `config.json`.
    Raises UcolnetError when something is missing, damaged, or belongs to another model.
    """
    path = Path(path)
    if not path.exists():
        raise UcolnetError(f"There is no model at {path}: train one there first, or name another folder.")
    weights = path / "model.safetensors" if path.is_dir() else path
    config_file = weights.with_name("config.json")
    if not config_file.is_file():
        raise UcolnetError(f"{config_file} is missing, so the model beside it cannot be built: name a saved model.")
    try:
        model = create_model(**{"name" if k == "model" else k: v for k, v in json.loads(config_file.read_text()).items()})
    except (ValueError, TypeError, AttributeError) as error:
        raise UcolnetError(f"{config_file} does not describe a model ({error}): copy it again or train again.") from error
    model.load_weights(weights)
    return model.eval()
