"""What many tests need: real photographs where they exist, and tiny COCO folders written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SAMPLE = Path(__file__).parents[2] / "shared" / "data" / "coco-sample"


@pytest.fixture(scope="session")
def sample() -> Path:
    """The COCO folder of real photographs that stands beside the clone, or a skip."""
    if not SAMPLE.is_dir():
        pytest.skip("the real photographs of ../shared/data/coco-sample are not here")
    return SAMPLE


@pytest.fixture(scope="session")
def photos_without_masks() -> Path:
    """The folder of real photographs without masks that stands beside the clone, or a skip."""
    folder = SAMPLE.with_name("photos-160")
    if not folder.is_dir():
        pytest.skip("the photographs of ../shared/data/photos-160 are not here")
    return folder


@pytest.fixture(scope="session")
def rectangle() -> Callable[..., dict]:
    """A function (image_id, category_id, x, y, width, height, crowd=False) -> an annotation of whole pixels.

    An ordinary one is a polygon, a crowd is an uncompressed RLE, as COCO has them; a crowd needs `size=(H, W)`.
    """

    def make(image_id, category_id, x, y, width, height, crowd=False, size=None) -> dict:
        if crowd:
            mask = np.zeros(size, bool)
            mask[y : y + height, x : x + width] = True
            segmentation = {"size": list(size), "counts": run_lengths(mask)}
        else:
            segmentation = [[x, y, x + width, y, x + width, y + height, x, y + height]]
        return {
            "image_id": image_id,
            "category_id": category_id,
            "bbox": [x, y, width, height],
            "area": width * height,
            "iscrowd": int(crowd),
            "segmentation": segmentation,
        }

    return make


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed RLE: lengths of runs, column by column, the first of zeros."""
    flat = mask.T.ravel()
    borders = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *borders, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs


@pytest.fixture(scope="session")
def write_split() -> Callable[..., Path]:
    """A function that writes one split of a COCO folder and returns the folder.

    write_split(root, {"000000000007.png": array or PIL image}, annotations, split="val2017", unlisted=())

    The id of a picture is the number in its name. Names in `unlisted` get no entry in the annotation file.
    """

    def write(root: Path, pictures: dict, annotations=(), split="val2017", unlisted=()) -> Path:
        (root / split).mkdir(parents=True, exist_ok=True)
        (root / "annotations").mkdir(exist_ok=True)
        images = []
        for name, picture in pictures.items():
            image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
            image.save(root / split / name)
            if name not in unlisted:
                size = {"width": image.width, "height": image.height}
                images.append({"id": int(Path(name).stem), "file_name": name, **size})
        content = {
            "images": images,
            "annotations": [{"id": i, **a} for i, a in enumerate(annotations, 1)],
            "categories": [{"id": i, "name": n} for i, n in ((1, "person"), (3, "car"), (90, "toothbrush"))],
        }
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content), encoding="utf-8")
        return root

    return write
