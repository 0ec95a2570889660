"""Photographs in, photographs out, with a trained model.

The network sees the lightness at the size it was trained for. Only a and b are upsampled, along the edges of the
lightness: the picture keeps its own lightness at full resolution, within the 0.5 that 8-bit RGB allows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import nn
from tqdm.auto import tqdm

from ucolnet_lib.color import planes_to_rgb8, rgb8_to_lightness, rgb_to_lab
from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.models import load_model
from ucolnet_lib.recipes import read_recipe

DEMO = Path(__file__).parent / "pretrained" / "demo"
"""The model that ships with the package; its README.md says what it was trained on."""

_AGAIN = "Install the package again, or name another model."

MAX_VIVIDNESS = 3.0

_ORIENTATION = 0x0112
"""The EXIF tag; 1 is upright."""

_STRIP_PIXELS = 2**18
"""Pictures are converted in strips of about so many pixels, by all threads: memory stays small, and so do waits."""

_RIDGE = 50.0
"""Added to the variance of L (in its units, squared) where a and b are fitted to it: faint edges carry no colours."""

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


class Colorizer:
    """Colours photographs of any size and mode.

    Args:
        model: a model of `ucolnet_lib.models`.
        size: side, in pixels, of the square that the model was trained on. A photograph is shown to it with the
            same area and its own aspect ratio.
        device: where the model runs, such as `cpu` or `cuda`.
        vividness: factor on the predicted chroma, 0-3: 1 is what the model predicts, 0 is gray.
    Raises:
        UcolnetError: this machine has no such device, or the vividness is out of its range.
    """

    def __init__(self, model: nn.Module, size: int, device: str | torch.device = "cpu", vividness: float = 1.0):
        if not 0 <= vividness <= MAX_VIVIDNESS:
            raise UcolnetError(f"The vividness is {vividness}. It must lie in 0 to {MAX_VIVIDNESS:.0f}.")
        try:
            self.model = model.to(device).eval()
        except (RuntimeError, AssertionError) as error:  # torch raises either, by its build
            reason = str(error).partition("\n")[0]
            raise UcolnetError(f"The device {device} cannot be used here ({reason}). Take cpu.") from error
        self.size, self.device, self.vividness = size, torch.device(device), vividness

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu", vividness: float = 1.0) -> Colorizer:
        """The best model of a run folder.

        Raises:
            UcolnetError: the folder or its weights are missing, broken, or of another model.
        """
        model = load_model(folder)
        return cls(model, read_recipe(folder).recipe.size, device, vividness)

    @classmethod
    def default(cls, device: str | torch.device = "cpu", vividness: float = 1.0) -> Colorizer:
        """The model that ships with the package, trained on photographs; its checksum is compared first.

        Raises:
            UcolnetError: a file of it is missing or damaged.
        """
        weights = DEMO / "model.safetensors"
        try:
            expected = weights.with_name(f"{weights.name}.sha256").read_text(encoding="utf-8").split()[:1]
            found = hashlib.sha256(weights.read_bytes()).hexdigest()
        except (OSError, ValueError) as error:
            raise UcolnetError(f"The model that ships with the package cannot be read: {error}. {_AGAIN}") from error
        if expected != [found]:
            raise UcolnetError(f"{weights} is not the file that ships with the package: its checksum differs. {_AGAIN}")
        return cls.load(DEMO, device, vividness)

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
        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        coloured = Image.fromarray(self._colour(image))
        if alpha is not None:
            coloured.putalpha(alpha)
        return coloured

    def _colour(self, picture: Image.Image | np.ndarray) -> np.ndarray:
        """Of an image, or of uint8 (H, W, 3): uint8 (H, W, 3), without transparency."""
        lightness = _lightness(picture)
        small = self._shrink(lightness)
        return with_chroma(lightness, self.vividness * self._predict(small), guide=small)

    def predict_ab(self, lightness: np.ndarray) -> np.ndarray:
        """The predicted chroma at the network's size, before `vividness`.

        Args:
            lightness: float32 (H, W), 0-100.
        Returns:
            float32 (h, w, 2), CIELAB units, with h * w about size * size and h : w as H : W.
        """
        return self._predict(self._shrink(lightness))

    def _shrink(self, lightness: np.ndarray) -> np.ndarray:
        """L at the network's size."""
        height, width = lightness.shape
        scale = self.size / (height * width) ** 0.5
        size = max(1, round(width * scale)), max(1, round(height * scale))
        # The gap: large photographs are first averaged to three times the size, six times as fast as bicubic alone.
        small = Image.fromarray(lightness).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
        return np.asarray(small).clip(0, 100)

    @torch.inference_mode()
    def _predict(self, small: np.ndarray) -> np.ndarray:
        output = self.model(torch.from_numpy(small)[None, None].to(self.device))
        return output.ab[0].permute(1, 2, 0).float().cpu().numpy()


