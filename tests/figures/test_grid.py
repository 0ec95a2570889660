"""The before/after grid shows each picture at its place."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from ucolnet_lib.figures.grid import picture_grid
from ucolnet_lib.figures.style import save


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def pictures(rows: int, columns: int) -> list[list[np.ndarray]]:
    random = np.random.default_rng(0)
    return [[random.integers(0, 256, (6 + r, 8, 3), np.uint8) for _ in range(columns)] for r in range(rows)]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 4), (3, 2)])
def test_pictures_stand_in_their_rows_and_columns(rows, columns):
    given = pictures(rows, columns)
    titles = [f"column {c}" for c in range(columns)]
    figure = picture_grid(given, titles)
    assert isinstance(figure, Figure) and len(figure.axes) == rows * columns
    for i, ax in enumerate(figure.axes):
        row, column = divmod(i, columns)
        assert np.array_equal(ax.images[0].get_array(), given[row][column])
        assert ax.get_title() == (titles[column] if row == 0 else "")
        assert not ax.axison


def test_long_titles_take_two_lines():
    figure = picture_grid(pictures(1, 1), ["v3, no segmentation"])
    assert figure.axes[0].get_title() == "v3,\nno segmentation"


def test_pixels_are_shown_as_they_are():
    figure = picture_grid(pictures(1, 1), ["truth"])
    assert figure.axes[0].images[0].get_interpolation() == "nearest"


def test_a_missing_picture_or_title_is_an_error():
    with pytest.raises(ValueError):
        picture_grid([[*pictures(1, 2)[0]], [pictures(1, 1)[0][0]]], ["a", "b"])
    with pytest.raises(ValueError):
        picture_grid(pictures(1, 2), ["a"])


def test_it_can_be_saved(tmp_path):
    files = save(picture_grid(pictures(2, 3), ["gray", "UColNet v3", "truth"]), tmp_path / "grid")
    assert all(file.stat().st_size > 1_000 for file in files)
