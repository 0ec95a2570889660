"""Live curves: what the history says, in one place, quiet where nobody looks."""

import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest

from ucolnet_lib.notebook import LiveCurves, live_curves
from ucolnet_lib.notebook.execute import execute
from ucolnet_lib.notebook.live_curves import training_curves
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training import Run

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def history(epochs) -> list[dict]:
    """Validation is lowest in epoch 2."""
    return [
        {
            "epoch": epoch,
            "train_color": 0.05 / epoch,
            "validation_color": 0.02 + 0.001 * (epoch - 2) ** 2,
            "learning_rate": 0.1 * 0.9**epoch,
            "alpha": 0.5 / epoch,
        }
        for epoch in range(1, epochs + 1)
    ]


def panels(figure) -> dict:
    return {ax.get_title(loc="left") or "": ax for ax in figure.axes}


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_the_curves_are_those_of_the_history(epochs):
    table = pd.DataFrame(history(epochs))
    axes = panels(training_curves(table, "ucolnet_v3", 5))
    assert set(axes) == {f"UColNet v3: epoch {epochs} of 5", "learning rate", "alpha"}
    loss = axes[f"UColNet v3: epoch {epochs} of 5"]
    training, validation, best = loss.get_lines()
    np.testing.assert_allclose(training.get_xydata(), table[["epoch", "train_color"]])
    np.testing.assert_allclose(validation.get_xydata(), table[["epoch", "validation_color"]])
    lowest = min(2, epochs)
    np.testing.assert_allclose(best.get_xydata(), [[lowest, table["validation_color"][lowest - 1]]])
    assert f"in epoch {lowest}" in best.get_label() and loss.get_legend() is not None
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "colour loss (MSE of ab / 110)")
    for name, column in (("learning rate", "learning_rate"), ("alpha", "alpha")):
        (line,) = axes[name].get_lines()
        np.testing.assert_allclose(line.get_xydata(), table[["epoch", column]])
    # The axis is as long as the run from the start: the curve grows into it.
    assert all(ax.get_xlim()[1] > 5 for ax in axes.values())


def test_one_figure_is_shown_and_then_replaced(tmp_path, monkeypatch):
    shown = []

    class Place:
        def update(self, figure):
            shown.append(("update", figure))

    def display(figure, display_id):
        assert display_id is True
        shown.append(("display", figure))
        return Place()

    monkeypatch.setattr(live_curves, "display", display)
    run, curves = Run(tmp_path), LiveCurves()
    run.describe("ucolnet_v3", RECIPES["toy"], "data")
    for epoch in (1, 2, 3):
        run.write_history(history(epoch))
        curves(run)
    assert [how for how, _ in shown] == ["display", "update", "update"]
    assert "epoch 3 of 12" in "".join(panels(shown[-1][1]))
    assert plt.get_fignums() == []  # else Jupyter would show the last one again


CELL = """
import sys
sys.path.insert(0, {root!r})
from ucolnet_lib.notebook import LiveCurves
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training import Run
run, curves = Run({folder!r}), LiveCurves()
run.describe("ucolnet_v3", RECIPES["toy"], "data")
for epoch in range(1, 4):
    run.write_history([dict(epoch=e, train_color=1 / e, validation_color=2 / e, learning_rate=0.1, alpha=0.5)
                       for e in range(1, epoch + 1)])
    curves(run)
"""


def test_a_saved_notebook_holds_the_last_picture_alone_and_nbval_agrees(tmp_path):
    cell = nbformat.v4.new_code_cell(CELL.format(root=str(ROOT), folder=str(tmp_path / "run")))
    path = tmp_path / "live.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    execute(path)
    (saved,) = nbformat.read(path, as_version=4).cells[0].outputs
    assert saved.output_type == "display_data" and set(saved.data) == {"image/png", "text/plain"}
    # Strict nbval compares the number of outputs too.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    command += ["--nbval-cell-timeout=120", "--rootdir", str(tmp_path), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
