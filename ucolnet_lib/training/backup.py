"""Copies of a run folder on a drive that outlives the machine, such as Google Drive on Colab.

    FOLDER/epoch-00007/     a whole run folder; its backup.json holds the SHA-256 of each file
    FOLDER/epoch-00006/     the one before

A copy is made beside and then renamed, so one that is cut off never stands in the place of a whole one. Two are kept:
Drive takes files in at once and uploads them later, and a session that ends in between may leave a copy with gaps.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.data.wholeness import sha256_of
from ucolnet_lib.training.run import Run

KEPT = 2
_MANIFEST = "backup.json"
_BLOCK = 2**24


def back_up(run: Run, folder: Path, say: Callable[[str], None]) -> None:
    """Copy the run folder after its newest epoch into `folder`, which belongs to this run alone.

    A drive that is full or gone is told in one sentence, and raises nothing: the training goes on.
    """
    state = run.state()
    if state is None:
        return
    copy = folder / state[1].name
    try:
        if run.finished and _is_whole(copy):  # all but the mark of the end was copied after the last epoch
            shutil.copyfile(run.path / "finished", copy / "finished")
            return
        for left_over in folder.glob(".*.part"):
            _remove(left_over)
        with write_beside(copy) as beside:
            sums = _copy(run.path, beside)
            (beside / _MANIFEST).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
        for old in _copies(folder)[KEPT:]:
            hidden = old.with_name(f".{old.name}.part")
            old.rename(hidden)
            _remove(hidden)
    except (OSError, UcolnetError) as error:
        why = str(error).rstrip(".")
        say(f"Epoch {state[0]} is not backed up ({why}). Training goes on; the copies of earlier epochs stay.")


def newest_copy(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The newest whole copy in `folder`: every file is there and has its SHA-256."""
    for copy in _copies(folder):
        if _is_whole(copy):
            return copy
        say(f"{copy} is not whole: the session before ended while it was uploaded. Looking for the one before.")
    return None


def restore(copy: Path, run: Run) -> bool:
    """Make the run folder from a copy where it is missing or has done fewer epochs. Returns whether it was needed."""
    state = run.state()
    if state is not None and state[1].name >= copy.name:
        return False
    with write_beside(run.path) as beside:
        _copy(copy, beside)
        (beside / _MANIFEST).unlink()
    return True


def _copies(folder: Path) -> list[Path]:
    """The newest first."""
    return sorted(folder.glob("epoch-*"), reverse=True)


def _files(folder: Path) -> list[Path]:
    """All files in a folder, relative to it; without those that were being written when a process was killed."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in found if not any(part.startswith(".") for part in file.parts))


def _copy(source: Path, target: Path) -> dict[str, str]:
    """Copy a folder, and return the SHA-256 of each file."""
    sums = {}
    for file in _files(source):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        sha256 = hashlib.sha256()
        with (source / file).open("rb") as content, (target / file).open("wb") as copied:
            while block := content.read(_BLOCK):
                sha256.update(block)
                copied.write(block)
        sums[file.as_posix()] = sha256.hexdigest()
    return sums


def _is_whole(copy: Path) -> bool:
    try:
        sums = json.loads((copy / _MANIFEST).read_text(encoding="utf-8"))
        return all(sha256_of(copy / file) == found for file, found in sums.items())
    except (OSError, ValueError):
        return False


def _remove(folder: Path) -> None:
    # Drive keeps what is deleted in its bin for a month, where it takes up space: so the files are emptied first.
    for file in folder.rglob("*"):
        if file.is_file():
            os.truncate(file, 0)
    shutil.rmtree(folder)
