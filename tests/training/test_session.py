"""Sessions that end at any time: a tiny training, with a folder that stands for Google Drive."""

import json
import re
import shutil
import types
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.prepare import prepare
from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training import Run, backup, session, step, train
from ucolnet_lib.training.estimate import Estimate
from ucolnet_lib.training.run import TIMING_COLUMNS
from ucolnet_lib.training.session import bring_here, choose_recipe, train_session

SETTINGS = {"size": "16", "epochs": "4", "batch_size": "4", "precision": "fp32"}
TINY = RECIPES["smoke"].replace(size=16, epochs=4, batch_size=4, precision="fp32")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    draw_toy_world(folder / "world", scenes=20, size=32, progress=False)
    prepare([folder / "world"], folder / "toy-prepared", size=32, progress=False)
    return folder / "toy-prepared"


@pytest.fixture
def colab(tmp_path, prepared, monkeypatch):
    """A machine with a mounted drive; `mount`, `local`, `data` on the drive, and `train(...)`, which hears `said`."""
    mount = tmp_path / "content" / "drive"
    shutil.copytree(prepared, mount / "MyDrive" / "toy-prepared")
    monkeypatch.setattr(session, "MOUNT", mount)
    measured = []

    def measure(model, recipe, data):
        measured.append(data)
        return Estimate(100.0, 60.0)

    monkeypatch.setattr(session, "estimate", measure)
    machine = types.SimpleNamespace(
        mount=mount, local=tmp_path / "content" / "local", data=mount / "MyDrive" / "toy-prepared",
        drive=mount / "MyDrive" / "runs" / "v3", said=[], measured=measured,
    )  # fmt: skip

    def call(model="ucolnet_v3", recipe="smoke", settings=SETTINGS, **kwargs):
        arguments = {"data": machine.data, "drive": machine.drive, "local": machine.local} | kwargs
        return train_session(
            model, recipe=recipe, settings=settings, progress=False, say=machine.said.append, **arguments
        )

    machine.train = call
    return machine


@contextmanager
def interrupt_at(monkeypatch, number):
    """In this block, the training step of this number ends the session."""
    plain, steps = step.to_batch, [0]

    def interrupting(*batch):
        steps[0] += torch.is_grad_enabled()
        if steps[0] == number:
            raise KeyboardInterrupt
        return plain(*batch)

    with monkeypatch.context() as patch:
        patch.setattr(step, "to_batch", interrupting)
        yield


def untimed(run) -> pd.DataFrame:
    return run.history.drop(columns=list(TIMING_COLUMNS))


def test_one_session_from_the_start_to_the_end(colab):
    seen = []
    run = colab.train(on_epoch=lambda run: seen.append(len(run.history)))
    assert run.path == colab.local / "runs" / "v3" and run.finished and seen == [1, 2, 3, 4]
    assert colab.measured == [colab.local / "data" / "toy-prepared"]  # not the drive
    assert run.description.data == str(colab.local / "data" / "toy-prepared")
    assert sorted(p.name for p in colab.drive.iterdir()) == ["epoch-00003", "epoch-00004"]
    assert Run(colab.drive / "epoch-00004").finished
    assert any("4 epochs: 4 minutes. It fits" in sentence for sentence in colab.said)


