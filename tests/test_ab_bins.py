"""Bins of the ab plane: they cover sRGB, and a colour's four bins give the colour back."""

import numpy as np
import torch

from ucolnet_lib.ab_bins import BIN_STEP, bin_centres, encode
from ucolnet_lib.color import rgb_to_lab


def colours(count: int) -> torch.Tensor:
    """Random colours of sRGB and the corners of its cube: ab (1, 2, 1, count + 8)."""
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    rgb = torch.cat((torch.rand(count, 3, generator=torch.Generator().manual_seed(0)), corners))
    return rgb_to_lab(rgb.T[None, :, None])[:, 1:]


def test_centres_are_points_of_a_grid_each_once_and_gray_is_one():
    centres = bin_centres()
    assert centres.dtype == np.float32 and centres.shape == (221, 2)
    assert (centres % BIN_STEP == 0).all() and len(np.unique(centres, axis=0)) == len(centres)
    assert (centres == 0).all(axis=1).sum() == 1


def test_every_colour_of_srgb_is_the_mean_of_its_four_bins():
    ab = colours(20_000)
    bins, weights = encode(ab)
    assert bins.shape == weights.shape == (20_008, 4) and bins.dtype == torch.int64
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(20_008))
    assert weights.min() >= 0
    mean = (torch.from_numpy(bin_centres())[bins] * weights[..., None]).sum(dim=1)
    torch.testing.assert_close(mean, ab.movedim(1, -1).flatten(0, -2), atol=1e-4, rtol=0)


def test_every_bin_is_needed():
    """No bin is there for nothing: each has weight in some colour of sRGB."""
    values = torch.arange(0, 256, 5) / 255
    ab = rgb_to_lab(torch.cartesian_prod(values, values, values).T[None, :, None])[:, 1:]
    bins, weights = encode(ab)
    used = torch.zeros(len(bin_centres())).index_add(0, bins.flatten(), weights.flatten())
    assert (used > 0).all()


def test_a_centre_is_its_own_bin():
    centres = torch.from_numpy(bin_centres())
    bins, weights = encode(centres.T[None, :, None])
    best = bins.gather(1, weights.argmax(dim=1, keepdim=True))[:, 0]
    assert torch.equal(best, torch.arange(len(centres))) and weights.max(dim=1).values.min() == 1


def test_colours_that_no_screen_shows_do_not_break_it():
    bins, weights = encode(torch.tensor([-500.0, 500.0])[None, :, None, None])
    assert ((bins >= 0) & (bins < len(bin_centres()))).all() and weights.isfinite().all()
    assert encode(torch.zeros(0, 2, 4, 4))[0].shape == (0, 4)
