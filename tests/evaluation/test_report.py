"""The report shows the right photographs in the right order, needs nothing but itself, and trusts no name."""

import base64
import io
import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.evaluation import report as module
from ucolnet_lib.evaluation.controls import ChromaStatistics
from ucolnet_lib.evaluation.detection import Detections
from ucolnet_lib.evaluation.evaluate import Evaluation, evaluate
from ucolnet_lib.evaluation.report import extremes, losses, report
from ucolnet_lib.evaluation.systems import Controls, PictureFolder

PERSON, CAR = 1, 3
STATISTICS = ChromaStatistics(np.zeros(2), np.zeros((81, 2)), "val2017")
WIDTH, HEIGHT = 48, 16


class SquaresDetector:
    """Finds a person in each of the six squares of 8 x 8 pixels at the top that is colourful, always a car below."""

    name, signature = "squares", {"detector": "<i>", "checksum": "0", "input_size": 0, "confidence": 0, "nms_iou": 0,
                                  "max_detections": 0}  # fmt: skip

    def detect(self, pictures, image_id):
        found = {}
        for variant, picture in pictures.items():
            boxes, labels = [(0, 8, 16, 16)], [CAR]
            for x in range(0, picture.shape[1] - 7, 8):
                if np.ptp(picture[:8, x : x + 8].astype(int), axis=-1).mean() > 60:
                    boxes, labels = [*boxes, (x, 0, x + 8, 8)], [*labels, PERSON]
            found[variant] = Detections(np.array(boxes, float), np.full(len(boxes), 0.9), np.array(labels))
        return found


def photograph(red: int, stripe=True) -> np.ndarray:
    picture = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    picture[:8, : 8 * red] = (200, 30, 20)
    if stripe:  # so that the photograph is not gray itself
        picture[12:] = (20, 160, 40)
    return picture


@pytest.fixture
def folder(tmp_path, write_split, rectangle):
    """Persons that need colour, by image; 2 and 3 have a car too, 4 two persons that nobody finds, 5 no object."""
    persons = {1: 1, 2: 3, 3: 0, 4: 2, 5: 0, 6: 3}
    annotations = [rectangle(i, PERSON, 8 * x, 0, 8, 8) for i, count in persons.items() for x in range(count)]
    annotations += [rectangle(4, PERSON, 8 * x, 0, 8, 8) for x in (3, 4)]
    annotations += [rectangle(i, CAR, 0, 8, 16, 8) for i in (2, 3)]
    pictures = {f"00000000000{i}.png": photograph(count) for i, count in persons.items()}
    return write_split(tmp_path / "coco", pictures, annotations)


DETECTOR = SquaresDetector()


def page_of(folder, detectors=(DETECTOR,), more=()):
    photos = CocoSplit(folder, "val2017")
    systems = [Controls(STATISTICS), *(make(photos) for make in more)]
    return report(evaluate(photos, systems, detectors, progress=False), photos, systems)


class Reader(HTMLParser):
    """Headings, pictures, links and boxes of a page, and everything that a browser would load."""

    def __init__(self, page):
        super().__init__()
        self.loaded, self.links, self.tags, self.texts, self.boxes, self.open = [], [], [], [], [], None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.open = tag
        self.tags.append(tag)
        if tag == "a":
            self.links.append(attributes["href"])
        else:
            self.loaded += [v for k, v in attributes.items() if k in ("src", "href", "xlink:href", "srcset", "data")]
        if tag == "rect":
            self.boxes.append((attributes["class"], *(float(attributes[k]) for k in ("x", "y", "width", "height"))))

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        self.texts.append((self.open, data.strip()))

    @property
    def text(self):
        return "".join(text for _, text in self.texts)

    def of(self, tag):
        return [text for opened, text in self.texts if opened == tag and text]


# Which photographs.


def test_losses_are_counted_object_by_object(folder):
    photos = CocoSplit(folder, "val2017")
    evaluation = evaluate(photos, [Controls(STATISTICS)], [SquaresDetector()], progress=False)
    table = losses(evaluation, "gray", "squares")
    # 2 and 6 lose three each, 6 all that it has; 5 has nothing to lose and is left out.
    assert table.index.tolist() == [6, 2, 4, 1, 3]
    assert table[["objects", "in_original", "in_variant", "lost", "found"]].to_numpy().tolist() == [
        [3, 3, 0, 3, 0], [4, 4, 1, 3, 0], [4, 2, 0, 2, 0], [1, 1, 0, 1, 0], [1, 1, 1, 0, 0],
    ]  # fmt: skip
    assert table["share"].tolist() == [1, 0.75, 1, 1, 0]
    back = losses(
        Evaluation(*[None] * 2, evaluation.per_object.replace({"original": "gray", "gray": "original"}), *[None] * 2),
        "gray", "squares",
    )  # fmt: skip
    assert back.loc[2].tolist() == [4, 1, 4, 0, 3, 0]


