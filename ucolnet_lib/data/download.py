"""One file over HTTP: it goes on where it stopped, tries again a bounded number of times, and is checked.

requests brings connections, proxies and certificates; Retry of urllib3 counts and waits. Neither goes on in the middle
of a file (psf/requests issue 6512), nor do pooch and torchvision. So that is done here.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.exceptions import MaxRetryError, ProtocolError
from urllib3.util import Retry

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.wholeness import NotWhole

RETRIES = Retry(
    total=5,
    other=1,  # a file that arrives wrong is fetched once more: five times 19 GB help nobody
    backoff_factor=1,  # waits 0, 2, 4, 8 and 16 seconds
    status_forcelist=(429, 500, 502, 503, 504),
    raise_on_status=False,  # the last answer says more
    respect_retry_after_header=False,  # a server may name hours
)
"""How often a file is tried again. The count begins anew whenever more of the file has come than ever before."""

TIMEOUT = 20.0
"""Seconds without a byte after which a connection counts as stalled."""

_CHUNK = 2**16  # bytes; so much is lost at most when a connection breaks off


def part_of(path: Path) -> Path:
    """Where a file lies until it is whole."""
    return path.with_name(f".{path.name}.part")


def forget_notes(folder: Path) -> None:
    """Remove the notes of files that are whole: a kill may come between the file's last name and their removal."""
    for notes in folder.glob(".*.part.json"):
        if not notes.with_suffix("").exists():
            notes.unlink()


class Downloader:
    """Fetches files, also from several threads at once.

    Args:
        retries: how often and after which waits a file is tried again.
        timeout: seconds without a byte after which a connection counts as stalled.
    """

    def __init__(self, retries: Retry = RETRIES, timeout: float = TIMEOUT):
        self.retries, self.timeout = retries, timeout
        self._of_thread, self._closed = threading.local(), threading.Event()

    def close(self) -> None:
        """Make every thread that still fetches give up before it writes again, without waiting for it."""
        self._closed.set()

    def size(self, url: str) -> int | None:
        """The bytes of a file, or None where the server does not say.

        Raises:
            UcolnetError: the server cannot be reached, or has no such file.
        """
        with self._ask("HEAD", url, {}) as response:
            return _Version(response).size

    def fetch(self, url: str, path: Path, check: Callable[[Path], None], progress: bool = False) -> None:
        """Bring one file; what an earlier call left half done is used.

        Args:
            url: its address.
            path: where it lies in the end. Until it is whole it lies beside, under a name that begins with a dot.
            check: raises `NotWhole` for a file that is not what it should be.
            progress: show bytes, rate and remaining time.
        Raises:
            UcolnetError: it cannot be had, or there is no space. What has come stays for the next call.
        """
        part, retries, furthest = part_of(path), self.retries, 0
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._receive(url, part, progress)
                _check_or_discard(part, check)
                os.replace(part, path)
                _notes_of(part).unlink(missing_ok=True)
                return
            except NotWhole as error:
                cause, why = error, f"{url} {error}"
            except requests.RequestException as error:
                cause, why = ProtocolError(error), f"Cannot fetch {url}: {_why(error)}"
                if part.is_file() and part.stat().st_size > furthest:
                    furthest, retries = part.stat().st_size, self.retries
            except OSError as error:
                raise UcolnetError(
                    f"Cannot write {path}: {error.strerror or error}. Check the folder and the free space."
                ) from error
            try:
                retries = retries.increment("GET", url, error=cause)
            except MaxRetryError:
                raise UcolnetError(f"{why}. Try again later, or another server.") from cause
            retries.sleep()

    def _give_up_if_closed(self, url: str) -> None:
        if self._closed.is_set():
            raise UcolnetError(f"{url} was given up.")

    @property
    def _session(self) -> requests.Session:
        """One for each thread: sessions of requests are not made to be shared."""
        if not hasattr(self._of_thread, "session"):
            session = requests.Session()
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=self.retries))
            # Compressed on the way, a file could not go on at the byte where it stopped.
            session.headers["Accept-Encoding"] = "identity"
            self._of_thread.session = session
        return self._of_thread.session

    def _ask(self, method: str, url: str, headers: dict[str, str]) -> requests.Response:
        """The answer's head; Retry has tried what is worth it, so an error here is final."""
        try:
            response = self._session.request(
                method, url, headers=headers, stream=True, timeout=self.timeout, allow_redirects=True
            )
        except requests.RequestException as error:
            raise UcolnetError(f"Cannot fetch {url}: {_why(error)}. Try again later, or another server.") from error
        if response.status_code in (404, 410):
            raise UcolnetError(f"{url} does not exist ({response.status_code}). Check the address of the server.")
        if response.status_code not in (200, 206, 416):
            raise UcolnetError(
                f"Cannot fetch {url}: the server answers {response.status_code} {response.reason}. "
                "Try again later, or another server."
            )
        return response

    def _receive(self, url: str, part: Path, progress: bool) -> None:
        """Bring `part` to its end, from where it stands if the server still has the same file."""
        before = _read_notes(part)
        have = part.stat().st_size if before else 0
        if before and have == before["size"]:
            return
        headers = {"Range": f"bytes={have}-", "If-Range": before["validator"]} if before else {}
        with self._ask("GET", url, headers) as response:
            self._give_up_if_closed(url)
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise NotWhole("is a web page")  # of a login or a proxy: what has come of the file stays
            version = _Version(response)
            goes_on = version.start == have and version.notes == before
            if response.status_code != 200 and not goes_on:
                _discard(part)
                raise requests.RequestException("the server sends another part than it was asked for")
            if not goes_on:
                _discard(part)
                have = 0
                if version.validator:
                    _notes_of(part).write_text(json.dumps(version.notes), encoding="utf-8")
            bar = tqdm(
                total=version.size, initial=have, desc=part.name[1:-5], unit="B", unit_scale=True,
                disable=not progress, leave=False,
            )  # fmt: skip
            with bar, open(part, "ab") as file:
                for chunk in response.iter_content(_CHUNK):
                    self._give_up_if_closed(url)
                    file.write(chunk)
                    bar.update(len(chunk))


