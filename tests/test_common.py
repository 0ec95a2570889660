"""Seeds, and files that are never half written."""

import random

import numpy as np
import pytest
import torch

from ucolnet_lib.common import UcolnetError, check_space, seed_everything, write_beside


def draw() -> tuple:
    return random.random(), np.random.rand(), torch.rand(3).tolist()


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, 100_003 * 2**31])
def test_one_seed_sets_all_generators(seed):
    seed_everything(seed)
    first = draw()
    assert draw() != first
    seed_everything(seed)
    assert draw() == first
    seed_everything(seed + 1)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_the_file_appears_whole_and_alone(tmp_path):
    path = tmp_path / "new" / "folder" / "results.json"
    with write_beside(path) as beside:
        beside.write_text("half")
        assert not path.exists() and beside.parent == path.parent and beside.suffix == ".json"
        beside.write_text("whole")
    assert path.read_text() == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize("error", [ValueError("x"), OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "results.json"
    path.write_text("old")
    with pytest.raises((ValueError, UcolnetError, KeyboardInterrupt)), write_beside(path) as beside:
        beside.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_full_disk_is_told_in_one_sentence(tmp_path):
    with pytest.raises(UcolnetError, match=r"Cannot write .*results.json: No space left on device\."):
        with write_beside(tmp_path / "results.json"):
            raise OSError(28, "No space left on device")


def test_a_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "state"
    for content in ("first", "second"):
        with write_beside(path) as beside:
            beside.mkdir()
            (beside / content).touch()
    assert [p.name for p in path.iterdir()] == ["second"]
    with pytest.raises(ValueError), write_beside(path) as beside:
        beside.mkdir()
        (beside / "third").touch()
        raise ValueError
    assert [p.name for p in path.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_never_replaces_a_folder(tmp_path):
    folder = tmp_path / "photos.png"
    folder.mkdir()
    (folder / "precious.png").touch()
    with pytest.raises(UcolnetError, match="photos.png"), write_beside(folder) as beside:
        beside.write_text("a file")
    assert (folder / "precious.png").exists() and list(tmp_path.iterdir()) == [folder]


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UcolnetError, match="Cannot write"), write_beside(tmp_path / "out" / "results.json") as beside:
        beside.write_text("x")
    assert (tmp_path / "out").read_text() == "a file"


def test_a_long_name_leaves_room_for_the_temporary_name(tmp_path):
    path = tmp_path / ("x" * 240 + ".png")
    with write_beside(path) as beside:
        beside.write_text("x")
    assert path.read_text() == "x"


def test_the_space_of_a_folder_that_is_not_there_yet(tmp_path):
    check_space(tmp_path / "a" / "b", 1, "Make room.")
    with pytest.raises(UcolnetError, match=r"b needs about [\d.]+ GB more, and its disk has .* GB free. Make room."):
        check_space(tmp_path / "a" / "b", 1e18, "Make room.")
