"""The shapes of the toy world, drawn with signed distances.

A shape is a function `draw(brush, rng)`. It paints parts one over the other in its own coordinates: x to the
right, y up, the whole object about within the square from -1 to 1. A part is a signed distance (negative inside),
which gives three things at once: its antialiased edge, its rounding (the surface bends away near the edge, like a
pillow) and so its shading under the scene's light.

A brush gives colours by `brush.lab(dl, a, b)`: dl is the difference from the object's own lightness. All colours of
an object move up and down with that lightness, so lightness alone does not tell a category.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from PIL import Image

from ucolnet_lib.color import lab_to_rgb

Array = np.ndarray


class Brush:
    """A canvas in an object's own coordinates: `rgb` (H, W, 3) and `alpha` (H, W), both float32 in 0-1.

    `main` is the object's ab colour, `light` a unit vector (right, up, to the viewer) in the frame of the picture.
    """

    def __init__(self, x: Array, y: Array, pixel: float, light: Array, lightness: float, main: tuple[float, float]):
        self.x, self.y, self.pixel = x.astype(np.float32), y.astype(np.float32), pixel
        self.light, self.lightness, self.main = light.astype(np.float32), lightness, main
        self.rgb = np.zeros((*x.shape, 3), np.float32)
        self.alpha = np.zeros(x.shape, np.float32)

    def lab(self, dl: float, a: float, b: float) -> Array:
        """An RGB colour from ab, `dl` above the object's lightness."""
        return rgb_of(self.lightness + dl, a, b)

    def own(self, dl: float = 0.0, chroma: float = 1.0) -> Array:
        """The object's main colour, `dl` lighter, its chroma multiplied."""
        return self.lab(dl, self.main[0] * chroma, self.main[1] * chroma)

    def paint(self, distance: Array, rgb: Array, bevel: float = 0.25, gloss: float = 0.0, texture: Array | None = None):
        """Lay a part over what is there: `bevel` is how far from the edge the surface bends, `texture` multiplies."""
        touched = distance < 0.5 * self.pixel
        rows, columns = np.flatnonzero(touched.any(1)), np.flatnonzero(touched.any(0))
        if not rows.size:
            return
        # Only the part's own rectangle is worked on: most parts are small. One pixel more each way, for the slope.
        part = np.s_[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]
        distance = distance[part]
        cover = np.clip(0.5 - distance / self.pixel, 0, 1)
        shade = self._shade(distance, bevel)
        if texture is not None:
            shade = shade * texture[part]
        colour = shade[..., None] * rgb
        if gloss:
            colour += gloss * (np.clip(shade - 1.0, 0, 1) * 4)[..., None] ** 2
        self.rgb[part] += cover[..., None] * (colour - self.rgb[part])
        self.alpha[part] += cover * (1 - self.alpha[part])

    def _shade(self, distance: Array, bevel: float) -> Array:
        down, right = np.gradient(distance)
        tilt = 0.96 * np.clip(1 + distance / bevel, 0, 1)
        scale = tilt / np.sqrt(down**2 + right**2 + 1e-12)
        facing = np.sqrt(1 - tilt**2)
        lambert = right * scale * self.light[0] - down * scale * self.light[1] + facing * self.light[2]
        return 0.52 + 0.62 * np.clip(lambert, 0, 1)

    def noise(self, rng: np.random.Generator, cells: int, strength: float) -> Array:
        """A smooth random texture around 1, with `cells` bumps over the object."""
        return 1 + strength * smooth_noise(rng, self.x.shape, cells)


def rgb_of(lightness: float, a: float, b: float) -> Array:
    """An RGB colour (3,), 0-1, from CIELAB, to the nearest step of the table."""
    return _colour_table()[round(np.clip(lightness, 4, 96) / 2), round(a / 4) + 22, round(b / 4) + 22]


@cache
def _colour_table() -> Array:
    """RGB for L in steps of 2 and a, b in steps of 4; chroma outside sRGB is reduced at the same lightness.

    One large conversion is much faster than tens of thousands of single ones.
    """
    ab = torch.arange(-22, 23) * 4.0
    lab = torch.stack(torch.meshgrid(torch.arange(51) * 2.0, ab, ab, indexing="ij"))
    rgb = lab_to_rgb(lab.reshape(1, 3, 51, -1)).reshape(lab.shape)
    return rgb.permute(1, 2, 3, 0).numpy()


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cells: int | tuple[int, int]) -> Array:
    """Random values of about -1 to 1 on a coarse grid, interpolated: (H, W) float32."""
    rows, columns = (cells, cells) if isinstance(cells, int) else cells
    grid = rng.uniform(-1, 1, (max(rows, 2), max(columns, 2))).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize(shape[::-1], Image.Resampling.BICUBIC))


