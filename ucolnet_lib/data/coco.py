"""From a COCO annotation file to photographs and semantic maps.

A COCO folder holds `train2017/*.jpg`, `val2017/*.jpg` and `annotations/instances_<split>.json`
(Lin et al. 2014). The semantic map gives each pixel a class: 0 background, 1..80 the categories
in the order of their COCO ids, 255 ignore (crowds, and photographs that nobody annotated).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from pycocotools.coco import COCO

from ucolnet_lib.common import IGNORE_INDEX, UcolnetError
from ucolnet_lib.data.rasterize import OVERLAPS, rasterize

# COCO's ids run from 1 to 90 with ten left out; a class index is the place in this table plus one.
CATEGORIES: dict[int, str] = {
    1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "airplane", 6: "bus", 7: "train", 8: "truck",
    9: "boat", 10: "traffic light", 11: "fire hydrant", 13: "stop sign", 14: "parking meter", 15: "bench",
    16: "bird", 17: "cat", 18: "dog", 19: "horse", 20: "sheep", 21: "cow", 22: "elephant", 23: "bear",
    24: "zebra", 25: "giraffe", 27: "backpack", 28: "umbrella", 31: "handbag", 32: "tie", 33: "suitcase",
    34: "frisbee", 35: "skis", 36: "snowboard", 37: "sports ball", 38: "kite", 39: "baseball bat",
    40: "baseball glove", 41: "skateboard", 42: "surfboard", 43: "tennis racket", 44: "bottle", 46: "wine glass",
    47: "cup", 48: "fork", 49: "knife", 50: "spoon", 51: "bowl", 52: "banana", 53: "apple", 54: "sandwich",
    55: "orange", 56: "broccoli", 57: "carrot", 58: "hot dog", 59: "pizza", 60: "donut", 61: "cake", 62: "chair",
    63: "couch", 64: "potted plant", 65: "bed", 67: "dining table", 70: "toilet", 72: "tv", 73: "laptop",
    74: "mouse", 75: "remote", 76: "keyboard", 77: "cell phone", 78: "microwave", 79: "oven", 80: "toaster",
    81: "sink", 82: "refrigerator", 84: "book", 85: "clock", 86: "vase", 87: "scissors", 88: "teddy bear",
    89: "hair drier", 90: "toothbrush",
}  # fmt: skip
CLASS_NAMES: tuple[str, ...] = ("background", *CATEGORIES.values())
NUM_CLASSES = len(CLASS_NAMES)
CLASS_OF_CATEGORY: dict[int, int] = {category: i for i, category in enumerate(CATEGORIES, start=1)}
CATEGORY_OF_CLASS: dict[int, int] = {i: category for category, i in CLASS_OF_CATEGORY.items()}

PHOTOGRAPH_SUFFIXES = {".jpg", ".jpeg", ".png"}

# What is read of an annotation file; checked when it is opened, not when a photograph is reached.
_KEYS = {
    "images": {"id", "file_name", "height", "width"},
    "annotations": {"image_id", "category_id", "segmentation", "area", "bbox"},
}


@dataclass(frozen=True)
class Annotation:
    """One annotated object. `box`: x, y, width, height in pixels of the photograph; `label`: class 1..80."""

    box: tuple[float, float, float, float]
    label: int
    iscrowd: bool


@dataclass(frozen=True)
class Photograph:
    """One picture of a split. `rgb`: uint8 (H, W, 3); `semantic_map`: uint8 (H, W), classes 0..80 or 255."""

    id: int
    path: Path
    rgb: np.ndarray
    semantic_map: np.ndarray


def read_rgb(path: Path) -> np.ndarray:
    """Decode any picture that PIL reads to uint8 (H, W, 3); gray and CMYK become RGB, EXIF rotation is applied.

    Raises:
        UcolnetError: the file is missing, no picture, cut off, or has more than 8 bits a channel.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                # PIL would cut the values at 255: a white picture.
                raise UcolnetError(f"{path} has more than 8 bits a channel. Convert it to 8 bits first.")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError as error:
        raise UcolnetError(
            f"The photograph {path} is missing. Fetch it again, or take it out of the annotation file."
        ) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UcolnetError(f"{path} is no readable picture ({error}). Replace the file.") from error


def number_photographs(
    folder: Path, listed: Collection[str] = (), taken: Collection[int] = ()
) -> list[tuple[int, str]]:
    """(id, file name) of the photographs in a folder that no annotation file lists.

    COCO's files bear their ids; any other, or one whose number is taken, gets the next free number. Hidden files are
    left out: macOS lays one beside each picture on foreign disks.

    Args:
        folder: where they lie.
        listed: names of files, and `taken`: ids, that an annotation file lists.
    """
    names = sorted(
        p.name
        for p in folder.iterdir()
        if p.suffix.lower() in PHOTOGRAPH_SUFFIXES and p.name not in listed and not p.name.startswith(".")
    )
    numbered: dict[int, str] = {}
    for name in names:
        stem = Path(name).stem
        if stem.isdecimal() and int(stem) not in taken:
            numbered.setdefault(int(stem), name)
    others = sorted(set(names) - set(numbered.values()))
    return [*numbered.items(), *enumerate(others, start=max([0, *taken, *numbered]) + 1)]