class _Version:
    """Which file the server sends: two answers with equal notes belong to one file and may be joined."""

    def __init__(self, response: requests.Response):
        headers = response.headers
        # A weak ETag stands for files that are alike, not equal (RFC 9110, 8.8.1).
        tag = headers.get("ETag", "")
        self.validator = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
        self.start, size = None, headers.get("Content-Length", "")
        if response.status_code == 206:
            # Content-Range: bytes START-END/SIZE
            span, _, size = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            self.start = int(span.split("-")[0]) if span.split("-")[0].isdecimal() else None
        self.size = int(size) if size.isdecimal() else None

    @property
    def notes(self) -> dict:
        return {"validator": self.validator, "size": self.size}


def _notes_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_notes(part: Path) -> dict | None:
    """What was noted of a half-received file; None where it cannot go on."""
    try:
        notes = json.loads(_notes_of(part).read_text(encoding="utf-8"))
        return notes if part.is_file() and part.stat().st_size and notes.keys() == {"validator", "size"} else None
    except (OSError, ValueError, AttributeError):
        return None


def _discard(part: Path) -> None:
    # The notes last: a part without its notes is never joined to anything, notes without a part say nothing.
    part.unlink(missing_ok=True)
    _notes_of(part).unlink(missing_ok=True)


def _check_or_discard(part: Path, check: Callable[[Path], None]) -> None:
    try:
        check(part)
    except NotWhole:
        _discard(part)
        raise


def _why(error: requests.RequestException) -> str:
    """A few words: the library's own texts show its classes."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not valid"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not let it through"
    if "timed out" in str(error):
        return "the server does not answer any more"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection breaks off"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "the server cannot be reached"
    return str(error)
