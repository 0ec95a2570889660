"""Photographs in, photographs out, with a trained model.

The network sees the lightness at the size it was trained for. Only a and b are upsampled: the picture keeps
its own lightness at full resolution, within the 0.5 that 8-bit RGB allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import nn
from tqdm.auto import tqdm

from ucolnet_lib.color import lab_to_rgb8, rgb8_to_lab, rgb_to_lab
from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.models import load_model
from ucolnet_lib.recipes import read_recipe

_STRIP_PIXELS = 2**20
"""Lab is converted in strips of about so many pixels: memory stays small for photographs of any size."""

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


class Colorizer:
    """Colours photographs of any size and mode.

    Args:
        model: a model of `ucolnet_lib.models`.
        size: side, in pixels, of the square that the model was trained on. A photograph is shown to it with the
            same area and its own aspect ratio.
        device: where the model runs, such as `cpu` or `cuda`.
    Raises:
        UcolnetError: this machine has no such device.
    """

    def __init__(self, model: nn.Module, size: int, device: str | torch.device = "cpu"):
        try:
            self.model = model.to(device).eval()
        except (RuntimeError, AssertionError) as error:  # torch raises either, by its build
            reason = str(error).partition("\n")[0]
            raise UcolnetError(f"The device {device} cannot be used here ({reason}). Take cpu.") from error
        self.size, self.device = size, torch.device(device)

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> Colorizer:
        """The best model of a run folder.

        Raises:
            UcolnetError: the folder or its weights are missing, broken, or of another model.
        """
        model = load_model(folder)
        return cls(model, read_recipe(folder).recipe.size, device)

    def __call__(self, picture: Image.Image | np.ndarray | str | Path) -> Image.Image:
        """Colour one picture.

        Args:
            picture: a PIL image of any mode (F counts as 0-255); an array (H, W), (H, W, 3) or (H, W, 4) of uint8,
                uint16, bool, or floats in 0-1; or a path. EXIF rotation is applied.
        Returns:
            an RGB image of the same size; RGBA where the picture has transparency.
        Raises:
            UcolnetError: not a picture, or an empty one.
        """
        image = _open(picture)
        lightness = _lightness(image)
        ab = self.predict_ab(lightness)
        coloured = Image.fromarray(with_chroma(lightness, ab))
        if image.mode == "RGBA":
            coloured.putalpha(image.getchannel("A"))
        return coloured

    @torch.inference_mode()
    def predict_ab(self, lightness: np.ndarray) -> np.ndarray:
        """The predicted chroma at the network's size.

        Args:
            lightness: float32 (H, W), 0-100.
        Returns:
            float32 (h, w, 2), CIELAB units, with h * w about size * size and h : w as H : W.
        """
        height, width = lightness.shape
        scale = self.size / (height * width) ** 0.5
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = np.asarray(Image.fromarray(lightness).resize(size, Image.Resampling.BICUBIC))
        output = self.model(torch.from_numpy(small.copy())[None, None].to(self.device).clamp(0, 100))
        return output.ab[0].permute(1, 2, 0).float().cpu().numpy()


def with_chroma(lightness: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """Lightness at full resolution and chroma at any, to an 8-bit picture.

    Args:
        lightness: float32 (H, W), 0-100.
        ab: float32 (h, w, 2), CIELAB units; brought to H x W by bilinear interpolation where it differs.
    Returns:
        uint8 (H, W, 3). Colours outside sRGB lose chroma, not lightness.
    """
    height, width = lightness.shape
    if ab.shape[:2] != (height, width):
        planes = torch.from_numpy(np.moveaxis(ab, -1, 0).copy())[None]
        planes = F.interpolate(planes, size=(height, width), mode="bilinear", align_corners=False)
        ab = planes[0].permute(1, 2, 0).numpy()
    out = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        part = slice(top, top + rows)
        lab = np.empty((*lightness[part].shape, 3), np.float32)
        lab[..., 0], lab[..., 1:] = lightness[part], ab[part]
        out[part] = lab_to_rgb8(lab)
    return out


def _open(picture: Image.Image | np.ndarray | str | Path) -> Image.Image:
    """Decode, turn upright, and bring all that is transparent to RGBA."""
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    try:
        if isinstance(picture, Image.Image):
            image = ImageOps.exif_transpose(picture)
        else:
            with Image.open(picture) as file:
                image = ImageOps.exif_transpose(file)
    except FileNotFoundError as error:
        raise UcolnetError(f"There is no picture at {picture}. Check the path.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UcolnetError(f"{picture} is no readable picture ({error}). Replace or remove the file.") from error
    if 0 in image.size:
        raise UcolnetError("The picture has no pixel. Give one of at least 1 x 1.")
    if image.mode == "La":
        image = image.convert("LA")  # PIL converts La to nothing else
    # A 16-bit gray may name one value as transparent, but PIL looks for it after cutting at 255: left out.
    names_a_colour = "transparency" in image.info and image.mode in ("1", "L", "P", "RGB")
    return image.convert("RGBA") if names_a_colour or image.mode in ("RGBa", "LA", "PA") else image


def _from_array(array: np.ndarray) -> Image.Image:
    if array.size == 0 or not (array.ndim == 2 or array.ndim == 3 and array.shape[2] in (1, 3, 4)):
        raise UcolnetError(
            f"An array of shape {array.shape} is no picture. "
            "Give (H, W), (H, W, 3) or (H, W, 4) with at least one pixel."
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise UcolnetError("A picture of floats must lie in 0 to 1. Divide it by its white, often 255.")
        array = array.astype(np.float32)  # half precision cannot count to 65535
        # 16 bits keep more of a float than 8 do; PIL has them for gray alone.
        array = (array * 65535).round().astype(np.uint16) if array.ndim == 2 else (array * 255).round().astype(np.uint8)
    elif array.dtype == np.uint16 and array.ndim == 3:
        array = (array >> 8).astype(np.uint8)
    elif array.dtype not in (np.uint8, np.uint16):
        raise UcolnetError(f"An array of {array.dtype} is no picture. Give uint8, uint16, bool, or floats in 0 to 1.")
    return Image.fromarray(array)


def _lightness(image: Image.Image) -> np.ndarray:
    """L of any PIL image: float32 (H, W), 0-100."""
    # 16-bit and float gray: PIL's own conversion to 8 bits would cut at 255.
    white = 65535 if image.mode.startswith("I") else 255 if image.mode == "F" else None
    values = np.asarray(image.convert("RGB") if white is None else image)
    out = np.empty((image.height, image.width), np.float32)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        part = values[top : top + rows]
        if white is None:
            out[top : top + rows] = rgb8_to_lab(part)[..., 0]
        else:
            gray = torch.from_numpy(np.nan_to_num(part.astype(np.float32) / white).clip(0, 1))
            out[top : top + rows] = rgb_to_lab(gray.expand(1, 3, -1, -1))[0, 0].numpy()
    return out


@dataclass
class Report:
    """What became of each picture: `written`, `skipped` (the result was there already), `failed` (path and why)."""

    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def colorize_files(
    inputs: Sequence[str | Path], out: str | Path, colorizer: Colorizer, overwrite: bool = False, progress: bool = True
) -> Report:
    """Colour pictures and whole folders into the folder `out`; folders keep their inner structure.

    A picture keeps its name; JPEG stays JPEG, all else becomes PNG. A broken file does not stop the rest.
    Hidden files in a folder are left out, and so is `out` where it lies in the folder.

    Raises:
        UcolnetError: an input is missing, there is no picture in it, two pictures would get the same name, or
            `out` is a file.
    """
    tasks = _plan(inputs, Path(out))
    report = Report()
    for source, target in tqdm(tasks, unit="picture", disable=not progress):
        try:
            if target.exists() and target.samefile(source):
                raise UcolnetError(f"{source} would replace itself. Choose another folder for the results.")
            if target.exists() and not overwrite:
                report.skipped.append(source)
                continue
            coloured = colorizer(source)
            with write_beside(target) as file:
                if target.suffix.lower() in {".jpg", ".jpeg"}:
                    coloured.convert("RGB").save(file, format="JPEG", quality=95, subsampling=0)
                else:
                    coloured.save(file, format="PNG")
            report.written.append(target)
        except UcolnetError as error:
            report.failed.append((source, str(error)))
    return report


def _plan(inputs: Sequence[str | Path], out: Path) -> list[tuple[Path, Path]]:
    """Pairs (source, target)."""
    if out.exists() and not out.is_dir():
        raise UcolnetError(f"{out} is a file. Name a folder for the results.")
    pairs = []
    for item in map(Path, inputs):
        if item.is_dir():
            found = sorted(p for p in item.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file())
            found = [p for p in found if not any(part.startswith(".") for part in p.relative_to(item).parts)]
            # Results of an earlier call are no pictures to be coloured.
            if item.resolve() in out.resolve().parents:
                found = [p for p in found if out.resolve() not in p.resolve().parents]
            if not found:
                raise UcolnetError(f"The folder {item} holds no picture.")
            pairs += [(p, out / p.relative_to(item)) for p in found]
        elif item.exists():
            pairs.append((item, out / item.name))
        else:
            raise UcolnetError(f"There is no picture at {item}. Check the path.")
    tasks: dict[Path, Path] = {}
    for source, target in pairs:
        if target.suffix.lower() not in {".jpg", ".jpeg"}:
            target = target.with_suffix(".png")
        if target in tasks and not tasks[target].samefile(source):
            both = f"{tasks[target]} and {source} would both become {target}."
            raise UcolnetError(f"{both} Colour them into two folders.")
        tasks[target] = source
    return [(source, target) for target, source in tasks.items()]
