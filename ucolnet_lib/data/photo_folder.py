"""A plain folder of photographs as a split: pictures without masks, for whoever has no annotation file."""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path

import numpy as np

from ucolnet_lib.common import IGNORE_INDEX, UcolnetError
from ucolnet_lib.data.coco import Annotation, CocoSplit, Photograph, number_photographs, read_rgb
from ucolnet_lib.data.prepared import DESCRIPTION, PreparedSplit, open_split, read_description

_SPLITS = ("train2017", "val2017")


def open_photographs(folder: str | Path, split: str | None = None) -> CocoSplit | PreparedSplit | PhotoFolder:
    """Whatever a folder holds: a COCO folder, a prepared set, or plain photographs.

    Args:
        folder: where it lies.
        split: `train2017` or `val2017`; without it the first that the folder has, and plain photographs else.
    Raises:
        UcolnetError: the folder is none of the three, or lacks the split.
    """
    folder = Path(folder)
    if not split:
        prepared = (folder / DESCRIPTION).is_file()
        found = read_description(folder)["splits"] if prepared else [s for s in _SPLITS if (folder / s).is_dir()]
        split = next(iter(found), None)
    return open_split(folder, split) if split else PhotoFolder(folder)


class PhotoFolder:
    """The photographs of one folder, in the order of their ids; it reads as a `CocoSplit` does.

    Nobody has annotated them: every pixel of their semantic maps is 255 (ignore), so they teach colour and count for
    nothing in segmentation. Folders inside the folder are not looked into.

    Args:
        root: the folder that holds the pictures themselves.
    Raises:
        UcolnetError: the folder is missing, or holds no photograph.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self.split = self.root.resolve().name
        if not self.root.is_dir():
            raise UcolnetError(f"The folder of photographs {root} does not exist. Check the name.")
        self._images = sorted(number_photographs(self.root))
        if not self._images:
            raise UcolnetError(f"{root} holds no photograph (.jpg, .jpeg or .png). Name the folder that holds them.")
        self.ids: list[int] = [image_id for image_id, _ in self._images]
        """The image ids, in order."""

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Photograph:
        image_id, path = self._images[index][0], self.file(index)
        rgb = read_rgb(path)
        return Photograph(image_id, path, rgb, np.full(rgb.shape[:2], IGNORE_INDEX, np.uint8))

    def file(self, index: int) -> Path:
        """Where photograph `index` lies."""
        return self.root / self._images[index][1]

    @cached_property
    def checksum(self) -> str:
        """Over the names and sizes of the photographs; they are not read."""
        digest = hashlib.sha256()
        for index in range(len(self)):
            digest.update(os.fsencode(self.file(index).name) + f" {self.file(index).stat().st_size}\n".encode())
        return digest.hexdigest()

    def annotations(self, index: int) -> list[dict]:
        """None: there is no annotation file."""
        return []

    def objects(self, index: int) -> list[Annotation]:
        """None: there is no annotation file."""
        return []
