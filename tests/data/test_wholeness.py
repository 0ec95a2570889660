"""Whole JPEGs and zip archives, and everything that only looks like one."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from ucolnet_lib.data.wholeness import NotWhole, check_jpeg, check_zip, sha256_of


def jpeg(size=(64, 48), mode="RGB", **options) -> bytes:
    random = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(random).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def with_thumbnail() -> bytes:
    """A JPEG whose first segment holds another whole JPEG, as cameras write it."""
    inner, outer = jpeg((8, 8)), jpeg()
    return outer[:2] + b"\xff\xe1" + (len(inner) + 2).to_bytes(2, "big") + inner + outer[2:]


KINDS = {
    "plain": jpeg(),
    "gray": jpeg(mode="L"),
    "one pixel": jpeg((1, 1)),
    "progressive": jpeg(progressive=True),
    "with thumbnail": with_thumbnail(),
    "with restart markers": jpeg(restart_marker_blocks=2),
    "with bytes after the end": jpeg() + bytes(100) + b"\xff\xd8",
}


@pytest.mark.parametrize("kind", KINDS)
def test_whole_jpegs(tmp_path, kind):
    (tmp_path / "a.jpg").write_bytes(KINDS[kind])
    check_jpeg(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "with bytes after the end"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 1])
@pytest.mark.parametrize("filled", [False, True])
def test_jpegs_cut_off(tmp_path, kind, share, filled):
    """At share 1 only the last byte lacks: every decoder reads that. Filled: zeros stand for what lacks."""
    whole = KINDS[kind]
    cut = whole[: min(int(len(whole) * share), len(whole) - 1)]
    (tmp_path / "a.jpg").write_bytes(cut + bytes(len(whole) - len(cut)) * filled)
    with pytest.raises(NotWhole):
        check_jpeg(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no JPEG but empty"),
        (b"\n<!DOCTYPE HTML><p>log in", "is no JPEG but a web page"),
        (b"<HTML>404", "is no JPEG but a web page"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "is no JPEG$"),
        (b"\xff\xd8\xff\xd9", "is no whole JPEG"),
        (bytes(1000), "is no JPEG$"),
    ],
)
def test_what_is_no_jpeg(tmp_path, content, says):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(NotWhole, match=says):
        check_jpeg(tmp_path / "a.jpg")


def test_a_jpeg_of_another_size(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg((64, 48)))
    check_jpeg(tmp_path / "a.jpg", (64, 48))
    check_jpeg(tmp_path / "a.jpg", (48, 64))
    with pytest.raises(NotWhole, match="has 64 x 48 pixels, its annotation says 64 x 49"):
        check_jpeg(tmp_path / "a.jpg", (64, 49))


def test_the_real_photographs_are_whole(sample):
    for path in [*sorted((sample / "val2017").iterdir())[:20], sample / "train2017" / "000000559665.jpg"]:
        check_jpeg(path)


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        for i in range(5):
            opened.writestr(f"{i}.bin", np.random.default_rng(i).bytes(1000))
    return file.getvalue()


def test_a_whole_zip(tmp_path):
    (tmp_path / "a.zip").write_bytes(archive())
    check_zip(tmp_path / "a.zip")
    check_zip(tmp_path / "a.zip", sha256_of(tmp_path / "a.zip"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no whole zip archive but empty"),
        (b"<html>log in</html>", "is no whole zip archive but a web page"),
        (archive()[:-30], "is no whole zip archive"),
        (archive()[:3000], "is no whole zip archive"),
        (archive()[:1500] + b"?" + archive()[1501:], "1.bin fails its checksum"),
        (archive()[:40] + archive(), None),  # bytes before the archive are allowed: its directory is at the end
    ],
)
def test_what_is_no_whole_zip(tmp_path, content, says):
    (tmp_path / "a.zip").write_bytes(content)
    if says is None:
        check_zip(tmp_path / "a.zip")
        return
    with pytest.raises(NotWhole, match=says):
        check_zip(tmp_path / "a.zip")


def test_another_zip_than_the_checksum_says(tmp_path):
    (tmp_path / "a.zip").write_bytes(archive())
    with pytest.raises(NotWhole, match=r"has the SHA-256 \w{12}\.\.\. and should have 000000000000"):
        check_zip(tmp_path / "a.zip", "0" * 64)


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")  # FIPS 180-2, B.1
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
