"""The shapes of the toy world: distances are distances, and every shape paints itself within its square."""

import numpy as np
import pytest

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.data import toy_shapes as shapes
from ucolnet_lib.data.toy import KINDS

LINE = np.linspace(-1.5, 1.5, 121, dtype=np.float32)
X, Y = np.meshgrid(LINE, LINE[::-1])


@pytest.mark.parametrize(
    ("distance", "inside"),
    [
        (shapes.ellipse(X, Y, 0.2, 0.0, 0.8, 0.4), ((X - 0.2) / 0.8) ** 2 + (Y / 0.4) ** 2 < 1),
        (shapes.box(X, Y, 0.0, 0.1, 0.7, 0.3), (abs(X) < 0.7) & (abs(Y - 0.1) < 0.3)),
        (shapes.capsule(X, Y, (-0.5, 0), (0.5, 0), 0.2), np.hypot(X - X.clip(-0.5, 0.5), Y) < 0.2),
        (shapes.polygon(X, Y, [(-0.6, -0.6), (0.6, -0.6), (0.0, 0.8)]), (Y > -0.6) & (Y < 0.8 - abs(X) * 1.4 / 0.6)),
    ],
    ids=["ellipse", "box", "capsule", "polygon"],
)
def test_signed_distances_are_negative_inside(distance, inside):
    clear = abs(distance) > 0.03  # the edge itself may fall on either side
    assert np.array_equal((distance < 0)[clear], inside[clear]) and inside.any()


def test_distance_to_a_circle_is_exact():
    away = np.hypot(X, Y) > 0.02  # at the centre itself the direction is not defined
    np.testing.assert_allclose(shapes.ellipse(X, Y, 0, 0, 0.5, 0.5)[away], (np.hypot(X, Y) - 0.5)[away], atol=1e-3)


def painted(name: str, seed: int = 0) -> shapes.Brush:
    brush = shapes.Brush(X, Y, 3 / 121, np.array([0.3, 0.4, 0.87]), 55.0, (30.0, 20.0))
    KINDS[name].draw(brush, np.random.default_rng(seed))
    return brush


@pytest.mark.parametrize("name", KINDS)
def test_every_shape_paints_itself(name):
    brush = painted(name)
    assert brush.alpha.min() >= 0 and brush.alpha.max() <= 1 + 1e-6
    assert 0.1 < (brush.alpha > 0.5).mean() * 9 < 4.5  # in units of the square from -1 to 1, which holds 4
    border = np.maximum(abs(X), abs(Y)) > 1.4
    assert brush.alpha[border].max() < 0.5
    assert np.isfinite(brush.rgb).all() and brush.rgb[brush.alpha > 0.5].std() > 0.02  # shaded, not flat


def test_shapes_differ_from_each_other():
    masks = [painted(name).alpha > 0.5 for name in KINDS]
    for i, one in enumerate(masks):
        for other in masks[:i]:
            assert (one & other).sum() / (one | other).sum() < 0.99


def test_colours_of_the_table_are_lab():
    lab = rgb8_to_lab(np.round(shapes.rgb_of(54.0, 36.0, 20.0) * 255).astype(np.uint8)[None, None])[0, 0]
    np.testing.assert_allclose(lab, (54, 36, 20), atol=0.8)
