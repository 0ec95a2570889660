"""Worker processes that fill batches, through a few slots of shared memory that are used again and again.

torch's DataLoader alone would take fresh shared memory for each batch. The system hands it out in pages of 4 kB, which
it empties one by one: for 64 pictures of 224 px that can take as long as resizing them. So here the DataLoader carries
only numbers, and the pixels go through slots.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from ucolnet_lib.common import UcolnetError

_PREFETCH = 2
"""Batches that each worker prepares ahead."""


class BatchLoader:
    """Gives (rgb uint8 (N, S, S, 3), semantic map uint8 (N, S, S)), in pinned memory where there is CUDA.

    Args:
        dataset: `dataset[key]` gives uint8 arrays (S, S, 3) and (S, S); `dataset.size` is S.
        sampler: gives the keys of an epoch.
        batch_size: N.
        drop_last: leave out a last batch that is not whole.
        workers: processes, which live on from epoch to epoch; 0 loads in this one.
    Raises:
        UcolnetError: while loading, if a photograph is missing or broken, or a worker was killed.
    """

    def __init__(self, dataset: Dataset, sampler: Sampler, batch_size: int, drop_last: bool, workers: int):
        self.dataset, self.sampler, self.workers = dataset, sampler, workers
        self.batches = BatchSampler(sampler, batch_size, drop_last)
        # With this batch in hand, as many more are on their way as were asked for ahead.
        slots = workers * _PREFETCH + 1 if workers else 1
        self.slots = _Slots(dataset, min(batch_size, len(sampler)), slots, shared=workers > 0)
        self.tasks = DataLoader(
            self.slots,
            batch_size=None,
            sampler=_InTurn(self.batches, slots),
            num_workers=workers,
            prefetch_factor=_PREFETCH if workers else None,
            persistent_workers=workers > 0,
            # Its own: the random numbers of a training depend neither on the loader nor on an interruption.
            generator=torch.Generator(),
        )
        self.pinned = torch.cuda.is_available()

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        try:
            for slot, count in self.tasks:
                rgb, semantic_map = self.slots.rgb[slot, :count], self.slots.semantic_map[slot, :count]
                yield self._taken_out(rgb), self._taken_out(semantic_map)
        except UcolnetError as error:
            # Behind the traceback of the worker stands the sentence that it raised.
            raise UcolnetError(str(error).rpartition("UcolnetError: ")[2].strip()) from error
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise UcolnetError(
                "A process that loads photographs was killed, perhaps for want of memory. Close other programs, or "
                "take smaller batches: --set batch_size=..."
            ) from error

    def _taken_out(self, part: torch.Tensor) -> torch.Tensor:
        """A copy: the slot will be filled again. From pinned memory the device takes it while the CPU goes on."""
        return part.pin_memory() if self.pinned else part.clone()


class _Slots(Dataset):
    """`slots[slot, keys]` puts the items `keys` into a slot, and returns the slot and their number."""

    def __init__(self, dataset: Dataset, batch_size: int, count: int, shared: bool):
        self.dataset = dataset
        self.rgb = torch.empty(count, batch_size, dataset.size, dataset.size, 3, dtype=torch.uint8)
        self.semantic_map = torch.empty(count, batch_size, dataset.size, dataset.size, dtype=torch.uint8)
        if shared:
            self.rgb.share_memory_(), self.semantic_map.share_memory_()

    def __getitem__(self, task: tuple[int, list]) -> tuple[int, int]:
        slot, keys = task
        rgb, semantic_map = self.rgb[slot].numpy(), self.semantic_map[slot].numpy()
        for place, key in enumerate(keys):
            rgb[place], semantic_map[place] = self.dataset[key]
        return slot, len(keys)


class _InTurn(Sampler):
    """Gives each batch of keys a slot, one after the other and round again."""

    def __init__(self, batches: BatchSampler, slots: int):
        self.batches, self.slots = batches, slots

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[int, list]]:
        for number, keys in enumerate(self.batches):
            yield number % self.slots, keys


def count_workers(world_size: int = 1) -> int:
    """How many processes load photographs: as many as there are cores for each training process, 16 at most."""
    try:
        cores = len(os.sched_getaffinity(0))  # fewer than the machine has, where a scheduler shares it out
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    return max(1, min(16, cores // world_size))
