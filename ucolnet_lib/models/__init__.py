"""The models: gray image in, chroma and classes out. `create_model` builds one by name, `load_model` reads one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models.base import ColorizationModel, Output
from ucolnet_lib.models.iizuka import Iizuka
from ucolnet_lib.models.ucolnet_v1 import UColNetV1
from ucolnet_lib.models.ucolnet_v2 import UColNetV2
from ucolnet_lib.models.ucolnet_v3 import UColNetV3
from ucolnet_lib.models.ucolnet_v3_half import UColNetV3Half

__all__ = [
    "BEYOND_THE_PAPER",
    "MODELS",
    "ColorizationModel",
    "Output",
    "count_multiply_adds",
    "count_parameters",
    "create_model",
    "load_model",
]

# Name -> what builds it. The ablations are the same classes with one part left out.
MODELS: dict[str, Callable[..., ColorizationModel]] = {
    "iizuka": Iizuka,
    "iizuka_no_classes": partial(Iizuka, classify=False),
    "iizuka_no_global": partial(Iizuka, classify=False, global_features=False),
    "ucolnet_v1": UColNetV1,
    "ucolnet_v2": UColNetV2,
    "ucolnet_v3": UColNetV3,
    "ucolnet_v3_no_segmentation": partial(UColNetV3, segmentation=False),
}

BEYOND_THE_PAPER: dict[str, Callable[..., ColorizationModel]] = {
    "ucolnet_v3_half": UColNetV3Half,
    "ucolnet_v3_half_no_segmentation": partial(UColNetV3Half, segmentation=False),
    "ucolnet_v3_bins": partial(UColNetV3Half, bins=True),
    "ucolnet_v3_bins_no_segmentation": partial(UColNetV3Half, bins=True, segmentation=False),
}


def create_model(name: str, width: float = 1.0, **kwargs) -> ColorizationModel:
    """Build the model `name` of `MODELS` or `BEYOND_THE_PAPER` with random weights, in training mode.

    width multiplies all channel widths (1.0 is the full model); kwargs go to the class of the model.
    """
    known = MODELS | BEYOND_THE_PAPER
    if name not in known:
        raise UcolnetError(f"There is no model {name!r}: take one of {', '.join(known)}.")
    return known[name](width=width, **kwargs)


def load_model(path: str | Path) -> ColorizationModel:
    """Read a saved model, in evaluation mode; nothing is asked from the network.

    path: a folder with `config.json` and `model.safetensors`, or one file of weights beside a `config.json`.
    Raises UcolnetError when something is missing, damaged, or belongs to another model.
    """
    path = Path(path)
    if not path.exists():
        raise UcolnetError(f"There is no model at {path}: train one there first, or name another folder.")
    weights = path / "model.safetensors" if path.is_dir() else path
    model = _model_of_config(weights.with_name("config.json"))
    model.load_weights(weights)
    return model.eval()


def _model_of_config(path: Path) -> ColorizationModel:
    """Build the model that a `config.json` describes: {"model": name, and the arguments of its class}."""
    if not path.is_file():
        raise UcolnetError(f"{path} is missing, and without it the weights cannot be read: name the folder of a model.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return create_model(config.pop("model"), **config)
    except (UcolnetError, OSError, ValueError, TypeError, AttributeError, KeyError, RuntimeError) as error:
        raise UcolnetError(f"{path} does not describe a model ({error}): copy it again or train again.") from error


def count_parameters(model: torch.nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_multiply_adds(model: torch.nn.Module, size: int) -> int:
    """Multiply-adds of colouring one image of `size` x `size` pixels, by torch's own counter (half of its FLOPs)."""
    # Tensors on the device "meta" have shapes but no values: counting costs no computation.
    shapes_only = copy.deepcopy(model).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes_only(torch.zeros(1, 1, size, size, device="meta"))
    return counter.get_total_flops() // 2