# Signed distances: negative inside, in units of the object.


def ellipse(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float) -> Array:
    u, v = (x - cx) * (1 / rx), (y - cy) * (1 / ry)
    length = np.sqrt(u * u + v * v) + 1e-6
    return length * (length - 1) / np.sqrt((u / rx) ** 2 + (v / ry) ** 2 + 1e-12)


def box(x: Array, y: Array, cx: float, cy: float, hx: float, hy: float, corner: float = 0.0) -> Array:
    dx, dy = np.abs(x - cx) - hx + corner, np.abs(y - cy) - hy + corner
    return np.hypot(dx.clip(0), dy.clip(0)) + np.minimum(np.maximum(dx, dy), 0) - corner


def capsule(x: Array, y: Array, start: tuple, end: tuple, r0: float, r1: float | None = None) -> Array:
    """A stroke from `start` to `end` whose radius goes from r0 to r1."""
    # Python's floats keep the arrays in float32, NumPy's own would widen them.
    ax, ay, vx, vy = float(start[0]), float(start[1]), float(end[0] - start[0]), float(end[1] - start[1])
    px, py = x - ax, y - ay
    t = ((px * vx + py * vy) * (1 / (vx * vx + vy * vy))).clip(0, 1)
    radius = r0 if r1 is None else r0 + (r1 - r0) * t
    return np.sqrt((px - t * vx) ** 2 + (py - t * vy) ** 2) - radius


def polygon(x: Array, y: Array, points: list[tuple[float, float]]) -> Array:
    nearest = np.full(x.shape, np.inf, np.float32)
    inside = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
        t = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
        nearest = np.minimum(nearest, (px - ex * t) ** 2 + (py - ey * t) ** 2)
        if ay != by:
            inside ^= ((ay <= y) != (by <= y)) & (x < ax + (y - ay) * ex / ey)
    nearest = np.sqrt(nearest)
    return np.where(inside, -nearest, nearest)


def strokes(x: Array, y: Array, lines: list[list[tuple[float, float]]], radius: float) -> Array:
    """Polylines drawn with a round pen."""
    parts = [capsule(x, y, p, q, radius) for line in lines for p, q in zip(line, line[1:], strict=False)]
    return np.minimum.reduce(parts)


# The shapes, one function a category.


def banana(s: Brush, rng: np.random.Generator) -> None:
    r, angle = np.hypot(s.x, s.y - 0.62), np.arctan2(s.x, 0.62 - s.y)
    along = np.clip(1 - (angle / 1.25) ** 2, 0, 1)
    body = np.abs(r - 0.95) - 0.36 * np.sqrt(along) * (1 - 0.12 * angle)
    body = np.maximum(body, np.abs(angle) - 1.22)
    ridge = 1 - 0.3 * np.exp(-(((r - 0.86) / 0.045) ** 2)) + 0.12 * np.exp(-(((r - 1.0) / 0.08) ** 2))
    spots = 1 - 0.35 * (smooth_noise(rng, s.x.shape, 16) > 0.62)
    s.paint(body, s.own(), 0.34, 0.3, ridge * spots)
    s.paint(capsule(s.x, s.y, (0.88, 0.3), (0.98, 0.56), 0.1, 0.06), s.lab(-20, 3, 22), 0.1)
    s.paint(ellipse(s.x, s.y, -0.9, 0.3, 0.08, 0.08), s.lab(-30, 3, 12), 0.1)


def orange(s: Brush, rng: np.random.Generator) -> None:
    pores = s.noise(rng, 34, 0.09)
    s.paint(ellipse(s.x, s.y, 0, -0.05, 0.92, 0.9), s.own(), 0.9, 0.4, pores)
    s.paint(ellipse(s.x, s.y, 0.05, 0.62, 0.2, 0.1), s.own(-14), 0.2)
    s.paint(ellipse(s.x, s.y, 0.05, 0.64, 0.09, 0.06), s.lab(-16, -18, 28), 0.1)
    leaf = ellipse(s.x * 0.8 + s.y * 0.6, s.y * 0.8 - s.x * 0.6, 0.72, 0.36, 0.34, 0.14)
    s.paint(leaf, s.lab(-6, -32, 34), 0.14)


