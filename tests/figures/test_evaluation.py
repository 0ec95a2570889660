"""The figures of an evaluation show the numbers they were given, on the right line, in the right colour."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation.comparisons import compare_categories
from ucolnet_lib.evaluation.evaluate import Evaluation
from ucolnet_lib.figures.evaluation import KINDS, PAPER, category_chart, evaluation_figures, retention_chart


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def row(name, retention, kind="control", detector="d", width=0.1):
    interval = [None, None] if width is None or retention is None else [retention - width, retention + width]
    return {"name": name, "kind": kind, "detector": detector, "retention": retention, "retention_ci": interval}


ROWS = [
    row("original", 1.0, width=0), row("gray", 0.9), row("gray_64", 0.3),
    row("m", 0.35, "model"), row("m_full_lightness", 0.95, "model"), row("m_gray", 0.3, "model"),
    row("theirs", 0.8, "pictures"), row("theirs_gray", 0.75, "pictures"),
]  # fmt: skip


def marks(ax, marker):
    return {
        (round(float(line.get_xdata()[0]), 6), int(line.get_ydata()[0])): line.get_color()
        for line in ax.lines
        if line.get_marker() == marker
    }


def test_dots_intervals_and_colours():
    (ax,) = retention_chart(ROWS).axes
    assert [t.get_text() for t in ax.get_yticklabels()] == [r["name"] for r in ROWS]
    control, model, pictures = (KINDS[kind][1] for kind in ("control", "model", "pictures"))
    assert marks(ax, "o") == {
        (1.0, 0): control, (0.9, 1): control, (0.3, 2): control, (0.35, 3): model, (0.95, 4): model, (0.8, 6): pictures,
    }  # fmt: skip
    assert len({control, model, pictures}) == 3
    bars = {int(line.get_ydata()[0]): list(line.get_xdata()) for line in ax.lines if line.get_linewidth() == 2}
    for y, r in enumerate(ROWS):
        assert bars[y] == r["retention_ci"]
    assert ax.yaxis_inverted()  # the first row on top


def test_each_model_has_its_matched_gray_on_its_own_line():
    (ax,) = retention_chart(ROWS).axes
    # m beside m_gray, its full lightness beside gray, theirs beside theirs_gray; and the two gray rows themselves.
    assert set(marks(ax, "D")) == {(0.3, 3), (0.9, 4), (0.3, 5), (0.75, 6), (0.75, 7)}
    # A folder whose name ends in _gray is no control of anything.
    (ax,) = retention_chart([row("original", 1.0), row("my_gray", 0.8, "pictures")]).axes
    assert marks(ax, "D") == {} and (0.8, 1) in marks(ax, "o")


def test_the_lines_of_the_originals_and_of_the_paper():
    figure = retention_chart(ROWS)
    (ax,) = figure.axes
    vertical = [
        line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    ]
    assert {1.0, *PAPER.values()} <= set(vertical)
    assert PAPER == {"v3": pytest.approx(0.767, abs=5e-4), "v1": pytest.approx(0.772, abs=5e-4)}
    (legend,) = figure.legends
    for words in ("another detector", "5,000 photographs"):
        assert words in legend.get_title().get_text()
    lines = ["originals: 100%", "the paper's v3 76.7% and v1 77.2%"]
    assert [t.get_text() for t in legend.get_texts()] == [
        *lines, "controls", "models", "the gray picture through the same size and kernel", "other systems",
    ]  # fmt: skip


def test_a_panel_a_detector_and_what_was_not_measured():
    rows = [row("original", 1.0), row("original", 1.0, detector="e"), row("gray", 0.9), row("gray", 0.5, detector="e")]
    rows += [row("lost", None, "model"), row("one", 0.7, "model", "e", width=None)]
    figure = retention_chart(rows)
    first, second = figure.axes
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["d", "e"]
    assert [t.get_text() for t in first.get_yticklabels()] == ["original", "gray", "one"]
    assert set(marks(first, "o")) == {(1.0, 0), (0.9, 1)} and set(marks(second, "o")) == {(1.0, 0), (0.5, 1), (0.7, 2)}
    assert len([line for line in second.lines if line.get_linewidth() == 2]) == 2  # `one` has no interval
    # The legend names what any panel shows.
    assert [t.get_text() for t in figure.legends[0].get_texts()][2:] == ["controls", "models"]


def test_words_lie_within_the_page_and_not_on_each_other():
    figure = retention_chart([*ROWS, row("a_model_of_a_long_name_with_full_lightness", 0.01, "model")])
    figure.canvas.draw()
    (ax,), (legend,) = figure.axes, figure.legends
    words = [ax._left_title, ax.xaxis.label, *ax.get_yticklabels(), legend]
    boxes = [word.get_window_extent() for word in words]
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and figure.bbox.y0 <= box.y0
    assert not legend.get_window_extent().overlaps(ax.xaxis.label.get_window_extent())


# Categories.


def categories(entries):
    columns = ["category", "objects", "photographs", "recall", "recall_low", "recall_high", "recall_real"]
    return pd.DataFrame(entries, columns=columns)


def test_categories_are_sorted_named_and_coloured():
    table = categories(
        [
            ("car", 40, 9, 0.0, -0.1, 0.1, False),
            ("banana", 15, 5, -0.3, -0.5, -0.1, True),
            ("tie", 14, 9, -1, -1, -1, True),
            ("dog", 20, 8, 0.2, 0.1, 0.3, True),
            ("book", 99, 1, -0.1, -np.inf, np.inf, False),
        ]
    )
    other = table.assign(recall=-table["recall"])
    figure = category_chart({"d": table, "e": other})
    first, second = figure.axes
    assert [t.get_text() for t in first.get_yticklabels()] == ["banana (15)", "book (99)", "car (40)", "dog (20)"]
    assert marks(first, "o") == {(-0.3, 0): "#bb5566", (-0.1, 1): "0.6", (0.0, 2): "0.6", (0.2, 3): "#004488"}
    assert {y: x for x, y in marks(second, "o")} == {0: 0.3, 1: 0.1, 2: 0.0, 3: -0.2}
    bars = [list(line.get_xdata()) for line in first.lines if line.get_linewidth() == 2]
    assert sorted(bars) == [[-0.5, -0.1], [-0.1, 0.1], [0.1, 0.3]]  # one photograph alone has none
    figure.canvas.draw()
    assert first.yaxis_inverted()


# From an evaluation.


def evaluation(rows, per_object):
    return Evaluation(None, None, per_object, rows, {})


def objects(count):
    """`count` persons in 5 photographs; in gray those of even photographs are lost."""
    return pd.DataFrame(
        [{"image_id": i % 5, "variant": variant, "detector": "d", "object": i, "label": 1, "crowd": False,
          "recognised": variant == "original" or i % 5 % 2 == 1}
         for variant in ("original", "gray") for i in range(count)]
    )  # fmt: skip


def test_the_differences_are_paired_over_photographs():
    random = np.random.default_rng(3)
    counts = random.integers(1, 9, 30)
    found = {"gray": [], "original": []}
    for image_id, count in enumerate(counts):
        for i in range(count):
            original = bool(random.random() < 0.7)
            hits = {"original": original, "gray": original and bool(random.random() < 0.8)}
            for variant, hit in hits.items():
                found[variant].append(
                    {"image_id": image_id, "variant": variant, "detector": "d", "object": i, "label": 1 + (i == 8),
                     "crowd": False, "recognised": hit}
                )  # fmt: skip
    table = compare_categories(
        evaluation([], pd.DataFrame(found["gray"] + found["original"])), "gray", "original", "d"
    ).set_index("category")
    person, objects = table.loc["person"], np.minimum(counts, 8)
    assert (person["objects"], person["photographs"]) == (objects.sum(), 30)
    lost = np.zeros(30)
    for g, o in zip(found["gray"], found["original"], strict=True):
        lost[g["image_id"]] += (g["recognised"] - o["recognised"]) * (g["label"] == 1)
    assert person["recall"] == pytest.approx(lost.sum() / objects.sum())
    # The standard error of a ratio over photographs, by hand: twice as narrow as that of two separate recalls.
    deviation = np.sqrt(((lost - person["recall"] * objects) ** 2).sum()) / objects.sum()
    assert person["recall_high"] - person["recall_low"] == pytest.approx(2 * 1.96 * deviation, rel=0.15)
    assert person["recall_real"] and person["recall_high"] < 0
    with pytest.raises(UcolnetError, match="no row sepia"):
        compare_categories(evaluation([], pd.DataFrame(found["gray"])), "sepia", "gray", "d")


def test_a_category_in_one_photograph_cannot_be_told():
    table = compare_categories(evaluation([], objects(20).query("image_id == 0")), "gray", "original", "d")
    assert table[["recall", "recall_low", "recall_high"]].to_numpy().tolist() == [[-1, -np.inf, np.inf]]
    assert table["recall_real"].tolist() == [False]
    assert compare_categories(evaluation([], pd.DataFrame()), "gray", "original", "d").empty


def test_figures_that_can_be_drawn():
    rows = [row("original", 1.0), row("gray", 0.4)]
    figures = evaluation_figures(evaluation(rows, objects(20)))
    assert list(figures) == ["retention", "colour-by-category"]
    assert set(marks(figures["colour-by-category"].axes[0], "o")) == {(-0.6, 0)}
    assert list(evaluation_figures(evaluation(rows, objects(14)))) == ["retention"]
    # Without a detector, without objects, and where nothing is recognised in the originals.
    nothing = [row("original", None, detector=None), row("gray", None, detector=None)]
    assert evaluation_figures(evaluation(nothing, pd.DataFrame())) == {}
