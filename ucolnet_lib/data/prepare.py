"""Preparing a data set: photographs decoded once, made small, and joined in a few large files (see `prepared.py`).

Why files of our own, measured on 818 photographs of COCO (36 kB each, one core). The bytes of any photograph come in
2 microseconds, as from LMDB, Arrow and LitData; HDF5 takes 100, and one file for each photograph 40. LMDB takes 6% more
space and tar 16%, and each would be one more package (MosaicML's streaming wants an older numpy than ours). None goes
on behind a kill with the same bytes as a run that was left in peace; files that only grow do, and NumPy reads them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader
from tqdm import tqdm

from ucolnet_lib.common import UcolnetError, check_space, write_beside
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.encode import JPEG, Encoder, Task
from ucolnet_lib.data.photo_folder import PhotoFolder
from ucolnet_lib.data.prepared import (
    DESCRIPTION,
    FORMAT,
    RECORD,
    PreparedSplit,
    data_file,
    index_file,
    read_description,
)

SPLITS = ("train2017", "val2017")

_BYTES_PER_PIXEL = 0.5
"""A quarter more than the average at 256 px: to see before the start whether the disk suffices."""

_LARGEST_ID = 10**15
"""With the number of its source before it, an id must fit the index: 64 bits."""


def prepare(
    sources: Sequence[str | Path],
    out: str | Path,
    size: int = 256,
    workers: int | None = None,
    progress: bool = True,
) -> dict:
    """Make the photographs of all sources small and write them as one prepared set, which `open_split` reads.

    Called again after an interruption, it goes on behind the last photograph that was written whole; called again when
    all is done, it checks every byte. The same photographs give the same bytes, whatever the number of processes and
    interruptions.

    Args:
        sources: COCO folders (whichever of train2017 and val2017 they have, with their masks), and plain folders of
            photographs, which join train2017 with maps that are all ignore.
        out: the folder to write; it must be missing, empty, or begun by the same call.
        size: the shorter side in pixels; smaller photographs are not enlarged.
        workers: processes; default one for each core.
        progress: show a progress bar.
    Returns:
        what `prepared.json` says.
    Raises:
        UcolnetError: a source is missing or named twice, `out` holds something else, the disk is full, or no
            photograph could be read.
    """
    out = Path(out)
    if size < 16:
        raise UcolnetError(f"The size is {size} pixels, and must be 16 or more.")
    splits = _open(sources)
    plan = {
        "format": FORMAT,
        "size": size,
        "jpeg": JPEG,
        "sources": [
            {"folder": folder, "split": split, "photographs": len(photos), "checksum": photos.checksum}
            for split, parts in splits.items()
            for folder, photos in parts
        ],
    }
    if _is_complete(out, plan):
        for split in read_description(out)["splits"]:
            PreparedSplit(out, split).check()
        return read_description(out)
    written = {split: _written_whole(data_file(out, split), index_file(out, split)) for split in splits}
    total, done = sum(len(photos) for parts in splits.values() for _, photos in parts), sum(map(len, written.values()))
    needed = (total - done) * size**2 * 4 / 3 * _BYTES_PER_PIXEL
    check_space(out, needed, "Make room, or choose a smaller --size.")
    _write_description(out, plan)
    broken: list[str] = []
    with tqdm(total=total, initial=done, desc="Preparing", unit="photo", disable=not progress) as bar:
        for split, parts in splits.items():
            broken += _write(out, split, parts, written[split], size, workers or os.cpu_count() or 1, bar)
    described = {split: _describe(out, split) for split in splits if index_file(out, split).stat().st_size}
    if not described:
        raise UcolnetError(f"None of the {total:,} photographs could be read:" + _lines(broken[:10]))
    description = plan | {"splits": described, "broken": broken}
    _write_description(out, description)
    return description


def closing(description: dict, out: str | Path) -> str:
    """What is to be said when a set is prepared: how much lies where, and which photographs were left out."""
    splits, broken = description["splits"], description["broken"]
    count, gray, size = (sum(split[key] for split in splits.values()) for key in ("photographs", "gray", "bytes"))
    text = (
        f"{count:,} photographs ({gray:,} gray) lie in {out}: {size / 1e6:,.1f} MB, {size / count / 1e3:.1f} kB each."
    )
    if broken:
        text += f"\n{len(broken):,} could not be read and were left out:" + _lines(broken)
    return text


def _lines(sentences: Sequence[str]) -> str:
    return "".join(f"\n  {sentence}" for sentence in sentences)


def join_ids(wanted: Sequence[Sequence[int]]) -> list[list[int]]:
    """Ids that do not clash, for several sources: k times a power of ten is added to those of source k = 0, 1, ...

    The first source keeps its ids, and so a COCO folder alone has COCO's. Of the others the last digits are the id
    there, the digits before them the number of the source: 1000139 is photograph 139 of the second.

    Args:
        wanted: for each source the ids that its photographs have there.
    """
    # Larger numbers, such as file names of 18 digits, give way to the photographs' places.
    short = [list(ids) if max(ids) < _LARGEST_ID else list(range(1, len(ids) + 1)) for ids in wanted]
    step = 10 ** len(str(max(max(ids) for ids in short)))
    return [[number * step + own for own in ids] for number, ids in enumerate(short)]


def _open(sources: Sequence[str | Path]) -> dict[str, list[tuple[str, CocoSplit | PhotoFolder]]]:
    """For each split its sources: the name that stands in the set for their folder, and their photographs."""
    splits: dict[str, list[tuple[str, CocoSplit | PhotoFolder]]] = {}
    folders = [Path(source).resolve() for source in sources]
    for number, (source, folder) in enumerate(zip(sources, folders, strict=True)):
        if folder in folders[:number]:
            raise UcolnetError(f"{source} is named twice: its photographs would be there twice. Name it once.")
        # Two folders of one name are told apart by their number.
        name = f"{folder.name}-{number + 1}" if folder.name in [f.name for f in folders[:number]] else folder.name
        found = [split for split in SPLITS if (folder / split).is_dir()]
        for split in found:
            splits.setdefault(split, []).append((name, CocoSplit(source, split)))
        if not found:
            splits.setdefault("train2017", []).append((name, PhotoFolder(source)))
    return {split: splits[split] for split in SPLITS if split in splits}


def _is_complete(out: Path, plan: dict) -> bool:
    """Is this plan carried out already? False where it is begun, or where nothing lies there."""
    if not out.exists() or out.is_dir() and not any(out.iterdir()):
        return False
    try:
        found = json.loads((out / DESCRIPTION).read_text(encoding="utf-8"))
        same = {key: found.get(key) for key in plan} == plan
    except (OSError, ValueError, AttributeError):
        same = False
    if not same:
        raise UcolnetError(
            f"{out} holds something else, or a set of other photographs or another size. "
            "Name another folder, or remove this one first."
        )
    return "splits" in found


def _written_whole(data: Path, index: Path) -> list[int]:
    """The ids of the photographs that are written whole; what was half written when a run ended is cut off."""
    if not index.exists():
        data.unlink(missing_ok=True)
        return []
    data.touch()
    content = index.read_bytes()
    records = np.frombuffer(content[: len(content) // RECORD.itemsize * RECORD.itemsize], RECORD)
    ids, end = [], 0
    with data.open("r+b") as file:
        for record in records:
            found = file.read(int(record["jpeg"]) + int(record["map"]) + int(record["name"]))
            if record["offset"] != end or zlib.crc32(found) != record["checksum"]:
                break
            ids.append(int(record["id"]))
            end += len(found)
        file.truncate(end)
    os.truncate(index, len(ids) * RECORD.itemsize)
    return ids


def _write_description(out: Path, description: dict) -> None:
    with write_beside(out / DESCRIPTION) as file:
        file.write_text(json.dumps(description, indent=1), encoding="utf-8")


def _write(
    out: Path, split: str, parts: list[tuple[str, CocoSplit | PhotoFolder]], done: list[int], size: int, workers: int,
    bar: tqdm,
) -> list[str]:  # fmt: skip
    """Append what is missing of one split, in the order of the ids; return why photographs were left out."""
    tasks = []
    joined, written = join_ids([photos.ids for _, photos in parts]), set(done)
    for part, (ids, (_, photos)) in enumerate(zip(joined, parts, strict=True)):
        images = photos.coco.imgs if isinstance(photos, CocoSplit) else {}
        for index, (i, own) in enumerate(zip(ids, photos.ids, strict=True)):
            if i not in written:
                tasks.append(Task(i, part, index, images.get(own), photos.annotations(index)))
    # A loader gives back in order what its processes make, and never lets more of it wait than it must.
    encoded = DataLoader(
        Encoder(parts, size),
        sampler=tasks,
        batch_size=16,
        collate_fn=list,
        num_workers=workers if workers > 1 else 0,
    )
    broken = []
    try:
        with data_file(out, split).open("ab") as data, index_file(out, split).open("ab") as index:
            for photo in itertools.chain.from_iterable(encoded):
                bar.update()
                if isinstance(photo, str):
                    broken.append(photo)
                    continue
                record, content = photo
                record["offset"] = data.tell()
                # The bytes come before the record that speaks of them, also when the run is killed.
                data.write(content)
                data.flush()
                index.write(record.tobytes())
                index.flush()
    except OSError as error:
        raise UcolnetError(
            f"Cannot write {data_file(out, split)}: {error.strerror or error}. What is written stays: make room, and "
            "call the same command again."
        ) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise UcolnetError(
            "A process that makes photographs small was ended from outside; perhaps the memory did not suffice. "
            "What is written stays: call the same command again."
        ) from error
    return broken


def _describe(out: Path, split: str) -> dict:
    records = np.fromfile(index_file(out, split), RECORD)
    return {
        "photographs": len(records),
        "gray": int(records["gray"].sum()),
        "bytes": data_file(out, split).stat().st_size,
        "checksum": hashlib.sha256(records.tobytes()).hexdigest(),
    }