def apple(s: Brush, rng: np.random.Generator) -> None:
    r, angle = np.hypot(s.x, s.y + 0.08), np.arctan2(s.x, s.y + 0.08)
    outline = 0.9 - 0.36 * np.exp(-((angle / 0.36) ** 2)) - 0.05 * np.exp(-(((np.abs(angle) - np.pi) / 0.3) ** 2))
    outline = outline - 0.08 * np.clip(np.abs(angle) - 1.6, 0, 2)
    streaks = 1 + 0.035 * np.sin(angle * 17 + 2 * smooth_noise(rng, s.x.shape, 4)) * np.clip(r, 0, 1)
    s.paint(r - outline, s.own(), 0.8, 0.9, streaks)
    s.paint(ellipse(s.x, s.y, 0, 0.4, 0.3, 0.11), s.own(-18), 0.3)
    s.paint(capsule(s.x, s.y, (0, 0.4), (0.12, 0.9), 0.06, 0.08), s.lab(-24, 8, 16), 0.08)
    leaf = ellipse(s.x * 0.9 - s.y * 0.44, s.y * 0.9 + s.x * 0.44, 0.13, 0.9, 0.32, 0.13)
    s.paint(leaf, s.lab(4, -34, 36), 0.14)


def broccoli(s: Brush, rng: np.random.Generator) -> None:
    pale = s.own(18, 0.75)
    s.paint(capsule(s.x, s.y, (0, -0.85), (0, 0.1), 0.26, 0.3), pale, 0.3)
    s.paint(capsule(s.x, s.y, (0.05, -0.45), (0.5, 0.1), 0.14), pale, 0.16)
    s.paint(capsule(s.x, s.y, (-0.05, -0.45), (-0.5, 0.1), 0.14), pale, 0.16)
    buds = s.noise(rng, 34, 0.4)
    centres = [(-0.3, 0.72), (0.3, 0.72), (0, 0.78), (-0.62, 0.4), (0.62, 0.4), (0, 0.45), (-0.34, 0.2), (0.34, 0.2)]
    for cx, cy in centres:
        cx, cy = cx + rng.uniform(-0.05, 0.05), cy + rng.uniform(-0.05, 0.05) - 0.08
        s.paint(ellipse(s.x, s.y, cx, cy, 0.34, 0.3), s.own(-6), 0.32, texture=buds)


def carrot(s: Brush, rng: np.random.Generator) -> None:
    for tip in (-0.3, 0.02, 0.3):
        s.paint(capsule(s.x, s.y, (0, 0.35), (tip, 0.9), 0.045, 0.1), s.lab(rng.uniform(-8, 8), -34, 36), 0.1)
    rings = 1 - 0.3 * (np.sin(s.y * 19 + 2 * smooth_noise(rng, s.x.shape, 5)) > 0.72)
    s.paint(capsule(s.x, s.y, (0, 0.25), (0.03, -0.93), 0.36, 0.05), s.own(), 0.34, 0.3, rings)


def donut(s: Brush, rng: np.random.Generator) -> None:
    r, angle = np.hypot(s.x, s.y), np.arctan2(s.y, s.x)
    ring = np.abs(r - 0.56) - 0.38
    s.paint(ring, s.lab(0, 10, 30), 0.36)
    drip = 0.05 * np.sin(angle * 5 + rng.uniform(0, 6)) + 0.03 * np.sin(angle * 8 + rng.uniform(0, 6))
    s.paint(ring + 0.04 + 0.8 * drip, s.own(), 0.3, 0.7)
    for turn in np.arange(18) / 18 * 2 * np.pi + rng.uniform(-0.15, 0.15, 18):
        radius, tilt = rng.uniform(0.4, 0.74), rng.uniform(0, np.pi)
        cx, cy = radius * np.cos(turn), radius * np.sin(turn)
        dx, dy = 0.06 * np.cos(tilt), 0.06 * np.sin(tilt)
        sprinkle = capsule(s.x, s.y, (cx - dx, cy - dy), (cx + dx, cy + dy), 0.035)
        s.paint(sprinkle, s.own(rng.choice([34, -28]), 0.2), 0.05)


