"""Copies of a run on a drive: whole or not there, whatever happens in between."""

import errno
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ucolnet_lib.training import Run, backup
from ucolnet_lib.training.backup import back_up, newest_copy, restore


def fill(run, epoch) -> None:
    """A run folder after an epoch, without training."""
    state = run.path / "state" / f"epoch-{epoch:05d}"
    state.mkdir(parents=True)
    for name in ("optimizer.bin", "model.safetensors"):
        (state / name).write_bytes(f"{name} {epoch}".encode() * 1000)
    (run.path / "model.safetensors").write_bytes(f"best {epoch}".encode() * 1000)
    (run.path / "recipe.json").write_text("{}")
    (run.path / "samples").mkdir(exist_ok=True)
    (run.path / "samples" / f"epoch-{epoch:05d}.png").write_bytes(b"picture")
    run.keep_only_state(epoch)


def content(folder) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != "backup.json")
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "local" / "run")


@pytest.fixture
def drive(tmp_path):
    return tmp_path / "drive" / "v3"


@pytest.fixture
def said():
    return []


def names(drive) -> list[str]:
    return sorted(path.name for path in drive.iterdir())


def test_each_epoch_is_copied_whole_and_two_are_kept(run, drive, said):
    for epoch in (1, 2, 3):
        fill(run, epoch)
        back_up(run, drive, said.append)
        assert content(drive / f"epoch-{epoch:05d}") == content(run.path)
    assert names(drive) == ["epoch-00002", "epoch-00003"] and said == []
    assert newest_copy(drive, said.append) == drive / "epoch-00003"


def test_before_the_first_epoch_there_is_nothing_to_copy(run, drive, said):
    back_up(run, drive, said.append)
    assert not drive.exists() and newest_copy(drive, said.append) is None and said == []


def test_half_written_files_of_the_run_are_not_copied(run, drive, said):
    fill(run, 1)
    (run.path / ".0123.part.csv").write_bytes(b"half")
    (run.path / "state" / ".4567.part").mkdir()
    (run.path / "state" / ".4567.part" / "optimizer.bin").write_bytes(b"half")
    back_up(run, drive, said.append)
    assert not [name for name in content(drive / "epoch-00001") if ".part" in name]


def test_the_mark_of_the_end_follows(run, drive, said):
    fill(run, 1)
    back_up(run, drive, said.append)
    before = (drive / "epoch-00001" / "model.safetensors").stat().st_mtime_ns
    (run.path / "finished").write_text("1 epochs\n")
    back_up(run, drive, said.append)
    assert content(drive / "epoch-00001") == content(run.path)
    assert (drive / "epoch-00001" / "model.safetensors").stat().st_mtime_ns == before  # not copied once more
    shutil.rmtree(run.path)
    assert restore(newest_copy(drive, said.append), run) and run.finished


def test_a_finished_run_mends_a_broken_last_copy(run, drive, said):
    fill(run, 1)
    back_up(run, drive, said.append)
    (drive / "epoch-00001" / "model.safetensors").write_bytes(b"")
    (run.path / "finished").write_text("1 epochs\n")
    back_up(run, drive, said.append)
    assert content(newest_copy(drive, said.append)) == content(run.path) and said == []


def test_restored_is_what_was_copied(run, drive, said):
    fill(run, 4)
    back_up(run, drive, said.append)
    before = content(run.path)
    shutil.rmtree(run.path)
    assert restore(newest_copy(drive, said.append), run)
    assert content(run.path) == before and not (run.path / "backup.json").exists()


@pytest.mark.parametrize(("here", "needed"), [(None, True), (2, True), (3, False), (5, False)])
def test_only_a_missing_or_an_older_run_is_replaced(run, drive, said, here, needed):
    fill(run, 3)
    back_up(run, drive, said.append)
    there = content(run.path)
    shutil.rmtree(run.path)
    if here:
        fill(run, here)
        (run.path / "steps.csv").write_bytes(b"of an epoch that the copy does not know")
    mine = content(run.path)
    assert restore(drive / "epoch-00003", run) == needed
    assert content(run.path) == (there if needed else mine)


