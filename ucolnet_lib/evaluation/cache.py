"""What was measured already, kept in one file: a killed evaluation goes on, a second call takes seconds.

Entries are found by content: the key of a measurement is a checksum over all that decides its result (the photograph,
its annotations, what made the picture, the detector). A changed file has another key, so nothing can be out of date.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ucolnet_lib.common import UcolnetError


def content_key(*parts: Any) -> str:
    """One checksum over plain values (JSON)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Cache:
    """Keys to plain values (JSON), in a SQLite file, or in memory alone. May be used from several threads.

    Args:
        path: the file, made when it is missing; None keeps nothing after the process.
    Raises:
        UcolnetError: the file is no cache, or its folder cannot be written.
    """

    def __init__(self, path: str | Path | None = None):
        self._lock = threading.Lock()
        try:
            if path is not None:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
            # A kill loses at most the last photographs, never the file.
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.execute("CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        except (OSError, sqlite3.Error) as error:
            raise UcolnetError(
                f"The cache {path} cannot be used ({error}). Remove it, or choose another folder."
            ) from error

    def get(self, key: str) -> Any:
        """The value, or None where there is none."""
        with self._lock:
            found = self._file.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return None if found is None else json.loads(found[0])

    def put(self, entries: Mapping[str, Any]) -> None:
        """Keep all of them, or on a kill none."""
        rows = [(key, json.dumps(value)) for key, value in entries.items()]
        try:
            with self._lock:
                self._file.execute("BEGIN")
                self._file.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", rows)
                self._file.execute("COMMIT")
        except sqlite3.Error as error:
            raise UcolnetError(f"The cache cannot be written ({error}). Check the free space.") from error
