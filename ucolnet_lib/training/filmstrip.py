"""The filmstrip: what the model makes of the same few photographs, epoch after epoch.

    samples/truth.png           the true photographs, one below the other
    samples/epoch-00003.png     the same as the model colours them after epoch 3

Every run has one. It costs a small part of a validation, and it cannot be made afterwards: the weights of most epochs
are not kept. `figures.filmstrip` joins the pictures into one figure.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from ucolnet_lib.color import lab_to_rgb8
from ucolnet_lib.common import write_beside
from ucolnet_lib.data.batches import PhotographCrops, to_batch

PHOTOGRAPHS = 8
"""So many of the validation photographs, spread evenly over them."""

SIDE = 128
"""Larger pictures are made so small, in pixels: a strip of 50 epochs then takes about 10 MB."""


@torch.no_grad()
def draw_samples(
    folder: Path, model: nn.Module, photographs: PhotographCrops, epoch: int, device: torch.device
) -> None:
    """Colour the chosen photographs and write `epoch-<epoch>.png` into `folder`; at first also `truth.png`.

    Args:
        folder: `samples` of a run folder.
        model: without the wrappers of several processes, since only the first one draws.
        photographs: the validation photographs, as the model sees them.
        epoch: counted from 1.
        device: where the model runs.
    """
    last = len(photographs) - 1
    chosen = np.linspace(0, last, min(PHOTOGRAPHS, len(photographs))).round().astype(int).tolist()
    rgb, maps = (np.stack(part) for part in zip(*(photographs[0, i] for i in chosen), strict=True))
    batch = to_batch(torch.from_numpy(rgb), torch.from_numpy(maps), device)
    model.eval()
    # `forward`, not the model itself: what torch compiled would be compiled once more for this number of pictures.
    ab = model.forward(batch.lightness).ab.float()
    lab = torch.cat([batch.lightness, ab], dim=1).permute(0, 2, 3, 1).cpu().numpy()
    if not (folder / "truth.png").exists():
        _write(folder / "truth.png", np.concatenate(rgb))
    _write(folder / f"epoch-{epoch:05d}.png", lab_to_rgb8(np.concatenate(lab)))


def _write(path: Path, column: np.ndarray) -> None:
    """Pictures one below the other, uint8 (N * S, S, 3), made small where they are large."""
    image = Image.fromarray(column)
    if image.width > SIDE:
        image = image.resize((SIDE, image.height // image.width * SIDE), Image.Resampling.BICUBIC)
    with write_beside(path) as file:
        image.save(file, format="PNG")
