"""Downloads from a server that cuts, stalls, lies and changes its files."""

import errno
import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import urllib3

from tests.data.mirror import WEB_PAGE, quick, serve
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data import download
from ucolnet_lib.data.download import RETRIES, TIMEOUT, Downloader, part_of
from ucolnet_lib.data.wholeness import NotWhole

ROOT = Path(__file__).parents[2]
DATA = np.random.default_rng(0).bytes(400_000)


@pytest.fixture
def mirror(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "file").write_bytes(DATA)
    with serve(tmp_path / "site") as server:
        yield server


def is_data(path):
    if path.read_bytes() != DATA:
        raise NotWhole("is not the data")


def fetch(mirror, tmp_path, check=is_data, name="file", downloader=None) -> None:
    (downloader or quick()).fetch(f"{mirror.address}/{name}", tmp_path / "out" / "file", check)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]


def ranges(mirror) -> list[int]:
    """Where each request began."""
    return [int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0 for _, _, asked in mirror.requests]


def test_a_file(mirror, tmp_path):
    fetch(mirror, tmp_path)
    assert ranges(mirror) == [0]


def test_an_empty_file(mirror, tmp_path):
    (tmp_path / "site" / "file").write_bytes(b"")
    fetch(mirror, tmp_path, check=lambda path: None)
    assert (tmp_path / "out" / "file").read_bytes() == b""


def test_the_size(mirror):
    assert quick().size(f"{mirror.address}/file") == len(DATA)


def test_a_cut_connection_goes_on_where_it_stopped(mirror, tmp_path):
    mirror.faults["file"] = ["cut", "cut", "stall"]
    fetch(mirror, tmp_path)
    starts = ranges(mirror)
    assert len(starts) == 4 and starts == sorted(set(starts)) and starts[1] > len(DATA) // 3


