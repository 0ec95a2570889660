"""One photograph of a prepared set: made small once, and encoded for `prepared.py` to read."""

from __future__ import annotations

import copy
import io
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image
from pycocotools.coco import COCO
from torch.utils.data import Dataset

from ucolnet_lib.color import is_gray
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.photo_folder import PhotoFolder
from ucolnet_lib.data.prepared import RECORD, encode_map

JPEG = {"quality": 88, "subsampling": "4:4:4"}
"""Colours are what is learned: they keep their full resolution. On 518 photographs of COCO, 256 px small, this takes
35 kB each, and a and b are off by 2.1 CIELAB units (root mean square). The usual 4:2:0 is off by 2.8 where it takes as
many bytes (quality 92 to 93), for L 0.9 in place of 1.2, and is decoded a tenth faster."""


class Task(NamedTuple):
    """Photograph `index` of part `part`, which gets the id `id`; what the annotation file lists of it, if anything."""

    id: int
    part: int
    index: int
    image: dict | None
    annotations: list[dict]


class Encoder(Dataset):
    """Makes the photographs of one split small, in the processes of a loader.

    `encoder[task]` is the photograph's `RECORD`, still without a place, and its bytes; or a sentence that says why it
    could not be read. The annotations come with the task: all of COCO's take 3 GB, in each process that holds them.
    """

    def __init__(self, parts: list[tuple[str, CocoSplit | PhotoFolder]], size: int):
        self.parts, self.size = [(folder, copy.copy(photos)) for folder, photos in parts], size
        for _, photos in self.parts:
            if isinstance(photos, CocoSplit):
                photos.coco = COCO()

    def __getitem__(self, task: Task) -> tuple[np.ndarray, bytes] | str:
        folder, split = self.parts[task.part]
        if isinstance(split, CocoSplit):
            own = split.ids[task.index]
            split.coco.imgs, split.coco.imgToAnns = {own: task.image}, {own: task.annotations}
        file = split.file(task.index)
        name = f"{folder}/{file.relative_to(split.root).as_posix()}"
        try:
            photo = split[task.index]
        except UcolnetError as error:
            return str(error).replace(str(file), name)
        height, width = photo.semantic_map.shape
        scale = min(1, self.size / min(height, width))
        shape = max(1, round(width * scale)), max(1, round(height * scale))
        rgb = Image.fromarray(photo.rgb).resize(shape, Image.Resampling.BICUBIC)
        semantic_map = Image.fromarray(photo.semantic_map).resize(shape, Image.Resampling.NEAREST)
        jpeg = io.BytesIO()
        try:
            rgb.save(jpeg, "JPEG", **JPEG)
        except OSError:
            return f"{name} would be {rgb.width} x {rgb.height} pixels, too long for a JPEG. Cut it to shape."
        stored = jpeg.getvalue(), encode_map(np.asarray(semantic_map)), name.encode()
        content = b"".join(stored)
        fields = task.id, 0, *map(len, stored), rgb.height, rgb.width, is_gray(photo.rgb), zlib.crc32(content)
        return np.array(fields, RECORD), content
