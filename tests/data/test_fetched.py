"""What an earlier call left in a folder: which of it is good, and what is written beside it."""

import errno
import hashlib
import json
import os
import shutil
import subprocess

import pytest
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.fetched import FetchedFolder

NAMES = ["a.jpg", "b.jpg", "c.jpg"]
SIZES = dict.fromkeys(NAMES, (20, 10))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "val2017").mkdir()
    for i, name in enumerate(NAMES):
        Image.new("RGB", (20, 10), (90 * i, 90, 90)).save(tmp_path / "val2017" / name)
    return FetchedFolder(tmp_path, "val2017")


def sums(folder) -> dict[str, str]:
    return {name: hashlib.sha256((folder.photos / name).read_bytes()).hexdigest() for name in NAMES}


def record_all(folder):
    with folder.record({}) as record:
        for name, value in sums(folder).items():
            record(name, value)


def test_a_new_folder(tmp_path):
    folder = FetchedFolder(tmp_path / "new", "val2017")
    assert folder.names() == set() and folder.good([], {}, progress=False) == {}
    assert not (tmp_path / "new").exists()


def test_whole_photographs_are_good_without_a_record(folder):
    assert folder.names() == set(NAMES)
    assert folder.good(NAMES, SIZES, progress=False) == sums(folder)


def test_a_photograph_of_another_size_or_cut_off_is_not(folder):
    (folder.photos / "b.jpg").write_bytes((folder.photos / "b.jpg").read_bytes()[:-1])
    assert folder.good(NAMES, SIZES | {"c.jpg": (20, 11)}, progress=False).keys() == {"a.jpg"}


def test_another_whole_photograph_than_the_recorded_one_is_not_good(folder):
    record_all(folder)
    shutil.copyfile(folder.photos / "a.jpg", folder.photos / "b.jpg")
    assert folder.good(NAMES, SIZES, progress=False).keys() == {"a.jpg", "c.jpg"}


def test_what_is_recorded_need_not_be_decoded(folder):
    """A photograph of the official archive is right as it is."""
    (folder.photos / "b.jpg").write_bytes(b"strange, and official")
    record_all(folder)
    assert folder.good(NAMES, SIZES, progress=False).keys() == set(NAMES)


def test_each_record_is_on_the_disk_at_once(folder):
    with folder.record({"a.jpg": "0" * 64}) as record:
        record("b.jpg", "1" * 64)
        assert folder.checksums.read_text() == f"{'0' * 64}  val2017/a.jpg\n{'1' * 64}  val2017/b.jpg\n"


def test_a_record_that_cannot_be_written(folder):
    with pytest.raises(UcolnetError, match=r"Cannot write .*val2017.sha256: No space left on device\. Check"):
        with folder.record({}):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_record_that_was_cut_off(folder):
    record_all(folder)
    folder.checksums.write_text(folder.checksums.read_text()[:-3])
    assert folder.good(NAMES, SIZES, progress=False).keys() == set(NAMES)
    with folder.record({"a.jpg": "0" * 64}):
        pass
    assert folder.checksums.read_text() == f"{'0' * 64}  val2017/a.jpg\n"


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum here")
def test_sha256sum_reads_the_record(folder):
    record_all(folder)
    check = ["sha256sum", "--check", "--strict", folder.checksums.name]
    assert subprocess.run(check, cwd=folder.root, capture_output=True).returncode == 0
    (folder.photos / "c.jpg").write_bytes(b"")
    assert subprocess.run(check, cwd=folder.root, capture_output=True).returncode == 1


def test_the_manifest_and_the_annotations(folder):
    folder.write({"images": [1]}, b"{}")
    assert json.loads(folder.manifest.read_text()) == {"images": [1]}
    assert (folder.root / "annotations" / "instances_val2017.json").read_bytes() == b"{}"
    FetchedFolder(folder.root, "val2017")


def test_annotations_from_elsewhere_are_not_replaced(folder):
    folder.annotation_file.parent.mkdir()
    folder.annotation_file.write_text("of my own")
    with pytest.raises(UcolnetError, match=r"instances_val2017.json was not fetched .* Take another folder"):
        FetchedFolder(folder.root, "val2017")
    FetchedFolder(folder.root, "train2017")