@pytest.mark.parametrize("damage", ["truncated", "missing", "changed", "no manifest", "cut manifest", "empty"])
def test_a_copy_with_gaps_is_passed_over(run, drive, said, damage):
    for epoch in (1, 2):
        fill(run, epoch)
        back_up(run, drive, said.append)
    copy = drive / "epoch-00002"
    file, manifest = copy / "state" / "epoch-00002" / "optimizer.bin", copy / "backup.json"
    whole = file.read_bytes()
    if damage == "truncated":
        file.write_bytes(b"")
    elif damage == "missing":
        file.unlink()
    elif damage == "changed":
        file.write_bytes(b"X" + whole[1:])
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "cut manifest":
        manifest.write_bytes(manifest.read_bytes()[:50])
    else:
        shutil.rmtree(copy)
        copy.mkdir()
    assert newest_copy(drive, said.append) == drive / "epoch-00001"
    assert len(said) == 1 and "epoch-00002 is not whole" in said[0]
    # The epoch is trained again, and its copy takes the place of the broken one.
    back_up(run, drive, said.append)
    assert newest_copy(drive, said.append) == copy


def test_a_full_drive_is_one_sentence_and_the_copies_stay(run, drive, said, monkeypatch):
    for epoch in (1, 2):
        fill(run, epoch)
        back_up(run, drive, said.append)
    fill(run, 3)
    before, plain, opened = content(drive), Path.open, [0]

    def full(self, mode="r", *args, **kwargs):
        opened[0] += mode == "wb"
        if mode == "wb" and opened[0] == 3:  # in the middle of the copy
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return plain(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    back_up(run, drive, said.append)
    monkeypatch.undo()
    assert opened[0] == 3 and content(drive) == before and names(drive) == ["epoch-00001", "epoch-00002"]
    (sentence,) = said
    assert sentence.startswith("Epoch 3 is not backed up (Cannot write ") and "No space left on device" in sentence
    assert sentence.endswith("Training goes on; the copies of earlier epochs stay.") and "\n" not in sentence
    # With space again, the next call makes up for it.
    back_up(run, drive, said.append)
    assert newest_copy(drive, said.append) == drive / "epoch-00003"


def test_a_drive_that_is_gone_is_one_sentence(run, drive, said, monkeypatch):
    fill(run, 1)
    plain = Path.glob

    def gone(self, pattern):
        if drive in (self, *self.parents):
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return plain(self, pattern)

    monkeypatch.setattr(Path, "glob", gone)
    back_up(run, drive, said.append)
    monkeypatch.undo()
    drive.parent.write_text("a file in the way")
    back_up(run, drive, said.append)
    assert len(said) == 2 and "not connected" in said[0] and all("Training goes on" in line for line in said)


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from ucolnet_lib.training import Run, backup

    plain, opened, kill_at = Path.open, 0, int(sys.argv[3])

    def killing(self, mode="r", *args, **kwargs):
        global opened
        opened += mode == "wb"
        if mode == "wb" and opened == kill_at:
            with plain(self, mode) as file:
                file.write(b"half")
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        return plain(self, mode, *args, **kwargs)

    Path.open = killing
    backup.back_up(Run(sys.argv[1]), Path(sys.argv[2]), print)
"""


@pytest.mark.parametrize("kill_at", [1, 3, 5])
def test_a_copy_cut_off_by_a_kill_replaces_nothing(run, drive, said, kill_at):
    fill(run, 1)
    back_up(run, drive, said.append)
    before = content(drive / "epoch-00001")
    fill(run, 2)
    command = [sys.executable, "-c", textwrap.dedent(KILLED), run.path, drive, kill_at]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and done.stdout == ""
    assert content(drive / "epoch-00001") == before
    assert newest_copy(drive, said.append) == drive / "epoch-00001" and said == []
    # What the kill left over is swept away by the next copy.
    assert len(names(drive)) == 2
    back_up(run, drive, said.append)
    assert names(drive) == ["epoch-00001", "epoch-00002"]
    assert newest_copy(drive, said.append) == drive / "epoch-00002"


def test_what_is_removed_is_emptied_first(run, drive, said, monkeypatch):
    """So Drive's bin holds nothing large."""
    sizes, plain = [], shutil.rmtree

    def watching(folder, *args, **kwargs):
        sizes.extend(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        plain(folder, *args, **kwargs)

    monkeypatch.setattr(backup.shutil, "rmtree", watching)
    for epoch in (1, 2, 3):
        fill(run, epoch)
        sizes.clear()  # the run's own old state
        back_up(run, drive, said.append)
    assert names(drive) == ["epoch-00002", "epoch-00003"] and sizes and set(sizes) == {0}


def test_other_files_on_the_drive_are_left_alone(run, drive, said):
    drive.mkdir(parents=True)
    (drive / "notes.txt").write_text("mine")
    (drive / ".ipynb_checkpoints").mkdir()
    for epoch in (1, 2, 3):
        fill(run, epoch)
        back_up(run, drive, said.append)
    assert names(drive) == [".ipynb_checkpoints", "epoch-00002", "epoch-00003", "notes.txt"]
