"""COCO 2017 from its official server, or from a mirror with the same layout: all of a split, or a choice of images."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from tqdm import tqdm

from ucolnet_lib.common import UcolnetError, check_space
from ucolnet_lib.data.choice import choose_images, restrict
from ucolnet_lib.data.download import Downloader, forget_notes, part_of
from ucolnet_lib.data.fetched import THREADS, FetchedFolder
from ucolnet_lib.data.wholeness import NotWhole, check_jpeg, check_zip, sha256_of

OFFICIAL = "http://images.cocodataset.org"
"""The official server. It speaks plain HTTP, so the checksums are what protects the archives on their way."""


@dataclass(frozen=True)
class Archive:
    """A file of COCO 2017. `path`: below the server's address; `size`: bytes; `sha256`: of the official file."""

    path: str
    size: int
    sha256: str


# Checksums: torchvision, torchvision/prototype/datasets/_builtin/coco.py. The sizes are the server's own.
ARCHIVES: dict[str, Archive] = {
    "annotations": Archive(
        "annotations/annotations_trainval2017.zip",
        252_907_541,
        "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    ),
    "train2017": Archive(
        "zips/train2017.zip",
        19_336_861_798,
        "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
    ),
    "val2017": Archive(
        "zips/val2017.zip",
        815_585_330,
        "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
    ),
}

IMAGE_BYTES = 165_000
"""An image of COCO 2017 in the mean: both image archives have 163 kB for each, and a disk rounds up."""

MOST_FAILURES = 10
"""After so many images that cannot be had, the rest is not tried: the server is wrong, or the disk is full."""

ADVICE = "Make room, take another disk, or fetch fewer images with --limit."

Sizes = dict[str, tuple[int, int]]
"""The name of an image -> its width and height in pixels."""


def fetch_coco(
    out: str | Path,
    split: str,
    limit: int | None = None,
    image_ids: Collection[int] | None = None,
    categories: Collection[str] = (),
    mirror: str | None = None,
    say: Callable[[str], None] = print,
    progress: bool = True,
    downloader: Downloader | None = None,
) -> Path:
    """Fetch COCO 2017: a whole split as an archive, or the chosen images one by one.

    Whatever a call leaves undone, the next one goes on with. The folder only grows: images that earlier calls fetched
    stay listed, so that a larger `limit` keeps what is there.

    Args:
        out: the COCO folder, new or of an earlier call.
        split: `train2017` (118,287 images, 19 GB) or `val2017` (5,000 images, 0.8 GB).
        limit, image_ids, categories: which images, see `choose_images`; without any of them all.
        mirror: the address of another server with COCO's layout. What comes from there is checked to be whole; the
            official checksums do not hold there.
        say: gets one sentence at the end.
        progress: show what comes, its rate and the remaining time.
        downloader: one with other retries or another timeout; it is closed at the end.
    Returns:
        `out`, whose annotation file lists the images that lie there and no others.
    Raises:
        UcolnetError: no space, no such images, or the server fails for good. What is good is kept.
    """
    if split not in ("train2017", "val2017"):
        raise UcolnetError(f"COCO 2017 has no split {split!r}. Take train2017 or val2017.")
    folder = FetchedFolder(Path(out), split)
    for place in {folder.photos, *((folder.root / archive.path).parent for archive in ARCHIVES.values())}:
        forget_notes(place)
    server = _Server(mirror, downloader or Downloader(), progress)
    unlimited = limit is None and image_ids is None and not categories
    room = 0 if _there(folder.root / ARCHIVES["annotations"].path) else 3 * server.size("annotations")
    if unlimited and not folder.photos.exists():
        room += 2 * server.size(split)
    check_space(folder.root, room, ADVICE)

    text, content = _read_annotations(server.bring("annotations", folder.root), split)
    chosen = set(choose_images(content, limit, image_ids, categories))
    there = folder.names()
    chosen |= {image["id"] for image in content["images"] if image["file_name"] in there}
    sizes: Sizes = {i["file_name"]: (i["width"], i["height"]) for i in content["images"] if i["id"] in chosen}
    is_whole_split = len(chosen) == len(content["images"])
    manifest = {
        "source": server.address,
        "split": split,
        "rule": "of the images that fit, the first in the order of the SHA-256 of their ids; and all of earlier calls",
        "limit": limit,
        "ids": None if image_ids is None else sorted(image_ids),
        "categories": sorted(categories),
        "images": sorted(chosen),
    }
    # Before the images come: while some are missing, whoever trains is told so. The other way round, images that
    # are not listed yet would count as photographs that nobody annotated.
    folder.write(manifest, text if is_whole_split else json.dumps(restrict(content, chosen)).encode())
    del text, content  # gigabytes, for train2017

    good = folder.good(sorted(there & sizes.keys()), sizes, progress)
    missing = [name for name in sizes if name not in good]
    zipped = folder.root / ARCHIVES[split].path
    by_archive = is_whole_split and (zipped.is_file() or 2 * len(missing) > len(sizes))
    room = len(missing) * IMAGE_BYTES
    if by_archive:
        room += max(0, server.size(split) - _there(zipped))
    check_space(folder.root, room, ADVICE)
    with folder.record(good) as record:
        if by_archive:
            _unpack(server.bring(split, folder.root), folder, missing, record, progress)
        else:
            _fetch_images(server, folder, {name: sizes[name] for name in missing}, record)
    say(f"{split}: {len(sizes):,} images lie in {out}, {len(missing):,} of them fetched now.")
    return Path(out)


class _Server:
    """The official server or a mirror, and the files that COCO's layout names there."""

    def __init__(self, mirror: str | None, downloader: Downloader, progress: bool):
        if mirror is not None and not re.match(r"https?://\w", mirror):
            raise UcolnetError(f"The mirror {mirror!r} is no address. Write it as http://SERVER/FOLDER.")
        self.address = (mirror or OFFICIAL).rstrip("/")
        self.is_official = mirror is None
        self.downloader, self.progress = downloader, progress

    def size(self, name: str) -> int:
        """The bytes of an archive; 0 where nobody knows."""
        archive = ARCHIVES[name]
        return archive.size if self.is_official else self.downloader.size(f"{self.address}/{archive.path}") or 0

    def bring(self, name: str, root: Path) -> Path:
        """Fetch an archive, if it does not lie there already, to the same place below `root`."""
        archive = ARCHIVES[name]
        path = root / archive.path
        check = partial(check_zip, sha256=archive.sha256 if self.is_official else None)
        try:
            check(path)
        except (NotWhole, FileNotFoundError):
            self.downloader.fetch(f"{self.address}/{archive.path}", path, check, self.progress)
        return path

    def bring_image(self, folder: FetchedFolder, name: str, size: tuple[int, int]) -> str:
        """Fetch one image and give its SHA-256."""
        path = folder.photos / name
        self.downloader.fetch(f"{self.address}/{folder.split}/{name}", path, partial(check_jpeg, size=size))
        return sha256_of(path)


def _read_annotations(archive: Path, split: str) -> tuple[bytes, dict]:
    """The annotation file of a split, as it stands in the archive and as what it says."""
    member = f"annotations/instances_{split}.json"
    try:
        with zipfile.ZipFile(archive) as opened:
            text = opened.read(member)
        content = json.loads(text)
        for image in content["images"]:
            if not {"id", "width", "height"} <= image.keys() or not re.fullmatch(r"[\w-]+\.jpg", image["file_name"]):
                raise ValueError(f"an image entry {image}")
        if not all({"image_id", "category_id"} <= a.keys() for a in content["annotations"]):
            raise ValueError("an annotation without image_id or category_id")
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UcolnetError(f"{archive} holds no {member} as COCO has it ({error}). Name another server.") from error
    return text, content


def _unpack(archive: Path, folder: FetchedFolder, names: list[str], record: Callable, progress: bool) -> None:
    """Take the named images out of the archive, which is not needed any more then."""
    folder.photos.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in tqdm(names, desc=f"{folder.split}: unpacking", unit="image", disable=not progress):
                data = opened.read(f"{folder.split}/{name}")  # checks the CRC
                part = part_of(folder.photos / name)
                part.write_bytes(data)
                os.replace(part, folder.photos / name)
                record(name, hashlib.sha256(data).hexdigest())
    except KeyError as error:
        raise UcolnetError(f"{archive} lacks an image: {error.args[0]} Name another server.") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise UcolnetError(f"Cannot unpack {archive} ({error}). Check the free space, and call again.") from error
    archive.unlink()


def _fetch_images(server: _Server, folder: FetchedFolder, missing: Sizes, record: Callable) -> None:
    """Fetch images side by side; one that fails does not stop the others, unless many fail."""

    tasks: SimpleQueue[str] = SimpleQueue()
    results: SimpleQueue[tuple[str, str | Exception]] = SimpleQueue()
    for name in missing:
        tasks.put(name)

    def bring_all() -> None:
        while not tasks.empty():
            try:
                name = tasks.get_nowait()
            except Empty:
                return
            try:
                results.put((name, server.bring_image(folder, name, missing[name])))
            except Exception as error:
                results.put((name, error))

    failures: list[UcolnetError] = []
    quiet = not (server.progress and missing)
    # Daemons, unlike the threads of an executor, do not hold up who interrupts a server that is silent. And a Ctrl-C
    # at the wrong moment can leave a pool of multiprocessing locked for ever; a SimpleQueue it cannot.
    for _ in range(min(THREADS, len(missing))):
        Thread(target=bring_all, daemon=True).start()
    try:
        with tqdm(total=len(missing), desc=folder.split, unit="image", disable=quiet) as bar:
            for _ in missing:
                name, result = results.get()
                if isinstance(result, str):
                    record(name, result)
                    bar.update()
                    continue
                if not isinstance(result, UcolnetError):
                    raise result
                failures.append(result)
                if len(failures) == MOST_FAILURES:
                    break
    finally:
        server.downloader.close()
    if failures:
        rest = " and the rest was not tried" if len(failures) == MOST_FAILURES else ""
        raise UcolnetError(
            f"{len(failures)} of {len(missing):,} images could not be fetched{rest}; call again to go on. "
            f"The first: {failures[0]}"
        )


def _there(path: Path) -> int:
    """The bytes of a file, or of what has come of it."""
    return next((p.stat().st_size for p in (path, part_of(path)) if p.is_file()), 0)
