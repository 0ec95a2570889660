"""The toy world: scenes drawn by the computer, written as a valid COCO folder.

It stands in for COCO where nothing can be downloaded. Everything downstream is the code that reads COCO: photographs
as JPEG, polygons of objects, a few crowds as RLE, official category ids and names, overlaps and occlusion.

What it asks of a colorizer, and what a test holds fixed (tests/data/test_toy.py):

- colour depends on the category: most have one colour, `TWO_COLOURS` have two, `ANY_COLOUR` have any; so knowing the
  category is worth much, and never everything. On the pixels of objects the class oracle (each pixel gets the mean ab
  of its category) lies at 0.45 to 0.60 of the RMSE of the gray picture;
- each object has a lightness of its own, whatever its category: knowing L alone (the mean ab of each of 50 bins of L)
  goes at most 40% of the way from gray to the oracle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from pycocotools import mask as rle
from skimage.measure import find_contours
from tqdm import tqdm

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.data import toy_backgrounds as backgrounds
from ucolnet_lib.data import toy_shapes as shapes
from ucolnet_lib.data.coco import CATEGORIES

TWO_COLOURS = ("apple", "bird")
ANY_COLOUR = ("umbrella", "kite", "car")
OVERSAMPLING = 2
VALIDATION_SHARE = 0.2
CROWD_SHARE = 0.08
DATE = "2024-01-01 00:00:00"  # fixed: the same arguments give the same bytes
LIGHT = 17  # the lightness of objects varies by so much up and down, in units of L


@dataclass(frozen=True)
class Kind:
    """A category of the toy world. `colours`: its colours in Lab, one of which each object gets; empty means any hue.

    `places`: where it stands, see `toy_backgrounds`. `turn`: the largest rotation in degrees. `size`: its scale.
    """

    draw: Callable[[shapes.Brush, np.random.Generator], None]
    colours: tuple[tuple[float, float, float], ...]
    places: tuple[str, ...]
    turn: float
    size: float = 1.0


KINDS: dict[str, Kind] = {
    "banana": Kind(shapes.banana, ((64, -2, 72),), ("ground", "table"), 180, 1.25),
    "orange": Kind(shapes.orange, ((54, 38, 64),), ("ground", "table"), 30, 0.92),
    "apple": Kind(shapes.apple, ((46, 58, 38), (56, -38, 48)), ("ground", "table"), 25, 0.82),
    "broccoli": Kind(shapes.broccoli, ((48, -42, 36),), ("ground", "table"), 40),
    "carrot": Kind(shapes.carrot, ((52, 46, 56),), ("ground", "table"), 180, 1.15),
    "donut": Kind(shapes.donut, ((58, 54, -14),), ("ground", "table"), 180, 0.9),
    "stop sign": Kind(shapes.stop_sign, ((44, 64, 46),), ("air", "ground", "wall"), 10, 0.8),
    "fire hydrant": Kind(shapes.fire_hydrant, ((46, 60, 44),), ("ground", "wall"), 8),
    "traffic light": Kind(shapes.traffic_light, ((46, -18, -8),), ("air", "wall"), 8),
    "umbrella": Kind(shapes.umbrella, (), ("air", "ground", "wall"), 25, 1.1),
    "kite": Kind(shapes.kite, (), ("air", "wall"), 45, 1.15),
    "car": Kind(shapes.car, (), ("ground",), 5, 1.1),
    "boat": Kind(shapes.boat, ((46, 20, -62),), ("water",), 7),
    "bird": Kind(shapes.bird, ((52, 6, -50), (46, 58, 36)), ("air", "ground", "wall"), 15, 0.95),
    "sports ball": Kind(shapes.sports_ball, ((44, 42, -60),), ("air", "ground", "table"), 180, 0.9),
    "frisbee": Kind(shapes.frisbee, ((54, 62, -34),), ("air", "ground"), 30, 0.9),
    "surfboard": Kind(shapes.surfboard, ((56, -40, -22),), ("ground", "water", "wall"), 40, 1.25),
}
_ID = {name: category for category, name in CATEGORIES.items()}
BACKGROUNDS = {
    backgrounds.meadow: {"air", "ground"},
    backgrounds.beach: {"air", "ground", "water"},
    backgrounds.road: {"air", "ground"},
    backgrounds.wall: {"wall"},
    backgrounds.table: {"table"},
}


@dataclass
class _Object:
    name: str
    rgb: np.ndarray
    alpha: np.ndarray
    corner: tuple[int, int]  # row and column of the sprite in the oversampled picture
    segmentation: list[list[float]]
    mask: np.ndarray
    area: float
    box: list[float]


def draw_toy_world(out: Path, scenes: int = 1000, size: int = 128, seed: int = 0, progress: bool = True) -> Path:
    """Draw a COCO folder of `scenes` pictures of `size` x `size` pixels; a fifth of them is val2017.

    The same arguments give the same bytes. Every scene has a seed of its own, from `seed` and its number.

    Args:
        out: the folder to make; it must not exist, or be empty.
        progress: show a progress bar.
    Returns:
        `out`.
    Raises:
        UcolnetError: an argument is out of range, or the folder holds something.
    """
    out = Path(out)
    if scenes < 1:
        raise UcolnetError(f"The number of scenes is {scenes}, and must be 1 or more.")
    if size < 16:
        raise UcolnetError(f"The size of the toy scenes is {size} pixels, and must be 16 or more.")
    if seed < 0:
        raise UcolnetError(f"The seed is {seed}, and must be 0 or more.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UcolnetError(f"{out} exists and is not empty. Name another folder, or remove this one first.")
    validation = max(1, round(VALIDATION_SHARE * scenes)) if scenes > 1 else 0
    with write_beside(out) as folder:
        for name in ("train2017", "val2017", "annotations"):
            (folder / name).mkdir(parents=True)
        splits = {"train2017": range(1, scenes - validation + 1), "val2017": range(scenes - validation + 1, scenes + 1)}
        with tqdm(total=scenes, desc="Drawing toy scenes", unit="scene", disable=not progress) as bar:
            for split, ids in splits.items():
                (folder / "annotations" / f"instances_{split}.json").write_text(
                    json.dumps(_draw_split(folder / split, ids, size, seed, bar)), encoding="utf-8"
                )
    return out


def toy_fingerprint() -> str:
    """Eight digits that change when the source of the toy world does: then it is to be drawn again."""
    sources = sorted(Path(__file__).parent.glob("toy*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:8]


def _draw_split(folder: Path, ids: range, size: int, seed: int, bar: tqdm) -> dict:
    """Draw the scenes `ids` into `folder`; return the content of the annotation file."""
    images, annotations = [], []
    for image_id in ids:
        picture, found = draw_scene(size, (seed, image_id))
        image = {"id": image_id, "file_name": f"{image_id:012d}.jpg", "width": size, "height": size, "license": 1}
        # 4:4:4: chroma at full resolution, as the colours are what is studied.
        Image.fromarray(picture).save(folder / image["file_name"], quality=92, subsampling=0)
        images.append(image | {"coco_url": "", "flickr_url": "", "date_captured": DATE})
        for number, annotation in enumerate(found, 1):
            annotations.append({"id": image_id * 100 + number, "image_id": image_id} | annotation)
        bar.update()
    info = {"description": "The toy world of ucolnet", "version": "1.0", "year": 2024, "contributor": "ucolnet"}
    return {
        "info": info | {"url": "", "date_created": DATE},
        "licenses": [{"id": 1, "name": "MIT", "url": "https://opensource.org/license/mit"}],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": name, "supercategory": _supercategory(i)} for i, name in CATEGORIES.items()],
    }


def _supercategory(category: int) -> str:
    last_ids = {1: "person", 9: "vehicle", 15: "outdoor", 25: "animal", 33: "accessory", 43: "sports", 51: "kitchen",
                61: "food", 71: "furniture", 77: "electronic", 83: "appliance", 90: "indoor"}  # fmt: skip
    return next(name for last, name in last_ids.items() if category <= last)


def draw_scene(size: int, seed: tuple[int, int]) -> tuple[np.ndarray, list[dict]]:
    """One scene: the picture, uint8 (size, size, 3), and its COCO annotations without ids.

    Annotated is the whole silhouette of each object inside the picture. What lies on top is always the smaller
    object, so a reader that lays smaller over larger finds exactly the visible pixels.
    """
    rng = np.random.default_rng(seed)
    background, names = _choose(rng)
    side = size * OVERSAMPLING
    picture, places = background(side, rng)
    azimuth = rng.uniform(np.pi * 0.15, np.pi * 0.85)  # the light comes from above, left or right
    light = np.array([0.68 * np.cos(azimuth), 0.68 * np.sin(azimuth), 0.733])

    objects, circles = [], []
    for name in names:
        place = _place(rng, name, places, side, circles)
        if place is not None:
            made = _draw_object(rng, name, *place, side, light)
            if made is not None:
                objects.append(made)
                circles.append(place)
    objects.sort(key=lambda o: -o.area)
    crowd = _crowd(rng, places, side, light) if rng.random() < CROWD_SHARE else []
    horizon = round(places.get("air", (0, 0))[1] * side)
    for one in crowd + objects:
        _composite(picture, one, horizon)
    annotations = [
        {"segmentation": o.segmentation, "area": o.area, "iscrowd": 0, "bbox": o.box, "category_id": _ID[o.name]}
        for o in objects
    ]
    if crowd:
        visible = np.any([o.mask for o in crowd], axis=0) & ~np.any([o.mask for o in objects], axis=0)
        if visible.any():
            annotations.append(_crowd_annotation(visible, crowd[0].name))
    small = Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)).reduce(OVERSAMPLING)
    return np.asarray(small), annotations


def _choose(rng: np.random.Generator) -> tuple[Callable, list[str]]:
    """A background and three to six categories that may stand there; over many scenes all are equally frequent."""
    fits = {b: [n for n, k in KINDS.items() if places & set(k.places)] for b, places in BACKGROUNDS.items()}
    homes = {name: sum(name in names for names in fits.values()) for name in KINDS}
    # With weight 1 / (number of its backgrounds) a category, and the sum of these a background, each is drawn equally.
    weights = {b: np.array([1 / homes[n] for n in names]) for b, names in fits.items()}
    totals = np.array([w.sum() for w in weights.values()])
    background = list(fits)[rng.choice(len(fits), p=totals / totals.sum())]
    w = weights[background]
    return background, [str(n) for n in rng.choice(fits[background], rng.integers(3, 7), p=w / w.sum())]


def _place(
    rng: np.random.Generator, name: str, places: dict, side: int, others: list
) -> tuple[float, float, float] | None:
    """Centre (x, y) and radius in pixels, at most partly over `others`; None where there is no room left."""
    ranges = [places[p] for p in KINDS[name].places if p in places]
    for attempt in range(24):
        radius = 0.5 * side * KINDS[name].size * rng.uniform(0.24, 0.46) * (1 - attempt / 48)
        top, bottom = ranges[rng.integers(len(ranges))]
        x, y = rng.uniform(0.08, 0.92) * side, rng.uniform(top, bottom) * side
        if all(np.hypot(x - ox, y - oy) > 0.72 * (radius + other) for ox, oy, other in others):
            return x, y, radius
    return None


def _draw_object(
    rng: np.random.Generator, name: str, cx: float, cy: float, radius: float, side: int, light: np.ndarray
) -> _Object | None:
    """Draw one object in a window of the oversampled picture; None where next to nothing of it is inside."""
    kind = KINDS[name]
    angle = np.deg2rad(rng.uniform(-kind.turn, kind.turn))
    mirror = 1.0 if name == "stop sign" else rng.choice([-1.0, 1.0])  # mirrored letters would be odd
    # The shape's square, turned, fits into a window of this half side.
    reach = 1.08 * radius * (abs(np.cos(angle)) + abs(np.sin(angle))) + 2
    top, bottom = max(int(cy - reach), 0), min(int(cy + reach) + 1, side)
    left, right = max(int(cx - reach), 0), min(int(cx + reach) + 1, side)
    # Whole pixels of the final picture, so that masks can be reduced.
    top, left = top - top % OVERSAMPLING, left - left % OVERSAMPLING
    bottom, right = bottom + bottom % OVERSAMPLING, right + right % OVERSAMPLING
    dx = (np.arange(left, right, dtype=np.float32) + 0.5 - cx)[None, :] / radius
    dy = -(np.arange(top, bottom, dtype=np.float32) + 0.5 - cy)[:, None] / radius
    x = mirror * (dx * np.cos(angle) + dy * np.sin(angle))
    y = dy * np.cos(angle) - dx * np.sin(angle)
    brush = shapes.Brush(x, y, 1 / radius, light, *_colour(rng, kind))
    kind.draw(brush, rng)
    return _annotate(name, brush, (top, left), side)


def _colour(rng: np.random.Generator, kind: Kind) -> tuple[float, tuple[float, float]]:
    """Lightness and ab of one object. The light on it varies so much that lightness hardly tells its category."""
    if kind.colours:
        lightness, a, b = kind.colours[rng.integers(len(kind.colours))]
        hue, chroma = np.arctan2(b, a) + rng.normal(0, 0.06), np.hypot(a, b) * rng.uniform(0.85, 1.12)
    else:
        lightness, hue, chroma = 50, rng.uniform(0, 2 * np.pi), rng.uniform(32, 48)
    return lightness + rng.uniform(-LIGHT, LIGHT), (chroma * np.cos(hue), chroma * np.sin(hue))


def _annotate(name: str, brush: shapes.Brush, corner: tuple[int, int], side: int) -> _Object | None:
    """The outline as polygons in pixels of the final picture, and what COCO derives from it."""
    k, size = OVERSAMPLING, side // OVERSAMPLING
    rows, columns = brush.alpha.shape
    cover = brush.alpha.reshape(rows // k, k, columns // k, k).mean((1, 3))
    segmentation = []
    for line in find_contours(np.pad(cover, 1), 0.5):
        # find_contours counts from pixel centres of the padded array, COCO from the picture's corner.
        xy = np.clip(line[:-1, ::-1] - 0.5 + (corner[1] // k, corner[0] // k), 0, size).round(2)
        area = 0.5 * np.sum(xy[:, 0] * np.roll(xy[:, 1], -1) - xy[:, 1] * np.roll(xy[:, 0], -1))
        # Holes run the other way round, their area is negative: polygons of COCO have no holes.
        if area >= 6:
            segmentation.append(xy.ravel().tolist())
    if not segmentation:
        return None
    encoded = rle.merge(rle.frPyObjects(segmentation, size, size))
    area = float(rle.area(encoded))
    if area < 16:
        return None
    box = [float(v) for v in rle.toBbox(encoded)]
    return _Object(name, brush.rgb, brush.alpha, corner, segmentation, rle.decode(encoded).astype(bool), area, box)


def _composite(picture: np.ndarray, one: _Object, horizon: int) -> None:
    """Lay an object, and a soft shadow under it, over the oversampled picture; the sky above `horizon` takes none."""
    (top, left), (rows, columns) = one.corner, one.alpha.shape
    part = picture[top : top + rows, left : left + columns]
    offset = max(rows // 24, 1)
    shadow = Image.fromarray((one.alpha * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(max(rows / 30, 1)))
    dark = np.zeros_like(one.alpha)
    dark[offset:] = np.asarray(shadow, np.float32)[:-offset] / 255
    dark[: max(horizon - top, 0)] = 0
    part *= (1 - 0.35 * dark)[..., None]
    part += one.alpha[..., None] * (one.rgb - part)


def _crowd(rng: np.random.Generator, places: dict, side: int, light: np.ndarray) -> list[_Object]:
    """A group of small objects of one category side by side."""
    names = [n for n in ("bird", "kite", "boat", "apple", "orange") if set(KINDS[n].places) & set(places)]
    name = names[rng.integers(len(names))]
    ranges = [places[p] for p in KINDS[name].places if p in places]
    top, bottom = ranges[rng.integers(len(ranges))]
    radius = 0.045 * side
    cx, cy = rng.uniform(0.25, 0.75) * side, rng.uniform(top, bottom) * side
    drawn = []
    for i in range(int(rng.integers(6, 11))):
        x = np.clip(cx + radius * (2.1 * (i % 4 - 1.5) + rng.normal(0, 0.3)), 0, side - 1)
        y = np.clip(cy + radius * (2.0 * (i // 4 - 1) + rng.normal(0, 0.3)), 0, side - 1)
        drawn.append(_draw_object(rng, name, x, y, radius, side, light))
    return [o for o in drawn if o is not None]


def _crowd_annotation(mask: np.ndarray, name: str) -> dict:
    """COCO's form of a crowd: uncompressed run lengths down the columns, beginning with a run of zeros."""
    flat = mask.ravel(order="F").astype(np.int8)
    edges = np.concatenate(([0], np.flatnonzero(np.diff(flat, prepend=0)), [flat.size]))
    rows, columns = np.nonzero(mask)
    box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    return {
        "segmentation": {"counts": np.diff(edges).tolist(), "size": list(mask.shape)},
        "area": float(mask.sum()),
        "iscrowd": 1,
        "bbox": [float(v) for v in box],
        "category_id": _ID[name],
    }
