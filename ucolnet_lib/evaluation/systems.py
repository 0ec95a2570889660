"""What is evaluated: the controls, models, and folders of pictures that somebody else coloured.

A system turns a photograph into one picture for each of its variants. Beside each model and each foreign folder stands
a matched gray control, `NAME_gray`: the gray picture through the same size and kernel. Only the difference to it is
colour.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from ucolnet_lib.color import gray_picture, rgb8_to_lab
from ucolnet_lib.colorizer import PICTURE_SUFFIXES, with_chroma
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CocoSplit, Photograph, read_rgb
from ucolnet_lib.evaluation.cache import content_key
from ucolnet_lib.evaluation.controls import (
    CONTROLS,
    DAMAGES,
    ChromaStatistics,
    control_pictures,
    damage_pictures,
    sized_control_pictures,
    sized_controls,
)
from ucolnet_lib.evaluation.resize import DEFAULT_KERNEL, through

FULL_LIGHTNESS, MATCHED_GRAY = "_full_lightness", "_gray"
FROM_STATISTICS = ("mean_colour", "class_oracle")


@dataclass(frozen=True)
class Coloured:
    """What a system makes of one photograph. `pictures`: variant -> uint8 (H, W, 3); `semantic_map`: uint8 (H, W),
    classes 0..80, or None; `note`: what a reader should know of this photograph, or None."""

    pictures: dict[str, np.ndarray]
    semantic_map: np.ndarray | None = None
    note: str | None = None


class System(ABC):
    """Makes a picture for each of its `variants`. `kind`: `control`, `model` or `pictures`; `seed` of a model, or
    None; `ids`: the photographs that it has pictures of, None for all."""

    variants: tuple[str, ...]
    kind: str
    seed: int | None = None
    ids: set[int] | None = None

    @abstractmethod
    def key(self, variant: str, image_id: int) -> str:
        """What decides the variant's picture, besides the photograph: a checksum or a short text."""

    @abstractmethod
    def colour(self, photo: Photograph, lab: np.ndarray) -> Coloured:
        """The pictures; `lab` is `rgb8_to_lab(photo.rgb)`. Called from several threads at once."""

    def size_of(self, variant: str) -> int | None:
        """Side of the square that the variant's pictures went through, or None."""
        return None

    def statistics_of(self, variant: str) -> str | None:
        """The split that the variant's colours come from, or None."""
        return None


class Controls(System):
    """`controls.CONTROLS`: the photograph's lightness with its own chroma, with none, or with means."""

    kind, variants = "control", CONTROLS

    def __init__(self, statistics: ChromaStatistics):
        self.statistics = statistics
        self._means = content_key(np.ravel(statistics.overall).tolist(), np.ravel(statistics.by_class).tolist())

    def statistics_of(self, variant: str) -> str | None:
        return self.statistics.split if variant in FROM_STATISTICS else None

    def key(self, variant: str, image_id: int) -> str:
        return f"{variant} {self._means if variant in FROM_STATISTICS else ''}"

    def colour(self, photo: Photograph, lab: np.ndarray) -> Coloured:
        return Coloured(control_pictures(photo.rgb, lab, photo.semantic_map, self.statistics))


class SizedControls(System):
    """`controls.sized_controls`, for a model whose input is a square of `size` x `size` pixels."""

    kind = "control"

    def __init__(self, size: int):
        self.size, self.variants = size, sized_controls(size)

    def size_of(self, variant: str) -> int | None:
        return self.size

    def key(self, variant: str, image_id: int) -> str:
        return _gray_through((self.size, self.size)) if variant == f"gray_{self.size}" else variant

    def colour(self, photo: Photograph, lab: np.ndarray) -> Coloured:
        return Coloured(sized_control_pictures(photo.rgb, lab, self.size))


class Damages(System):
    """`controls.DAMAGES`: the photograph at full resolution with less, wrong or spoilt colour."""

    kind, variants = "control", DAMAGES

    def key(self, variant: str, image_id: int) -> str:
        return variant

    def colour(self, photo: Photograph, lab: np.ndarray) -> Coloured:
        return Coloured(damage_pictures(photo.rgb, lab))


