"""One pass over the photographs of a split, on all cores, in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from tqdm import tqdm

T = TypeVar("T")

# NumPy, torch, PIL and OpenVINO release the interpreter's lock, so threads are enough; more than eight wait for it.
WORKERS = min(8, os.cpu_count() or 1)


def stream(work: Callable[[int], T], count: int, description: str, progress: bool = True) -> Iterator[T]:
    """Yield `work(0)`, `work(1)`, ... `work(count - 1)` in this order, computed by `WORKERS` threads.

    Each item is computed by one thread alone (torch's own threads are off inside), so the results do not depend
    on the number of cores. An error in `work` is raised at its place and ends the pass.
    """
    # One thread for each operation: the cores are busy with other photographs already.
    with ThreadPoolExecutor(WORKERS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        results = pool.map(work, range(count))
        try:
            yield from tqdm(results, total=count, desc=description, unit="image", disable=not progress, leave=False)
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(torch.get_num_threads())  # threads started later follow this thread again
