"""The figure shows every number it is given, with its interval, and all its words can be read."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ucolnet_lib.evaluation.gray_paths import PATHS
from ucolnet_lib.evaluation.resize import KERNELS
from ucolnet_lib.figures.paper_numbers import CONVERSION_MARKS, KERNEL_LINES, retention_by_size


def rows(detectors=("one", "two"), confidences=(0.25, 0.5), ends=(-0.03, 0.04)):
    """A retention of its own for each row."""
    random, made = np.random.default_rng(0), []
    for detector in detectors:
        for confidence in confidences:
            for path in PATHS:
                value = float(random.uniform(0.5, 0.95))
                made.append(
                    {"detector": detector, "confidence": confidence, "conversion": path.conversion}
                    | {"kernel": path.kernel, "size": path.size, "retention": value}
                    | {"retention_ci": [None if end is None else value + end for end in ends]}
                )
    return made


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_every_number_stands_in_its_panel():
    given = rows()
    axes = retention_by_size(given).axes
    titles = [f"{detector}, confidence {at} or more" for at in ("0.25", "0.5") for detector in ("one", "two")]
    assert [ax.get_title(loc="left") for ax in axes] == titles
    for ax, (confidence, detector) in zip(axes, [(c, d) for c in (0.25, 0.5) for d in ("one", "two")], strict=True):
        own = [row for row in given if (row["detector"], row["confidence"]) == (detector, confidence)]
        lines = {line.get_label(): line for line in ax.lines}
        for kernel in KERNELS:
            points = [(r["size"], r["retention"]) for r in own if r["kernel"] == kernel and r["conversion"] == "L"]
            assert lines[kernel].get_xydata().tolist() == [list(map(float, point)) for point in sorted(points)]
        for conversion, (_, label) in CONVERSION_MARKS.items():
            found = [r for r in own if r["conversion"] == conversion and (conversion != "L" or r["size"] is None)]
            assert sorted(lines[label].get_ydata()) == sorted(r["retention"] for r in found)
        assert lines["the paper's v1: 77.2%"].get_ydata()[0] == 13_546 / 17_554
        assert lines["the paper's v3: 76.7%"].get_ydata()[0] == 13_459 / 17_554
        band = ax.collections[0].get_paths()[0].vertices
        for r in own:
            if r["kernel"] == "pil-bicubic" and r["conversion"] == "L":
                edges = band[band[:, 0] == r["size"], 1]
                assert [edges.min(), edges.max()] == r["retention_ci"]


def test_full_resolution_is_no_point_of_a_line():
    ax = retention_by_size(rows()).axes[-1]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["128", "224", "256", "full"]
    for line in ax.lines:
        if line.get_label() in KERNELS:
            assert max(line.get_xdata()) == 256 < ax.get_xticks()[-1]


def test_each_kernel_and_conversion_has_its_look():
    assert set(KERNEL_LINES) == set(KERNELS)
    assert set(CONVERSION_MARKS) == {path.conversion for path in PATHS}
    assert len(set(KERNEL_LINES.values())) == len(KERNEL_LINES)


@pytest.mark.parametrize("detectors", [("one",), ("one", "two"), ("one", "two", "three")])
def test_all_words_stand_within_the_page(detectors):
    figure = retention_by_size(rows(detectors, (0.25, 0.4, 0.5)))
    assert figure.get_size_inches()[0] <= 10
    figure.canvas.draw()
    (legend,) = figure.legends
    words = [*legend.get_texts(), legend.get_title(), figure._suptitle]
    for ax in figure.axes:
        words += [ax._left_title, ax.xaxis.label, ax.yaxis.label]
    page = figure.bbox
    for word in words:
        box = word.get_window_extent()
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, word
    for ax, below in zip(figure.axes, figure.axes[len(detectors) :], strict=False):
        assert ax.get_position().y0 > below.get_position().y1
    assert all(ax.get_ylabel() for ax in figure.axes[:: len(detectors)])
    assert all(ax.get_xlabel() for ax in figure.axes[-len(detectors) :])


def test_intervals_without_an_end():
    figure = retention_by_size(rows(ends=(None, None)))
    figure.canvas.draw()