@pytest.mark.parametrize("machine", ["new", "old", "same"])
def test_a_session_that_ended_goes_on_and_ends_equal(colab, tmp_path, prepared, monkeypatch, machine):
    """On a new machine; on one that has a run older than the drive's; on one that has all."""
    whole = train("ucolnet_v3", TINY, prepared, tmp_path / "whole", progress=False, say=lambda sentence: None)
    per_epoch = int(whole.history["steps"].iloc[0])
    keep = tmp_path / "after-one"

    def after(run):
        if len(run.history) == 1:
            shutil.copytree(colab.local, keep)

    # In the third epoch.
    with interrupt_at(monkeypatch, 2 * per_epoch + 2), pytest.raises(KeyboardInterrupt):
        colab.train(on_epoch=after)
    if machine != "same":
        shutil.rmtree(colab.local)
    if machine == "old":
        shutil.copytree(keep, colab.local)
    colab.said.clear()
    run = colab.train(recipe=None)
    assert any("The run was begun with the recipe smoke, and keeps it." in sentence for sentence in colab.said)
    assert any("2 epochs: 2 minutes" in sentence for sentence in colab.said)
    assert "Going on after epoch 2 of 4." in colab.said
    assert any("The run is back from" in sentence for sentence in colab.said) == (machine != "same")
    pd.testing.assert_frame_equal(untimed(run), untimed(whole), check_exact=True)
    for name in ("model.safetensors", "last.safetensors", "steps.csv", "samples/epoch-00004.png"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert sorted(p.name for p in (run.path / "samples").iterdir())[0] == "epoch-00001.png"


def test_the_newest_copy_is_broken(colab, monkeypatch):
    whole = colab.train()
    history = untimed(whole)
    (colab.drive / "epoch-00004" / "state" / "epoch-00004" / "optimizer.bin").write_bytes(b"")
    shutil.rmtree(colab.local)
    run = colab.train()
    assert "Going on after epoch 3 of 4." in colab.said
    pd.testing.assert_frame_equal(untimed(run), history, check_exact=True)
    assert Run(colab.drive / "epoch-00004").finished


def test_a_finished_run_comes_back_and_is_not_trained(colab, monkeypatch):
    history = colab.train().history
    shutil.rmtree(colab.local)
    colab.measured.clear()
    with interrupt_at(monkeypatch, 1):
        run = colab.train()
    assert run.finished and colab.measured == [] and "nothing to do" in colab.said[-1]
    pd.testing.assert_frame_equal(run.history, history)


def test_a_full_drive_does_not_stop_the_training(colab, monkeypatch):
    plain = backup._copy

    def full(source, target):
        if len(Run(source).history) in (2, 3):
            raise OSError(28, "No space left on device")
        return plain(source, target)

    monkeypatch.setattr(backup, "_copy", full)
    run = colab.train()
    assert run.finished
    failed = [sentence for sentence in colab.said if "not backed up" in sentence]
    assert [sentence[:7] for sentence in failed] == ["Epoch 2", "Epoch 3"]
    assert sorted(p.name for p in colab.drive.iterdir()) == ["epoch-00001", "epoch-00004"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "ucolnet_v2"}, r"another model \(ucolnet_v3, now ucolnet_v2\)"),
        ({"settings": SETTINGS | {"seed": "1"}}, r"another seed \(0, now 1\)"),
        ({"data": "other"}, r"another data \(toy-prepared, now other-prepared\)"),
    ],
)
@pytest.mark.parametrize("gone", ["local", "drive"])
def test_another_run_is_never_replaced(colab, change, says, gone):
    colab.train(settings=SETTINGS | {"epochs": "1"})
    settings = {"settings": SETTINGS | {"epochs": "1"}}
    if "settings" in change:
        change = {"settings": change["settings"] | {"epochs": "1"}}
    if "data" in change:
        shutil.copytree(colab.data, colab.mount / "MyDrive" / "other-prepared")
        change = {"data": colab.mount / "MyDrive" / "other-prepared"}
    shutil.rmtree(colab.local if gone == "local" else colab.drive)
    left = colab.drive if gone == "local" else colab.local / "runs"
    before = {p: p.read_bytes() for p in left.rglob("*") if p.is_file()}
    with pytest.raises(UcolnetError, match=says):
        colab.train(**settings | change)
    assert before == {p: p.read_bytes() for p in left.rglob("*") if p.is_file()}


def test_a_drive_that_is_not_mounted_is_told_before_anything_is_written(colab):
    shutil.rmtree(colab.mount)
    with pytest.raises(UcolnetError, match=r"not mounted.*drive\.mount\("):
        colab.train()
    with pytest.raises(UcolnetError, match="not mounted"):
        colab.train(drive=colab.local / "kept")  # the data lie there
    assert not colab.mount.exists() and not colab.local.exists()


def test_an_epoch_longer_than_a_session_is_refused(colab, monkeypatch):
    monkeypatch.setattr(session, "estimate", lambda *_: Estimate(1.0, 13 * 3600.0))
    with pytest.raises(UcolnetError, match=r"13\.0 hours an epoch.*never get on\. Take less: settings="):
        colab.train()
    assert colab.train(session_hours=24).finished
    assert any("plan for 4" in sentence for sentence in colab.said)


