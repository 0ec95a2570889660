"""The look of figures, and saving them: both files or none, the same bytes each time."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.figures.style import COLORS, LABELS, save, style
from ucolnet_lib.models import MODELS


def figure():
    with style():
        fig, ax = plt.subplots(figsize=(2, 1.5))
        ax.plot([1, 2, 3], label="gray")
        ax.set_title("Ünïcode and a legend")
        ax.legend()
    return fig


def test_every_model_has_a_colour_and_a_name_of_its_own():
    assert set(MODELS) | {"ucolnet_v3_l2"} == set(COLORS) <= set(LABELS)
    assert len(set(COLORS.values())) == len(COLORS) and len(set(LABELS.values())) == len(LABELS)


def test_the_style_ends_with_its_block():
    before = dict(mpl.rcParams)
    with style():
        assert mpl.rcParams["axes.grid"] and not mpl.rcParams["axes.spines.top"]
    assert dict(mpl.rcParams) == before
    with pytest.raises(ValueError), style():
        raise ValueError
    assert dict(mpl.rcParams) == before


def test_save_writes_png_and_pdf_in_the_resolution_of_the_style(tmp_path):
    png, pdf = save(figure(), tmp_path / "new" / "loss.v1")
    assert [png.name, pdf.name] == ["loss.v1.png", "loss.v1.pdf"]
    assert sorted(p.name for p in png.parent.iterdir()) == ["loss.v1.pdf", "loss.v1.png"]
    with Image.open(png) as image:
        assert image.format == "PNG" and image.size == (320, 240)  # 2 x 1.5 inches at 160 dpi
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/Type3" not in content  # fonts of type 3 are refused by some publishers


def test_the_same_figure_gives_the_same_bytes(tmp_path, monkeypatch):
    first = save(figure(), tmp_path / "a")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")  # another day
    second = save(figure(), tmp_path / "b")
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()
        assert b"Date" not in a.read_bytes() and mpl.__version__.encode() not in a.read_bytes()


def test_save_closes_the_figure(tmp_path):
    plt.close("all")
    save(figure(), tmp_path / "a")
    assert plt.get_fignums() == []


@pytest.mark.parametrize("fails_at", [".png", ".pdf"])
@pytest.mark.parametrize("old", [False, True])
def test_nothing_half_is_left_when_saving_fails(tmp_path, monkeypatch, fails_at, old):
    plt.close("all")
    kept = {}
    if old:
        kept = {path: path.read_bytes() for path in save(figure(), tmp_path / "a")}
    fig, original = figure(), mpl.figure.Figure.savefig

    def savefig(self, path, **kwargs):
        if path.suffix == fails_at:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        original(self, path, **kwargs)

    monkeypatch.setattr(mpl.figure.Figure, "savefig", savefig)
    with pytest.raises(UcolnetError, match="No space left"):
        save(fig, tmp_path / "a")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept
    assert plt.get_fignums() == []
