"""Worker processes: the same batches as without them, slots that are used again, errors, memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data import workers
from ucolnet_lib.data.workers import BatchLoader, count_workers


class Counted(Dataset):
    """Item (epoch, i): a picture full of i, a map full of the epoch. `broken`: raises; `killed`: ends its process."""

    def __init__(self, length: int, size: int = 8, broken: int = -1, killed: int = -1):
        self.length, self.size, self.broken, self.killed = length, size, broken, killed

    def __getitem__(self, key):
        epoch, i = key
        if i == self.broken:
            raise UcolnetError("12.jpg is no readable picture. Replace the file.")
        if i == self.killed:
            os._exit(1)
        return np.full((self.size, self.size, 3), i, np.uint8), np.full((self.size, self.size), epoch, np.uint8)


class InOrder:
    def __init__(self, length: int):
        self.length, self.epoch = length, 0

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter([(self.epoch, i) for i in range(self.length)])


def loader(dataset: Counted, batch_size: int = 4, drop_last: bool = False, count: int = 2) -> BatchLoader:
    return BatchLoader(dataset, InOrder(dataset.length), batch_size, drop_last, count)


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize(
    ("length", "drop_last", "sizes"), [(43, False, [4] * 10 + [3]), (43, True, [4] * 10), (2, False, [2])]
)
def test_batches_come_whole_and_in_order(count, length, drop_last, sizes):
    """More batches than slots, kept until the end: none may be written over."""
    batches = loader(Counted(length), drop_last=drop_last, count=count)
    for epoch in (0, 3):
        batches.sampler.epoch = epoch
        found = list(batches)
        assert [len(rgb) for rgb, _ in found] == sizes and len(batches) == len(sizes)
        rgb, semantic_map = (torch.cat(parts) for parts in zip(*found, strict=True))
        assert rgb.dtype == semantic_map.dtype == torch.uint8 and rgb.shape[1:] == (8, 8, 3)
        assert rgb.amax(dim=(1, 2, 3)).tolist() == rgb.amin(dim=(1, 2, 3)).tolist() == list(range(sum(sizes)))
        assert (semantic_map == epoch).all() and semantic_map.shape == rgb.shape[:3]


def test_an_epoch_that_was_left_in_the_middle_does_not_reach_into_the_next():
    batches = loader(Counted(43))
    for _, _ in zip(range(2), batches, strict=False):
        pass
    batches.sampler.epoch = 1
    assert torch.cat([rgb[:, 0, 0, 0] for rgb, _ in batches]).tolist() == list(range(43))


def test_workers_live_on_from_epoch_to_epoch():
    batches = loader(Counted(12))
    list(batches)
    first = {worker.pid for worker in batches.tasks._iterator._workers}
    list(batches)
    assert first == {worker.pid for worker in batches.tasks._iterator._workers} and len(first) == 2


def test_started_anew_as_on_windows_and_macos():
    """There a worker is a new Python that gets everything pickled, and not a copy of this process."""
    batches = loader(Counted(9), count=1)
    batches.tasks.multiprocessing_context = "spawn"
    assert torch.cat([rgb[:, 0, 0, 0] for rgb, _ in batches]).tolist() == list(range(9))


@pytest.mark.parametrize("count", [0, 2])
def test_a_broken_photograph_is_one_sentence(count):
    with pytest.raises(UcolnetError) as raised:
        list(loader(Counted(43, broken=30), count=count))
    assert str(raised.value) == "12.jpg is no readable picture. Replace the file."


def test_a_worker_that_is_killed_is_one_sentence():
    with pytest.raises(UcolnetError, match="was killed, perhaps for want of memory"):
        list(loader(Counted(43, killed=30)))


def test_the_random_numbers_of_a_training_do_not_depend_on_the_loader():
    def drawn(count: int, epochs: int) -> float:
        batches = loader(Counted(9), count=count)
        for _ in range(epochs):
            torch.manual_seed(1)
            list(batches)
        return torch.rand(()).item()

    assert len({drawn(0, 1), drawn(0, 2), drawn(2, 1), drawn(2, 2)}) == 1


def own_memory(pid: int | str) -> int:
    """Bytes that belong to a process alone, as Linux counts them."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return int(fields["Anonymous"].split()[0]) * 1024 + int(fields["Pss_Shmem"].split()[0]) * 1024


class Hoarding(Counted):
    """A fault: keeps what it gives."""

    kept = []

    def __getitem__(self, key):
        self.kept.append(super().__getitem__(key))
        return self.kept[-1]


def memory_of_four_epochs(kind: type[Counted]) -> list[int]:
    batches = loader(kind(200, size=128), batch_size=8)  # 13 MB an epoch
    used = []
    for epoch in range(4):
        batches.sampler.epoch = epoch
        for _ in batches:
            pass
        pids = ["self", *(worker.pid for worker in batches.tasks._iterator._workers)]
        used.append(sum(own_memory(pid) for pid in pids))
    return used


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this system does not tell it this way")
@pytest.mark.parametrize(("kind", "flat"), [(Counted, True), (Hoarding, False)])
def test_memory_is_flat_over_three_epochs(kind, flat):
    # In a process of its own: this one may have so much free memory from other tests that a loader that hoards fits in.
    code = f"from tests.data import test_workers as t; print(*t.memory_of_four_epochs(t.{kind.__name__}))"
    told = subprocess.check_output([sys.executable, "-c", code], cwd=Path(__file__).parents[2], text=True, timeout=120)
    used = [int(text) for text in told.split()]
    # The first epoch makes the buffers.
    assert (used[3] - used[1] < 4e6) == flat, used


def test_few_workers_on_small_machines(monkeypatch):
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    assert [count_workers(world_size) for world_size in (1, 2, 3, 4, 6, 8)] == [6, 3, 2, 1, 1, 1]
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda pid: set(range(96)))
    assert [count_workers(world_size) for world_size in (1, 4, 8)] == [16, 16, 12]
    monkeypatch.delattr(workers.os, "sched_getaffinity")
    monkeypatch.setattr(workers.os, "cpu_count", lambda: None)
    assert count_workers() == 1
