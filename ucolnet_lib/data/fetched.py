"""What lies in a fetched COCO folder: the photographs of one split, their checksums, and how they were chosen.

Beside what every COCO folder has (see `coco.py`):

- `<split>.manifest.json`: from which server, which images, and by which rule they were chosen;
- `<split>.sha256`: the checksum of each image that came whole, for later calls and for `sha256sum -c`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.data.wholeness import NotWhole, check_jpeg, sha256_of

THREADS = 16
"""Images fetched or checked side by side: most of the time goes by waiting for the server."""


class FetchedFolder:
    """One split of a COCO folder that `fetch_coco` fills.

    Args:
        root: the COCO folder; it need not exist yet.
        split: `train2017` or `val2017`.
    Raises:
        UcolnetError: the folder has an annotation file that was not fetched; it would be lost.
    """

    def __init__(self, root: Path, split: str):
        self.root, self.split = root, split
        self.photos = root / split
        self.annotation_file = root / "annotations" / f"instances_{split}.json"
        self.manifest = root / f"{split}.manifest.json"
        self.checksums = root / f"{split}.sha256"
        if self.annotation_file.exists() and not self.manifest.exists():
            raise UcolnetError(
                f"{self.annotation_file} was not fetched by this command, which would replace it. Take another folder."
            )

    def names(self) -> set[str]:
        """The names of the photographs that lie here, whole or not."""
        return {path.name for path in self.photos.iterdir()} if self.photos.is_dir() else set()

    def write(self, manifest: dict, annotations: bytes) -> None:
        """Write the manifest and the annotation file."""
        with write_beside(self.manifest) as path:
            path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        with write_beside(self.annotation_file) as path:
            path.write_bytes(annotations)

    def good(self, names: list[str], sizes: dict[str, tuple[int, int]], progress: bool) -> dict[str, str]:
        """Name -> SHA-256 of those photographs that lie here as they came, or at least are whole.

        Args:
            names: which to look at; all of them lie here.
            sizes: name -> (width, height) in pixels, for those without a recorded checksum.
        """
        recorded = self._recorded()

        def checksum(name: str) -> str | None:
            path = self.photos / name
            found = sha256_of(path)
            if name in recorded:
                return found if found == recorded[name] else None
            try:
                check_jpeg(path, sizes[name])
                return found
            except NotWhole:
                return None

        with ThreadPoolExecutor(THREADS) as pool:
            found = pool.map(checksum, names)
            quiet = not (progress and names)
            bar = tqdm(found, total=len(names), desc=f"{self.split}: checking", unit="image", disable=quiet)
            return {name: value for name, value in zip(names, bar, strict=True) if value}

    @contextmanager
    def record(self, good: dict[str, str]) -> Iterator[Callable[[str, str], None]]:
        """Give a function (name, SHA-256) that records one more photograph, at once: a kill loses no checksum.

        Raises:
            UcolnetError: the record cannot be written.
        """
        lines = "".join(self._line(*entry) for entry in sorted(good.items()))
        with write_beside(self.checksums) as path:
            path.write_text(lines, encoding="utf-8", newline="\n")
        try:
            with open(self.checksums, "a", encoding="utf-8", newline="\n", buffering=1) as file:
                yield lambda name, checksum: file.write(self._line(name, checksum))
        except OSError as error:
            why = error.strerror or error
            raise UcolnetError(f"Cannot write {self.checksums}: {why}. Check the folder and the free space.") from error

    def _line(self, name: str, checksum: str) -> str:
        return f"{checksum}  {self.split}/{name}\n"

    def _recorded(self) -> dict[str, str]:
        if not self.checksums.is_file():
            return {}
        # The last line may be cut off.
        lines = re.findall(r"^([0-9a-f]{64})  \w+/(.+)\n", self.checksums.read_text(encoding="utf-8"), re.MULTILINE)
        return {name: checksum for checksum, name in lines}
