"""CIELAB against scikit-image on every 8-bit colour; the gamut; gradients."""

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab

from ucolnet_lib import color
from ucolnet_lib.color import gray_picture, lab_to_rgb, lab_to_rgb8, rgb8_to_lab, rgb8_to_lightness, rgb_to_lab

TOLERANCE = 0.01
"""CIELAB units. Most of it is scikit-image's white, whose a and b are not quite 0."""


def as_tensor(rgb: np.ndarray) -> torch.Tensor:
    """uint8 (H, W, 3) -> float (1, 3, H, W), 0-1."""
    return torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255


def as_array(lab: torch.Tensor) -> np.ndarray:
    return lab[0].permute(1, 2, 0).numpy()


def lattice(step: int) -> np.ndarray:
    """Every `step`-th 8-bit colour, black and white among them: uint8 (n, 1, 3)."""
    values = np.arange(0, 256, step, dtype=np.uint8)
    return np.stack(np.meshgrid(values, values, values, indexing="ij"), -1).reshape(-1, 1, 3)


def border() -> np.ndarray:
    """All 8-bit colours on the six faces of the sRGB cube, where the gamut ends: uint8 (n, 1, 3)."""
    u, v = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    faces = [
        np.stack(np.roll([np.full_like(u, end), u, v], axis, axis=0), -1) for axis in range(3) for end in (0, 255)
    ]
    return np.concatenate(faces).reshape(-1, 1, 3)


def test_every_8_bit_colour_equals_scikit_image():
    values = np.arange(256, dtype=np.uint8)
    green, blue = np.meshgrid(values, values, indexing="ij")
    seen = 0
    for red in range(0, 256, 8):
        slab = np.stack([np.stack([np.full_like(green, r), green, blue], -1) for r in range(red, red + 8)])
        slab = slab.reshape(-1, 256, 3)
        reference = rgb2lab(slab.astype(np.float32) / np.float32(255))
        tensor, fast = as_array(rgb_to_lab(as_tensor(slab))), rgb8_to_lab(slab)
        assert tensor.dtype == fast.dtype == np.float32
        assert np.abs(tensor - reference).max() < TOLERANCE
        assert np.abs(fast - reference).max() < TOLERANCE
        assert np.abs(fast - tensor).max() < 0.001
        seen += slab.shape[0] * slab.shape[1]
    assert seen == 2**24


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_LAB_THRESHOLD", 0.0188),
        ("_LAB_SLOPE", 7.78),
        ("_LAB_OFFSET", 16 / 115),
        ("_TO_RELATIVE", color._TO_RELATIVE[[2, 1, 0]]),
        ("_TO_RELATIVE", color._TO_RELATIVE[:, [2, 1, 0]]),
        ("_TO_RELATIVE", np.round(color._TO_RELATIVE, 3)),
    ],
)
def test_a_wrong_constant_would_be_seen(monkeypatch, name, value):
    """The comparison above is sharp enough to catch a small mistake in any constant."""
    rgb = np.concatenate([lattice(15), lattice(1)[:: 256**2 // 4]])
    dark = np.repeat(np.arange(40, dtype=np.uint8), 3).reshape(-1, 1, 3)  # where the threshold lies
    rgb = np.concatenate([rgb, dark])
    reference = rgb2lab(rgb.astype(np.float64) / 255)
    assert np.abs(rgb8_to_lab(rgb) - reference).max() < TOLERANCE
    monkeypatch.setattr(color, name, value)
    assert np.abs(rgb8_to_lab(rgb) - reference).max() > TOLERANCE
    assert np.abs(as_array(rgb_to_lab(as_tensor(rgb))) - reference).max() > TOLERANCE


def test_known_colours():
    """Reference values of sRGB's primaries, white D65 (Lindbloom's calculator, rounded)."""
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]]], np.uint8)
    expected = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [100, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(rgb8_to_lab(rgb)[0], expected, atol=0.02)


def test_grays_are_exactly_neutral_in_both_directions():
    grays = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3)
    assert np.all(rgb8_to_lab(grays)[..., 1:] == 0)
    assert np.all(as_array(rgb_to_lab(as_tensor(grays)))[..., 1:] == 0)
    lightness = torch.linspace(0, 100, 1001).view(1, 1, 1, -1)
    rgb = lab_to_rgb(torch.cat([lightness, torch.zeros(1, 2, 1, 1001)], dim=1))
    assert torch.equal(rgb[:, 0], rgb[:, 1]) and torch.equal(rgb[:, 1], rgb[:, 2])
    assert rgb[0, 0, 0, 0] == 0 and rgb[0, 0, 0, -1] == pytest.approx(1, abs=1e-6)
    assert (rgb[0, 0, 0].diff() > 0).all()


def test_lab_to_rgb_equals_scikit_image_inside_the_gamut():
    lab = rgb2lab(lattice(5).astype(np.float64) / 255)
    rgb = as_array(lab_to_rgb(torch.from_numpy(lab).permute(2, 0, 1)[None]))
    assert np.abs(rgb - lab2rgb(lab)).max() * 255 < 0.1