class ModelSystem(System):
    """A model, in two ways (see `model_pictures`): `NAME`, `NAME_full_lightness`, and on request `NAME_gray`.

    Args:
        model: returns `Output(ab, logits)` for lightness (1, 1, size, size); it is put into evaluation mode.
        size: side of the square that the model sees, in pixels.
    """

    kind = "model"

    def __init__(self, name: str, model: nn.Module, size: int, seed: int | None = None, matched_gray: bool = False):
        self.model, self.size, self.seed, self.matched_gray = model.eval(), size, seed, matched_gray
        self.name = name
        self.variants = (name, name + FULL_LIGHTNESS) + ((name + MATCHED_GRAY,) if matched_gray else ())
        # The configuration too: a temperature or a gain stands neither in the weights nor in what a module prints.
        config = json.dumps(getattr(model, "config", None), sort_keys=True, default=str)
        digest = hashlib.sha256(f"{type(model)} {model} {config}".encode())
        for key, tensor in model.state_dict().items():
            digest.update(key.encode() + tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
        self._weights = digest.hexdigest()

    def size_of(self, variant: str) -> int | None:
        return self.size

    def key(self, variant: str, image_id: int) -> str:
        if variant == self.name + MATCHED_GRAY:
            return _gray_through((self.size, self.size))
        return f"{self._weights} {self.size} {variant.removeprefix(self.name)}"

    def colour(self, photo: Photograph, lab: np.ndarray) -> Coloured:
        small, full, semantic_map = model_pictures(self.model, lab[..., 0], self.size)
        pictures = {self.name: small, self.name + FULL_LIGHTNESS: full}
        if self.matched_gray:
            pictures[self.name + MATCHED_GRAY] = through(gray_picture(lab[..., 0]), (self.size, self.size))
        return Coloured(pictures, semantic_map)


class PictureFolder(System):
    """Pictures coloured elsewhere, `NAME`, one for each photograph: the same file stem, any size and format.

    A picture of another size is brought to the photograph's by PIL bicubic; its matched gray control, `NAME_gray`,
    goes the same way: to the picture's size and back.

    Args:
        photos: the split; `ids` says for which of its photographs there is a picture.
        allow_missing: whether pictures may be missing, or belong to no photograph.
    Raises:
        UcolnetError: no folder, no picture, two pictures for one photograph, or one is missing or too many.
    """

    kind = "pictures"

    def __init__(self, name: str, folder: str | Path, photos: CocoSplit, allow_missing: bool = False):
        self.name, self.variants = name, (name, name + MATCHED_GRAY)
        folder = Path(folder)
        if not folder.is_dir():
            raise UcolnetError(f"{name}: there is no folder {folder}. Name the folder of the coloured pictures.")
        found: dict[str, Path] = {}
        for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES):
            if path.stem in found:
                raise UcolnetError(f"{name}: {found[path.stem].name} and {path.name} are two pictures of one thing.")
            found[path.stem] = path
        wanted = {photos.file(i).stem: image_id for i, image_id in enumerate(photos.ids)}
        if len(wanted) < len(photos):
            raise UcolnetError(f"Two files of {photos.photos} have one stem. Rename one, so that pictures find theirs.")
        missing, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        if not set(wanted) & set(found):
            raise UcolnetError(f"{name}: {folder} holds no picture of {photos.photos}. File stems must be the same.")
        if (missing or extra) and not allow_missing:
            words = [f"{len(s)} {what} ({_names(s)})" for what, s in (("missing", missing), ("too many", extra)) if s]
            raise UcolnetError(
                f"{name}: of {len(wanted)} pictures {' and '.join(words)}. Mend {folder}, or evaluate the common part "
                "with --allow-missing."
            )
        self._paths = {wanted[stem]: path for stem, path in found.items() if stem in wanted}
        self.ids = set(self._paths)

    def key(self, variant: str, image_id: int) -> str:
        digest = hashlib.sha256(self._paths[image_id].read_bytes()).hexdigest()
        return f"{digest} {variant.removeprefix(self.name)}"

    def colour(self, photo: Photograph, lab: np.ndarray) -> Coloured:
        picture, gray = read_rgb(self._paths[photo.id]), gray_picture(lab[..., 0])
        height, width = photo.rgb.shape[:2]
        own = picture.shape[1], picture.shape[0]
        if own == (width, height):
            return Coloured({self.name: picture, self.name + MATCHED_GRAY: gray})
        resized = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))
        note = f"pictures of another size brought to the original's by {DEFAULT_KERNEL}"
        return Coloured({self.name: resized, self.name + MATCHED_GRAY: through(gray, own)}, note=note)


@torch.inference_mode()
def model_pictures(
    model: nn.Module, lightness: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Colour a photograph by a model, in the paper's presumed way and with full-resolution lightness.

    The model sees the 8-bit gray picture resized to size x size (PIL bicubic, antialiased, aspect ratio not kept):
    a model that predicts no chroma is then exactly the gray picture through this size and back.

    Args:
        lightness: float32 (H, W), L of the photograph, 0-100.
    Returns:
        the picture at the model's size (its lightness and the predicted ab) resized back by PIL bicubic;
        the picture of the full-resolution lightness and the ab upsampled bilinearly; both uint8 (H, W, 3);
        the semantic map, uint8 (H, W), or None when the model does not segment.
    """
    height, width = lightness.shape
    gray = Image.fromarray(gray_picture(lightness)[..., 0])
    small = np.asarray(gray.resize((size, size), Image.Resampling.BICUBIC))
    small = rgb8_to_lab(np.repeat(small[..., None], 3, axis=-1))[..., 0]
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    output = model(torch.from_numpy(small)[None, None].to(device))
    ab = output.ab[0].float().cpu().permute(1, 2, 0).numpy()
    presumed = Image.fromarray(with_chroma(small, ab)).resize((width, height), Image.Resampling.BICUBIC)
    full = with_chroma(lightness, ab)
    semantic_map = None
    if output.logits is not None and output.logits.ndim == 4:
        semantic_map = _upsampled_classes(output.logits[0].float().cpu(), (height, width))
    return np.asarray(presumed), full, semantic_map


def _upsampled_classes(logits: torch.Tensor, shape: tuple[int, int]) -> np.ndarray:
    """Argmax of the bilinearly upsampled logits (classes, h, w), among the classes that win somewhere at their own
    size: interpolating all 81 would cost ten times as much, and a class that wins only in between is no loss."""
    winners = logits.argmax(dim=0).unique()
    upsampled = nn.functional.interpolate(logits[winners][None], size=shape, mode="bilinear", align_corners=False)[0]
    return winners[upsampled.argmax(dim=0)].byte().numpy()


def _gray_through(size: tuple[int, int]) -> str:
    return f"gray through {size[0]} x {size[1]} {DEFAULT_KERNEL}"


def _names(stems: list[str]) -> str:
    return ", ".join(stems[:3]) + (", ..." if len(stems) > 3 else "")
