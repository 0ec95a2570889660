"""TensorBoard: every row of the history and every picture, once, also after an interruption."""

import sys
import types

import numpy as np
import pytest
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.training import Run
from ucolnet_lib.training.tensorboard import TensorBoard


class Writer:
    """Stands for torch's SummaryWriter, and records."""

    def __init__(self, folder, purge_step):
        self.folder, self.purge_step, self.scalars, self.pictures, self.flushes = folder, purge_step, {}, {}, 0
        writers.append(self)

    def add_scalar(self, tag, value, step):
        assert (tag, step) not in self.scalars, "written twice"
        self.scalars[tag, step] = value

    def add_image(self, tag, picture, step, dataformats):
        assert dataformats == "HWC" and picture.dtype == np.uint8
        self.pictures[tag, step] = picture

    def flush(self):
        self.flushes += 1


writers: list[Writer] = []


@pytest.fixture
def recorded(monkeypatch):
    writers.clear()
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return writers


def fill(run, epochs) -> None:
    rows = [
        {"epoch": e, "steps": 10 * e, "train_color": 1 / e, "validation_color": 2 / e, "learning_rate": 0.1}
        | ({"gpu_memory_gb": 3.5} if e > 1 else {})
        for e in range(1, epochs + 1)
    ]
    run.write_history(rows)
    (run.path / "samples").mkdir(exist_ok=True)
    for e in range(1, epochs + 1):
        Image.fromarray(np.full((6, 2, 3), e, np.uint8)).save(run.path / "samples" / f"epoch-{e:05d}.png")


def test_scalars_and_pictures_of_each_epoch(tmp_path, recorded):
    run, board = Run(tmp_path), TensorBoard()
    assert not recorded  # nothing is made before the first epoch
    for epochs in (1, 2):
        fill(run, epochs)
        board(run)
    (writer,) = recorded
    assert writer.folder == str(tmp_path / "tensorboard") and writer.flushes == 2
    tags = {"color/train": lambda e: 1 / e, "color/validation": lambda e: 2 / e, "run/steps": lambda e: 10 * e}
    tags["run/learning_rate"] = lambda e: 0.1
    for tag, value in tags.items():
        assert [writer.scalars[tag, e] for e in (1, 2)] == pytest.approx([value(1), value(2)])
    # A column that an epoch lacks is left out there.
    assert ("run/gpu_memory_gb", 1) not in writer.scalars and writer.scalars["run/gpu_memory_gb", 2] == 3.5
    assert len(writer.scalars) == 9
    assert [writer.pictures["samples", e].max() for e in (1, 2)] == [1, 2]


def test_a_run_that_goes_on_is_written_from_its_start(tmp_path, recorded):
    run = Run(tmp_path)
    fill(run, 2)
    TensorBoard()(run)
    fill(run, 3)
    TensorBoard()(run)
    assert [writer.purge_step for writer in recorded] == [1, 1]
    assert {step for _, step in recorded[1].scalars} == {1, 2, 3}


def test_a_missing_package_is_told_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UcolnetError, match="pip install tensorboard"):
        TensorBoard()


def test_what_tensorboard_itself_reads(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = Run(tmp_path)
    for epochs in (2, 3):  # the second is a run that goes on
        fill(run, epochs)
        TensorBoard()(run)
    found = events.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, pytest.approx(e.value)) for e in found.Scalars("color/train")] == [(1, 1), (2, 1 / 2), (3, 1 / 3)]
    pictures = found.Images("samples")
    assert [(p.step, p.width, p.height) for p in pictures] == [(1, 2, 6), (2, 2, 6), (3, 2, 6)]
