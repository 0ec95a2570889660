"""`ucolnet train` on two processes (gloo, CPU): one run folder, the data shared, a death told, a run to go on with."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.training import Run

SETTINGS = ["size=16", "width=0.0625", "batch_size=4", "epochs=3", "limit=24", "precision=fp32", "weight_decay=0"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return draw_toy_world(tmp_path_factory.mktemp("toy") / "world", scenes=40, size=32, progress=False)


def start(processes: int, toy, out, *more: str) -> subprocess.Popen:
    launch = [sys.executable, "-m"]
    if processes > 1:
        launch += ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), "-m"]
    command = [*launch, "ucolnet_lib.cli", "train", "--recipe", "smoke", "--data", str(toy), "--out", str(out)]
    for setting in SETTINGS:
        command += ["--set", setting]
    command += more
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> str:
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors[-2000:]
    return out


def test_two_processes_train_as_one(toy, tmp_path):
    """The same steps and photographs. Batch norm has each process's own statistics on CPUs: losses are only alike."""
    said = finish(start(2, toy, tmp_path / "two"))
    finish(start(1, toy, tmp_path / "one"))
    two, one = Run(tmp_path / "two"), Run(tmp_path / "one")
    assert said.count("epochs, validation colour loss") == 1  # the first process speaks for both
    assert sorted(p.name for p in two.path.iterdir()) == sorted(p.name for p in one.path.iterdir())
    assert two.history["steps"].tolist() == one.history["steps"].tolist()
    for column in ("train_color", "validation_color", "validation_cross_entropy"):
        assert np.allclose(two.history[column], one.history[column], rtol=0.3)
    assert len(pd.read_csv(two.path / "steps.csv")) == two.history["steps"].iloc[-1]


def test_a_killed_process_ends_the_job_and_the_run_goes_on(toy, tmp_path):
    long = ("--set", "epochs=60")
    job, run = start(2, toy, tmp_path / "run", *long), Run(tmp_path / "run")
    end = time.monotonic() + 120
    while run.state() is None and time.monotonic() < end:
        time.sleep(0.05)
    second = subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True, text=True).stdout.split()[1]
    os.kill(int(second), signal.SIGKILL)
    _, errors = job.communicate(timeout=120)
    assert job.returncode != 0
    assert "ucolnet: Another process of this training has ended" in errors and "--resume" in errors
    assert not run.finished and 1 <= run.state()[0] < 60
    said = finish(start(1, toy, tmp_path / "run", *long, "--resume"))
    assert "Going on after epoch" in said
    assert run.finished and run.history["epoch"].tolist() == list(range(1, 61))