@pytest.mark.parametrize("colours", [lattice(5), border()], ids=["lattice", "border"])
def test_the_round_trip_is_exact_on_8_bits(colours):
    for lab in (rgb_to_lab(as_tensor(colours)), torch.from_numpy(rgb8_to_lab(colours)).permute(2, 0, 1)[None]):
        back = as_array(lab_to_rgb(lab)) * 255
        assert np.array_equal(back.round().astype(np.uint8), colours)
        assert np.abs(back - colours).max() < 0.05


def random_lab(limit: float, n: int = 50_000) -> np.ndarray:
    """(n, 1, 3): L 0-100, ab within +-limit: most are outside of sRGB."""
    random = np.random.default_rng(0)
    return np.stack([random.uniform(0, 100, n), *random.uniform(-limit, limit, (2, n))], -1)[:, None]


def test_chroma_outside_the_gamut_is_reduced_at_fixed_lightness_and_hue():
    lab = random_lab(170)
    rgb = as_array(lab_to_rgb(torch.from_numpy(lab).permute(2, 0, 1)[None]))
    assert rgb.min() >= 0 and rgb.max() <= 1
    found = rgb2lab(rgb)
    assert np.abs(found[..., 0] - lab[..., 0]).max() < 0.1
    # Hue: the result lies on the ray from gray to the wanted colour, and not beyond that colour.
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    along = (found[..., 1] * lab[..., 1] + found[..., 2] * lab[..., 2]) / chroma
    across = (found[..., 1] * lab[..., 2] - found[..., 2] * lab[..., 1]) / chroma
    assert np.abs(across).max() < 0.25
    assert along.min() > -0.25 and (along - chroma).max() < 0.25


def test_clipping_channel_by_channel_would_move_the_lightness():
    """What the reduction of chroma is for: the same colours, clipped by scikit-image."""
    lab = random_lab(100)
    ours = rgb2lab(as_array(lab_to_rgb(torch.from_numpy(lab).permute(2, 0, 1)[None])))
    with pytest.warns(UserWarning, match="negative Z"):
        clipped = rgb2lab(lab2rgb(lab))
    assert 3.5 < np.abs(clipped - lab)[..., 0].mean() < 5
    assert np.abs(ours - lab)[..., 0].mean() < 0.02


def test_no_more_chroma_is_lost_than_needed():
    """One per cent more of the chroma that is left would be outside of the gamut."""
    lab = random_lab(170, 5_000)
    lab = lab[(lab[..., 0] > 5) & (lab[..., 0] < 95)][:, None]
    found = rgb2lab(as_array(lab_to_rgb(torch.from_numpy(lab).permute(2, 0, 1)[None])))
    reduced = np.hypot(found[..., 1], found[..., 2]) < 0.98 * np.hypot(lab[..., 1], lab[..., 2])
    assert reduced.mean() > 0.5
    more = found[reduced] * (1, 1.01, 1.01)
    assert np.mean(np.abs(rgb2lab(lab2rgb(more[:, None]))[:, 0] - more).max(axis=-1) > 0.01) > 0.99


def test_lightness_beyond_its_range_is_black_or_white():
    lab = torch.tensor([[-20.0, 30, 30], [-0.01, 0, 0], [120, -40, 10], [100.01, 0, 0]]).T.reshape(1, 3, 1, 4)
    rgb = lab_to_rgb(lab)[0, :, 0]
    np.testing.assert_allclose(rgb, np.broadcast_to([0, 0, 1, 1], (3, 4)), atol=1e-3)


HARD_COLOURS = [
    [0, 0, 0], [1, 1, 1], [0.04045, 0.04045, 0.04045], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [-0.2, 0.5, 1.2],
]  # fmt: skip


@pytest.mark.parametrize("rgb", HARD_COLOURS)
def test_gradients_are_finite_at_black_white_and_the_corners(rgb):
    rgb = torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1).requires_grad_()
    lab = rgb_to_lab(rgb)
    for channel in range(3):
        (gradient,) = torch.autograd.grad(lab[0, channel, 0, 0], rgb, retain_graph=True)
        assert gradient.isfinite().all() and gradient.abs().sum() > 0
    lab = lab.detach().requires_grad_()
    lab_to_rgb(lab).sum().backward()
    assert lab.grad.isfinite().all()


@pytest.mark.parametrize("lab", [[0, 0, 0], [100, 0, 0], [0, 50, -50], [100, -80, 80], [50, 170, -170], [8, 0, 0]])
def test_gradients_are_finite_outside_the_gamut(lab):
    lab = torch.tensor(lab, dtype=torch.float32).view(1, 3, 1, 1).requires_grad_()
    lab_to_rgb(lab).sum().backward()
    assert lab.grad.isfinite().all()


