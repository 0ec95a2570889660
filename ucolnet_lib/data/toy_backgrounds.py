"""The backgrounds of the toy world: each has its own colours, texture and places where objects may stand.

A background is a function of the side S in pixels and a random generator. It returns the picture, (S, S, 3) float32 in
0-1, and its places: name -> (top, bottom), the range of heights, as fractions of the side from the top, in which the
centre of an object of that place may lie. Where there is a sky, the place "air" ends at its horizon.
"""

from __future__ import annotations

import numpy as np

from ucolnet_lib.data.toy_shapes import Array, rgb_of, smooth_noise

Background = tuple[Array, dict[str, tuple[float, float]]]


def _rows(size: int) -> tuple[Array, Array]:
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    return line[:, None], line[None, :]


def _sky(size: int, rng: np.random.Generator, horizon: float) -> Array:
    y, _ = _rows(size)
    bright = rng.uniform(-16, 8)
    top, low = rgb_of(58 + bright, rng.uniform(-6, 2), rng.uniform(-42, -32)), rgb_of(80 + bright, -6, -16)
    fade = np.clip(y / max(horizon, 0.1), 0, 1)[..., None]
    picture = top * (1 - fade) + low * fade
    clouds = smooth_noise(rng, (size, size), (7, 4)) + 0.5 * smooth_noise(rng, (size, size), (16, 9))
    cover = np.clip((clouds - rng.uniform(0.3, 0.9)) * 2.2, 0, 0.9)[..., None] * (1 - 0.5 * fade)
    return picture + cover * (rgb_of(min(92 + bright, 96), -1, -3) - picture)


def _ground(
    size: int, rng: np.random.Generator, rgb: Array, coarse: float, fine: float, cells: tuple[int, int]
) -> Array:
    y, _ = _rows(size)
    texture = 1 + coarse * smooth_noise(rng, (size, size), (10, 5)) + fine * smooth_noise(rng, (size, size), cells)
    return rgb * (texture * (0.85 + 0.25 * y))[..., None]


def _below(edge: Array, y: Array, size: int) -> Array:
    return np.clip((y - edge) * size + 0.5, 0, 1)[..., None]


def _grass(size: int, rng: np.random.Generator) -> Array:
    rgb = rgb_of(rng.uniform(36, 66), rng.uniform(-36, -28), rng.uniform(36, 46))
    return _ground(size, rng, rgb, 0.1, 0.22, (size // 5, size // 3))


def meadow(size: int, rng: np.random.Generator) -> Background:
    horizon = rng.uniform(0.3, 0.6)
    y, _ = _rows(size)
    picture = _sky(size, rng, horizon)
    hills = horizon - 0.05 - 0.06 * smooth_noise(rng, (1, size), (2, 5))
    far = rgb_of(rng.uniform(40, 62), -22, 14)
    picture += _below(hills, y, size) * (far - picture)
    picture += _below(np.float32(horizon), y, size) * (_grass(size, rng) - picture)
    return picture, {"air": (0.12, horizon), "ground": (horizon + 0.02, 0.88)}


def beach(size: int, rng: np.random.Generator) -> Background:
    horizon = rng.uniform(0.22, 0.36)
    shore = horizon + rng.uniform(0.2, 0.34)
    y, x = _rows(size)
    picture = _sky(size, rng, horizon)
    sea = rgb_of(rng.uniform(40, 60), rng.uniform(-20, -12), rng.uniform(-30, -22))
    waves = _ground(size, rng, sea, 0.06, 0.16, (size // 4, size // 18))
    picture += _below(np.float32(horizon), y, size) * (waves - picture)
    edge = shore + 0.02 * np.sin(x * rng.uniform(6, 12) + rng.uniform(0, 6))
    sand = _ground(size, rng, rgb_of(rng.uniform(58, 82), 6, rng.uniform(26, 34)), 0.06, 0.08, (size // 2, size // 2))
    picture += _below(edge - 0.02, y, size) * (rgb_of(90, -3, -2) - picture)
    picture += _below(edge, y, size) * (sand - picture)
    return picture, {"air": (0.1, horizon), "water": (horizon, shore - 0.06), "ground": (shore + 0.04, 0.88)}


def road(size: int, rng: np.random.Generator) -> Background:
    horizon = rng.uniform(0.3, 0.48)
    y, x = _rows(size)
    picture = _sky(size, rng, horizon)
    picture += _below(np.float32(horizon), y, size) * (_grass(size, rng) - picture)
    depth = np.clip((y - horizon) / (1 - horizon), 1e-3, 1)
    vanish = rng.uniform(0.3, 0.7)
    asphalt = _ground(size, rng, rgb_of(rng.uniform(34, 56), 0, -3), 0.04, 0.07, (size // 2, size // 2))
    side = np.abs(x - vanish - (0.5 - vanish) * depth)
    inside = np.clip((0.06 + 0.62 * depth - side) * size, 0, 1) * (y > horizon)
    picture += inside[..., None] * (asphalt - picture)
    dashes = (side < 0.03 * depth) & (np.sin(3.2 / (depth + 0.12) + rng.uniform(0, 6)) > 0) & (y > horizon)
    edges = (np.abs(side - 0.02 - 0.58 * depth) < 0.016 * depth) & (y > horizon)
    picture = np.where((dashes | edges)[..., None], rgb_of(84, 0, 4), picture)
    return picture, {"air": (0.1, horizon), "ground": (horizon + 0.08, 0.86)}


def wall(size: int, rng: np.random.Generator) -> Background:
    y, x = _rows(size)
    count = int(rng.integers(7, 11))
    row = np.floor(y * count).astype(int)
    column = np.floor(x * count / 2 + 0.5 * (row % 2)).astype(int)
    bricks = rng.uniform(0.78, 1.15, (count + 1, count + 2)).astype(np.float32)[row, column]
    u, v = (x * count / 2 + 0.5 * (row % 2)) % 1, (y * count) % 1
    mortar = (np.minimum(v, 1 - v) < 0.07) | (np.minimum(u, 1 - u) < 0.035)
    brick = rgb_of(rng.uniform(36, 56), rng.uniform(26, 34), rng.uniform(22, 30))
    face = brick * (bricks * (1 + 0.16 * smooth_noise(rng, (size, size), size // 4)))[..., None]
    picture = np.where(mortar[..., None], rgb_of(rng.uniform(62, 76), 2, 8), face)
    return picture.astype(np.float32), {"wall": (0.12, 0.88)}


def table(size: int, rng: np.random.Generator) -> Background:
    y, x = _rows(size)
    count = int(rng.integers(4, 7))
    plank = np.floor(y * count).astype(int)
    tone = rng.uniform(0.82, 1.12, count).astype(np.float32)[plank]
    grain = smooth_noise(rng, (size, size), (size // 3, 6))
    grain = grain + 0.6 * np.sin(60 * y + 3 * smooth_noise(rng, (size, size), (6, 3)))
    seam = np.minimum(y * count % 1, 1 - y * count % 1) < 0.025
    wood = rgb_of(rng.uniform(44, 70), rng.uniform(10, 16), rng.uniform(28, 36))
    picture = wood * (tone * (1 + 0.1 * grain) * np.where(seam, 0.55, 1))[..., None]
    return picture.astype(np.float32), {"table": (0.12, 0.88)}