def test_the_estimate_is_the_real_one(colab, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(session, "MOUNT", colab.mount)
    monkeypatch.setattr(session, "estimate", lambda *args: ESTIMATE(*args, seconds=0.1))
    assert colab.train(settings=SETTINGS | {"epochs": "1"}).finished
    assert any(re.match(r"About \d+ seconds an epoch, 1 epochs: ", sentence) for sentence in colab.said)


ESTIMATE = session.estimate


# Data.


def test_data_come_to_the_local_disk_once(colab, tmp_path):
    here = bring_here(colab.data, tmp_path / "data", progress=False)
    assert here == tmp_path / "data" / "toy-prepared"
    files = {p.name: p.read_bytes() for p in colab.data.iterdir()}
    assert {p.name: p.read_bytes() for p in here.iterdir()} == files
    before = {p: p.stat().st_ino for p in here.iterdir()}
    bring_here(colab.data, tmp_path / "data", progress=False)
    assert before == {p: p.stat().st_ino for p in here.iterdir()}


def test_a_copy_that_was_cut_off_goes_on(colab, tmp_path):
    here = bring_here(colab.data, tmp_path / "data", progress=False)
    large = here / "train2017.bin"
    whole = large.read_bytes()
    large.write_bytes(whole[:100])
    (here / "prepared.json").unlink()
    other = (here / "train2017.index").stat().st_ino
    bring_here(colab.data, tmp_path / "data", progress=False)
    assert large.read_bytes() == whole and (here / "prepared.json").is_file()
    assert (here / "train2017.index").stat().st_ino == other


def test_what_is_copied_in_part_does_not_count_as_prepared(colab, tmp_path, monkeypatch):
    plain = Path.open

    def full(self, mode="r", *args, **kwargs):
        if self.name == "train2017.bin":
            raise OSError(28, "No space left on device")
        return plain(self, mode, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(UcolnetError, match="Cannot write .*train2017.bin: No space left on device"):
            bring_here(colab.data, tmp_path / "data", progress=False)
    assert not (tmp_path / "data" / "toy-prepared" / "prepared.json").exists()


def test_a_set_that_was_prepared_anew_is_copied_anew(colab, tmp_path):
    here = bring_here(colab.data, tmp_path / "data", progress=False)
    description = json.loads((colab.data / "prepared.json").read_text()) | {"note": "other"}
    (colab.data / "prepared.json").write_text(json.dumps(description))
    bring_here(colab.data, tmp_path / "data", progress=False)
    assert json.loads((here / "prepared.json").read_text())["note"] == "other"


def test_single_photographs_on_the_drive_are_refused(colab, tmp_path):
    (colab.mount / "MyDrive" / "coco" / "train2017").mkdir(parents=True)
    with pytest.raises(UcolnetError, match="ucolnet data prepare"):
        bring_here(colab.mount / "MyDrive" / "coco", tmp_path / "data")


def test_data_on_the_local_disk_stay_where_they_are(colab, tmp_path, prepared):
    assert bring_here(prepared, tmp_path / "data") == prepared and not (tmp_path / "data").exists()


# The GPU.


@pytest.mark.parametrize(
    ("gigabytes", "bf16", "recipe"),
    [(14.7, False, "t4"), (15.9, False, "t4"), (22.2, True, "t4"), (39.6, True, "a100"), (79.3, True, "a100"),
     (31.7, False, "t4")],
)  # fmt: skip
def test_the_recipe_for_a_gpu(monkeypatch, gigabytes, bf16, recipe):
    """T4, P100, L4, A100 of both sizes, V100."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    found = types.SimpleNamespace(name="card", total_memory=int(gigabytes * 2**30))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda *_: found)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16 or including_emulation)
    assert choose_recipe() == recipe
    assert session._gpu() == f"card with {gigabytes:.0f} GB"


def test_without_a_gpu_nothing_is_begun_unless_a_recipe_is_named(colab, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UcolnetError, match=r"No GPU found: on Colab choose Runtime > .*; or name a recipe .*'toy'"):
        colab.train(recipe=None)
    assert not colab.drive.exists() and not colab.local.exists()
    colab.train(recipe="toy", settings=SETTINGS | {"epochs": "1", "width": "0.125"})
    assert Run(colab.drive / "epoch-00001").description.recipe.name == "toy"