def test_gradients_equal_finite_differences():
    rgb = torch.rand(1, 3, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    weights = torch.tensor([1.0, -2, 3], dtype=torch.float64).view(1, 3, 1, 1)
    for convert, point in ((rgb_to_lab, rgb), (lab_to_rgb, rgb_to_lab(rgb))):
        point = point.clone().requires_grad_()
        (convert(point) * weights).sum().backward()
        for channel in range(3):
            step = 1e-5 * torch.eye(3, dtype=torch.float64)[channel].view(1, 3, 1, 1)
            change = ((convert(point + step) - convert(point - step)) * weights).sum(dim=1) / 2e-5
            np.testing.assert_allclose(point.grad[:, channel], change.detach(), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 1, 5), (3, 3, 4, 2), (0, 3, 4, 4), (1, 3, 0, 4)])
def test_shapes(shape):
    rgb = torch.rand(shape)
    lab = rgb_to_lab(rgb)
    assert lab.shape == rgb.shape and lab.dtype == torch.float32
    back = lab_to_rgb(lab)
    assert back.shape == rgb.shape
    np.testing.assert_allclose(back, rgb, atol=1e-3)
    assert rgb8_to_lab(np.zeros((*shape[2:], 3), np.uint8)).shape == (*shape[2:], 3)


def test_each_picture_of_a_batch_is_converted_by_itself():
    lab = torch.from_numpy(random_lab(170, 24)).float().reshape(2, 3, 4, 3).permute(0, 3, 1, 2)
    for together, alone in zip(lab_to_rgb(lab), lab, strict=True):
        np.testing.assert_allclose(together, lab_to_rgb(alone[None])[0], atol=1e-6)


def devices() -> list[str]:
    found = ["cuda"] if torch.cuda.is_available() else []
    return found + (["mps"] if torch.backends.mps.is_available() else [])


@pytest.mark.skipif(not devices(), reason="this machine has no accelerator")
@pytest.mark.parametrize("device", devices())
def test_devices_agree_with_the_cpu(device):
    rgb = as_tensor(lattice(17))
    np.testing.assert_allclose(rgb_to_lab(rgb.to(device)).cpu(), rgb_to_lab(rgb), atol=1e-3)
    lab = torch.from_numpy(random_lab(170, 2_000)).float().permute(2, 0, 1)[None]
    np.testing.assert_allclose(lab_to_rgb(lab.to(device)).cpu(), lab_to_rgb(lab), atol=1e-3)


# 8-bit pictures in memory.


def test_every_8_bit_colour_comes_back_exactly():
    green, blue = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    for red in range(256):
        colours = np.dstack([np.full_like(green, red), green, blue])
        np.testing.assert_array_equal(lab_to_rgb8(rgb8_to_lab(colours)), colours)


def test_lightness_alone_is_that_of_lab():
    rgb = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    rgb[:20] //= 16  # dark, where the curve is a line
    for picture in (rgb, rgb[::-1, ::2], np.zeros((1, 1, 3), np.uint8), np.zeros((0, 5, 3), np.uint8)):
        lightness = rgb8_to_lightness(picture)
        assert lightness.dtype == np.float32 and lightness.shape == picture.shape[:2]
        np.testing.assert_allclose(lightness, rgb8_to_lab(picture)[..., 0], atol=1e-3)


def test_8_bit_pictures_are_the_rounded_ones_of_lab_to_rgb():
    rng = np.random.default_rng(0)
    lab = np.stack([rng.uniform(-5, 105, 2**16), *rng.uniform(-130, 130, (2, 2**16))], axis=-1).astype(np.float32)
    lab[: 2**14, 1:] /= 20  # near gray, where most photographs are
    expected = lab_to_rgb(torch.from_numpy(lab.T)[None, :, None])[0, :, 0].T.mul(255).round().numpy()
    found = lab_to_rgb8(lab[None])[0]
    difference = np.abs(found - expected)
    assert difference.max() <= 1 and (difference > 0).mean() < 0.004


def test_gray_pictures_are_those_without_chroma():
    lightness = np.linspace(-3, 103, 4096, dtype=np.float32).reshape(64, 64)
    gray = gray_picture(lightness)
    np.testing.assert_array_equal(gray, lab_to_rgb8(np.dstack([lightness, 0 * lightness, 0 * lightness])))
    assert (gray == gray[..., :1]).all() and gray.min() == 0 and gray.max() == 255
    assert (np.diff(gray[..., 0].ravel().astype(int)) >= 0).all()


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (1, 7)])
def test_8_bit_pictures_of_any_shape(shape):
    lab = np.full((*shape, 3), (50, 120, -120), np.float32)  # far outside sRGB
    rgb = lab_to_rgb8(lab)
    assert rgb.shape == lab.shape and rgb.dtype == np.uint8
    if rgb.size:
        assert rgb8_to_lab(rgb)[..., 0] == pytest.approx(np.full(shape, 50), abs=0.5)
    assert gray_picture(lab[..., 0]).shape == lab.shape


def test_what_is_not_a_number_becomes_black():
    with np.errstate(invalid="ignore"):
        rgb = lab_to_rgb8(np.array([[[np.nan, 0, 0], [50, np.nan, np.nan], [50, 0, 0]]], np.float32))
    assert rgb.tolist()[0][0] == [0, 0, 0] and rgb.tolist()[0][2] == [119, 119, 119]
