"""A run in TensorBoard: all columns of the history, and the pictures of the filmstrip."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.training.run import Run


class TensorBoard:
    """Writes into `tensorboard/` of the run folder after each epoch: `train(..., on_epoch=TensorBoard())`.

    Everything is read from the run folder. So a run that goes on, or was begun without, has all its epochs.

    Raises:
        UcolnetError: the package tensorboard is not installed.
    """

    def __init__(self):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UcolnetError(
                "TensorBoard is not installed. Install it with: pip install tensorboard; or train without it."
            ) from error
        self._create_writer, self._writer, self._written = SummaryWriter, None, 0

    def __call__(self, run: Run) -> None:
        if self._writer is None:
            # Of what an earlier session wrote, TensorBoard hides everything from this step on.
            self._writer = self._create_writer(str(run.path / "tensorboard"), purge_step=1)
        history = run.history
        for row in history[history["epoch"] > self._written].to_dict("records"):
            epoch = int(row.pop("epoch"))
            for column, value in row.items():
                if np.isfinite(value):  # another device may have had other columns
                    self._writer.add_scalar(_tag(column), value, epoch)
            file = run.path / "samples" / f"epoch-{epoch:05d}.png"
            if file.is_file():
                with Image.open(file) as image:
                    self._writer.add_image("samples", np.asarray(image), epoch, dataformats="HWC")
            self._written = epoch
        self._writer.flush()


def _tag(column: str) -> str:
    """`train_color` -> `color/train`: what stands before the slash makes a section, so both curves stand together."""
    part, _, term = column.partition("_")
    return f"{term}/{part}" if part in ("train", "validation") else f"run/{column}"