def stop_sign(s: Brush, rng: np.random.Generator) -> None:
    x, y = np.abs(s.x), np.abs(s.y)
    octagon = np.maximum(np.maximum(x, y), (x + y) * 0.7071) - 0.93
    s.paint(octagon, s.lab(30, 0, 2), 0.05)
    s.paint(octagon + 0.07, s.own(), 0.05)
    letters = [
        [(-0.5, 0.2), (-0.56, 0.26), (-0.68, 0.26), (-0.73, 0.14)],
        [(-0.73, 0.14), (-0.52, -0.1), (-0.55, -0.24), (-0.7, -0.26), (-0.75, -0.18)],
        [(-0.38, 0.26), (-0.06, 0.26)],
        [(-0.22, 0.26), (-0.22, -0.26)],
        [(0.17, 0.26), (0.06, 0.14), (0.06, -0.14), (0.17, -0.26), (0.28, -0.14), (0.28, 0.14), (0.17, 0.26)],
        [(0.46, -0.26), (0.46, 0.26), (0.64, 0.26), (0.71, 0.14), (0.64, 0.0), (0.46, 0.0)],
    ]
    s.paint(strokes(s.x, s.y, letters, 0.055), s.lab(34, 0, 2), 0.05)


def fire_hydrant(s: Brush, rng: np.random.Generator) -> None:
    dark = s.own(-16)
    s.paint(box(s.x, s.y, 0, 0.08, 0.66, 0.15, 0.08), dark, 0.14)
    s.paint(box(s.x, s.y, 0, -0.1, 0.38, 0.72, 0.1), s.own(), 0.36, 0.3)
    s.paint(box(s.x, s.y, 0, -0.85, 0.56, 0.11, 0.05), s.own(), 0.12)
    s.paint(np.maximum(ellipse(s.x, s.y, 0, 0.42, 0.42, 0.42), 0.42 - s.y), s.own(8), 0.4, 0.3)
    s.paint(box(s.x, s.y, 0, 0.42, 0.5, 0.08, 0.05), s.own(-4), 0.1)
    s.paint(box(s.x, s.y, 0, 0.88, 0.11, 0.1, 0.03), dark, 0.1)
    for cx in (-0.66, 0.66):
        s.paint(box(s.x, s.y, cx, 0.08, 0.09, 0.22, 0.05), s.own(6), 0.1)
    s.paint(ellipse(s.x, s.y, 0, 0.06, 0.23, 0.23), s.own(10), 0.1)
    s.paint(ellipse(s.x, s.y, 0, 0.06, 0.12, 0.12), s.lab(-26, 2, 4), 0.1)


def traffic_light(s: Brush, rng: np.random.Generator) -> None:
    s.paint(box(s.x, s.y, 0, 0, 0.44, 0.97, 0.16), s.own(), 0.16)
    s.paint(box(s.x, s.y, 0, 0, 0.34, 0.87, 0.12), s.own(-16), 0.06)
    lit = rng.integers(3)
    for lamp, (a, b) in enumerate([(62, 45), (18, 65), (-52, 32)]):
        cy = 0.57 - 0.57 * lamp
        on = lamp == lit
        glass = s.lab(14, a, b) if on else s.lab(-14, 0.3 * a, 0.3 * b)
        s.paint(ellipse(s.x, s.y, 0, cy + 0.04, 0.28, 0.27), s.own(-30), 0.1)
        s.paint(ellipse(s.x, s.y, 0, cy, 0.25, 0.25), glass, 0.3, 0.8 * on)


def umbrella(s: Brush, rng: np.random.Generator) -> None:
    s.paint(capsule(s.x, s.y, (0, 0.8), (0, -0.75), 0.045), s.lab(-24, 4, 8), 0.05)
    hook = np.maximum(np.abs(np.hypot(s.x - 0.14, s.y + 0.75) - 0.14) - 0.05, s.y + 0.75)
    s.paint(hook, s.lab(-24, 8, 16), 0.05)
    scallop = 0.1 * np.abs(np.cos(np.clip(s.x / 0.98, -1, 1) * np.pi * 2.5))
    dome = np.maximum(ellipse(s.x, s.y, 0, -0.02, 0.98, 0.88), -s.y - 0.02 + 0.1 - scallop)
    width = np.sqrt(np.clip(1 - ((s.y + 0.02) / 0.9) ** 2, 0.02, 1))
    panel = np.floor((s.x / (0.98 * width) + 1) * 2.5)
    s.paint(dome, s.own(), 0.6, 0.2, 1 + 0.24 * np.where(panel % 2 == 0, 1, -1))
    s.paint(capsule(s.x, s.y, (0, 0.86), (0, 0.96), 0.04), s.lab(-24, 4, 8), 0.05)


