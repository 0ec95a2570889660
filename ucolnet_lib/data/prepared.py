"""Reading a prepared data set: photographs decoded once and made small, two files a split.

`ucolnet data prepare` writes it (see `prepare.py`). The folder holds

    prepared.json         what lies here, and how it was made; complete when all is written
    train2017.bin         for each photograph: a JPEG, its semantic map (runs, zlib), where it came from (UTF-8)
    train2017.index       for each photograph a `RECORD`: where its bytes lie, its size, its checksum

The large file is mapped into memory. A photograph is read from the disk when it is looked at, in any order, and
processes that read the same set share what the system keeps of it.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import zlib
from pathlib import Path

import numpy as np
import simplejpeg

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CocoSplit, Photograph

DESCRIPTION = "prepared.json"
FORMAT = "ucolnet prepared 1"

RECORD = np.dtype(
    [
        ("id", "<i8"),
        ("offset", "<u8"),  # of the JPEG in the large file; the map and the name follow it
        ("jpeg", "<u4"),  # bytes
        ("map", "<u4"),  # bytes
        ("name", "<u2"),  # bytes
        ("height", "<u2"),
        ("width", "<u2"),
        ("gray", "?"),
        ("checksum", "<u4"),  # CRC-32 of JPEG, map and name together
    ]
)
"""One photograph in the index, 35 bytes."""

_AGAIN = "Copy the folder again, or prepare it again."


def open_split(root: str | Path, split: str) -> CocoSplit | PreparedSplit:
    """The photographs of a prepared set if `root` is one, of a COCO folder else; both read alike.

    Raises:
        UcolnetError: the folder is neither, or lacks the split.
    """
    return PreparedSplit(root, split) if (Path(root) / DESCRIPTION).is_file() else CocoSplit(root, split)


class PreparedSplit:
    """The photographs of one split of a prepared set, in the order of their ids; it reads as a `CocoSplit` does.

    It may be pickled (each process maps the file for itself) and read from several threads at once.

    Args:
        root: the folder that `ucolnet data prepare` wrote.
        split: `train2017` or `val2017`.
    Raises:
        UcolnetError: the folder is no finished prepared set, lacks the split, or a file was cut off or changed.
    """

    def __init__(self, root: str | Path, split: str):
        self.root, self.split = Path(root), split
        splits = read_description(self.root)["splits"]
        if split not in splits:
            raise UcolnetError(f"{root} was prepared without {split}. It has {', '.join(splits)}.")
        self.checksum: str = splits[split]["checksum"]
        """SHA-256 of the index, which holds the checksums of all photographs."""
        self._data, index = data_file(self.root, split), index_file(self.root, split)
        _check_size(self._data, splits[split]["bytes"])
        _check_size(index, splits[split]["photographs"] * RECORD.itemsize)
        content = index.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.checksum:
            raise UcolnetError(f"{index} was changed after it was written. {_AGAIN}")
        self._records = np.sort(np.frombuffer(content, RECORD), order="id")
        self.ids: list[int] = self._records["id"].tolist()
        """The image ids, in order."""
        self.gray: np.ndarray = self._records["gray"]
        """Which photographs are gray, or nearly (`ucolnet_lib.color.is_gray`): bool (n,)."""
        self.shapes: np.ndarray = np.stack([self._records["height"], self._records["width"]], axis=1)
        """Height and width of the photographs in pixels: uint16 (n, 2)."""
        # Where JPEG, map and name of each photograph begin, and where the name ends.
        self._bounds = np.cumsum([self._records[key] for key in ("offset", "jpeg", "map", "name")], axis=0).T
        self._mapped: memoryview | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Photograph:
        try:
            # The same pixels as by Pillow, in three quarters of the time.
            rgb = simplejpeg.decode_jpeg(self.jpeg(index), "RGB")
        except ValueError as error:
            raise self._changed(index) from error
        return Photograph(self.ids[index], self.file(index), rgb, self.semantic_map(index))

    def jpeg(self, index: int) -> memoryview:
        """The JPEG of photograph `index` (baseline, three channels) as it lies in the file: nothing is copied."""
        return self._part(index, 0)

    def semantic_map(self, index: int) -> np.ndarray:
        """The classes of photograph `index`: uint8 (H, W), 0..80 or 255."""
        try:
            return decode_map(self._part(index, 1), self.shapes[index])
        except (zlib.error, ValueError) as error:
            raise self._changed(index) from error

    def file(self, index: int) -> Path:
        """Where photograph `index` came from, as FOLDER/SPLIT/NAME or FOLDER/NAME; it may lie there no more."""
        return Path(str(self._part(index, 2), "utf-8"))

    def check(self) -> None:
        """Read everything and compare it with its checksums: about a second for each gigabyte.

        Raises:
            UcolnetError: names the first photograph whose bytes were changed.
        """
        for index, checksum in enumerate(self._records["checksum"].tolist()):
            if zlib.crc32(self._map()[self._bounds[index, 0] : self._bounds[index, 3]]) != checksum:
                raise self._changed(index)

    def _part(self, index: int, part: int) -> memoryview:
        start, end = self._bounds[index, part : part + 2]
        return self._map()[start:end]

    def _map(self) -> memoryview:
        if self._mapped is None:
            with self._data.open("rb") as file:
                self._mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return self._mapped

    def _changed(self, index: int) -> UcolnetError:
        return UcolnetError(f"The photograph {self.ids[index]} in {self._data} was changed or damaged. {_AGAIN}")

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_mapped": None}


def data_file(root: Path, split: str) -> Path:
    """The large file of a split."""
    return root / f"{split}.bin"


def index_file(root: Path, split: str) -> Path:
    """The records of a split."""
    return root / f"{split}.index"


def encode_map(semantic_map: np.ndarray) -> bytes:
    """uint8 (H, W) of one pixel or more to bytes, without loss: lengths of runs (uint32) and their classes, by zlib.

    Runs of equal pixels, row after row. On COCO's maps of 256 px this is as small as a PNG (1.2 kB) and is read six
    times as fast (0.03 ms), for zlib has less to unpack.
    """
    flat = semantic_map.ravel()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    lengths = np.diff(starts, append=flat.size).astype("<u4")
    return zlib.compress(lengths.tobytes() + flat[starts].tobytes())


def decode_map(content: bytes | memoryview, shape: tuple[int, int]) -> np.ndarray:
    """The map of this shape (H, W) that `encode_map` encoded."""
    runs = zlib.decompress(content)
    count = len(runs) // 5
    lengths, classes = np.frombuffer(runs, "<u4", count), np.frombuffer(runs, np.uint8, count, offset=4 * count)
    return np.repeat(classes, lengths).reshape(shape)


def read_description(root: str | Path) -> dict:
    """What `prepared.json` says.

    Raises:
        UcolnetError: the folder is no finished prepared set, or one of another version.
    """
    file = Path(root) / DESCRIPTION
    if not file.is_file():
        raise UcolnetError(f"{root} is no prepared set: it has no {DESCRIPTION}. `ucolnet data prepare` makes one.")
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        found = description["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise UcolnetError(f"{file} is damaged ({error}). {_AGAIN}") from error
    if found != FORMAT:
        raise UcolnetError(f"{root} was prepared as {found!r}, and this version reads {FORMAT!r}. Prepare it again.")
    if "splits" not in description:
        raise UcolnetError(f"{root} is not finished. Call `ucolnet data prepare` again as before: it goes on.")
    return description


def _check_size(file: Path, size: int) -> None:
    found = file.stat().st_size if file.is_file() else 0
    if found != size:
        raise UcolnetError(f"{file} has {found:,} of {size:,} bytes: it was cut off or changed. {_AGAIN}")