class CocoSplit:
    """The photographs of one split of a COCO folder, in the order of their ids.

    Photographs that the annotation file lists without objects are all background: annotators looked at them.
    Photographs that lie in the folder and are not listed are all ignore: nobody did.

    Args:
        root: the COCO folder.
        split: `train2017` or `val2017`.
        overlaps: what becomes of a pixel that several objects claim: `smaller_on_top`, or `ignore` as torchvision's
            reference does (see `rasterize`). On the 518 photographs of our sample of train2017 the two differ in
            2.6% of the pixels.
    Raises:
        UcolnetError: a folder or the annotation file is missing or broken, or there is no such rule.
    """

    def __init__(self, root: str | Path, split: str, overlaps: str = "smaller_on_top"):
        self.root, self.split, self.overlaps = Path(root), split, overlaps
        if overlaps not in OVERLAPS:
            raise UcolnetError(f"There is no rule {overlaps!r} for overlaps. Choose {' or '.join(OVERLAPS)}.")
        self.photos = self.root / split
        self.annotation_file = self.root / "annotations" / f"instances_{split}.json"
        if not self.root.is_dir():
            raise UcolnetError(
                f"The data folder {root} does not exist. Name a COCO folder, or draw one: ucolnet data toy {root}"
            )
        if not self.photos.is_dir():
            raise UcolnetError(
                f"{root} has no folder {split}/. A COCO folder holds train2017/, val2017/ and annotations/."
            )
        self.coco = _read_annotations(self.annotation_file)
        images = [(image["id"], image["file_name"], True) for image in self.coco.imgs.values()]
        listed = {image["file_name"] for image in self.coco.imgs.values()}
        images += [(number, name, False) for number, name in number_photographs(self.photos, listed, self.coco.imgs)]
        if not images:
            raise UcolnetError(f"{self.photos} holds no photograph.")
        self._images = sorted(images)
        self.ids: list[int] = [image_id for image_id, _, _ in self._images]
        """The image ids, in order."""

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Photograph:
        image_id, name, listed = self._images[index]
        path = self.photos / name
        rgb = read_rgb(path)
        return Photograph(image_id, path, rgb, self._semantic_map(image_id, path, rgb.shape[:2], listed))

    def file(self, index: int) -> Path:
        """Where photograph `index` lies."""
        return self.photos / self._images[index][1]

    @cached_property
    def checksum(self) -> str:
        """Over the names and sizes of the photographs, the annotation file, and the rule for overlaps.

        The photographs are not read.
        """
        digest = hashlib.sha256(self.annotation_file.read_bytes() + self.overlaps.encode())
        for index in range(len(self)):
            file = self.file(index)
            # A name need not be valid UTF-8.
            digest.update(os.fsencode(file.name) + f" {file.stat().st_size if file.is_file() else None}\n".encode())
        return digest.hexdigest()

    def annotations(self, index: int) -> list[dict]:
        """What the annotation file says of photograph `index`, as it stands there."""
        image_id, _, listed = self._images[index]
        return self.coco.imgToAnns.get(image_id, []) if listed else []

    def objects(self, index: int) -> list[Annotation]:
        """The annotated objects of photograph `index`, crowds included; none of one that is not listed."""
        return [
            Annotation(tuple(a["bbox"]), CLASS_OF_CATEGORY[a["category_id"]], bool(a.get("iscrowd", 0)))
            for a in self.annotations(index)
        ]

    def _semantic_map(self, image_id: int, path: Path, shape: tuple[int, int], listed: bool) -> np.ndarray:
        if not listed:
            return np.full(shape, IGNORE_INDEX, np.uint8)
        image = self.coco.imgs[image_id]
        if (image["height"], image["width"]) != shape:
            raise UcolnetError(
                f"{path} is {shape[1]} x {shape[0]} pixels, its annotation says {image['width']} x {image['height']}. "
                "The photograph and the annotation file do not belong together."
            )
        try:
            return rasterize(self.coco.imgToAnns.get(image_id, []), CLASS_OF_CATEGORY, shape, self.overlaps)
        except ValueError as error:
            raise UcolnetError(
                f"{self.annotation_file}: of image {image_id}, {error}. Mend this entry, or take it out."
            ) from error


def _read_annotations(path: Path) -> COCO:
    if not path.is_file():
        raise UcolnetError(f"The annotation file {path} is missing. A COCO folder holds annotations/{path.name}.")
    try:
        dataset = json.loads(path.read_text(encoding="utf-8"))
        for part, keys in _KEYS.items():
            for entry in dataset[part]:
                if missing := keys - entry.keys():
                    raise ValueError(f"an entry of {part} lacks {', '.join(sorted(missing))}")
        coco = COCO()
        coco.dataset = {key: dataset[key] for key in ("images", "annotations", "categories")}
        # For whoever shows a photograph; many files have none.
        licenses = dataset.get("licenses") or []
        coco.dataset["licenses"] = [entry for entry in licenses if isinstance(entry, dict) and "id" in entry]
        # pycocotools prints its progress; the person who waits has ours.
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UcolnetError(
            f"{path} is no whole COCO annotation file ({error}). It may have been cut off: fetch it again."
        ) from error
    unknown = sorted({a["category_id"] for a in dataset["annotations"]} - set(CATEGORIES))
    if unknown:
        raise UcolnetError(f"{path} has category ids that COCO does not have: {unknown[:5]}. Map them to COCO's first.")
    return coco
