"""The backgrounds of the toy world: pictures of any size, with places for objects."""

import numpy as np
import pytest

from ucolnet_lib.data.toy import BACKGROUNDS, KINDS


@pytest.mark.parametrize("background", BACKGROUNDS, ids=lambda b: b.__name__)
@pytest.mark.parametrize("size", [16, 96])
def test_a_background_is_a_picture_with_places(background, size):
    picture, places = background(size, np.random.default_rng(0))
    assert picture.shape == (size, size, 3) and np.isfinite(picture).all()
    assert -0.3 < picture.min() and picture.max() < 1.6 and picture.std() > 0.02
    assert set(places) == BACKGROUNDS[background]
    assert all(0 <= top < bottom <= 1 for top, bottom in places.values())


@pytest.mark.parametrize("background", BACKGROUNDS, ids=lambda b: b.__name__)
def test_the_generator_decides_alone(background):
    one, two, other = (background(32, np.random.default_rng(seed))[0] for seed in (0, 0, 1))
    assert np.array_equal(one, two) and not np.allclose(one, other, atol=0.02)


def test_every_kind_finds_a_place_somewhere():
    offered = set.union(*BACKGROUNDS.values())
    assert all(set(kind.places) & offered for kind in KINDS.values())
