"""Doing only what is missing: a step is done again when its result is gone or its inputs have changed."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ucolnet_lib.common import write_beside
from ucolnet_lib.data.prepared import DESCRIPTION, open_split


class Steps:
    """Remembers, in a folder of small JSON files, from which inputs each result was made.

    Args:
        folder: where the notes lie.
        say: receives one sentence a step.
    """

    def __init__(self, folder: str | Path, say: Callable[[str], None]):
        self.folder, self.say, self.done = Path(folder), say, []

    def do(
        self, name: str, result: Path, inputs: dict[str, Any], make: Callable[[], Any], unfinished: Path | None = None
    ) -> None:
        """Call `make` unless `result` exists and was made from equal `inputs` (plain values, JSON).

        The note is written after `make` returns: a step that is killed is done again. `unfinished` names a folder
        in which `make` can go on from what a kill has left. It is removed first unless it was begun from equal inputs.
        """
        note, wanted = self.folder / f"{name}.json", json.dumps(inputs, indent=2, sort_keys=True)
        if result.exists() and note.is_file() and note.read_text(encoding="utf-8") == wanted:
            self.say(f"{name}: up to date")
            return
        begun = self.folder / f"{name}.begun"
        if unfinished and not (begun.is_file() and begun.read_text(encoding="utf-8") == wanted):
            shutil.rmtree(unfinished, ignore_errors=True)
        note.unlink(missing_ok=True)
        with write_beside(begun) as file:
            file.write_text(wanted, encoding="utf-8")
        self.say(f"{name}: working")
        make()
        self.done.append(name)
        with write_beside(note) as file:
            file.write_text(wanted, encoding="utf-8")
        begun.unlink()


def sha256(path: str | Path) -> str:
    """Checksum of a file, as `sha256sum` prints it; of a folder: that of the list of its files' checksums and names."""
    path = Path(path)
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
        listing = "".join(f"{sha256(files[name])}  {name}\n" for name in sorted(files))
        return hashlib.sha256(listing.encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def data_manifest(folder: str | Path) -> dict[str, Any]:
    """What a COCO folder holds: for each split the number of photographs, and one checksum over their names and
    sizes and the annotation file. Photographs are not read through: that would take minutes on all of COCO.

    Of a prepared set the checksum is that of its index, where each photograph has its own."""
    folder, manifest = Path(folder), {}
    if (folder / DESCRIPTION).is_file():
        for index in sorted(folder.glob("*.index")):
            manifest[index.stem] = {"photographs": len(open_split(folder, index.stem)), "sha256": sha256(index)}
        return manifest
    for split in ("train2017", "val2017"):
        photos = sorted(p for p in (folder / split).glob("*") if p.is_file())
        digest = hashlib.sha256()
        for photo in photos:
            digest.update(f"{photo.name} {photo.stat().st_size}\n".encode())
        annotations = folder / "annotations" / f"instances_{split}.json"
        if annotations.is_file():
            digest.update(sha256(annotations).encode())
        manifest[split] = {"photographs": len(photos), "sha256": digest.hexdigest()}
    return manifest


def made_with() -> dict[str, Any]:
    """What a results.json was made with: the command, the versions of the packages, the hardware."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "command": shlex.join(["ucolnet", *sys.argv[1:]]),
        "versions": {p: version(p) for p in ("ucolnet", "torch", "torchvision", "numpy", "pillow", "ultralytics")},
        "hardware": {
            "machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count(), "gpu": gpu,
        },
    }  # fmt: skip
