"""sRGB <-> CIELAB on tensors, on any device.

Lab here is CIE 1976 L*a*b* with the white D65 (2 degrees): L in 0..100, and for colours of sRGB
a in -86.2..98.3, b in -107.9..94.5. Constants as in scikit-image and IEC 61966-2-1, with one change:
the white is the sum of each matrix row, so that every gray has exactly a = b = 0.

Keep these functions in float32, outside autocast: bf16 is too coarse for the powers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

AB_MAX = 110.0
"""The networks predict ab / AB_MAX in -1..1: the whole range of sRGB fits."""

GRAY_BELOW = 4  # of 255

# Linear sRGB -> XYZ, rows X, Y, Z.
RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_MATRIX = np.array(RGB_TO_XYZ, dtype=np.float64)
# XYZ relative to white: each row sums to one, and so does each row of the inverse.
_TO_RELATIVE = _MATRIX / _MATRIX.sum(axis=1, keepdims=True)
_FROM_RELATIVE = np.linalg.inv(_TO_RELATIVE)

_LAB_THRESHOLD = 0.008856
_LAB_SLOPE = 7.787
_LAB_OFFSET = 16.0 / 116.0


def _mix(matrix: np.ndarray, first: torch.Tensor, second: torch.Tensor, third: torch.Tensor, pivot: torch.Tensor):
    """A matrix product whose rows sum to one, written from a pivot: equal inputs give exactly equal outputs."""
    return [
        pivot + float(r[0]) * (first - pivot) + float(r[1]) * (second - pivot) + float(r[2]) * (third - pivot)
        for r in matrix
    ]


def _to_linear(rgb: torch.Tensor) -> torch.Tensor:
    # The clamp inside the power keeps its gradient finite where the other branch is taken.
    power = ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(rgb > 0.04045, power, rgb / 12.92)


def _from_linear(linear: torch.Tensor) -> torch.Tensor:
    power = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, power, linear * 12.92)


def _lab_curve(t: torch.Tensor) -> torch.Tensor:
    root = t.clamp_min(_LAB_THRESHOLD) ** (1 / 3)
    return torch.where(t > _LAB_THRESHOLD, root, _LAB_SLOPE * t + _LAB_OFFSET)


def _lab_curve_inverse(f: torch.Tensor) -> torch.Tensor:
    return torch.where(f > 0.2068966, f**3, (f - _LAB_OFFSET) / _LAB_SLOPE)


def rgb_to_lab(rgb: torch.Tensor) -> torch.Tensor:
    """sRGB to CIELAB.

    Args:
        rgb: float tensor (N, 3, H, W), 0-1.
    Returns:
        float tensor (N, 3, H, W): L 0-100, a and b in CIELAB units. Grays have exactly a = b = 0.
    """
    red, green, blue = _to_linear(rgb).unbind(dim=1)
    fx, fy, fz = (_lab_curve(t) for t in _mix(_TO_RELATIVE, red, green, blue, pivot=green))
    return torch.stack((116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)), dim=1)


def _lab_to_linear(lightness: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    fy = (lightness + 16) / 116
    x, y, z = (_lab_curve_inverse(f) for f in (fy + a / 500, fy, fy - b / 200))
    return torch.stack(_mix(_FROM_RELATIVE, x, y, z, pivot=y), dim=1)


def lab_to_rgb(lab: torch.Tensor) -> torch.Tensor:
    """CIELAB to sRGB; colours outside the gamut lose chroma at fixed lightness and hue.

    Clipping red, green and blue one by one would move the lightness (by 4 on average for ab drawn from -100..100);
    here a and b are multiplied by the largest factor in 0..1 that brings the colour inside.

    Args:
        lab: float tensor (N, 3, H, W): L 0-100 (beyond it: black, white), a and b in CIELAB units.
    Returns:
        float tensor (N, 3, H, W), 0-1.
    """
    lightness, a, b = lab.unbind(dim=1)
    with torch.no_grad():
        scale = _gamut_scale(lightness, a, b)
    linear = _lab_to_linear(lightness, scale * a, scale * b)
    return _from_linear(linear.clamp(0, 1)).clamp(0, 1)


_GAMUT_TOLERANCE = 1e-4  # in linear light: 8-bit colours on the gamut's border must come back as they were
_GAMUT_STEPS = 14


def _gamut_scale(lightness: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The factor 0..1 on ab that brings each colour into sRGB, by bisection. Shapes (N, H, W)."""
    scale = torch.ones_like(lightness)
    linear = _lab_to_linear(lightness, a, b)
    outside = ((linear < -_GAMUT_TOLERANCE) | (linear > 1 + _GAMUT_TOLERANCE)).any(dim=1)
    if not outside.any():
        return scale
    # Only the colours outside are searched: mostly few.
    lo, ao, bo = lightness[outside], a[outside], b[outside]
    low, high = torch.zeros_like(lo), torch.ones_like(lo)
    for _ in range(_GAMUT_STEPS):
        middle = (low + high) / 2
        linear = _lab_to_linear(lo[None], (middle * ao)[None], (middle * bo)[None])[0]
        inside = ((linear >= -_GAMUT_TOLERANCE) & (linear <= 1 + _GAMUT_TOLERANCE)).all(dim=0)
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    scale[outside] = low
    return scale


