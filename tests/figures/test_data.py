"""Looking at data: each picture at its place, a legend of what occurs, numbers where they belong, any folder."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CocoSplit, Photograph
from ucolnet_lib.data.prepare import prepare
from ucolnet_lib.data.show import chroma_picture, class_colors, color_semantic_map, lightness_picture
from ucolnet_lib.data.summary import Summary, summarize
from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.figures.data import chroma_figure, class_figure, photograph_grid, show_data
from ucolnet_lib.figures.style import save


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return draw_toy_world(tmp_path_factory.mktemp("data") / "toy", scenes=15, size=32, progress=False)


@pytest.fixture
def photographs(tmp_path):
    """(8, 12) with classes 0 and 3, (20, 5) with 255 alone."""
    random = np.random.default_rng(0)
    first, second = (random.integers(0, 256, (*shape, 3), np.uint8) for shape in ((8, 12), (20, 5)))
    some = np.zeros((8, 12), np.uint8)
    some[:4] = 3
    return [
        Photograph(1, tmp_path / "1.jpg", first, some),
        Photograph(2, tmp_path / "2.jpg", second, np.full((20, 5), 255, np.uint8)),
    ]


def legend(figure) -> dict[str, tuple]:
    (one,) = figure.legends
    colors = [tuple(np.round(np.multiply(p.get_facecolor()[:3], 255)).astype(int).tolist()) for p in one.get_patches()]
    return dict(zip([text.get_text() for text in one.get_texts()], colors, strict=True))


def test_a_row_of_four_pictures_for_each_photograph(photographs):
    figure = photograph_grid(photographs)
    assert [ax.get_title() for ax in figure.axes] == ["photograph", "L", "a, b at L = 65", "classes", "", "", "", ""]
    for row, photo in enumerate(photographs):
        shown = [ax.images[0].get_array() for ax in figure.axes[4 * row : 4 * row + 4]]
        expected = [photo.rgb, lightness_picture(photo.rgb), chroma_picture(photo.rgb)]
        for picture, other in zip(shown, [*expected, color_semantic_map(photo.semantic_map)], strict=True):
            assert np.array_equal(picture, other)


def test_the_legend_names_what_occurs_and_nothing_else(photographs):
    colors = class_colors()
    expected = {name: tuple(colors[i].tolist()) for name, i in (("background", 0), ("car", 3), ("ignore", 255))}
    assert legend(photograph_grid(photographs)) == expected
    assert list(legend(photograph_grid(photographs[1:]))) == ["ignore"]


def test_large_photographs_are_drawn_small(tmp_path):
    photo = Photograph(1, tmp_path / "1.jpg", np.zeros((900, 1200, 3), np.uint8), np.zeros((900, 1200), np.uint8))
    assert [ax.images[0].get_array().shape for ax in photograph_grid([photo]).axes] == [(300, 400, 3)] * 4


def test_nothing_lies_on_anything_else(photographs):
    figure = photograph_grid(photographs)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [ax.get_tightbbox(renderer) for ax in figure.axes] + [figure.legends[0].get_window_extent(renderer)]
    for i, one in enumerate(boxes):
        assert not any(one.padded(-1).overlaps(other.padded(-1)) for other in boxes[i + 1 :])
        assert figure.bbox.padded(2).contains(one.x0, one.y0) and figure.bbox.padded(2).contains(one.x1, one.y1)


def test_pictures_of_any_shape_can_be_drawn(tmp_path):
    shapes = [(1, 1), (1, 300), (300, 1), (7, 500)]
    photographs = [
        Photograph(i, tmp_path / "x.jpg", np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8))
        for i, shape in enumerate(shapes)
    ]
    figure = photograph_grid(photographs)
    figure.canvas.draw()
    assert all(max(ax.get_window_extent().size) > 50 for ax in figure.axes)


def numbers(ax) -> list[tuple[float, float]]:
    points = ax.collections[0].get_offsets()
    return [tuple(point.tolist()) for point in points if not np.ma.getmaskarray(point).any()]


def test_the_classes_stand_in_the_order_of_their_pixels_with_their_numbers(toy):
    summary = summarize(CocoSplit(toy, "train2017"), progress=False)
    figure, table = class_figure(summary), summary.classes.sort_values("pixels", kind="stable")
    assert figure.get_suptitle() == "toy, train2017: 12 photographs"
    titles = ["objects", "photographs that show it", "share of all pixels", "mean chroma (CIELAB units)"]
    assert [ax.get_title() for ax in figure.axes] == titles
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == table["name"].tolist() and names[-1] == "background"
    for ax, column in zip(figure.axes, ["objects", "images", "share", "mean_chroma"], strict=True):
        values = table[column].where(table[column] > 0)
        expected = np.stack([values, np.arange(len(table))], axis=1)[values.notna()]
        np.testing.assert_allclose(numbers(ax), expected)
        low, high = ax.get_xlim()
        assert low <= values.min() and values.max() <= high
    dots = figure.axes[0].collections[0].get_facecolors()[:, :3] * 255
    np.testing.assert_allclose(dots, class_colors()[table["class"]])
    figure.canvas.draw()
    assert all(label.get_text().endswith("%") for label in figure.axes[2].get_xticklabels())


def small_summary(mean_chroma, gray) -> Summary:
    photographs = pd.DataFrame({"mean_chroma": mean_chroma, "gray": gray})
    chroma = np.zeros((111, 111), np.int64)
    chroma[55, 55], chroma[100, 20] = 30, 10  # a = 0, b = 0 and a = 90, b = -70
    classes = pd.DataFrame(
        {"class": [255], "name": ["ignore"], "images": [1], "pixels": [40], "share": [1.0], "mean_chroma": [3.0]}
    )
    return Summary("here", 1000, photographs, classes, chroma)


def test_colours_lie_at_their_place_in_the_plane():
    figure = chroma_figure(small_summary([0.0, 3.0, 12.5, 12.6], [True, False, False, False]))
    plane, bars = figure.axes[:2]
    assert figure.get_suptitle() == "here: 4 of 1,000 photographs"
    (image,) = plane.images
    left, right, bottom, top = image.get_extent()
    assert (left, right, bottom, top) == (-111, 111, -111, 111) and image.origin == "lower"
    rows, columns = np.nonzero(image.get_array().filled(0))  # rows are b, columns a
    places = {(left + 2 * column + 1, bottom + 2 * row + 1) for row, column in zip(rows, columns, strict=True)}
    assert places == {(0, 0), (90, -70)}
    assert image.get_array().sum() == pytest.approx(1)
    assert bars.get_title() == "1 of 4 are gray, or nearly"
    heights = {(p.get_x(), p.get_facecolor()): p.get_height() for p in bars.patches if p.get_height()}
    assert sorted((x, height) for (x, _), height in heights.items()) == [(0, 1), (2, 1), (12, 2)]
    assert len({color for _, color in heights}) == 2


@pytest.mark.parametrize("gray", [True, False])
def test_one_photograph_can_be_drawn(gray, tmp_path):
    summary = small_summary([0.0], [gray])
    save(chroma_figure(summary), tmp_path / "chroma")
    figure = class_figure(summary)
    assert [ax.get_title() for ax in figure.axes][0] == "photographs that show it"  # objects are not known
    save(figure, tmp_path / "classes")


FILES = {"photographs.png", "photographs.pdf", "photographs.csv", "classes.png", "classes.pdf", "classes.csv"}
FILES |= {"chroma.png", "chroma.pdf"}


def test_figures_and_tables_of_a_coco_folder(toy, tmp_path, monkeypatch):
    """The same call twice gives the same bytes."""
    monkeypatch.chdir(tmp_path)
    summary, out = show_data(toy, limit=10, progress=False)
    assert out.as_posix() == "runs/data-toy-train2017" and {p.name for p in out.iterdir()} == FILES
    read = pd.read_csv(out / "classes.csv")
    pd.testing.assert_frame_equal(read, summary.classes, check_dtype=False, rtol=1e-5)
    assert pd.read_csv(out / "photographs.csv")["id"].tolist() == summary.photographs["id"].tolist()
    assert len(summary.photographs) == 10 and summary.size == 12
    show_data(toy, "train2017", tmp_path / "again", limit=10, progress=False)
    for file in FILES:
        assert (out / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file


def test_a_prepared_set(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare([toy], tmp_path / "prepared", size=32, workers=1, progress=False)
    summary, out = show_data("prepared", "val2017", progress=False)
    assert out.as_posix() == "runs/data-prepared-val2017" and {p.name for p in out.iterdir()} == FILES
    assert len(summary.photographs) == 3


def test_a_plain_folder_with_one_gray_photograph(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.full((6, 6), 80, np.uint8)).save(tmp_path / "photos" / "1.png")
    summary, out = show_data("photos", progress=False)
    assert out.as_posix() == "runs/data-photos" and {p.name for p in out.iterdir()} == FILES
    assert summary.photographs["gray"].all() and summary.classes["name"].tolist() == ["ignore"]


def test_a_folder_that_is_none_of_the_three(tmp_path):
    with pytest.raises(UcolnetError, match="holds no photograph"):
        show_data(tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
