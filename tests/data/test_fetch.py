"""Fetching COCO from a server that fails: what arrives is whole, what was there stays, and the annotations fit it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.data.mirror import quick, serve, write_coco_site
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data import fetch
from ucolnet_lib.data.choice import by_hash
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.fetch import ARCHIVES, OFFICIAL, fetch_coco

ROOT = Path(__file__).parents[2]
ANNOTATIONS, ZIP = "annotations/annotations_trainval2017.zip", "zips/val2017.zip"
IMAGES = 12
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signal")


@pytest.fixture(autouse=True)
def no_official_server(monkeypatch):
    """Nothing listens there: a test that should not reach the internet cannot."""
    monkeypatch.setattr(fetch, "OFFICIAL", "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_coco_site(tmp_path_factory.mktemp("site") / "coco", IMAGES)


@pytest.fixture
def mirror(original, tmp_path):
    with serve(shutil.copytree(original, tmp_path / "site")) as server:
        yield server


@pytest.fixture
def get(mirror, tmp_path):
    """Fetch val2017 from the mirror into tmp_path/out; returns what was said."""

    def call(**choice) -> str:
        said = []
        options = {"mirror": mirror.address, "downloader": quick(), "progress": False} | choice
        assert fetch_coco(tmp_path / "out", "val2017", say=said.append, **options) == tmp_path / "out"
        return " ".join(said)

    return call


def content(site: Path) -> dict:
    with zipfile.ZipFile(site / ANNOTATIONS) as archive:
        return json.loads(archive.read("annotations/instances_val2017.json"))


def ids(site: Path) -> list[int]:
    return [image["id"] for image in content(site)["images"]]


def name(image_id: int) -> str:
    return f"{image_id:012d}.jpg"


def assert_holds(tmp_path: Path, expected: list[int]) -> None:
    """The folder holds these photographs, byte for byte, lists them alone, and nothing is left half done."""
    split = CocoSplit(tmp_path / "out", "val2017")
    assert split.ids == sorted(expected)
    assert sorted(os.listdir(split.photos)) == [name(i) for i in sorted(expected)]
    for i in range(len(split)):
        assert split.file(i).read_bytes() == (tmp_path / "site" / "val2017" / split.file(i).name).read_bytes()
        assert split[i].semantic_map.max() in (0, *range(1, 81)), "listed: not all ignore"
    assert not [path for path in (tmp_path / "out").rglob("*") if ".part" in path.name]
    manifest = json.loads((tmp_path / "out" / "val2017.manifest.json").read_text())
    assert manifest["images"] == sorted(expected)
    assert len((tmp_path / "out" / "val2017.sha256").read_text().splitlines()) == len(expected)


# What is fetched.


def test_the_registry_names_the_official_addresses():
    addresses = [f"{OFFICIAL}/{archive.path}" for archive in ARCHIVES.values()]
    assert addresses == [
        "http://images.cocodataset.org/annotations/annotations_trainval2017.zip",
        "http://images.cocodataset.org/zips/train2017.zip",
        "http://images.cocodataset.org/zips/val2017.zip",
    ]
    assert all(re.fullmatch("[0-9a-f]{64}", archive.sha256) for archive in ARCHIVES.values())


def test_the_whole_split_comes_as_an_archive(mirror, get, tmp_path):
    assert f"{IMAGES} images lie in" in get()
    assert_holds(tmp_path, ids(mirror.root))
    assert mirror.paths() == [ANNOTATIONS, ZIP]
    assert not (tmp_path / "out" / ZIP).exists(), "unpacked, it only takes space"
    fetched = json.loads((tmp_path / "out" / "annotations" / "instances_val2017.json").read_text())
    assert fetched == content(mirror.root)


def test_a_limit_fetches_single_images(mirror, get, tmp_path):
    get(limit=5)
    chosen = by_hash(ids(mirror.root))[:5]
    assert_holds(tmp_path, chosen)
    assert sorted(mirror.paths()) == sorted([ANNOTATIONS, *(f"val2017/{name(i)}" for i in chosen)])


def test_the_annotations_of_a_choice_keep_licences_and_attribution(mirror, get, tmp_path):
    get(limit=5)
    fetched = json.loads((tmp_path / "out" / "annotations" / "instances_val2017.json").read_text())
    official = content(mirror.root)
    assert fetched["info"] == official["info"] and fetched["licenses"] == official["licenses"]
    assert all(
        image in official["images"] and "flickr_url" in image and "license" in image for image in fetched["images"]
    )
    listed = {image["id"] for image in fetched["images"]}
    assert fetched["annotations"] == [a for a in official["annotations"] if a["image_id"] in listed]


def test_a_larger_limit_keeps_what_is_there(mirror, get, tmp_path):
    get(limit=4)
    mirror.requests.clear()
    assert "7 images lie in" in get(limit=7)
    assert_holds(tmp_path, by_hash(ids(mirror.root))[:7])
    assert len(mirror.paths()) == 3
    mirror.requests.clear()
    assert "7 images lie in" in get(limit=2), "a smaller one takes nothing away"
    assert_holds(tmp_path, by_hash(ids(mirror.root))[:7])
    assert mirror.paths() == []
    get()
    assert_holds(tmp_path, ids(mirror.root))


def test_a_second_call_asks_for_nothing(mirror, get, tmp_path):
    for choice in ({"limit": 3}, {}):
        get(**choice)
        mirror.requests.clear()
        assert "0 of them fetched now" in get(**choice)
        assert mirror.requests == []


def test_ids_and_categories(mirror, get, tmp_path):
    every = ids(mirror.root)
    get(image_ids=every[:2])
    assert_holds(tmp_path, every[:2])
    get(categories=["hot dog"])
    assert_holds(tmp_path, sorted({*every[:2], *every[::3]}))
    manifest = json.loads((tmp_path / "out" / "val2017.manifest.json").read_text())
    assert manifest["source"] == mirror.address and manifest["categories"] == ["hot dog"] and manifest["limit"] is None


def test_a_photograph_of_my_own_stays_unlisted(mirror, get, tmp_path):
    get(limit=3)
    shutil.copyfile(mirror.root / "val2017" / name(ids(mirror.root)[0]), tmp_path / "out" / "val2017" / "mine.jpg")
    get(limit=4)
    fetched = json.loads((tmp_path / "out" / "annotations" / "instances_val2017.json").read_text())
    assert len(fetched["images"]) == 4 and (tmp_path / "out" / "val2017" / "mine.jpg").exists()


def test_the_official_checksums_hold_there_alone(mirror, get, tmp_path, monkeypatch):
    """The mirror plays the official server: its archives are whole, and other ones."""
    monkeypatch.setattr(fetch, "OFFICIAL", mirror.address)
    with pytest.raises(UcolnetError, match=r"annotations_trainval2017.zip has the SHA-256 .* should have 113a836d9019"):
        get(mirror=None, limit=3)
    get(limit=3)
    assert_holds(tmp_path, by_hash(ids(mirror.root))[:3])


# What goes wrong on the way.


def test_many_failures_on_the_way(mirror, get, tmp_path):
    every = [f"val2017/{name(i)}" for i in ids(mirror.root)]
    faults = ["cut", "page", "page-as-jpeg", "503", "stall", "too-long", "too-short", "500", "silence", "whole+cut"]
    for path, fault in zip(every, faults, strict=False):
        mirror.faults[path] = [fault]
    mirror.faults[ANNOTATIONS] = ["cut", "503", "page"]
    get(limit=IMAGES - 1)
    assert_holds(tmp_path, by_hash(ids(mirror.root))[: IMAGES - 1])


@pytest.mark.parametrize("fault", ["cut", "whole+cut", "page", "page-as-jpeg", "503", "stall", "too-short"])
def test_an_archive_with_a_failure_on_the_way(mirror, get, tmp_path, fault):
    mirror.faults[ZIP] = [fault]
    get()
    assert_holds(tmp_path, ids(mirror.root))


def test_one_image_that_does_not_exist(mirror, get, tmp_path):
    first, *rest = by_hash(ids(mirror.root))[:6]
    (mirror.root / "val2017" / name(first)).rename(tmp_path / "kept.jpg")
    with pytest.raises(
        UcolnetError, match=rf"1 of 6 images could not be fetched; .*{name(first)} does not exist \(404\)"
    ):
        get(limit=6)
    assert sorted(os.listdir(tmp_path / "out" / "val2017")) == [name(i) for i in sorted(rest)]
    with pytest.raises(UcolnetError, match=f"{name(first)} is missing"):
        split = CocoSplit(tmp_path / "out", "val2017")
        split[split.ids.index(first)]
    (tmp_path / "kept.jpg").rename(mirror.root / "val2017" / name(first))
    mirror.requests.clear()
    get(limit=6)
    assert_holds(tmp_path, [first, *rest])
    assert mirror.paths() == [f"val2017/{name(first)}"]


def test_a_server_without_images_is_given_up(mirror, get, monkeypatch):
    monkeypatch.setattr(fetch, "MOST_FAILURES", 3)
    shutil.rmtree(mirror.root / "val2017")
    with pytest.raises(UcolnetError, match="3 of 11 images could not be fetched and the rest was not tried"):
        get(limit=11)


def test_a_truncated_a_wrong_and_a_swapped_image_are_fetched_again(mirror, get, tmp_path):
    get(limit=8)
    photos = sorted((tmp_path / "out" / "val2017").iterdir())
    photos[0].write_bytes(photos[0].read_bytes()[:-1])
    photos[1].write_text("<html>")
    shutil.copyfile(photos[3], photos[2])
    photos[4].unlink()
    mirror.requests.clear()
    get(limit=8)
    assert_holds(tmp_path, by_hash(ids(mirror.root))[:8])
    assert sorted(mirror.paths()) == [f"val2017/{path.name}" for path in (*photos[:3], photos[4])]


def test_one_broken_image_of_a_whole_split_does_not_cost_the_archive(mirror, get, tmp_path):
    get()
    photo = tmp_path / "out" / "val2017" / name(ids(mirror.root)[3])
    photo.write_bytes(b"")
    mirror.requests.clear()
    get()
    assert_holds(tmp_path, ids(mirror.root))
    assert mirror.paths() == [f"val2017/{photo.name}"]


def test_a_broken_annotation_archive_on_the_disk_is_fetched_again(mirror, get, tmp_path):
    get(limit=2)
    archive = tmp_path / "out" / ANNOTATIONS
    archive.write_bytes(archive.read_bytes()[:-5])
    get(limit=3)
    assert_holds(tmp_path, by_hash(ids(mirror.root))[:3])


def zip_with(path: Path, member: str, text: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, text)


ENTRY = {"id": 1, "width": 1, "height": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"images": [{"id": 1}]},
        {"images": [ENTRY]},
        {"images": [ENTRY | {"file_name": "../../x.jpg"}]},
        {"images": [ENTRY | {"file_name": "a/b.jpg"}]},
        {"images": 5},
        {"annotations": [{"id": 1}]},
    ],
)
def test_annotations_of_a_mirror_that_are_none(mirror, get, tmp_path, change):
    text = json.dumps(content(mirror.root) | change)
    zip_with(mirror.root / ANNOTATIONS, "annotations/instances_val2017.json", text)
    with pytest.raises(UcolnetError, match="holds no annotations/instances_val2017.json as COCO has it"):
        get(limit=2)
    assert not (tmp_path / "out" / "val2017").exists()


def test_annotations_of_a_mirror_without_this_split(mirror, get):
    zip_with(mirror.root / ANNOTATIONS, "annotations/instances_train2017.json", "{}")
    with pytest.raises(UcolnetError, match="holds no annotations/instances_val2017.json as COCO has it"):
        get(limit=2)


def test_an_archive_of_a_mirror_without_all_images(mirror, get, tmp_path):
    zip_with(mirror.root / ZIP, "val2017/x.jpg", "x")
    with pytest.raises(UcolnetError, match="val2017.zip lacks an image"):
        get()


def test_a_full_disk_while_unpacking(mirror, get, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        patch.setattr(fetch.FetchedFolder, "write", lambda *arguments: None)
        with pytest.raises(UcolnetError, match="Cannot unpack .*No space left on device"):
            get()
    mirror.requests.clear()
    get()
    assert_holds(tmp_path, ids(mirror.root))
    assert mirror.paths() == [], "the archive was there already"


# Before the start.


@pytest.mark.parametrize(
    ("options", "free", "says"),
    [
        ({"mirror": None}, 3 * 10**10, r"out needs about 39\.4 GB more, and its disk has 30\.0 GB free\. Make room"),
        ({"mirror": None, "limit": 5}, 700_000_000, r"out needs about 0\.8 GB more, and its disk has 0\.7 GB free"),
    ],
)
def test_no_room_on_the_disk(tmp_path, monkeypatch, options, free, says):
    """Told before anything is asked for: the official server is not reached in a test."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    with pytest.raises(UcolnetError, match=says):
        fetch_coco(tmp_path / "out", "train2017", **options)
    assert not (tmp_path / "out").exists()


