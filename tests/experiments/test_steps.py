"""A step is done again when its result is gone or its inputs changed, and only then."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ucolnet_lib.experiments.steps import Steps, data_manifest, sha256


class Chain:
    """Two steps, the second of which reads the first one's result, as an experiment has them."""

    def __init__(self, folder: Path):
        self.folder = folder

    def run(self, epochs=3, size=48, seed=0) -> list[str]:
        """Returns the names of the steps that were done."""
        self.said = []
        steps = Steps(self.folder / "steps", self.said.append)
        weights, rows = self.folder / "weights", self.folder / "rows"
        steps.do("train", weights, {"epochs": epochs, "seed": seed}, lambda: weights.write_text(f"{epochs} {seed}"))
        steps.do("evaluate", rows, {"weights": sha256(weights), "size": size}, lambda: rows.write_text("rows"))
        return steps.done


def test_only_what_changed_is_done_again(tmp_path):
    chain = Chain(tmp_path)
    assert chain.run() == ["train", "evaluate"]
    assert chain.said == ["train: working", "evaluate: working"]
    assert chain.run() == []
    assert chain.said == ["train: up to date", "evaluate: up to date"]
    assert chain.run(epochs=4) == ["train", "evaluate"]
    assert chain.run(epochs=4, size=64) == ["evaluate"]
    assert chain.run(epochs=4, size=64) == []
    # Back to old inputs: the old result is gone, so it is made again.
    assert chain.run() == ["train", "evaluate"]


def test_a_result_that_is_gone_is_made_again_and_nothing_else(tmp_path):
    chain = Chain(tmp_path)
    chain.run()
    (tmp_path / "weights").unlink()
    assert chain.run() == ["train"]
    (tmp_path / "rows").unlink()
    assert chain.run() == ["evaluate"]


def test_what_counts_as_a_change_of_inputs(tmp_path):
    steps = Steps(tmp_path / "steps", lambda _: None)
    result = tmp_path / "result"
    for inputs, done in (({"a": 1}, 1), ({"a": 1.0}, 2), ({"a": [1, 2]}, 3), ({"a": (1, 2)}, 3), ({"b": 1, "a": 2}, 4)):
        steps.do("step", result, inputs, result.touch)
        assert len(steps.done) == done
    steps.do("step", result, {"a": 2, "b": 1}, result.touch)  # the order of keys is no change
    assert len(steps.done) == 4


@pytest.mark.parametrize("damage", ["", "{", "[]", "null"])
def test_a_damaged_note_is_no_note(tmp_path, damage):
    chain = Chain(tmp_path)
    chain.run()
    (tmp_path / "steps" / "train.json").write_text(damage)
    assert chain.run() == ["train"]


def test_a_step_that_fails_is_done_again_even_with_its_old_inputs(tmp_path):
    steps, result = Steps(tmp_path / "steps", lambda _: None), tmp_path / "result"
    steps.do("step", result, {"a": 1}, lambda: result.write_text("old"))

    def fail():
        result.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        steps.do("step", result, {"a": 2}, fail)
    # The result exists, but is neither that of a = 1 nor that of a = 2.
    for a in (1, 2):
        again = Steps(tmp_path / "steps", lambda _: None)
        again.do("step", result, {"a": a}, lambda: result.write_text("whole"))
        assert again.done == ["step"]


def test_a_step_that_is_killed_is_done_again(tmp_path):
    """A real process that dies without cleaning up, its result half written."""
    program = (
        "import os, sys; from pathlib import Path; from ucolnet_lib.experiments.steps import Steps\n"
        "folder = Path(sys.argv[1])\n"
        "def make():\n"
        "    (folder / 'result').write_text('half'); os._exit(9)\n"
        "Steps(folder / 'steps', print).do('step', folder / 'result', {'a': 1}, make)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert killed.returncode == 9 and killed.stderr == ""
    steps = Steps(tmp_path / "steps", lambda _: None)
    result = tmp_path / "result"
    assert result.read_text() == "half"
    steps.do("step", result, {"a": 1}, lambda: result.write_text("whole"))
    assert steps.done == ["step"] and result.read_text() == "whole"


def test_what_a_kill_left_is_kept_for_equal_inputs_alone(tmp_path):
    """A half-trained run goes on when recipe and data are the same; else it is removed, not mixed with the new one."""
    folder = tmp_path / "run"
    note = folder / "epoch"

    def work(inputs, fail) -> bool:
        """One call; returns whether it found what an earlier one had left."""
        found = []

        def make():
            found.append(note.exists())
            folder.mkdir(exist_ok=True)
            note.touch()
            if fail:
                raise RuntimeError

        try:
            Steps(tmp_path / "steps", lambda _: None).do("train", folder / "epoch", inputs, make, unfinished=folder)
        except RuntimeError:
            assert fail
        return found == [True]

    assert not work({"data": 1}, fail=True)
    assert work({"data": 1}, fail=True)
    assert not work({"data": 2}, fail=True)
    assert work({"data": 2}, fail=False)
    # A whole run of other inputs is no start for this one, and neither is one whose note is gone.
    assert not work({"data": 3}, fail=False)
    (tmp_path / "steps" / "train.json").unlink()
    assert not work({"data": 3}, fail=False)


def test_inputs_that_cannot_be_noted_are_told_before_the_work(tmp_path):
    with pytest.raises(TypeError):
        Steps(tmp_path, lambda _: None).do("step", tmp_path / "r", {"a": object()}, lambda: pytest.fail("worked"))


# Checksums.


@pytest.mark.parametrize("content", [b"", b"abc", bytes(3 * 2**20)])
def test_the_checksum_of_a_file_is_the_usual_one(tmp_path, content):
    """So that a reader can compare it with sha256sum and with a list of checksums."""
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_the_checksum_of_a_folder(tmp_path):
    def folder(**files) -> str:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, content in files.items():
            path = root / name.replace("_", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return sha256(root)

    first = folder(a="1", sub_b="2")
    assert folder(sub_b="2", a="1") == first
    changed = [{"a": "1", "sub_b": "3"}, {"a": "1", "sub_c": "2"}, {"a": "1"}, {"a": "1", "b": "2"}, {"a": "1sub/b2"}]
    assert len({first, *(folder(**files) for files in changed)}) == 6


def test_the_manifest_of_a_coco_folder(tmp_path, write_split):
    picture = np.zeros((4, 4, 3), np.uint8)
    root = write_split(tmp_path, {"1.png": picture, "2.png": picture}, split="train2017")
    write_split(root, {"3.png": picture})
    first = data_manifest(root)
    assert {split: entry["photographs"] for split, entry in first.items()} == {"train2017": 2, "val2017": 1}
    assert data_manifest(root) == first
    # A photograph of another size, one more, and a change of the annotations are seen, each in its split alone.
    (root / "train2017" / "1.png").write_bytes(b"longer than before" * 9)
    second = data_manifest(root)
    assert second["train2017"]["sha256"] != first["train2017"]["sha256"] and second["val2017"] == first["val2017"]
    (root / "val2017" / "4.png").touch()
    third = data_manifest(root)
    assert third["val2017"]["photographs"] == 2 and third["val2017"]["sha256"] != second["val2017"]["sha256"]
    with (root / "annotations" / "instances_val2017.json").open("a") as file:
        file.write(" ")
    fourth = data_manifest(root)
    assert fourth["val2017"]["sha256"] != third["val2017"]["sha256"] and fourth["train2017"] == third["train2017"]


def test_the_manifest_of_a_folder_without_a_split(tmp_path):
    assert data_manifest(tmp_path)["train2017"]["photographs"] == 0