def kite(s: Brush, rng: np.random.Generator) -> None:
    points = [(0.0, -0.38), (0.1, -0.55), (-0.08, -0.72), (0.06, -0.9), (-0.04, -1.0)]
    s.paint(strokes(s.x, s.y, [points], 0.025), s.lab(-26, 2, 4), 0.04)
    for cx, cy in points[1:4]:
        bow = np.minimum(ellipse(s.x, s.y, cx - 0.1, cy, 0.11, 0.06), ellipse(s.x, s.y, cx + 0.1, cy, 0.11, 0.06))
        s.paint(bow, s.own(10), 0.08)
    sail = polygon(s.x, s.y, [(0, 0.96), (0.7, 0.36), (0, -0.42), (-0.7, 0.36)])
    quarter = np.where((s.x > 0) != (s.y > 0.36), 1.0, -1.0)
    s.paint(sail, s.own(), 0.08, 0, 1 + 0.26 * quarter)
    s.paint(strokes(s.x, s.y, [[(0, 0.94), (0, -0.4)], [(-0.68, 0.36), (0.68, 0.36)]], 0.028), s.lab(-28, 4, 8), 0.04)


def car(s: Brush, rng: np.random.Generator) -> None:
    body = box(s.x, s.y, 0, -0.15, 0.96, 0.22, 0.16)
    cabin = polygon(s.x, s.y, [(-0.62, 0.02), (-0.42, 0.46), (0.26, 0.46), (0.6, 0.02)]) - 0.04
    s.paint(np.minimum(body, cabin), s.own(), 0.16, 0.5)
    glass = s.lab(-24, -3, -8)
    s.paint(polygon(s.x, s.y, [(-0.5, 0.05), (-0.36, 0.38), (-0.1, 0.38), (-0.1, 0.05)]), glass, 0.05, 0.6)
    s.paint(polygon(s.x, s.y, [(-0.01, 0.05), (-0.01, 0.38), (0.22, 0.38), (0.47, 0.05)]), glass, 0.05, 0.6)
    s.paint(box(s.x, s.y, 0, -0.3, 0.94, 0.045, 0.03), s.own(-20), 0.05)
    s.paint(ellipse(s.x, s.y, 0.88, -0.1, 0.07, 0.08), s.lab(36, -2, 14), 0.05)
    s.paint(ellipse(s.x, s.y, -0.9, -0.1, 0.05, 0.08), s.lab(-6, 50, 34), 0.05)
    for cx in (-0.52, 0.54):
        s.paint(ellipse(s.x, s.y, cx, -0.36, 0.24, 0.24), s.lab(-40, 0, 0), 0.08)
        s.paint(ellipse(s.x, s.y, cx, -0.36, 0.12, 0.12), s.lab(16, 0, 0), 0.08)


def boat(s: Brush, rng: np.random.Generator) -> None:
    s.paint(capsule(s.x, s.y, (0.02, -0.5), (0.02, 0.95), 0.035), s.lab(-20, 6, 14), 0.05)
    sail = polygon(s.x, s.y, [(0.09, 0.92), (0.09, -0.32), (0.78, -0.32)])
    stripes = 1 - 0.28 * (np.sin((s.y - 0.1) * 14) > 0.5)
    s.paint(sail, s.own(20, 0.75), 0.12, 0, stripes)
    s.paint(polygon(s.x, s.y, [(-0.05, 0.78), (-0.05, -0.32), (-0.6, -0.32)]), s.own(26, 0.4), 0.12)
    hull = polygon(s.x, s.y, [(-0.95, -0.45), (0.95, -0.45), (0.66, -0.92), (-0.62, -0.92)])
    s.paint(hull - 0.02, s.own(-4), 0.2, 0.3)
    s.paint(box(s.x, s.y, 0, -0.5, 0.92, 0.05, 0.03), s.lab(28, 0, 3), 0.05)