def test_no_room_for_the_images(mirror, get, tmp_path, monkeypatch):
    get(limit=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=400_000))
    with pytest.raises(UcolnetError, match=r"needs about 0\.0 GB more"):
        get(limit=9)
    assert "0 of them fetched now" in get(limit=1), "a folder that has everything needs no room"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"split": "test2017"}, "no split 'test2017'. Take train2017 or val2017"),
        ({"split": "annotations"}, "no split 'annotations'"),
        ({"mirror": "school.example"}, "'school.example' is no address. Write it as http://"),
        ({"mirror": "ftp://school.example"}, "is no address"),
        ({"mirror": ""}, "is no address"),
    ],
)
def test_bad_arguments(tmp_path, options, says):
    with pytest.raises(UcolnetError, match=says):
        fetch_coco(tmp_path / "out", **({"split": "val2017"} | options))
    assert not (tmp_path / "out").exists()


# Interruptions.


@pytest.mark.parametrize("how", [None, pytest.param(signal.SIGINT, marks=POSIX)])
def test_a_killed_process_goes_on(mirror, get, tmp_path, how):
    """kill -9 or Ctrl-C in the middle of single images, then a call that fetches the rest only."""
    chosen = by_hash(ids(mirror.root))[:8]
    for image_id in chosen[4:]:
        mirror.faults[f"val2017/{name(image_id)}"] = ["stall"]

    def in_the_middle(photos) -> bool:
        # The server has taken in all requests, too: one noted after the kill would count as the next call's.
        asked = [path for path in mirror.paths() if path.endswith(".jpg")]
        return len(list(photos.glob("*.jpg"))) >= 4 and len(asked) == len(chosen)

    kill_when(mirror, tmp_path, "limit=8", in_the_middle, how)
    mirror.released.set()
    mirror.requests.clear()
    get(limit=8)
    assert_holds(tmp_path, chosen)
    assert sorted(mirror.paths()) == sorted(f"val2017/{name(i)}" for i in chosen[4:])


