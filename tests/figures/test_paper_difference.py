"""The figure of the unknown shows the p values of the formula, and its words carry the same numbers."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ucolnet_lib.evaluation.mcnemar import p_value
from ucolnet_lib.figures.paper_difference import DIFFERENCE, MEASURED, OBJECTS, caption, paper_difference


@pytest.fixture
def ax():
    yield paper_difference().axes[0]
    plt.close("all")


def test_the_curves_are_the_p_values(ax):
    curves = {line.get_label(): line for line in ax.lines if len(line.get_xdata()) > 2}
    assert list(curves) == ["objects of one photograph go together\n(variance 1.6 times)", "independent objects"]
    for line, inflation in zip(curves.values(), (1.6, 1.0), strict=True):
        shares = line.get_xdata()
        assert shares[0] == pytest.approx(87 / 36_781) and line.get_ydata()[0] < 1e-6
        assert line.get_ydata() == pytest.approx(p_value(87, shares * 36_781, inflation))


def test_the_line_the_limits_and_the_band(ax):
    assert any(list(line.get_ydata()) == pytest.approx([0.05, 0.05]) for line in ax.lines)
    dots = sorted(tuple(line.get_xydata()[0]) for line in ax.lines if line.get_marker() == "o")
    assert np.array(dots) == pytest.approx(np.array([(1203 / 36_781, 0.05), (1925 / 36_781, 0.05)]))
    assert [text.get_text() for text in ax.texts] == ["1,203 objects", "1,925 objects"]
    (band,) = ax.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx(MEASURED)


def test_all_words_stand_within_the_page_and_are_large_enough(ax):
    figure = ax.figure
    figure.canvas.draw()
    assert figure.get_size_inches()[0] == 7
    (counts,) = ax.child_axes
    words = [ax.xaxis.label, ax.yaxis.label, ax.title, ax._left_title, counts.xaxis.label]
    words += [*ax.texts, *ax.get_legend().get_texts()]
    assert ax.get_xlabel() and ax.get_ylabel() and counts.get_xlabel() and ax.get_title(loc="left")
    page = figure.bbox
    for word in words:
        box = word.get_window_extent()
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, word
        assert word.get_fontsize() >= 9
    # No word lies on a curve.
    for line in (line for line in ax.lines if len(line.get_xdata()) > 2):
        for word in [*ax.texts, *ax.get_legend().get_texts()]:
            assert not word.get_window_extent().count_contains(ax.transData.transform(line.get_xydata())), word


def test_the_caption_says_what_the_figure_shows():
    words = caption()
    for number in ("1,925", "5.2%", "1,203", "3.3%", "36,781", "87", "1.6", "3.2%", "9.4%"):
        assert number in words
    assert words.count(". ") == 1 and words.endswith(".")
    assert (DIFFERENCE, OBJECTS) == (87, 36_781)
