"""The figure of the overfitting study shows what it was given."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.figures.overfitting import STRENGTH_COLORS, make_overfitting_figures, overfitting_curves, smooth

PHOTOGRAPHS = {"small": 72, "whole": 720}


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def history(best: int, length=100, steps=9, level=0.01) -> pd.DataFrame:
    epochs = np.arange(1, length + 1)
    validation = level * (1 + ((epochs - best) / length) ** 2)
    return pd.DataFrame(
        {"epoch": epochs, "steps": steps * epochs, "train_color": level / 2, "validation_color": validation}
    )


def histories(seeds=2) -> dict:
    return {
        (model, size, strength): [history(30 + 10 * seed, length=100 - seed) for seed in range(seeds)]
        for model in ("ucolnet_v1", "ucolnet_v3")
        for size in ("small", "whole")
        for strength in ("0", "1e-5", "1e-3")
    }


def test_running_mean():
    values = pd.Series(np.random.default_rng(0).random(100))
    found = smooth(values).to_numpy()
    assert found[50] == pytest.approx(values[48:53].mean()) and found[0] == pytest.approx(values[:3].mean())
    assert found[-1] == pytest.approx(values[-3:].mean())
    few = pd.Series([3.0, 1, 2])
    assert smooth(few).tolist() == few.tolist()  # a twentieth of three epochs is one


def test_panels_lines_and_marks():
    figure = overfitting_curves(histories(), PHOTOGRAPHS)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == [f"UColNet {m}, {n} photographs" for n in (72, 720) for m in ("v1", "v3")]
    for ax in figure.axes:
        curves = [line for line in ax.lines if line.get_marker() == "None"]
        assert [(c.get_color(), c.get_linestyle()) for c in curves] == [
            (color, style) for color in STRENGTH_COLORS[:3] for style in (":", "-")
        ]
        marks = [line for line in ax.lines if line.get_marker() == "o"]
        assert [m.get_xdata()[0] for m in marks] == [30 * 9, 40 * 9] * 3
    # The mean over the seeds, as far as the shorter one goes.
    validation = next(line for line in figure.axes[0].lines if line.get_linestyle() == "-")
    expected = np.mean([smooth(h["validation_color"])[:99] for h in histories()["ucolnet_v1", "small", "0"]], axis=0)
    assert validation.get_ydata() == pytest.approx(expected)
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    assert texts[:3] == ["L2: 0", "L2: 1e-5", "L2: 1e-3"] and texts[3:5] == ["validation", "training"]


def test_nothing_is_cut_off():
    steep = histories(seeds=1) | {("ucolnet_v1", "small", "0"): [history(30, level=0.05)]}
    figure = overfitting_curves(steep, PHOTOGRAPHS)
    low, high = figure.axes[0].get_ylim()
    for ax in figure.axes:
        assert all(low <= y <= high for line in ax.lines for y in line.get_ydata())


def test_from_the_folder_of_a_study(tmp_path):
    with pytest.raises(UcolnetError, match="ucolnet study overfitting"):
        make_overfitting_figures(tmp_path)
    runs = []
    (tmp_path / "history").mkdir()
    for (model, size, strength), seeds in histories().items():
        for seed, table in enumerate(seeds):
            runs.append({"model": model, "size": size, "strength": strength, "seed": seed})
            table.to_csv(tmp_path / "history" / f"{model}-{size}-{strength}-{seed}.csv", index=False)
    content = {"runs": runs, "photographs": PHOTOGRAPHS}
    (tmp_path / "results.json").write_text(json.dumps(content), encoding="utf-8")
    made = make_overfitting_figures(tmp_path)
    assert [p.name for p in made] == ["loss-curves.png", "loss-curves.pdf"]
    assert all(p.stat().st_size > 10_000 for p in made)
