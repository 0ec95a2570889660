"""What the machine at hand can do for a training: precision, memory, processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.recipes import Recipe
from ucolnet_lib.training.run import Run


def mixed_precision(recipe: Recipe, say: Callable[[str], None]) -> str:
    """`bf16`, `fp16` or `no`: what this machine can do of the recipe's `precision`.

    fp16 has a small range, so Accelerate scales the loss; it is for graphics cards without bf16, such as a T4.
    """
    if recipe.precision == "fp32":
        return "no"
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16" if recipe.precision == "bf16" and native else "fp16"
    if recipe.precision == "fp16":
        say("fp16 is for graphics cards: training in fp32.")
        return "no"
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return "bf16"
    say("This processor has no bf16 instructions: training in fp32, which is slower here but as good.")
    return "no"


def share_of_batch(batch_size: int, processes: int) -> int:
    """How many pictures of each batch one process takes."""
    if batch_size % processes:
        raise UcolnetError(
            f"A batch of {batch_size} cannot be shared by {processes} processes. Take a multiple: --set "
            f"batch_size={math.ceil(batch_size / processes) * processes}"
        )
    return batch_size // processes


def peak_memory(device: torch.device) -> dict[str, float]:
    """The most memory of a graphics card that tensors took since the last call."""
    if device.type != "cuda":
        return {}
    peak = torch.cuda.max_memory_allocated(device) / 2**30
    torch.cuda.reset_peak_memory_stats(device)
    return {"gpu_memory_gb": round(peak, 2)}


@contextmanager
def other_processes(run: Run, processes: int) -> Iterator[None]:
    """Says in one sentence that another process of this training has ended, which this one sees as a broken line."""
    try:
        yield
    except RuntimeError as error:
        if processes == 1 or isinstance(error, torch.OutOfMemoryError):
            raise
        raise UcolnetError(
            f"Another process of this training has ended ({str(error).partition(chr(10))[0]}). {run.path} keeps the "
            "whole epochs: start all processes again with --resume."
        ) from error
