"""Notebook 01: what it builds by hand equals `ucolnet_lib.color`."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from ucolnet_lib import color

CONSTANTS = ("RGB_TO_XYZ", "WHITE", "USUAL_WHITE", "XYZ_TO_RGB")
FUNCTIONS = (
    "to_linear", "from_linear", "lab_curve", "rgb_to_lab", "lab_to_linear", "clip_to_rgb", "inside", "scale_chroma",
    "largest_factor", "lab_to_rgb",
)  # fmt: skip


@pytest.fixture(scope="module")
def built(notebook_definitions):
    return notebook_definitions("01", *CONSTANTS, *FUNCTIONS)


@pytest.fixture(scope="module")
def lattice():
    steps = np.arange(0, 256, 15) / 255
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)


@pytest.fixture(scope="module")
def wanted():
    """Colours of CIELAB, most of them outside the gamut."""
    random = np.random.default_rng(0)
    return np.stack([random.uniform(-5, 105, 5000), *random.uniform(-170, 170, (2, 5000))], -1)


def by_library(function, colours):
    tensor = torch.from_numpy(colours).T.reshape(1, 3, -1, 1)
    return function(tensor)[0, ..., 0].T.numpy()


def test_the_constants_are_the_librarys(built):
    np.testing.assert_array_equal(built["RGB_TO_XYZ"], color.RGB_TO_XYZ)
    np.testing.assert_allclose(built["RGB_TO_XYZ"] / built["WHITE"][:, None], color._TO_RELATIVE, rtol=1e-12)


def test_curves_and_their_inverses(built):
    values = np.linspace(0, 1, 10_001)
    for by_hand, library in (("to_linear", color._to_linear), ("from_linear", color._from_linear),
                             ("lab_curve", color._lab_curve)):  # fmt: skip
        np.testing.assert_allclose(built[by_hand](values), library(torch.from_numpy(values)).numpy(), atol=1e-12)


def test_rgb_to_lab(built, lattice):
    found = built["rgb_to_lab"](lattice)
    assert np.abs(found - by_library(color.rgb_to_lab, lattice)).max() < 1e-9
    assert np.abs(built["rgb_to_lab"](lattice, built["USUAL_WHITE"]) - rgb2lab(lattice)).max() < 1e-3


def test_lab_to_rgb_inside_and_outside_the_gamut(built, lattice, wanted):
    for lab in (built["rgb_to_lab"](lattice), wanted):
        assert np.abs(built["lab_to_rgb"](lab) - by_library(color.lab_to_rgb, lab)).max() < 1e-3
    assert 0.05 < built["inside"](wanted).mean() < 0.5


def test_the_factor_on_the_chroma(built, wanted):
    library = color._gamut_scale(*torch.from_numpy(wanted).T[:, None, None])[0, 0].numpy()
    np.testing.assert_allclose(built["largest_factor"](wanted), library, atol=2**-14)


def test_clipping_is_the_way_back_for_colours_of_srgb(built, lattice):
    assert np.abs(built["clip_to_rgb"](built["rgb_to_lab"](lattice)) - lattice).max() < 1e-4
