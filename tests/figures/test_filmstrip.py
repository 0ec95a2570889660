"""The joined filmstrip: each picture in its column and row, the truth at the right."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.figures.filmstrip import filmstrip, spread


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def write(run, epochs, count=3, side=4) -> None:
    """Picture r of epoch e is all (e, r, 0), that of the truth (255, r, 0)."""
    (run / "samples").mkdir(parents=True)
    for name, red in [("truth", 255), *((f"epoch-{epoch:05d}", epoch) for epoch in epochs)]:
        column = np.zeros((count * side, side, 3), np.uint8)
        column[..., 0] = red
        column[..., 1] = np.repeat(np.arange(count), side)[:, None]
        Image.fromarray(column).save(run / "samples" / f"{name}.png")


def test_columns_are_epochs_rows_are_photographs(tmp_path):
    write(tmp_path, [1, 2, 10])
    figure = filmstrip(tmp_path)
    assert [ax.get_title() for ax in figure.axes[:4]] == ["epoch 1", "epoch 2", "epoch 10", "truth"]
    for i, ax in enumerate(figure.axes):
        row, column = divmod(i, 4)
        picture = ax.get_images()[0].get_array()
        assert picture.shape == (4, 4, 3) and (picture == ((1, 2, 10, 255)[column], row, 0)).all()
    assert len(figure.axes) == 12


def test_of_many_epochs_some_are_shown(tmp_path):
    write(tmp_path, range(1, 51), count=1)
    figure = filmstrip(tmp_path, columns=4)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0] == "epoch 1" and titles[-2:] == ["epoch 50", "truth"] and len(titles) == 5


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 10, 12, 20, 50, 90, 1000])
@pytest.mark.parametrize("columns", [2, 3, 8])
def test_the_spread_has_both_ends_and_no_epoch_twice(count, columns):
    epochs = list(range(1, count + 1))
    shown = spread(epochs, columns)
    assert len(shown) == min(count, columns) and shown == sorted(set(shown))
    assert shown[0] == 1 and shown[-1] == count
    gaps = np.diff(shown)
    assert count > columns * 20 or len(gaps) < 2 or gaps[0] == gaps.min()


def test_a_run_without_samples_is_told(tmp_path):
    with pytest.raises(UcolnetError, match="samples holds no sample colourings"):
        filmstrip(tmp_path)


def test_a_picture_that_is_being_written_is_left_out(tmp_path):
    write(tmp_path, [1])
    (tmp_path / "samples" / ".0123.part.png").write_bytes(b"half")
    assert len(filmstrip(tmp_path).axes) == 6