def bird(s: Brush, rng: np.random.Generator) -> None:
    legs = [[(x, -0.4), (x + 0.02, -0.92), (x + 0.14, -0.92)] for x in (0.0, 0.16)]
    s.paint(strokes(s.x, s.y, legs, 0.035), s.lab(-18, 16, 26), 0.05)
    s.paint(polygon(s.x, s.y, [(-0.4, 0.05), (-1.0, -0.05), (-0.95, -0.32), (-0.4, -0.28)]), s.own(-12), 0.1)
    s.paint(polygon(s.x, s.y, [(0.72, 0.62), (1.0, 0.44), (0.7, 0.4)]), s.lab(6, 28, 55), 0.1)
    s.paint(ellipse(s.x, s.y, 0.02, -0.1, 0.62, 0.44), s.own(), 0.44)
    s.paint(ellipse(s.x, s.y, 0.5, 0.5, 0.34, 0.33), s.own(4), 0.33)
    s.paint(ellipse(s.x, s.y, 0.3, -0.2, 0.28, 0.24), s.own(22, 0.4), 0.3)
    wing = ellipse(s.x * 0.94 + s.y * 0.34, s.y * 0.94 - s.x * 0.34, -0.2, 0.0, 0.52, 0.24)
    feathers = 1 - 0.25 * (np.sin((s.x - s.y) * 22) > 0.3)
    s.paint(wing, s.own(-10), 0.2, 0, feathers)
    s.paint(ellipse(s.x, s.y, 0.6, 0.58, 0.1, 0.1), s.lab(34, 0, 2), 0.1)
    s.paint(ellipse(s.x, s.y, 0.62, 0.58, 0.055, 0.055), s.lab(-45, 0, 0), 0.1)


def sports_ball(s: Brush, rng: np.random.Generator) -> None:
    ball = ellipse(s.x, s.y, 0, 0, 0.93, 0.93)
    s.paint(ball, s.own(), 0.93, 0.5)
    bulge = 1 + 0.35 * (s.x**2 + s.y**2)
    u, v = s.x * bulge, s.y * bulge
    patches, lines = [], []
    for k in range(5):
        turn = 2 * np.pi * k / 5 + np.pi / 2
        out = (np.cos(turn), np.sin(turn))
        lines.append([(0.3 * out[0], 0.3 * out[1]), (0.8 * out[0], 0.8 * out[1])])
        patches.append(ellipse(u, v, 1.06 * out[0], 1.06 * out[1], 0.32, 0.32))
    corners = [(0.34 * np.cos(t), 0.34 * np.sin(t)) for t in 2 * np.pi * np.arange(5) / 5 + np.pi / 2]
    patches += [polygon(u, v, corners), strokes(u, v, lines, 0.035)]
    s.paint(np.maximum(np.minimum.reduce(patches), ball), s.own(-30, 0.5), 0.05)


def frisbee(s: Brush, rng: np.random.Generator) -> None:
    squash = rng.uniform(0.72, 0.95)
    y = s.y / squash
    r = np.hypot(s.x, y)
    s.paint(r - 0.95, s.own(), 0.16, 0.4)
    s.paint(r - 0.74, s.own(6), 0.1)
    s.paint(np.abs(r - 0.6) - 0.025, s.own(-16), 0.05)
    s.paint(np.abs(r - 0.48) - 0.025, s.own(-16), 0.05)
    s.paint(r - 0.26 - 0.07 * np.cos(5 * np.arctan2(y, s.x)), s.lab(28, 0, 2), 0.05)


def surfboard(s: Brush, rng: np.random.Generator) -> None:
    width = 0.32 * np.sqrt(np.clip(1 - np.abs(s.y / 0.98) ** 2.2, 0, 1))
    board = np.maximum((np.abs(s.x) - width) * 0.9, np.abs(s.y) - 0.96)
    s.paint(board, s.own(), 0.12, 0.3)
    s.paint(np.maximum(np.abs(s.y - 0.32) - 0.09, board + 0.03), s.lab(28, 0, 3), 0.05)
    s.paint(np.maximum(np.abs(s.y - 0.08) - 0.04, board + 0.03), s.own(-22), 0.05)
    s.paint(np.maximum(np.abs(s.x) - 0.02, board + 0.05), s.own(-26), 0.03)
