"""Which images of a COCO split: a choice that is the same on every machine, and the annotations of those alone."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CATEGORIES


def by_hash(image_ids: Iterable[int]) -> list[int]:
    """The ids in the order of their SHA-256: as good as shuffled, without a seed, and the first N never change."""
    return sorted(image_ids, key=lambda image_id: hashlib.sha256(str(image_id).encode()).digest())


def choose_images(
    annotations: dict,
    limit: int | None = None,
    image_ids: Collection[int] | None = None,
    categories: Collection[str] = (),
) -> list[int]:
    """The ids of the chosen images, in order.

    Args:
        annotations: the content of a COCO annotation file.
        limit: so many at most, the first in the order of `by_hash`; so a larger limit keeps those of a smaller one.
        image_ids: these and no others.
        categories: names of COCO's categories; an image has an object of at least one of them.
    Raises:
        UcolnetError: an id that the file does not list, an unknown category, or nothing is left.
    """
    chosen = {image["id"] for image in annotations["images"]}
    if image_ids is not None:
        if unknown := sorted(set(image_ids) - chosen):
            raise UcolnetError(
                f"{len(unknown)} of the ids are not in this split, such as {unknown[0]}. "
                "Take them out, or name the other split."
            )
        chosen = set(image_ids)
    if categories:
        wanted = {_category(name) for name in categories}
        chosen &= {a["image_id"] for a in annotations["annotations"] if a["category_id"] in wanted}
    if not chosen:
        raise UcolnetError("No image fits the choice. Name other ids or categories.")
    return sorted(by_hash(chosen)[:limit])


def restrict(annotations: dict, image_ids: Collection[int]) -> dict:
    """The same annotation file with these images and their objects alone; licences and all else stay as they are."""
    kept = set(image_ids)
    return annotations | {
        "images": [image for image in annotations["images"] if image["id"] in kept],
        "annotations": [a for a in annotations["annotations"] if a["image_id"] in kept],
    }


def read_ids(path: Path) -> list[int]:
    """The ids in a text file, one a line; names such as `000000000139.jpg` count too.

    Raises:
        UcolnetError: the file is missing, empty, or a line is no id.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UcolnetError(f"The file of ids {path} cannot be read. It is a text with one image id a line.") from error
    stems = [line.removesuffix(".jpg") for line in lines if line]
    if wrong := [stem for stem in stems if not (stem.isascii() and stem.isdecimal())]:
        raise UcolnetError(f"{path} has a line {wrong[0]!r}. Write one image id a line, such as 139.")
    if not stems:
        raise UcolnetError(f"{path} names no image. Write one image id a line, such as 139.")
    return [int(stem) for stem in stems]


def _category(name: str) -> int:
    numbers = {known: number for number, known in CATEGORIES.items()}
    if name not in numbers:
        close = difflib.get_close_matches(name, numbers, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"They are: {', '.join(numbers)}."
        raise UcolnetError(f"COCO has no category {name!r}. {hint}")
    return numbers[name]
