"""The figures of a study with seeds show what they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.figures.curves import loss_curves
from ucolnet_lib.figures.study import category_chart, comparison_chart, make_study_figures


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def history(length: int, best: int, level=0.01) -> pd.DataFrame:
    epochs = np.arange(1, length + 1)
    validation = level * (1 + 0.1 * np.abs(epochs - best))
    return pd.DataFrame({"epoch": epochs, "train_color": level * 2 / epochs, "validation_color": validation})


def test_curves_mark_the_best_epoch_of_every_seed():
    seeds = [history(12, 5), history(10, 7, 0.012)]
    figure = loss_curves({"ucolnet_v3": seeds, "ucolnet_v1": seeds[:1]})
    ax = figure.axes[0]
    marks = next(line for line in ax.lines if line.get_label() == "lowest validation")
    assert list(marks.get_xdata()) == [5, 7] and list(marks.get_ydata()) == pytest.approx([0.01, 0.012])
    mean = next(line for line in ax.lines if line.get_label() == "validation")
    assert len(mean.get_xdata()) == 10  # as far as the shortest
    expected = (seeds[0]["validation_color"][:10] + seeds[1]["validation_color"]) / 2
    assert mean.get_ydata() == pytest.approx(expected.to_numpy())
    assert ax.get_title(loc="left") == "UColNet v3" and "lowest in epoch 5, 7" in ax.texts[0].get_text()


def test_comparisons_tell_what_is_told_from_what_is_not():
    def entry(second, measure, difference, low, high):
        return {"first": "iizuka", "second": second, "measure": measure,
                "difference": difference, "low": low, "high": high}  # fmt: skip

    figure = comparison_chart(
        [entry("ucolnet_v1", m, 2, 1, 3) for m in ("ab_pooled", "ab_objects_pooled", "miou")]
        + [entry("ucolnet_v2", "ab_pooled", 1, -1, 3), entry("ucolnet_v3", "ab_pooled", 1, None, None)]
    )
    left, right = figure.axes
    dots = [line for line in left.lines if line.get_marker() == "o"]
    assert [dot.get_color() for dot in dots] == ["#228833", "0.6", "0.6"]
    assert len([line for line in right.lines if line.get_marker() == "o"]) == 1
    assert [t.get_text() for t in left.get_yticklabels()][0] == "Iizuka − UColNet v1"


def test_categories_are_named_even_where_an_interval_has_no_end():
    table = pd.DataFrame(
        {"category": ["apple", "car"], "ambiguity": [20.0, 5], "with_segmentation": [10.0, 4],
         "without_segmentation": [12.0, 4], "gain": [2.0, 0], "low": [1, -np.inf], "high": [3, np.inf]}
    )  # fmt: skip
    figure = category_chart(table)
    figure.canvas.draw()
    assert [t.get_text() for t in figure.axes[0].texts] == ["apple", "car"]
    assert [t.get_text() for t in figure.axes[1].texts] == ["apple", "car"]


def test_no_study_no_figures(tmp_path):
    with pytest.raises(UcolnetError, match="ucolnet study models"):
        make_study_figures(tmp_path)
