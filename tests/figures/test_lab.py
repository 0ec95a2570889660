"""Fig. 2 again: the channels stand in their panels, in CIELAB units."""

import matplotlib.pyplot as plt
import numpy as np
from skimage.color import rgb2lab

from ucolnet_lib.figures.lab import lab_channels


def test_the_panels_show_rgb_l_a_b():
    rgb = np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8)
    figure = lab_channels(rgb)
    panels = [ax for ax in figure.axes if ax.images]
    assert np.array_equal(panels[0].images[0].get_array(), rgb)
    lab = rgb2lab(rgb)
    for channel, ax in enumerate(panels[1:4]):
        np.testing.assert_allclose(ax.images[0].get_array(), lab[..., channel], atol=0.01)
        assert ax.get_title().startswith("Lab"[channel])
    # Zero chroma lies in the middle of its scale, or a gray picture would look coloured.
    assert all(sum(ax.images[0].get_clim()) == 0 for ax in panels[2:4])
    plt.close(figure)
