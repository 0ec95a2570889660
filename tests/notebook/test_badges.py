"""Badges and set-up cells follow the repository's address and version."""

import shutil
from pathlib import Path

import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.notebook import badges
from ucolnet_lib.notebook.badges import TEXTS, main, move

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path):
    for name in TEXTS:
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns(".*"))
    return tmp_path


def content(clone) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(clone.rglob("*")) if path.is_file())


def test_this_clone_is_up_to_date(clone):
    assert move(clone) == []


def test_a_fork_moves_everything_and_back(clone):
    before = content(clone)
    moved = move(clone, "ana/my-course")
    assert {path.name for path in moved} >= {"pyproject.toml", "CITATION.cff", "00_start_here.ipynb"}
    after = content(clone)
    assert "github.com/ucolnet/ucolnet" not in after and "github/ucolnet/ucolnet" not in after
    assert "https://github.com/ana/my-course /content/ucolnet" in after
    assert "colab.research.google.com/github/ana/my-course/blob/main/notebooks/00_start_here.ipynb" in after
    assert move(clone, "ucolnet/ucolnet") and content(clone) == before


def test_another_version_is_another_tag(clone, monkeypatch):
    monkeypatch.setattr(badges, "__version__", "9.8.7")
    assert {path.suffix for path in move(clone)} == {".ipynb"}
    assert content(clone).count("colab.py v9.8.7\\n") == len(badges.course(clone))


@pytest.mark.parametrize("repo", ["ana", "https://github.com/ana/x", "ana/x y", "a/b/c"])
def test_what_is_no_repository_is_told(clone, repo):
    before = content(clone)
    with pytest.raises(UcolnetError, match="owner/name"):
        move(clone, repo)
    assert content(clone) == before


def test_without_a_clone(monkeypatch, capsys):
    monkeypatch.setattr(badges, "repository", lambda: None)
    assert main([]) == 2 and "only in a clone" in capsys.readouterr().err