@lru_cache(maxsize=1)
def _linear_table() -> np.ndarray:
    """sRGB's curve at the 256 values of an 8-bit channel, float32."""
    return _to_linear(torch.arange(256, dtype=torch.float64) / 255).float().numpy()


def _plane_curve(t: np.ndarray) -> np.ndarray:
    return np.where(t > _LAB_THRESHOLD, np.cbrt(t), _LAB_SLOPE * t + _LAB_OFFSET)


def rgb8_to_lab(rgb: np.ndarray) -> np.ndarray:
    """`rgb_to_lab` for an 8-bit picture in memory: a table for sRGB's curve, then planes of float32.

    Args:
        rgb: uint8 array (H, W, 3).
    Returns:
        float32 array (H, W, 3): L 0-100, a, b; within 0.001 of `rgb_to_lab`.
    """
    red, green, blue = _linear_table().take(np.moveaxis(rgb, -1, 0))
    fx, fy, fz = (
        _plane_curve(green + row[0] * (red - green) + row[2] * (blue - green))
        for row in _TO_RELATIVE.astype(np.float32)
    )
    lab = np.empty(rgb.shape, np.float32)
    lab[..., 0] = 116 * fy - 16
    lab[..., 1] = 500 * (fx - fy)
    lab[..., 2] = 200 * (fy - fz)
    return lab


@lru_cache(maxsize=1)
def _luminance_tables() -> np.ndarray:
    """What 8-bit red, green and blue add to Y, which is 1 for white: float32 (3, 256)."""
    return np.outer(_TO_RELATIVE[1], _linear_table()).astype(np.float32)


def rgb8_to_lightness(rgb: np.ndarray) -> np.ndarray:
    """The L of `rgb8_to_lab` alone, several times as fast: float32 (H, W), 0-100, from uint8 (H, W, 3)."""
    red, green, blue = (table.take(rgb[..., channel]) for channel, table in enumerate(_luminance_tables()))
    return 116 * _plane_curve(red + green + blue) - 16


_STEPS = 2**16


@lru_cache(maxsize=1)
def _rgb8_table() -> np.ndarray:
    """8-bit sRGB at the linear values (i / _STEPS)^2, i = 0.._STEPS: the square puts more of them where it is dark."""
    linear = (torch.arange(_STEPS + 1, dtype=torch.float64) / _STEPS) ** 2
    return _from_linear(linear).mul(255).round().to(torch.uint8).numpy()


def _to_rgb8(linear: np.ndarray) -> np.ndarray:
    place = np.sqrt(linear.clip(0, 1)) * np.float32(_STEPS) + np.float32(0.5)
    return _rgb8_table().take(place.astype(np.int32), mode="clip")  # clip: what is not a number becomes black


