"""The controls: what a picture scores that no network has coloured.

`CONTROLS` keep the photograph's own lightness at full resolution and take its chroma from less and less:
nothing (`gray`), one colour for all photographs (`mean_colour`), each photograph's own mean (`image_mean`),
the mean colour of each pixel's true class (`class_oracle`: what perfect segmentation alone would give).

`sized_controls` tell colour from resolution: `original_224` and `gray_224` went through a model's input size and back;
`true_chroma_224` has the true chroma at a model's output size, and so is the ceiling of any such model.
`DAMAGES` tell colour from damage, at full resolution: `chroma_half`, `chroma_inverted` (wrong colours, equally vivid)
and `jpeg_50`.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image
from skimage.color import lab2rgb

from ucolnet_lib.color import gray_picture, rgb8_to_lab
from ucolnet_lib.colorizer import with_chroma
from ucolnet_lib.common import IGNORE_INDEX
from ucolnet_lib.data.coco import NUM_CLASSES, CocoSplit
from ucolnet_lib.evaluation.resize import through
from ucolnet_lib.evaluation.stream import stream

CONTROLS = ("original", "gray", "mean_colour", "image_mean", "class_oracle")
JPEG_QUALITY = 50
DAMAGES = ("chroma_half", "chroma_inverted", f"jpeg_{JPEG_QUALITY}")


@dataclass(frozen=True)
class ChromaStatistics:
    """Mean colours of a split. `overall`: float64 (2,), ab over all pixels; `by_class`: float64 (81, 2);
    `split`: where they come from. A class without a pixel has the overall mean."""

    overall: np.ndarray
    by_class: np.ndarray
    split: str


def chroma_statistics(split: CocoSplit, progress: bool = True) -> ChromaStatistics:
    """Mean ab of all pixels of a split, overall and for each class, in one pass over the photographs."""

    def sums(index: int) -> np.ndarray:
        photo = split[index]
        lab = rgb8_to_lab(photo.rgb)
        classes = photo.semantic_map.ravel()
        count = np.bincount(classes, minlength=IGNORE_INDEX + 1)
        a, b = (np.bincount(classes, lab[..., channel].ravel(), minlength=IGNORE_INDEX + 1) for channel in (1, 2))
        return np.stack((count, a, b), axis=-1)

    total = np.zeros((IGNORE_INDEX + 1, 3))
    for part in stream(sums, len(split), f"colours of {split.split}", progress):
        total += part
    overall = total[:, 1:].sum(axis=0) / total[:, 0].sum()
    by_class = np.tile(overall, (NUM_CLASSES, 1))
    seen = total[:NUM_CLASSES, 0] > 0
    by_class[seen] = total[:NUM_CLASSES][seen, 1:] / total[:NUM_CLASSES][seen, :1]
    return ChromaStatistics(overall, by_class, split.split)


def _one_colour(lightness: np.ndarray, ab: np.ndarray) -> np.ndarray:
    return with_chroma(lightness, np.broadcast_to(ab.astype(np.float32), (*lightness.shape, 2)))


def sized_controls(size: int) -> tuple[str, ...]:
    """Names of the controls that `sized_control_pictures` makes, for a model of size x size pixels."""
    return (f"original_{size}", f"gray_{size}", f"true_chroma_{size}")


def sized_control_pictures(rgb: np.ndarray, lab: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """The pictures of all `sized_controls(size)`, each uint8 (H, W, 3).

    Resized by PIL bicubic, antialiased, aspect ratio not kept. `true_chroma` is made as most programs would make it:
    colours outside sRGB are clipped.
    """
    lightness, ab = lab[..., 0], lab[..., 1:]
    bicubic, own = Image.Resampling.BICUBIC, lightness.shape[::-1]
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(ab, -1, 0)]
    small_ab = [plane.resize((size, size), bicubic).resize(own, bicubic) for plane in planes]
    pictures = (
        through(rgb, (size, size)),
        through(gray_picture(lightness), (size, size)),
        _clipped(np.dstack([lightness, *small_ab])),
    )
    return dict(zip(sized_controls(size), pictures, strict=True))


def damage_pictures(rgb: np.ndarray, lab: np.ndarray) -> dict[str, np.ndarray]:
    """The pictures of all `DAMAGES`, each uint8 (H, W, 3)."""
    lightness, ab = lab[..., 0], lab[..., 1:]
    compressed = io.BytesIO()
    Image.fromarray(rgb).save(compressed, format="JPEG", quality=JPEG_QUALITY)
    pictures = (with_chroma(lightness, ab / 2), with_chroma(lightness, -ab), np.asarray(Image.open(compressed)))
    return dict(zip(DAMAGES, pictures, strict=True))


def _clipped(lab: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-image says of each colour outside sRGB that it is clipped
        return (lab2rgb(lab) * 255).round().astype(np.uint8)


def control_pictures(
    rgb: np.ndarray, lab: np.ndarray, semantic_map: np.ndarray, statistics: ChromaStatistics
) -> dict[str, np.ndarray]:
    """The pictures of all `CONTROLS`, each uint8 (H, W, 3).

    Args:
        rgb: the photograph, uint8 (H, W, 3); lab: `rgb8_to_lab(rgb)`.
        semantic_map: uint8 (H, W), classes 0..80; the oracle gives pixels of 255 (ignore) the overall mean.
    """
    lightness, ab = lab[..., 0], lab[..., 1:]
    oracle = np.tile(statistics.overall, (IGNORE_INDEX + 1, 1)).astype(np.float32)
    oracle[:NUM_CLASSES] = statistics.by_class
    return {
        "original": rgb,
        "gray": gray_picture(lightness),
        "mean_colour": _one_colour(lightness, statistics.overall),
        "image_mean": _one_colour(lightness, ab.mean(axis=(0, 1), dtype=np.float64)),
        "class_oracle": with_chroma(lightness, oracle[semantic_map]),
    }