def test_a_kill_just_after_an_image_became_whole_leaves_nothing_behind(mirror, get, tmp_path):
    chosen = by_hash(ids(mirror.root))[:2]
    get(limit=2)
    notes = [
        tmp_path / "out" / "val2017" / f".{name(chosen[0])}.part.json",
        tmp_path / "out" / "zips" / ".a.zip.part.json",
    ]
    for path in notes:
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    get(limit=2)
    assert_holds(tmp_path, chosen)
    assert not any(path.exists() for path in notes)


def test_a_process_killed_in_the_middle_of_the_archive_goes_on(mirror, get, tmp_path):
    with zipfile.ZipFile(mirror.root / ZIP, "a") as archive:
        archive.writestr("padding", os.urandom(300_000))
    mirror.faults[ZIP] = ["stall"]
    part = tmp_path / "out" / "zips" / ".val2017.zip.part"
    kill_when(mirror, tmp_path, "limit=None", lambda photos: part.is_file() and part.stat().st_size > 100_000)
    mirror.requests.clear()
    get()
    assert_holds(tmp_path, ids(mirror.root))
    (begin,) = [asked for method, path, asked in mirror.requests if (method, path) == ("GET", ZIP)]
    assert int(begin.removeprefix("bytes=").removesuffix("-")) > 100_000


def kill_when(mirror, tmp_path, choice, ready, how=None) -> None:
    """Fetch in a process of its own and end it when `ready`; it must be gone at once, also where the server stalls."""
    # A shell that runs the tests in the background lets them, and what they start, ignore Ctrl-C.
    code = f"""
        import signal
        from tests.data.mirror import quick
        from ucolnet_lib.data.fetch import fetch_coco
        signal.signal(signal.SIGINT, signal.default_int_handler)
        fetch_coco({str(tmp_path / "out")!r}, "val2017", {choice}, mirror={mirror.address!r}, downloader=quick(600))
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not ready(tmp_path / "out" / "val2017"):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(how) if how else process.kill()
    assert process.wait(timeout=60) != 0


def test_a_process_killed_while_unpacking_goes_on(mirror, get, tmp_path, monkeypatch):
    real, calls = os.replace, []

    def killed(source, target):
        calls.append(target)
        if len([path for path in calls if str(path).endswith(".jpg")]) == 5:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(fetch.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            get()
    mirror.requests.clear()
    assert f"{IMAGES - 4} of them fetched now" in get()
    assert_holds(tmp_path, ids(mirror.root))
    assert mirror.paths() == []