def test_any_number_of_cuts_is_fine_as_long_as_more_comes(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_CHUNK", 1000)
    mirror.faults["file"] = ["cut"] * 8
    fetch(mirror, tmp_path)
    assert len(mirror.requests) == 9 > RETRIES.total


def test_a_server_that_ignores_range(mirror, tmp_path):
    mirror.faults["file"] = ["cut", "whole"]
    fetch(mirror, tmp_path)
    assert ranges(mirror)[1] > 0


def test_a_server_that_ignores_range_and_always_cuts_is_given_up(mirror, tmp_path):
    """Each time something comes, and never more than before."""
    mirror.faults["file"] = ["whole+cut"] * 50
    with pytest.raises(UcolnetError, match="the connection breaks off"):
        fetch(mirror, tmp_path)
    assert len(mirror.requests) == RETRIES.total + 1


@pytest.mark.parametrize("fault", ["shifted", "anonymous"])
def test_a_part_that_does_not_fit_is_not_joined(mirror, tmp_path, fault):
    mirror.faults["file"] = ["cut", fault]
    fetch(mirror, tmp_path)


def test_nothing_is_joined_without_a_name_of_the_version(mirror, tmp_path):
    mirror.faults["file"] = ["anonymous+cut"]
    fetch(mirror, tmp_path)
    assert ranges(mirror) == [0, 0]


@pytest.mark.parametrize("fault", ["", "no-if-range"])
def test_a_file_that_changed_between_two_calls(mirror, tmp_path, fault):
    """The old half is thrown away, also where the server would go on with the new file."""
    mirror.faults["file"] = ["cut", "404"]
    with pytest.raises(UcolnetError, match="does not exist"):
        fetch(mirror, tmp_path)
    assert part_of(tmp_path / "out" / "file").stat().st_size > 100_000
    new = DATA[::-1]
    (tmp_path / "site" / "file").write_bytes(new)
    mirror.faults["file"] = [fault, fault]
    mirror.requests.clear()
    fetch(mirror, tmp_path, check=lambda path: None)
    assert len(mirror.requests) == (2 if fault else 1), "If-Range brings the new file at once"
    assert (tmp_path / "out" / "file").read_bytes() == new


def test_a_whole_part_needs_no_request(mirror, tmp_path):
    """Killed after the last byte and before the check."""
    mirror.faults["file"] = ["", "404"]

    def killed(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(mirror, tmp_path, check=killed)
    fetch(mirror, tmp_path)
    assert len(mirror.requests) == 1


def test_a_part_longer_than_the_file(mirror, tmp_path):
    mirror.faults["file"] = ["cut", "404"]
    with pytest.raises(UcolnetError):
        fetch(mirror, tmp_path)
    with open(part_of(tmp_path / "out" / "file"), "ab") as file:
        file.write(bytes(len(DATA)))
    fetch(mirror, tmp_path)


@pytest.mark.parametrize("notes", [None, "", "{", "[]", '{"validator": 1}'])
def test_a_part_with_broken_notes_is_not_used(mirror, tmp_path, notes):
    part = part_of(tmp_path / "out" / "file")
    part.parent.mkdir()
    part.write_bytes(b"something else")
    if notes is not None:
        part.with_name(part.name + ".json").write_text(notes)
    fetch(mirror, tmp_path)


@pytest.mark.parametrize("fault", ["page", "page-as-jpeg"])
def test_a_web_page_instead(mirror, tmp_path, fault):
    mirror.faults["file"] = [fault]
    fetch(mirror, tmp_path)
    mirror.faults["other"] = [fault] * 9
    (tmp_path / "site" / "other").write_bytes(DATA)
    (tmp_path / "out" / "file").unlink()
    mirror.requests.clear()
    with pytest.raises(UcolnetError, match=f"{mirror.address}/other is (a web page|not the data)"):
        fetch(mirror, tmp_path, name="other")
    assert len(mirror.requests) == 2, "a wrong file is fetched once more"
    assert WEB_PAGE not in [path.read_bytes() for path in (tmp_path / "out").iterdir()]


def test_a_web_page_does_not_cost_what_has_come(mirror, tmp_path):
    mirror.faults["file"] = ["cut", "page", "page"]
    with pytest.raises(UcolnetError, match="is a web page"):
        fetch(mirror, tmp_path)
    fetch(mirror, tmp_path)
    assert ranges(mirror)[-1] > 100_000


def test_a_wrong_file_is_fetched_again_from_its_start(mirror, tmp_path):
    mirror.faults["file"] = ["too-short"]
    fetch(mirror, tmp_path)
    assert ranges(mirror) == [0, 0]


def test_a_content_length_that_is_too_long(mirror, tmp_path):
    mirror.faults["file"] = ["too-long"]
    fetch(mirror, tmp_path)
    (tmp_path / "out" / "file").unlink()
    mirror.faults["file"] = ["too-long"] * 50
    with pytest.raises(UcolnetError, match="Cannot fetch"):
        fetch(mirror, tmp_path)
    assert len(mirror.requests) < 20


@pytest.mark.parametrize("status", ["500", "503"])
def test_a_server_that_is_busy_for_a_while(mirror, tmp_path, status):
    mirror.faults["file"] = [status] * 3
    fetch(mirror, tmp_path)


def test_a_server_that_stays_busy(mirror, tmp_path):
    mirror.faults["file"] = ["503"] * 50
    with pytest.raises(UcolnetError, match="the server answers 503 Service Unavailable"):
        quick().fetch(f"{mirror.address}/file", tmp_path / "out" / "file", is_data)
    assert len(mirror.requests) == RETRIES.total + 1


@pytest.mark.parametrize("status", ["404", "403"])
def test_what_no_patience_mends_is_tried_once(mirror, tmp_path, status):
    mirror.faults["file"] = [status]
    with pytest.raises(UcolnetError, match=rf"{mirror.address}/file.*{status}"):
        fetch(mirror, tmp_path)
    assert len(mirror.requests) == 1


@pytest.mark.parametrize("fault", ["stall", "silence"])
def test_a_connection_that_stalls(mirror, tmp_path, fault):
    mirror.faults["file"] = [fault]
    fetch(mirror, tmp_path)
    (tmp_path / "out" / "file").unlink()
    mirror.faults["file"] = ["silence"] * 20
    start = time.monotonic()
    with pytest.raises(UcolnetError, match="the server does not answer any more"):
        fetch(mirror, tmp_path, downloader=quick(timeout=0.1))
    assert time.monotonic() - start < 10


def test_no_server(tmp_path):
    with serve(tmp_path) as mirror:
        address = mirror.address
    with pytest.raises(UcolnetError, match=rf"Cannot fetch {address}/file: the server cannot be reached"):
        quick().fetch(f"{address}/file", tmp_path / "file", is_data)
    with pytest.raises(UcolnetError, match="the server cannot be reached"):
        quick().size(f"{address}/file")


def test_a_full_disk(mirror, tmp_path, monkeypatch):
    """It fills up in the middle; what came before stays and is used."""
    mirror.faults["file"] = ["cut", "404"]
    with pytest.raises(UcolnetError):
        fetch(mirror, tmp_path)
    part = part_of(tmp_path / "out" / "file")
    came = part.stat().st_size

    class Full:
        def __init__(self, *arguments):
            self.file = open(*arguments)

        def __enter__(self):
            return self

        def __exit__(self, *arguments):
            self.file.close()

        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "open", Full, raising=False)
    with pytest.raises(UcolnetError, match=r"Cannot write .*file: No space left on device\. Check the folder"):
        fetch(mirror, tmp_path)
    assert part.stat().st_size == came
    monkeypatch.undo()
    fetch(mirror, tmp_path)
    assert ranges(mirror)[-1] == came


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_limit_of_the_system_on_the_size_of_files(mirror, tmp_path):
    """A real refusal of the system, in a process of its own."""
    code = f"""
        import resource
        from tests.data.mirror import quick
        from pathlib import Path
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
        quick().fetch({mirror.address + "/file"!r}, Path({str(tmp_path / "out" / "file")!r}), lambda path: None)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=ROOT)
    assert "UcolnetError: Cannot write" in done.stderr and "File too large" in done.stderr
    assert part_of(tmp_path / "out" / "file").stat().st_size > 100_000
    fetch(mirror, tmp_path)
    assert ranges(mirror)[-1] > 100_000


def test_a_file_where_the_folder_should_be(mirror, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UcolnetError, match="Cannot write .*out"):
        quick().fetch(f"{mirror.address}/file", tmp_path / "out" / "file", is_data)


def test_a_killed_process(mirror, tmp_path):
    code = f"""
        from tests.data.mirror import quick
        from pathlib import Path
        quick(60).fetch({mirror.address + "/file"!r}, Path({str(tmp_path / "out" / "file")!r}), lambda path: None)
    """
    mirror.faults["file"] = ["stall"]
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT)
    part = part_of(tmp_path / "out" / "file")
    deadline = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size > 100_000):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    fetch(mirror, tmp_path)
    assert ranges(mirror)[1] > 100_000


def test_a_closed_downloader_writes_nothing_more(mirror, tmp_path):
    """An interrupted call's threads may still wait for the server when the next call begins."""
    mirror.faults["file"] = ["cut", "404"]
    with pytest.raises(UcolnetError):
        fetch(mirror, tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    downloader = quick()
    downloader.close()
    (tmp_path / "site" / "file").write_bytes(DATA[::-1])
    with pytest.raises(UcolnetError, match="was given up"):
        fetch(mirror, tmp_path, downloader=downloader)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_downloader_that_is_closed_on_the_way(mirror, tmp_path):
    mirror.faults["file"] = ["pause"]
    downloader, part = quick(60), part_of(tmp_path / "out" / "file")
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(fetch, mirror, tmp_path, downloader=downloader)
        while not (part.is_file() and part.stat().st_size > 190_000):
            time.sleep(0.01)
        came = part.stat().st_size
        downloader.close()
        mirror.released.set()
        with pytest.raises(UcolnetError, match="was given up"):
            job.result()
    assert part.stat().st_size == came
    fetch(mirror, tmp_path)
    assert ranges(mirror)[-1] == came


def test_the_real_patience_is_bounded():
    """Without waiting for it: what Retry would wait in all, and the silences that it would bear."""
    retries, waits = RETRIES, []
    with pytest.raises(urllib3.exceptions.MaxRetryError):
        while True:
            retries = retries.increment("GET", "/", error=urllib3.exceptions.ProtocolError())
            waits.append(retries.get_backoff_time())
    assert waits == [0, 2, 4, 8, 16]
    assert sum(waits) + (RETRIES.total + 1) * TIMEOUT < 200
    assert Downloader().retries is RETRIES and Downloader().timeout == TIMEOUT
    assert not RETRIES.respect_retry_after_header
