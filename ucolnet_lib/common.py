"""What every room may use: the error class, seeds, and files that are never half written."""

from __future__ import annotations

import os
import random
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

BACKGROUND = 0
"""The class of a pixel that shows no object."""

IGNORE_INDEX = 255
"""The label of a pixel that counts for nothing: crowds, and photographs that nobody annotated."""


class UcolnetError(Exception):
    """A mistake that the person at the keyboard can mend.

    The message is one sentence or two: what is wrong, where, and what to do next.
    The command line prints it without a traceback and ends with exit code 2.
    """


def seed_everything(seed: int) -> None:
    """Set the seeds of Python, NumPy and torch (all devices): two runs on one CPU give the same numbers."""
    import torch  # here, so that `ucolnet doctor` still answers where torch cannot be imported

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def check_space(folder: Path, needed: float, advice: str) -> None:
    """Is there room in `folder`, which need not exist yet, for `needed` bytes more?

    Raises:
        UcolnetError: there is not; its message ends with `advice`.
    """
    free = shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free
    if free < needed:
        raise UcolnetError(
            f"{folder} needs about {needed / 1e9:.1f} GB more, and its disk has {free / 1e9:.1f} GB free. {advice}"
        )


@contextmanager
def write_beside(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends without an error.

    A reader never sees a half-written file, and a kill in the middle leaves the old file as it was.
    The block may write a file or make a folder, which replaces a folder of that name. The folder above is made
    when it is missing.

    Raises:
        UcolnetError: the file cannot be written: no permission, no space, or a folder of that name in the way.
    """
    path = Path(path)
    # The suffix stays last: many writers choose the format by it.
    beside = path.with_name(f".{uuid.uuid4().hex}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        if beside.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(beside, path)
    except OSError as error:
        why = error.strerror or error
        raise UcolnetError(f"Cannot write {path}: {why}. Check the folder and the free space.") from error
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        elif beside.exists():
            beside.unlink()