def _plane_curve_inverse(f: np.ndarray) -> np.ndarray:
    # The cube stands still below the threshold, the line above it: np.where takes four times as long where dark and
    # bright pixels alternate.
    threshold = np.float32(0.2068966)
    cube = np.maximum(f, threshold)
    cube *= cube * cube
    line = np.minimum(f, threshold)
    line -= threshold
    line *= np.float32(1 / _LAB_SLOPE)
    cube += line
    return cube


def _planes_to_linear(fy: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Linear red, green and blue; fy is (L + 16) / 116 and y its luminance, which are the same for any chroma."""
    x, z = (_plane_curve_inverse(f) - y for f in (fy + a * np.float32(1 / 500), fy - b * np.float32(1 / 200)))
    return [y + row[0] * x + row[2] * z for row in _FROM_RELATIVE.astype(np.float32)]


def _outside(linear: list[np.ndarray]) -> np.ndarray:
    red, green, blue = linear
    lowest, highest = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    return (lowest < -_GAMUT_TOLERANCE) | (highest > 1 + _GAMUT_TOLERANCE)


def lab_to_rgb8(lab: np.ndarray) -> np.ndarray:
    """`lab_to_rgb` to an 8-bit picture in memory, 3 times as fast: planes of float32, then a table for sRGB's curve.

    Args:
        lab: float32 array (H, W, 3): L 0-100 (beyond it: black, white), a and b in CIELAB units.
    Returns:
        uint8 array (H, W, 3), within 1 of the rounded `lab_to_rgb` (0.1% of the values differ). What `rgb8_to_lab` gave
        comes back exactly.
    """
    return planes_to_rgb8(*(np.ascontiguousarray(lab[..., channel]) for channel in range(3)))


def planes_to_rgb8(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`lab_to_rgb8` of three planes, float32 (H, W) each."""
    fy = (lightness + 16) * np.float32(1 / 116)
    y = _plane_curve_inverse(fy)
    linear = _planes_to_linear(fy, y, a, b)
    outside = _outside(linear)
    if outside.any():
        fo, yo, ao, bo = fy[outside], y[outside], a[outside], b[outside]
        scale = np.zeros_like(fo)
        for step in np.float32(0.5) ** np.arange(1, _GAMUT_STEPS + 1, dtype=np.float32):
            larger = scale + step
            scale = np.where(_outside(_planes_to_linear(fo, yo, larger * ao, larger * bo)), scale, larger)
        for plane, inside in zip(linear, _planes_to_linear(fo, yo, scale * ao, scale * bo), strict=True):
            plane[outside] = inside
    rgb = np.empty((*lightness.shape, 3), np.uint8)
    for channel in range(3):
        rgb[..., channel] = _to_rgb8(linear[channel])
    return rgb


def gray_picture(lightness: np.ndarray) -> np.ndarray:
    """L alone, `lab_to_rgb8` with a = b = 0: uint8 (H, W, 3), from float32 (H, W), 0-100."""
    gray = _to_rgb8(_plane_curve_inverse((lightness + 16) * np.float32(1 / 116)))
    return np.repeat(gray[..., None], 3, axis=-1)


def is_gray(picture: np.ndarray) -> bool:
    """Is a picture gray, or nearly? Its mean over pixels of max(R, G, B) - min(R, G, B) is below 4 of 255.

    A photograph like this says nothing about colours. Notebook 02 shows why 4 is a safe limit, and that a sepia
    photograph is not found.

    Args:
        picture: uint8 (H, W, 3), RGB 0-255.
    """
    # Plane by plane: NumPy's max over an axis of three is twenty times as slow.
    red, green, blue = np.moveaxis(picture, -1, 0)
    largest = np.maximum(np.maximum(red, green), blue)
    return bool((largest - np.minimum(np.minimum(red, green), blue)).mean() < GRAY_BELOW)