def test_worst_and_best():
    table = pd.DataFrame(
        {"in_original": [9, 4, 2, 2, 3, 8, 8], "lost": [3, 3, 1, 1, 0, 0, 0]}, index=[10, 11, 12, 13, 14, 15, 16]
    )
    table["share"] = table["lost"] / table["in_original"]
    table = table.sort_values(["lost", "share"], ascending=False, kind="stable")
    assert extremes(table, 3) == ([11, 10, 12], [15, 16, 14])
    # None is shown twice, and what loses nothing is never the worst.
    assert extremes(table, 6) == ([11, 10, 12, 13], [15, 16, 14])
    assert extremes(table[table["lost"] > 0], 3) == ([11, 10, 12], [13])
    assert extremes(table.head(0), 3) == ([], [])


def test_the_page_shows_them_in_this_order(folder, monkeypatch):
    monkeypatch.setattr(module, "SHOWN", 3)
    page = Reader(page_of(folder))
    assert page.of("h3") == ["Most lost", "Least lost"]
    assert page.of("h4") == [f"Image {i}" for i in (6, 2, 4, 3, 1)]
    assert page.of("b").count("Lost: 3") == 2
    assert "Of 11 objects recognised in the originals, 9 are lost in gray; 4 of 5 photographs lose" in page.text


def test_photographs_that_are_gray_themselves_are_not_shown(tmp_path, write_split, rectangle):
    pictures = {"000000000001.png": photograph(2), "000000000002.png": photograph(0, stripe=False)}
    boxes = [rectangle(i, CAR, 0, 8, 16, 8) for i in (1, 2)]
    page = Reader(page_of(write_split(tmp_path, pictures, boxes)))
    assert page.of("h4") == ["Image 1"]
    assert page.of("tbody") == [] and "1 of them gray themselves" in page.text


def test_many_pairs_show_fewer_photographs_each(folder, monkeypatch):
    monkeypatch.setattr(module, "SHOWN_IN_ALL", 4)
    assert Reader(page_of(folder)).of("h4") == ["Image 6", "Image 2", "Image 3", "Image 1"]
    monkeypatch.setattr(module, "SHOWN_IN_ALL", 1)
    assert Reader(page_of(folder)).of("h4") == ["Image 6", "Image 3"]


# What is drawn.


def test_boxes_of_kept_lost_and_other(folder, monkeypatch):
    monkeypatch.setattr(module, "SHOWN", 2)
    monkeypatch.setattr(module, "SIDE", 2 * WIDTH)
    page = Reader(page_of(folder))
    assert page.of("h4")[1] == "Image 2"
    # Image 6 (three lost; in gray a car that nobody annotated), then image 2.
    lost = [("lost", 16 * x, 0, 16, 16) for x in range(3)]
    car = (0, 16, 32, 16)
    assert page.boxes[:8] == [*lost, ("other", *car), *lost, ("kept", *car)]
    assert page.boxes[8] == ("kept", *car)
    assert [text for text in page.of("text")[:8]] == ["person"] * 3 + ["car 0.90"] + ["person"] * 3 + ["car"]


def test_the_pictures_are_the_original_and_the_variant(folder, monkeypatch):
    monkeypatch.setattr(module, "SHOWN", 1)
    page = Reader(page_of(folder))
    original, gray = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))))
        for uri in page.loaded[:2]
    )
    assert original.shape == gray.shape == (HEIGHT, WIDTH, 3)  # a small picture is not enlarged in the file
    assert np.abs(original.astype(int) - photograph(3)).mean() < 25
    assert np.ptp(gray.astype(int), axis=-1).max() <= 3 < np.ptp(original.astype(int), axis=-1).max()


