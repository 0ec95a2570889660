"""Is a file that came over the network whole, and is it what it should be?"""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from pathlib import Path

from PIL import Image

# A marker of JPEG: 0xFF and a code. Within the coded picture 0xFF 0x00 is a byte of the data and D0 to D7 only count
# its stretches; 0xFF may be repeated before a code (ITU-T T.81, B.1.1.2).
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_END_OF_IMAGE = b"\xd9"


class NotWhole(Exception):
    """A file is cut off or something else. The message is the predicate of a sentence: "is no JPEG"."""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_jpeg(path: Path, size: tuple[int, int] | None = None) -> None:
    """Decode the picture and look for the end that JPEG demands.

    Decoding alone is not enough: a decoder fills up what lacks at the very end, without an error.

    Args:
        size: (width, height) in pixels that it must have, or turned by 90 degrees: an EXIF entry may turn it.
    Raises:
        NotWhole: it is no JPEG, cut off, or of another size.
    """
    data = path.read_bytes()
    if not data.startswith(b"\xff\xd8\xff"):
        raise NotWhole(f"is no JPEG{_what_else(data)}")
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            image.load()
            found = image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise NotWhole(f"is no whole JPEG ({error})") from error
    if not _has_an_end(data):
        raise NotWhole("is no whole JPEG (its end is missing)")
    if size and sorted(found) != sorted(size):
        raise NotWhole(f"has {found[0]} x {found[1]} pixels, its annotation says {size[0]} x {size[1]}")


def check_zip(path: Path, sha256: str | None = None) -> None:
    """Compare with the checksum; where there is none, test every file in the archive.

    Raises:
        NotWhole: it is no zip archive, cut off, or another one.
    """
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            start = file.read(512)
        raise NotWhole(f"is no whole zip archive{_what_else(start)}")
    if sha256:
        if (found := sha256_of(path)) != sha256:
            raise NotWhole(f"has the SHA-256 {found[:12]}... and should have {sha256[:12]}...")
        return
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise NotWhole(f"is no whole zip archive ({error})") from error
    if broken:
        raise NotWhole(f"is a broken zip archive: {broken} fails its checksum")


def _has_an_end(data: bytes) -> bool:
    """Walk from marker to marker; a thumbnail's own end, inside a segment, does not count."""
    position = 2
    while marker := _MARKER.search(data, position):
        if marker[1] == _END_OF_IMAGE:
            return True
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return False


def _what_else(start: bytes) -> str:
    start = start[:512].lstrip().lower()
    return " but a web page" if start.startswith((b"<!doctype html", b"<html")) else "" if start else " but empty"
