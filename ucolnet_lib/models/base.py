"""What all models have in common: the output, the preparation of the input, saving and strict loading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ucolnet_lib.common import UcolnetError, write_beside


class Output(NamedTuple):
    """What every model returns.

    ab: chroma in CIELAB units, float32 (N, 2, H, W), at the size of the input.
    logits: class scores before the softmax, float32: for each pixel (N, num_classes, H, W) from the UColNets, for
        each image (N, num_classes) from Iizuka's model; None from a model without such a task.
    """

    ab: Tensor
    logits: Tensor | None


MODEL_CARD = """---
{{ card_data }}
---

Colorizes grayscale images: lightness in, CIELAB ab out. A model of the course on
*Grayscale Image Colorization Based on Semantic Segmentation* (Pușcaș, 2024); `config.json` says which one.

    from ucolnet_lib.models import load_model
    model = load_model("this folder")
"""


class ColorizationModel(nn.Module, PyTorchModelHubMixin, library_name="ucolnet", model_card_template=MODEL_CARD):
    """Base of all models: `save_pretrained(folder)` and `from_pretrained(folder)` come from huggingface_hub.

    A subclass sets `name`, its key in `MODELS`, and `stride`: the sides of its input are padded to a multiple of it.
    """

    name: str
    stride: int

    def prepare(self, lightness: Tensor) -> Tensor:
        """L (N, 1, H, W) in 0-100 -> (N, 1, H', W') in -1..1, H' and W' the next multiples of the stride.

        The last row and column are repeated at the bottom and on the right; a side that fits is left as it is.
        """
        if lightness.ndim != 4 or lightness.shape[1] != 1 or 0 in lightness.shape:
            raise UcolnetError(
                f"{self.name} takes lightness of shape (N, 1, H, W), got {tuple(lightness.shape)}: "
                "give the L channel alone, with a batch dimension."
            )
        height, width = lightness.shape[-2:]
        x = lightness / 50 - 1
        return F.pad(x, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")

    @property
    def config(self) -> dict:
        """The model's name and the arguments that build it again: what `config.json` holds."""
        return {"model": self.name, **self._hub_mixin_config}

    def _save_pretrained(self, save_directory: Path) -> None:
        """Called by `save_pretrained`: `model.safetensors` and `config.json`."""
        self.save_weights(save_directory / "model.safetensors")
        with write_beside(save_directory / "config.json") as path:
            path.write_text(json.dumps(self.config, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def save_weights(self, path: str | Path) -> None:
        """Write the weights alone, as safetensors; the file's metadata say which model they belong to."""
        weights = {key: value.detach().cpu().contiguous() for key, value in self.state_dict().items()}
        with write_beside(path) as beside:
            # One key alone: safetensors writes several in an order of chance, and equal weights would differ as files.
            save_file(weights, beside, {"config": json.dumps(self.config)})

    def load_weights(self, path: str | Path) -> None:
        """Fill the model from a safetensors file that must fit exactly.

        Raises UcolnetError when the file is missing, damaged, or holds another model or another width.
        """
        path = Path(path)
        if not path.is_file():
            raise UcolnetError(f"There are no weights at {path}: train a model there first, or name another folder.")
        try:
            with safe_open(path, framework="pt") as file:
                theirs = json.loads((file.metadata() or {}).get("config", "{}"))
                weights = {key: file.get_tensor(key) for key in file.keys()}
        except (SafetensorError, OSError, ValueError) as error:
            raise UcolnetError(
                f"Cannot read the weights in {path} ({error}): the file is damaged or no safetensors file; "
                "copy it again or train again."
            ) from error
        own = self.state_dict()
        if {key: value.shape for key, value in weights.items()} != {key: value.shape for key, value in own.items()}:
            raise UcolnetError(
                f"{path} {self._misfit(weights, theirs)}: load it with the config.json that was saved beside it."
            )
        self.load_state_dict(weights)

    def _misfit(self, weights: dict[str, Tensor], theirs: dict) -> str:
        """Say why weights do not fit: by the config that their file states, or else by the first tensor."""
        differs = [key for key, value in self.config.items() if theirs.get(key, value) != value]
        if "model" in differs:
            return f"holds {theirs['model']}, not {self.name}"
        if differs:
            said, wanted = (", ".join(f"{key}={config[key]}" for key in differs) for config in (theirs, self.config))
            return f"holds {self.name} with {said}, not {wanted}"
        own = self.state_dict()
        for key in own:
            if key not in weights:
                return f"does not fit {self.name} (it lacks {key})"
            if own[key].shape != weights[key].shape:
                return f"does not fit {self.name} ({key} is {tuple(weights[key].shape)}, not {tuple(own[key].shape)})"
        return f"does not fit {self.name} (it has more, such as {next(key for key in weights if key not in own)})"

    @classmethod
    def _load_as_safetensor(cls, model: ColorizationModel, model_file: str, map_location: str, strict: bool):
        """Called by `from_pretrained`, whose own default would skip tensors that do not fit: here loading is strict."""
        model.load_weights(model_file)
        return model.to(map_location).eval()
