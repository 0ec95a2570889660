"""The pictures of all variants as files, for detectors that are not installed here; see `detections_file.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.common import write_beside
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.evaluation.stream import stream
from ucolnet_lib.evaluation.systems import System


def save_pictures(photos: CocoSplit, systems: Sequence[System], folder: str | Path, progress: bool = True) -> None:
    """Write `folder/VARIANT/STEM.png` for each photograph and variant, STEM as in the photograph's file name.

    PNG, so that nothing is lost: about 0.4 MB each for photographs of COCO.

    Raises:
        UcolnetError: a photograph or picture is broken, or the disk is full.
    """

    def save(index: int) -> None:
        photo = photos[index]
        lab = rgb8_to_lab(photo.rgb)
        for system in systems:
            if system.ids is not None and photo.id not in system.ids:
                continue
            for variant, picture in system.colour(photo, lab).pictures.items():
                with write_beside(Path(folder) / variant / f"{photo.path.stem}.png") as file:
                    Image.fromarray(picture).save(file, compress_level=1)  # a third larger than 6, and much faster

    for _ in stream(save, len(photos), "pictures", progress):
        pass