def test_large_pictures_are_made_small():
    rgb = np.random.default_rng(0).integers(0, 256, (300, 900, 3), np.uint8)
    page = Reader(module._overlaid(rgb, [("kept", "person", 850, 0, 50, 300)], "noise"))
    image = Image.open(io.BytesIO(base64.b64decode(page.loaded[0].partition(",")[2])))
    assert image.size == (420, 140)
    assert page.boxes == [("kept", *(pytest.approx(v, abs=0.1) for v in (396.7, 0, 23.3, 140)))]
    for shape in ((1, 1, 3), (1, 5000, 3), (3000, 2, 3)):
        assert Reader(module._overlaid(np.zeros(shape, np.uint8), [], "")).loaded


def test_a_name_at_the_right_border_stays_in_the_picture():
    text = module._overlaid(np.zeros((420, 420, 3), np.uint8), [("other", "sports ball 0.27", 380, 20, 30, 30)], "")
    assert "x='408.0' text-anchor='end'" in text


# What the page needs, and whom it trusts.


def test_the_page_loads_nothing_and_runs_nothing(folder):
    page = Reader(page_of(folder))
    assert page.loaded and all(uri.startswith("data:image/jpeg;base64,") for uri in page.loaded)
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
    assert "url(" not in module._STYLE and "@import" not in module._STYLE
    assert page.links == ["#pair-0"]


def test_names_and_annotation_files_are_not_trusted(folder, tmp_path):
    file = folder / "annotations" / "instances_val2017.json"
    content = json.loads(file.read_text())
    content["licenses"] = [{"id": 4, "name": "<b>Free</b>", "url": "http://example.org/by?a=1&b='2'"}, "broken", {}]
    for image, more in zip(
        content["images"],
        ({"flickr_url": "javascript:alert(1)", "license": 4}, {"flickr_url": "http://f.example/2'.jpg", "license": 99}),
        strict=False,
    ):
        image.update(more)
    file.write_text(json.dumps(content))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for path in (folder / "val2017").iterdir():
        Image.open(path).convert("L").save(pictures / path.name)
    name = "<script>'\"&"
    text = page_of(folder, more=[lambda photos: PictureFolder(name, pictures, photos)])
    page = Reader(text)
    assert "script" not in page.tags and f"{name} against the original, seen by squares" in page.text
    assert "<script" not in text and "<i>#0" not in text and "<b>Free" not in text
    assert "javascript:" not in text and "photograph on Flickr" in text
    outside = {link for link in page.links if not link.startswith("#")}
    assert outside == {"http://example.org/by?a=1&b='2'", "http://f.example/2'.jpg"}


def test_the_table_is_there_with_intervals_and_signature(folder):
    text = page_of(folder)
    page = Reader(text)
    assert page.of("th")[-5:] == ["original", "gray", "mean_colour", "image_mean", "class_oracle"]
    assert "18.18%" in page.of("td")  # 2 of 11
    assert any(small.startswith("(") and " to " in small for small in page.of("small"))
    assert "squares" not in page.of("code")[0] and "<i>#0|size:0" in page.text


# Little or nothing to show.


def test_without_a_detector_the_table_alone(folder):
    page = Reader(page_of(folder, detectors=()))
    assert "table" in page.tags and page.loaded == [] and page.of("h4") == []
    assert page.of("h2") == ["Numbers, without a detector"]


def test_without_objects_and_with_one_image(tmp_path, write_split, rectangle):
    picture = {"000000000001.png": photograph(1)}
    empty = Reader(page_of(write_split(tmp_path / "empty", picture)))
    assert empty.of("h4") == [] and "table" in empty.tags
    one = Reader(page_of(write_split(tmp_path / "one", picture, [rectangle(1, PERSON, 0, 0, 8, 8)])))
    assert one.of("h3") == ["Most lost"] and one.of("h4") == ["Image 1"]


def test_nothing_recognised_in_the_originals(tmp_path, write_split, rectangle):
    folder = write_split(tmp_path, {"000000000001.png": photograph(0)}, [rectangle(1, PERSON, 0, 0, 8, 8)])
    page = Reader(page_of(folder))
    assert page.of("h3") == [] and "Of 0 objects recognised" in page.text


def test_each_system_is_compared_by_its_full_lightness_or_itself(tmp_path):
    class System:
        def __init__(self, kind, *variants):
            self.kind, self.variants = kind, variants

    systems = [System("control", "original", "gray"), System("model", "m", "m_full_lightness", "m_gray")]
    assert module._compared([*systems, System("pictures", "p", "p_gray")]) == ["gray", "m_full_lightness", "p"]