def with_chroma(lightness: np.ndarray, ab: np.ndarray, guide: np.ndarray | None = None) -> np.ndarray:
    """Lightness at full resolution and chroma at any, to an 8-bit picture.

    Chroma of another size is brought to H x W by bilinear interpolation. With a guide, as the `Colorizer` uses it, it
    also follows the edges of the lightness: around each small pixel a and b are fitted as linear functions of L, and
    what L has more at full resolution moves a and b by that slope. That is the guided filter (He & Sun, "Fast guided
    filter", arXiv:1505.00996) without its smoothing of a and b themselves. Evaluation gives no guide: there, bilinear
    interpolation stands for what most programs do.

    Args:
        lightness: float32 (H, W), 0-100.
        ab: float32 (h, w, 2), CIELAB units.
        guide: float32 (h, w), 0-100, the lightness at the size of ab.
    Returns:
        uint8 (H, W, 3). Colours outside sRGB lose chroma, not lightness.
    """
    height, width = lightness.shape
    planes = np.moveaxis(ab, -1, 0)
    guided = guide is not None and guide.shape != lightness.shape
    if guided:
        slopes = _slopes(planes, guide)
        planes = np.concatenate((planes - slopes * guide, slopes))
    tall = _stretch(planes, height, axis=1)
    out = np.empty((height, width, 3), np.uint8)

    def paint(rows: slice) -> None:
        a, b, *slopes = _stretch(tall[:, rows], width, axis=2)
        if guided:
            a, b = (plane + slope * lightness[rows] for plane, slope in zip((a, b), slopes, strict=True))
        out[rows] = planes_to_rgb8(lightness[rows], a, b)

    _in_strips(paint, height, width)
    return out


def _slopes(ab: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """How a and b change with L around each pixel, in 3 x 3 pixels, smoothed by as many: (2, h, w)."""
    mean = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
    lightness, ab = torch.tensor(guide)[None], torch.tensor(ab)
    covariance = mean(lightness * ab) - mean(lightness) * mean(ab)
    variance = mean(lightness**2) - mean(lightness) ** 2
    return mean(covariance / (variance + _RIDGE)).numpy()


def _stretch(planes: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Linear interpolation along one axis to `size` values, as torch's with align_corners=False."""
    old = planes.shape[axis]
    if old == size:
        return planes
    place = ((np.arange(size) + 0.5) * (old / size) - 0.5).clip(0, old - 1)
    before = place.astype(np.intp)
    share = (place - before).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(planes.ndim)])
    step = np.diff(planes, axis=axis, append=planes.take([-1], axis=axis))
    stretched = step.take(before, axis=axis)
    stretched *= share
    stretched += planes.take(before, axis=axis)
    return stretched


def _in_strips(work: Callable[[slice], None], height: int, width: int) -> None:
    """Call `work` with slices of rows that make up the picture, in as many threads as torch would use here."""
    rows = max(1, _STRIP_PIXELS // width)
    strips = [slice(top, top + rows) for top in range(0, height, rows)]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(work, strips))  # NumPy lets the other threads run; list() raises what went wrong


def _open(picture: Image.Image | np.ndarray | str | Path) -> Image.Image:
    """Decode, turn upright, and bring all that is transparent to RGBA."""
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    try:
        if isinstance(picture, Image.Image):
            image = ImageOps.exif_transpose(picture)
        else:
            with Image.open(picture) as file:
                ImageOps.exif_transpose(file, in_place=True)
                image = file
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


def _lightness(picture: Image.Image | np.ndarray) -> np.ndarray:
    """L of any PIL image, or of uint8 (H, W, 3): float32 (H, W), 0-100."""
    if isinstance(picture, np.ndarray):
        white, (height, width) = None, picture.shape[:2]
    else:
        # 16-bit and float gray: PIL's own conversion to 8 bits would cut at 255.
        white = 65535 if picture.mode.startswith("I") else 255 if picture.mode == "F" else None
        width, height = picture.size
    out = np.empty((height, width), np.float32)

    def convert(rows: slice) -> None:
        if isinstance(picture, np.ndarray):
            out[rows] = rgb8_to_lightness(picture[rows])
            return
        # Also PIL's pixels become an array strip by strip: that is faster, and the whole is never there twice.
        part = picture.crop((0, rows.start, width, min(rows.stop, height)))
        if white is None:
            out[rows] = rgb8_to_lightness(np.asarray(part.convert("RGB")))
        else:
            gray = torch.from_numpy(np.nan_to_num(np.asarray(part, np.float32) / white).clip(0, 1))
            out[rows] = rgb_to_lab(gray.expand(1, 3, -1, -1))[0, 0].numpy()

    _in_strips(convert, height, width)
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
            if target.suffix.lower() in {".jpg", ".jpeg"}:
                _write_jpeg(colorizer._colour(_read(source)), target)
            else:
                coloured = colorizer(source)
                with write_beside(target) as file:
                    coloured.save(file, format="PNG")
            report.written.append(target)
        except UcolnetError as error:
            report.failed.append((source, str(error)))
    return report


# JPEGs not by PIL where that is possible: its images have four bytes a pixel, and copying a large photograph out of one
# and into one takes as long as decoding it.


def _read(path: Path) -> Image.Image | np.ndarray:
    """As `_open`; an upright colour JPEG as uint8 (H, W, 3)."""
    try:
        with Image.open(path) as file:
            plain = file.format == "JPEG" and file.mode == "RGB" and file.getexif().get(_ORIENTATION, 1) == 1
        if plain:
            return simplejpeg.decode_jpeg(path.read_bytes(), "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        pass  # PIL reads damaged files that simplejpeg refuses, or `_open` says what is wrong
    return _open(path)


def _write_jpeg(rgb: np.ndarray, target: Path) -> None:
    try:
        jpeg = simplejpeg.encode_jpeg(rgb, quality=95, colorspace="RGB", colorsubsampling="444")
    except ValueError as error:
        raise UcolnetError(f"{target} cannot be a JPEG: {error}. Name the picture .png.") from error
    with write_beside(target) as file:
        file.write_bytes(jpeg)


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
