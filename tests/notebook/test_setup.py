"""The set-up of a notebook: profile, seeds, a place for data and runs."""

import random

import numpy as np
import pytest
import torch

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.notebook import setup
from ucolnet_lib.notebook.setup import LESSON_RECIPES, SAVING, has_reader, repository, start
from ucolnet_lib.recipes import PROFILES, Profile


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """A scratch folder of its own, and a toy world of three scenes."""
    monkeypatch.setattr(setup, "_scratch_folder", lambda: tmp_path)
    tiny = Profile(recipe="smoke", study_recipe="smoke", scenes=6, scene_size=32, detector_epochs=1)
    monkeypatch.setattr(setup, "PROFILES", PROFILES | {"smoke": tiny})
    monkeypatch.setenv("UCOLNET_PROFILE", "smoke")
    return tmp_path


def test_every_profile_has_a_recipe_to_wait_for():
    assert LESSON_RECIPES.keys() == PROFILES.keys()


def test_start_says_profile_and_versions(scratch, capsys):
    lesson = start()
    said = capsys.readouterr().out
    assert lesson.name == "smoke" and "profile smoke" in said and torch.__version__.split("+")[0] in said
    assert lesson.profile.scenes == 6 and lesson.recipe == LESSON_RECIPES["smoke"]
    assert lesson.folder == scratch / "smoke" and lesson.folder.is_dir()


def test_the_profile_is_toy_when_nothing_is_said(scratch, monkeypatch):
    monkeypatch.delenv("UCOLNET_PROFILE")
    assert start().name == "toy"


def test_an_unknown_profile_is_named(scratch, monkeypatch):
    monkeypatch.setenv("UCOLNET_PROFILE", "toi")
    with pytest.raises(UcolnetError, match="'toi'.*smoke, toy, full"):
        start()


def test_start_sets_all_seeds(scratch):
    drawn = []
    for seed in (0, 0, 1):
        start(seed)
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]
    assert all(first != other for first, other in zip(drawn[0], drawn[2], strict=True))


@pytest.mark.parametrize("name", [SAVING, "PYTEST_CURRENT_TEST"])
def test_no_reader_under_tests_and_while_saving(monkeypatch, name):
    for variable in (SAVING, "PYTEST_CURRENT_TEST"):
        monkeypatch.delenv(variable, raising=False)
    assert has_reader()
    monkeypatch.setenv(name, "1")
    assert not has_reader()


def test_the_toy_world_is_drawn_once(scratch, monkeypatch):
    lesson = start()
    data = lesson.toy_world()
    assert (data / "annotations" / "instances_val2017.json").is_file()
    monkeypatch.setattr(setup, "draw_toy_world", None)  # drawing again would fail
    assert lesson.toy_world() == data


def test_the_toy_world_is_drawn_again_when_its_source_changes(scratch, monkeypatch):
    lesson = start()
    first = lesson.toy_world()
    monkeypatch.setattr(setup, "toy_fingerprint", lambda: "other")
    assert lesson.toy_world() != first


def test_two_notebooks_may_draw_at_once(scratch, monkeypatch):
    lesson = start()
    draw = setup.draw_toy_world

    def draw_slowly(out, scenes, pixels, progress):
        draw(out, scenes, pixels, progress=progress)
        monkeypatch.setattr(setup, "draw_toy_world", draw)
        lesson.toy_world()  # the other notebook is faster

    monkeypatch.setattr(setup, "draw_toy_world", draw_slowly)
    data = lesson.toy_world()
    assert [p for p in lesson.folder.iterdir() if p.is_dir()] == [data]


def test_train_takes_changes_and_replaces_an_older_run(scratch, capsys):
    lesson = start()
    capsys.readouterr()
    for epochs in (1, 2):
        run = lesson.train("ucolnet_v3", into="99-test", epochs=epochs, width=1 / 16)
        assert run.path == lesson.folder / "99-test" and len(run.history) == epochs
    said = capsys.readouterr()
    assert said.out == said.err == ""  # saved outputs hold no bar, and no sentence that depends on the machine


def test_the_clone_is_found():
    assert (repository() / "notebooks" / "00_start_here.ipynb").is_file()


def test_without_a_clone_the_scratch_folder_is_temporary(monkeypatch):
    monkeypatch.setattr(setup, "repository", lambda: None)
    assert setup._scratch_folder().name == "ucolnet-notebooks"
