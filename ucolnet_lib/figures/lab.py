"""The paper's Fig. 2: a picture and its three channels in CIELAB."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.figures.style import style


def lab_channels(rgb: np.ndarray) -> Figure:
    """From left to right: the RGB picture; L; a, green to red; b, blue to yellow.

    Args:
        rgb: uint8 (H, W, 3).
    """
    lab = rgb8_to_lab(rgb)
    panels = (
        ("L, lightness", lab[..., 0], "gray", 0, 100),
        ("a, green to red", lab[..., 1], "PiYG_r", -100, 100),
        ("b, blue to yellow", lab[..., 2], "cividis", -100, 100),
    )
    with style():
        figure, axes = plt.subplots(1, 4, figsize=(10, 2.8))
        axes[0].imshow(rgb)
        axes[0].set_title("RGB")
        for ax, (title, channel, colors, low, high) in zip(axes[1:], panels, strict=True):
            image = ax.imshow(channel, cmap=colors, vmin=low, vmax=high)
            ax.set_title(title)
            figure.colorbar(image, ax=ax, shrink=0.8, label="CIELAB units")
        for ax in axes:
            ax.set_axis_off()
    return figure
