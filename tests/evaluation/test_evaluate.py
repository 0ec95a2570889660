"""The evaluation on tiny folders whose every number is known, with detectors and models made for the purpose."""

import json
import shutil
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio
from torch import nn

from ucolnet_lib.color import gray_picture, rgb8_to_lab
from ucolnet_lib.colorizer import with_chroma
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CLASS_NAMES, CocoSplit
from ucolnet_lib.evaluation import evaluate as module
from ucolnet_lib.evaluation import stream
from ucolnet_lib.evaluation.bootstrap import Resamples, interval
from ucolnet_lib.evaluation.cache import Cache
from ucolnet_lib.evaluation.controls import CONTROLS, DAMAGES, sized_controls
from ucolnet_lib.evaluation.detection import Detections
from ucolnet_lib.evaluation.detections_file import write_detections
from ucolnet_lib.evaluation.detectors import open_detector
from ucolnet_lib.evaluation.evaluate import control_statistics, evaluate, evaluate_controls, evaluate_model
from ucolnet_lib.evaluation.rows import FIELDS, MEANS, with_retention
from ucolnet_lib.evaluation.signature import signature
from ucolnet_lib.evaluation.systems import Controls, Damages, ModelSystem, PictureFolder, SizedControls, model_pictures
from ucolnet_lib.metrics import RMSE_NAMES, colourfulness, rmse
from ucolnet_lib.models import Output

PERSON, CAR = 1, 3


class ColourDetector:
    """Finds the person at its place when the picture is colourful there, and the car always. `seen`: what it was shown,
    (image id, variant)."""

    def __init__(self, name="colour", weights=()):
        self.name, self.signature = name, signature(name, weights, 640, 0.7, 300)
        self.seen = set()

    def detect(self, pictures: Mapping[str, np.ndarray], image_id: int) -> dict[str, Detections]:
        found = {}
        for variant, picture in pictures.items():
            assert (image_id, variant) not in self.seen
            self.seen.add((image_id, variant))
            boxes = [(0, 12, 16, 24)] if picture.shape[0] == 24 else []
            labels = [CAR] * len(boxes)
            if np.ptp(picture[:8, :8].astype(int), axis=-1).mean() > 60:
                boxes, labels = [*boxes, (0, 0, 8, 8)], [*labels, PERSON]
            # A score of 32 bits that has no short decimal, as detectors give them.
            scores = np.full(len(boxes), 0.9, np.float32)
            found[variant] = Detections(np.reshape(boxes, (-1, 4)), scores, np.array(labels, int))
        return found


class BlindDetector:
    name, signature = "blind", signature("blind", [], 640, 0.7, 300)

    def detect(self, pictures, image_id):
        return {variant: Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int)) for variant in pictures}


class Fixed(nn.Module):
    """Predicts no chroma; classes by lightness: `classes` of dark and of bright pixels, or None."""

    def __init__(self, classes=None, per_image=False):
        super().__init__()
        self.classes, self.per_image = classes, per_image

    def forward(self, lightness):
        ab = torch.zeros(len(lightness), 2, *lightness.shape[2:])
        if self.per_image:
            return Output(ab, torch.zeros(len(lightness), len(CLASS_NAMES)))
        if self.classes is None:
            return Output(ab, None)
        logits = torch.zeros(len(lightness), len(CLASS_NAMES), *lightness.shape[2:])
        dark, bright = self.classes
        logits[:, dark] = (60 - lightness[:, 0]) / 10
        logits[:, bright] = (lightness[:, 0] - 60) / 10
        return Output(ab, logits)


@pytest.fixture
def folder(tmp_path, write_split, rectangle):
    """Three photographs: a red person and a gray car; a red person as a crowd; nothing, and colourless."""
    first = np.full((24, 32, 3), 220, np.uint8)
    first[:8, :8] = (200, 30, 20)
    first[12:24, :16] = (70, 70, 75)
    second = np.full((16, 16, 3), (90, 160, 220), np.uint8)
    second[:8, :8] = (200, 30, 20)
    third = np.full((5, 7, 3), 128, np.uint8)
    annotations = [
        rectangle(1, PERSON, 0, 0, 8, 8),
        rectangle(1, CAR, 0, 12, 16, 12),
        rectangle(2, PERSON, 0, 0, 8, 8, crowd=True, size=(16, 16)),
    ]
    pictures = {f"00000000000{i}.png": picture for i, picture in enumerate((first, second, third), 1)}
    return write_split(tmp_path / "coco", pictures, annotations)


def by_name(evaluation):
    return {row["name"]: row for row in evaluation.rows}


# Controls.


def test_rows_of_the_controls(folder):
    evaluation = evaluate_controls(folder, detector=ColourDetector(), progress=False)
    rows = by_name(evaluation)
    assert tuple(rows) == CONTROLS
    for row in evaluation.rows:
        assert tuple(row) == FIELDS
        assert list(row["rmse"]) == list(RMSE_NAMES)
        assert (row["kind"], row["seed"], row["objects"]) == ("control", None, 3)
        assert row["miou"] is None and row["miou_objects"] is None
    assert json.loads(json.dumps(evaluation.rows, allow_nan=False)) == evaluation.rows
    # The crowd of the second photograph counts: 3 of 3 in colour, the car alone in gray.
    original, gray = rows["original"], rows["gray"]
    assert (original["recognised"], original["share"], original["retention"]) == (3, 1.0, 1.0)
    assert (gray["recognised"], gray["share"], gray["retention"]) == (1, 1 / 3, 1 / 3)
    assert set(original["rmse"].values()) == {0.0}
    assert gray["colourfulness"] == 0 and gray["rmse"]["ab_pooled"] > rows["class_oracle"]["rmse"]["ab_pooled"]
    assert [row["statistics"] for row in evaluation.rows] == [None, None, "val2017", None, "val2017"]


def test_the_colours_come_from_train2017_where_there_is_one(folder, write_split):
    write_split(folder, {"000000000009.png": np.full((4, 4, 3), (20, 200, 40), np.uint8)}, split="train2017")
    rows = by_name(evaluate_controls(folder, progress=False))
    assert rows["mean_colour"]["statistics"] == rows["class_oracle"]["statistics"] == "train2017"
    # Everything is painted green: worse than gray.
    assert rows["mean_colour"]["rmse"]["ab_pooled"] > rows["gray"]["rmse"]["ab_pooled"]


def test_the_table_per_image_gives_the_rows(folder):
    evaluation = evaluate_controls(folder, detector=ColourDetector(), progress=False)
    table = evaluation.per_image
    assert len(table) == 3 * len(CONTROLS) and not table.drop(columns="ssim").isna().any().any()
    assert table[table["ssim"].isna()]["image_id"].unique().tolist() == [3]  # too small for SSIM
    assert table["image_id"].unique().tolist() == [1, 2, 3]
    for row in evaluation.rows:
        images = table[table["variant"] == row["name"]]
        assert rmse(images) == row["rmse"]
        assert images["recognised"].sum() == row["recognised"]
        assert images["rmse_rgb"].mean() == pytest.approx(row["rmse"]["rgb_mean"])
        assert images["rmse_ab"].mean() == pytest.approx(row["rmse"]["ab_mean"])
        assert images["ab_euclid"].mean() == pytest.approx(row["rmse"]["ab_euclid_mean"])
    split = CocoSplit(folder, "val2017")
    original = table[table["variant"] == "original"]
    assert original["colourfulness"].tolist() == [colourfulness(split[i].rgb) for i in range(3)]
    assert original["objects"].tolist() == [2, 1, 0]


def test_without_a_detector(folder):
    evaluation = evaluate_controls(folder, progress=False)
    assert evaluation.per_image["recognised"].isna().all()
    for row in evaluation.rows:
        assert row["objects"] == 3
        assert row["recognised"] is None and row["share"] is None and row["retention"] is None


def test_nothing_recognised_in_the_originals(folder):
    for row in evaluate_controls(folder, detector=BlindDetector(), progress=False).rows:
        assert (row["recognised"], row["share"], row["retention"]) == (0, 0.0, None)


def test_photographs_without_annotations(tmp_path, write_split):
    names = {"000000000001.png": np.full((4, 6, 3), (10, 90, 60), np.uint8)}
    write_split(tmp_path, names, unlisted=tuple(names))
    evaluation = evaluate_controls(tmp_path, detector=ColourDetector(), progress=False)
    for row in evaluation.rows:
        assert (row["objects"], row["recognised"], row["share"]) == (0, 0, None)
        assert row["rmse"]["ab_objects_pooled"] is None
    model = evaluate_model("m", 0, Fixed((0, 1)), 8, tmp_path, progress=False)
    assert model.rows[0]["miou"] is None  # no pixel is labelled


def test_the_number_of_threads_changes_nothing(folder, monkeypatch):
    tables = []
    for workers in (1, 4):
        monkeypatch.setattr(stream, "WORKERS", workers)
        controls = evaluate_controls(folder, detector=ColourDetector(), progress=False)
        model = evaluate_model("m", 0, Fixed((1, 0)), 8, folder, progress=False)
        tables.append((controls, model))
    for first, second in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(first.per_image, second.per_image)
        assert first.rows == second.rows


def test_missing_and_broken_photographs_are_one_clear_sentence(folder, tmp_path):
    with pytest.raises(UcolnetError, match="does not exist"):
        evaluate_controls(tmp_path / "nowhere", progress=False)
    with pytest.raises(UcolnetError, match="train2017"):
        evaluate_controls(folder, split="train2017", progress=False)
    (folder / "val2017" / "000000000002.png").write_text("no picture")
    for run in (lambda: evaluate_controls(folder, progress=False), lambda: model_run(folder)):
        with pytest.raises(UcolnetError, match="000000000002.png is no readable picture"):
            run()


def model_run(folder):
    return evaluate_model("m", 0, Fixed(), 8, folder, progress=False)


# Models.


def test_a_model_without_chroma_is_gray(folder):
    controls = evaluate_controls(folder, detector=ColourDetector(), progress=False)
    model = evaluate_model("zero", 7, Fixed(), 8, folder, detector=ColourDetector(), progress=False)
    assert [row["name"] for row in model.rows] == ["zero", "zero_full_lightness"]
    for row in model.rows:
        assert tuple(row) == FIELDS
        assert (row["kind"], row["seed"], row["retention"], row["miou"]) == ("model", 7, None, None)
    gray = by_name(controls)["gray"]
    full = by_name(model)["zero_full_lightness"]
    assert full["rmse"] == gray["rmse"] and full["recognised"] == gray["recognised"] == 1
    # Through 8 x 8 pixels and back, the lightness is lost, the chroma is none as before.
    small = by_name(model)["zero"]
    assert small["rmse"]["rgb_pooled"] > gray["rmse"]["rgb_pooled"]
    assert small["rmse"]["ab_pooled"] == pytest.approx(gray["rmse"]["ab_pooled"])
    retained = with_retention([*controls.rows, *model.rows])
    assert retained[-1]["retention"] == pytest.approx(1 / 3)
    assert model.rows[-1]["retention"] is None  # the rows given are left as they were


def test_a_model_is_measured_in_evaluation_mode(folder):
    model = nn.Sequential(Fixed(), nn.Identity()).train()
    evaluate_model("m", 0, model, 8, folder, progress=False)
    assert not model.training


def test_miou_at_the_photographs_own_size(tmp_path, write_split, rectangle):
    picture = np.full((24, 24, 3), 230, np.uint8)
    picture[:12] = 20
    write_split(tmp_path, {"000000000001.png": picture}, [rectangle(1, PERSON, 0, 0, 24, 12)])
    right = evaluate_model("m", 0, Fixed((PERSON, 0)), 24, tmp_path, progress=False)
    assert [(row["miou"], row["miou_objects"]) for row in right.rows] == [(1.0, 1.0)] * 2
    wrong = evaluate_model("m", 0, Fixed((PERSON, CAR)), 24, tmp_path, progress=False)
    assert (wrong.rows[0]["miou"], wrong.rows[0]["miou_objects"]) == (0.5, 1.0)
    # At a third of the size the border still lies within a pixel of its place.
    coarse = evaluate_model("m", 0, Fixed((PERSON, 0)), 8, tmp_path, progress=False)
    assert 0.9 < coarse.rows[0]["miou"] <= 1


def test_miou_pools_the_pixels_of_all_photographs(tmp_path, write_split, rectangle):
    photos = noise(write_split, rectangle, tmp_path)
    predicted = [model_pictures(Fixed((PERSON, 0)), rgb8_to_lab(photos[i].rgb)[..., 0], 8)[2] for i in range(3)]
    truth = np.concatenate([photos[i].semantic_map.ravel() for i in range(3)])
    predicted = np.concatenate([semantic_map.ravel() for semantic_map in predicted])
    iou = [((truth == c) & (predicted == c)).sum() / ((truth == c) | (predicted == c)).sum() for c in (0, PERSON)]
    assert 0 < iou[1] < iou[0] < 1
    for row in evaluate_model("m", 0, Fixed((PERSON, 0)), 8, tmp_path, progress=False).rows:
        assert (row["miou"], row["miou_objects"]) == pytest.approx((np.mean(iou), iou[1]))


def test_classes_of_the_image_are_no_segmentation(folder):
    assert evaluate_model("iizuka", 0, Fixed(per_image=True), 8, folder, progress=False).rows[0]["miou"] is None


# Retention.


def test_retention_without_the_originals_is_none(folder):
    rows = with_retention(model_run(folder).rows)
    assert [row["retention"] for row in rows] == [None, None]


# What was measured already.


class Tinted(nn.Module):
    """Predicts one chroma everywhere; `seen` counts its calls."""

    def __init__(self, chroma=20.0):
        super().__init__()
        self.chroma, self.seen = nn.Parameter(torch.tensor(chroma)), 0

    def forward(self, lightness):
        self.seen += 1
        return Output(self.chroma.expand(len(lightness), 2, *lightness.shape[2:]), None)


class Everything:
    """One of everything on `folder`: controls, a model, pictures of others, two detectors, and a cache in a file."""

    def __init__(self, folder):
        self.folder, self.model = folder, Tinted()
        self.detectors = [ColourDetector("first"), ColourDetector("second")]
        self.others = folder / "others"
        if not self.others.is_dir():
            self.others.mkdir()
            for path in (folder / "val2017").iterdir():
                Image.open(path).rotate(180).save(self.others / path.name)

    def __call__(self) -> module.Evaluation:
        cache, photos = Cache(self.folder / "cache.sqlite"), CocoSplit(self.folder, "val2017")
        statistics = control_statistics(self.folder, photos, cache, progress=False)
        systems = [
            Controls(statistics),
            SizedControls(8),
            Damages(),
            ModelSystem("m", self.model, 8, 0, matched_gray=True),
            PictureFolder("o", self.others, photos),
        ]
        self.variants = {variant for system in systems for variant in system.variants}
        return evaluate(photos, systems, self.detectors, cache, progress=False)


def assert_same(first: module.Evaluation, second: module.Evaluation):
    assert first.rows == second.rows
    for name in ("per_image", "per_class", "per_object"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name))
    assert first.detections.keys() == second.detections.keys()
    for place, seen in first.detections.items():
        assert seen.keys() == second.detections[place].keys()
        for image_id, found in seen.items():
            for attribute in ("boxes", "scores", "labels"):
                ours, theirs = getattr(found, attribute), getattr(second.detections[place][image_id], attribute)
                np.testing.assert_array_equal(ours, theirs)


def test_a_second_call_measures_nothing_and_gives_the_same(folder, monkeypatch):
    first = Everything(folder)
    measured = first()
    assert first.model.seen == 3
    assert first.detectors[0].seen == {(i, variant) for i in (1, 2, 3) for variant in first.variants}
    second = Everything(folder)
    monkeypatch.setattr(CocoSplit, "__getitem__", lambda *_: pytest.fail("read a photograph"))
    monkeypatch.setattr(module, "_record", lambda *_: pytest.fail("measured a picture"))
    again = second()
    assert second.model.seen == 0 and not any(d.seen for d in second.detectors)
    assert_same(measured, again)


def test_after_a_kill_in_the_middle_it_goes_on(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "WORKERS", 1)
    whole = Everything(shutil.copytree(folder, tmp_path / "whole"))()
    killed = Everything(folder)

    def detect(pictures, image_id):
        if image_id == 3:
            raise KeyboardInterrupt
        return ColourDetector.detect(killed.detectors[1], pictures, image_id)

    killed.detectors[1].detect = detect
    with pytest.raises(KeyboardInterrupt):
        killed()
    second = Everything(folder)
    assert_same(second(), whole)
    assert second.model.seen == 1 and {i for d in second.detectors for i, _ in d.seen} == {3}


def change_a_photograph(everything):
    path = everything.folder / "val2017" / "000000000002.png"
    picture = np.array(Image.open(path))
    picture[15, 15] += 1
    Image.fromarray(picture).save(path)


def annotate(everything, change):
    path = everything.folder / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_an_annotation(everything):
    annotate(everything, lambda content: content["annotations"][1].update(bbox=[0, 12, 15, 12]))


def take_a_photograph_off_the_list(everything):
    annotate(everything, lambda content: content["images"].pop(2))


def change_the_weights(everything):
    with torch.no_grad():
        everything.model.chroma += 1e-3


def change_a_picture(everything):
    Image.new("RGB", (7, 5), (1, 2, 3)).save(everything.others / "000000000003.png")


def change_a_referee(everything):
    (everything.folder / "weights.pt").write_bytes(b"others")
    everything.detectors[1] = ColourDetector("second", [everything.folder / "weights.pt"])


def change_nothing(everything):
    """Files are written again: their content counts, not their date."""
    for path in [*(everything.folder / "val2017").iterdir(), *everything.others.iterdir()]:
        path.write_bytes(path.read_bytes())


def change_the_training_photographs(everything):
    Image.new("RGB", (5, 5), (200, 10, 10)).save(everything.folder / "train2017" / "000000000010.png")


ALL = {*CONTROLS, *sized_controls(8), *DAMAGES, "m", "m_full_lightness", "m_gray", "o", "o_gray"}


@pytest.mark.parametrize(
    ("change", "first", "second"),
    [
        (change_nothing, {}, {}),
        (change_a_photograph, {2: ALL}, {2: ALL}),
        (change_an_annotation, {1: ALL}, {1: ALL}),
        (take_a_photograph_off_the_list, {3: ALL}, {3: ALL}),
        (change_the_weights, *[dict.fromkeys((1, 2, 3), {"m", "m_full_lightness"})] * 2),
        (change_a_picture, *[{3: {"o", "o_gray"}}] * 2),
        (change_a_referee, {}, dict.fromkeys((1, 2, 3), ALL)),
        (change_the_training_photographs, *[dict.fromkeys((1, 2, 3), {"mean_colour", "class_oracle"})] * 2),
    ],
)
def test_what_changed_is_measured_again_and_nothing_else(folder, write_split, change, first, second):
    """`first`, `second`: what the two detectors are shown again."""
    write_split(folder, {"000000000009.png": np.full((4, 4, 3), (20, 200, 40), np.uint8)}, split="train2017")
    Everything(folder)()
    everything = Everything(folder)
    change(everything)
    result = everything()
    for detector, expected in zip(everything.detectors, (first, second), strict=True):
        assert detector.seen == {(image_id, variant) for image_id in expected for variant in expected[image_id]}
    # As if nothing had been kept.
    (folder / "cache.sqlite").unlink()
    fresh = Everything(folder)
    fresh.model = everything.model
    fresh.detectors[1].signature = everything.detectors[1].signature
    assert_same(fresh(), result)


def test_without_a_system_there_is_nothing_to_evaluate(folder):
    with pytest.raises(UcolnetError, match="[Nn]othing"):
        evaluate(CocoSplit(folder, "val2017"), [], progress=False)


def test_measurements_of_other_code_are_taken_again(folder, monkeypatch):
    Everything(folder)()
    second = Everything(folder)
    monkeypatch.setattr(module, "_CODE", "other")
    second()
    assert second.model.seen == 3 and len(second.detectors[0].seen) == 3 * len(ALL)


def test_equal_photographs_are_told_apart_where_the_referee_does(tmp_path, write_split):
    """A file of detections goes by the id of the image, which two copies of one photograph do not share."""
    picture = np.full((8, 8, 3), 90, np.uint8)
    names = {"000000000001.png": picture, "000000000002.png": picture}
    photos = CocoSplit(write_split(tmp_path / "coco", names, unlisted=tuple(names)), "val2017")
    found = Detections(np.array([[0, 0, 4, 4]]), np.array([0.5]), np.array([PERSON]))
    for variant in CONTROLS:
        write_detections(tmp_path / "others" / f"{variant}.json", {2: found})
    detector, cache = open_detector(tmp_path / "others"), Cache()
    for _ in range(2):  # the second time from the cache
        seen = evaluate(photos, [controls_of(photos)], [detector], cache, progress=False).detections["gray", "others"]
        assert {image_id: len(d.scores) for image_id, d in seen.items()} == {1: 0, 2: 1}


# Several referees, systems, and pictures of others.


def controls_of(photos) -> Controls:
    return Controls(control_statistics(photos.root, photos, progress=False))


def noise(write_split, rectangle, root, sizes=((40, 52), (64, 48), (33, 20))) -> CocoSplit:
    """Photographs of coloured noise with a person each, large enough for every measure."""
    rng = np.random.default_rng(0)
    pictures = {f"{i:012}.png": rng.integers(0, 256, (*size, 3), np.uint8) for i, size in enumerate(sizes, 1)}
    annotations = [rectangle(i, PERSON, 0, 0, 8, 8) for i in range(1, len(sizes) + 1)]
    return CocoSplit(write_split(root, pictures, annotations), "val2017")


def test_two_detectors_give_a_row_each(folder):
    photos = CocoSplit(folder, "val2017")
    evaluation = evaluate(photos, [controls_of(photos)], [BlindDetector(), ColourDetector()], progress=False)
    places = [(row["name"], row["detector"]) for row in evaluation.rows]
    assert places == [(variant, detector) for variant in CONTROLS for detector in ("blind", "colour")]
    assert set(evaluation.detections) == set(places)
    recognised = {(row["name"], row["detector"]): row["recognised"] for row in evaluation.rows}
    assert recognised["original", "colour"] == 3 and recognised["gray", "colour"] == 1
    assert {n for (_, detector), n in recognised.items() if detector == "blind"} == {0}
    for row in evaluation.rows:
        base = recognised["original", row["detector"]]
        assert row["retention"] == (row["recognised"] / base if base else None)
        assert row["signature"].startswith(f"{row['detector']}#e3b0c442|size:640|conf:0.25|iou:0.5|nms:0.7|max:300|")
        images = evaluation.per_image.query("variant == @row['name'] and detector == @row['detector']")
        assert images["image_id"].tolist() == [1, 2, 3] and images["recognised"].sum() == row["recognised"]
        objects = evaluation.per_object.query("variant == @row['name'] and detector == @row['detector']")
        assert objects["recognised"].sum() == row["recognised"]
    # The pictures are the same for both, and each is as when it is alone.
    alone = evaluate(photos, [controls_of(photos)], [ColourDetector()], progress=False)
    assert [row for row in evaluation.rows if row["detector"] == "colour"] == alone.rows


def test_objects_one_by_one(folder):
    objects = evaluate_controls(folder, detector=ColourDetector(), progress=False).per_object
    gray = objects[objects["variant"] == "gray"].drop(columns=["variant", "detector"])
    assert gray.to_dict("records") == [
        {"image_id": 1, "object": 0, "label": PERSON, "crowd": False, "recognised": False},
        {"image_id": 1, "object": 1, "label": CAR, "crowd": False, "recognised": True},
        {"image_id": 2, "object": 0, "label": PERSON, "crowd": True, "recognised": False},
    ]
    assert evaluate_controls(folder, progress=False).per_object.empty


def test_crowds_are_counted_and_told_apart(folder):
    rows = by_name(evaluate_controls(folder, detector=ColourDetector(), progress=False))
    counts = ("objects", "recognised", "objects_without_crowds", "recognised_without_crowds")
    assert [rows["original"][c] for c in counts] == [3, 3, 2, 2]
    assert [rows["gray"][c] for c in counts] == [3, 1, 2, 1]
    blind = evaluate_controls(folder, detector=BlindDetector(), progress=False)
    assert [blind.rows[0][c] for c in counts] == [3, 0, 2, 0]


def test_the_number_of_threads_changes_nothing_with_everything(folder, tmp_path, monkeypatch):
    results = []
    for workers in (1, 4):
        monkeypatch.setattr(stream, "WORKERS", workers)
        results.append(Everything(shutil.copytree(folder, tmp_path / str(workers)))())
    assert_same(*results)


def numbers(row: dict) -> dict:
    """All but what says which row it is."""
    return {k: v for k, v in row.items() if k not in ("name", "kind", "seed", "miou", "miou_objects", "size", "note")}


def test_a_matched_gray_is_the_control_and_a_model_without_chroma_is_its_matched_gray(tmp_path, write_split, rectangle):
    photos = noise(write_split, rectangle, tmp_path)
    detector = ColourDetector()
    model = ModelSystem("m", Fixed((1, 0)), 8, 5, matched_gray=True)
    rows = by_name(evaluate(photos, [controls_of(photos), SizedControls(8), model], [detector], progress=False))
    assert numbers(rows["m_gray"]) == numbers(rows["gray_8"]) == numbers(rows["m"])
    assert numbers(rows["m_full_lightness"]) == numbers(rows["gray"]) != numbers(rows["m_gray"])
    assert rows["m_gray"]["ssim"] < rows["gray"]["ssim"] and rows["m_gray"]["colourfulness"] == 0
    assert [rows[name]["size"] for name in ("m", "m_gray", "gray_8", "gray")] == [8, 8, 8, None]
    assert (rows["m_gray"]["kind"], rows["m_gray"]["seed"]) == ("model", 5)


def test_a_folder_of_the_models_pictures_is_the_model(tmp_path, write_split, rectangle):
    """Pictures written at the model's size, and measured by somebody who has no model."""
    photos = noise(write_split, rectangle, tmp_path / "coco")
    system = ModelSystem("m", Tinted(), 8, matched_gray=True)
    (tmp_path / "o").mkdir()
    for i in range(3):
        gray = Image.fromarray(gray_picture(rgb8_to_lab(photos[i].rgb)[..., 0])).resize(
            (8, 8), Image.Resampling.BICUBIC
        )
        lightness = rgb8_to_lab(np.asarray(gray))[..., 0]
        small = with_chroma(lightness, np.full((8, 8, 2), 20, np.float32))
        Image.fromarray(small).save(tmp_path / "o" / f"{photos.ids[i]:012}.png")
    systems = [system, PictureFolder("o", tmp_path / "o", photos)]
    rows = by_name(evaluate(photos, systems, [ColourDetector()], progress=False))
    assert numbers(rows["o"]) == numbers(rows["m"]) and numbers(rows["o_gray"]) == numbers(rows["m_gray"])
    assert rows["o"]["kind"] == "pictures" and "pil-bicubic" in rows["o"]["note"] and rows["m"]["note"] is None


def test_all_rows_are_of_the_common_photographs(folder, tmp_path):
    photos = CocoSplit(folder, "val2017")
    folders = {"a": (1, 2), "b": (2, 3), "whole": (1, 2, 3)}
    for name, ids in folders.items():
        (tmp_path / name).mkdir()
        for i in ids:
            shutil.copy(folder / "val2017" / f"{i:012}.png", tmp_path / name)
    systems = {name: PictureFolder(name, tmp_path / name, photos, allow_missing=True) for name in folders}
    controls = controls_of(photos)
    both = evaluate(photos, [controls, *systems.values()], [ColourDetector()], progress=False)
    assert both.per_image["image_id"].unique().tolist() == [2]
    assert {(row["images"], row["objects"]) for row in both.rows} == {(1, 1)}
    one = by_name(evaluate(photos, [controls, systems["a"]], [ColourDetector()], progress=False))
    assert {(row["images"], row["objects"]) for row in one.values()} == {(2, 3)}
    # The pictures are the photographs, so all is as in the originals.
    assert numbers(one["a"]) == numbers(one["original"]) and one["a"]["retention"] == 1
    (tmp_path / "c").mkdir()
    shutil.copy(folder / "val2017" / "000000000001.png", tmp_path / "c")
    disjoint = [systems["b"], PictureFolder("c", tmp_path / "c", photos, allow_missing=True)]
    with pytest.raises(UcolnetError, match="No photograph is left"):
        evaluate(photos, disjoint, progress=False)


def test_a_broken_picture_ends_in_its_name(folder, tmp_path):
    photos = CocoSplit(folder, "val2017")
    shutil.copytree(folder / "val2017", tmp_path / "o")
    (tmp_path / "o" / "000000000003.png").write_text("no picture")
    with pytest.raises(UcolnetError, match="o.000000000003.png is no readable picture"):
        evaluate(photos, [PictureFolder("o", tmp_path / "o", photos)], progress=False)


def test_gray_photographs_are_left_out_on_request(folder):
    photos = CocoSplit(folder, "val2017")
    systems, cache = [controls_of(photos)], Cache()
    whole, coloured = (evaluate(photos, systems, [ColourDetector()], cache, only, progress=False) for only in (0, 1))
    # The third photograph is gray. So are the pictures of the control gray, which stay.
    assert whole.per_image["image_id"].unique().tolist() == [1, 2, 3]
    assert whole.per_image.groupby("image_id")["gray_photograph"].agg(["min", "max"]).to_numpy().tolist() == [
        [False, False], [False, False], [True, True]
    ]  # fmt: skip
    for table in (coloured.per_image, coloured.per_class, coloured.per_object):
        assert table["image_id"].unique().tolist() == [1, 2]
    assert {len(seen) for seen in coloured.detections.values()} == {2}
    for row in whole.rows:
        assert (row["images"], row["gray_images"]) == (3, 1) and "|photos:all|" in row["signature"]
    for row in coloured.rows:
        assert (row["images"], row["gray_images"]) == (2, 0) and "|photos:without-gray|" in row["signature"]
    # The other photographs' numbers are what they were.
    kept = whole.per_image[whole.per_image["image_id"] < 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(coloured.per_image, kept)


def test_nothing_but_gray_photographs(tmp_path, write_split):
    photos = CocoSplit(write_split(tmp_path, {"000000000001.png": np.full((20, 20, 3), 9, np.uint8)}), "val2017")
    with pytest.raises(UcolnetError, match="No photograph is left: .* or all are gray"):
        evaluate(photos, [controls_of(photos)], leave_out_gray=True, progress=False)


def test_two_of_one_name(folder):
    photos = CocoSplit(folder, "val2017")
    with pytest.raises(UcolnetError, match=r"^Two systems make a picture m_gray\. Give each its own name\.$"):
        systems = [ModelSystem("m", Fixed(), 8, matched_gray=True), ModelSystem("m_gray", Fixed(), 8)]
        evaluate(photos, systems, progress=False)
    with pytest.raises(UcolnetError, match=r"^Two detectors have the name colour\. Rename the files of one\.$"):
        detectors = [BlindDetector(), ColourDetector(), ColourDetector()]
        evaluate(photos, [controls_of(photos)], detectors, progress=False)


def test_detections_in_files_are_as_good_as_their_detector(folder, tmp_path):
    photos = CocoSplit(folder, "val2017")
    systems = [controls_of(photos), SizedControls(8), ModelSystem("m", Tinted(), 8, matched_gray=True)]
    seen = evaluate(photos, systems, [ColourDetector()], progress=False)
    for (variant, _), detections in seen.detections.items():
        write_detections(tmp_path / "colour" / f"{variant}.json", detections)
    read = evaluate(photos, systems, [open_detector(tmp_path / "colour")], progress=False)
    pd.testing.assert_frame_equal(read.per_image, seen.per_image)
    pd.testing.assert_frame_equal(read.per_object, seen.per_object)
    for ours, theirs in zip(read.rows, seen.rows, strict=True):
        assert ours.pop("signature") != theirs.pop("signature")
        assert ours == theirs
    (tmp_path / "colour" / "m_gray.json").unlink()
    with pytest.raises(UcolnetError, match="no detections of the pictures 'm_gray'"):
        evaluate(photos, systems, [open_detector(tmp_path / "colour")], progress=False)


def test_detections_of_other_photographs_are_refused_before_anything_is_measured(folder, tmp_path, monkeypatch):
    found = Detections(np.array([[0, 0, 4, 4]]), np.array([0.5]), np.array([PERSON]))
    write_detections(tmp_path / "colour" / "original.json", {77: found})
    photos = CocoSplit(folder, "val2017")
    systems = [controls_of(photos)]
    monkeypatch.setattr(CocoSplit, "__getitem__", lambda *_: pytest.fail("read a photograph"))
    with pytest.raises(UcolnetError, match="other photographs only"):
        evaluate(photos, systems, [open_detector(tmp_path / "colour")], progress=False)


# Numbers.


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (10, 40), (11, 11), (3, 300)])
@pytest.mark.parametrize("annotated", [False, True])
@pytest.mark.parametrize("detectors", [(), (BlindDetector(), ColourDetector())])
def test_rows_are_json_whatever_the_photograph(tmp_path, write_split, rectangle, size, annotated, detectors):
    """One photograph: no number for SSIM below 11 pixels, no intervals, and no nan."""
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    annotations = [rectangle(1, PERSON, 0, 0, 1, 1)] if annotated else []
    write_split(tmp_path / "coco", {"000000000001.png": picture}, annotations)
    photos = CocoSplit(tmp_path / "coco", "val2017")
    systems = [
        controls_of(photos),
        SizedControls(8),
        ModelSystem("m", Fixed((1, 0)), 8, matched_gray=True),
        PictureFolder("o", photos.photos, photos),
    ]
    detectors = [ColourDetector() if isinstance(d, ColourDetector) else d for d in detectors]
    rows = evaluate(photos, systems, detectors, progress=False).rows
    assert len(rows) == 13 * max(1, len(detectors))
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    for row in rows:
        assert tuple(row) == FIELDS and row["images"] == 1 and row["objects"] == annotated
        assert (row["ssim"] is None) == (min(size) < 11)
        assert all(row[name] is not None for name in MEANS if name != "ssim")
        assert row["rmse_ci"]["rgb_mean"] == [None, None] and row["retention"] is None
        assert (row["share"] is None) == (not annotated or not detectors)
        assert (row["rmse"]["ab_objects_pooled"] is None) == (not annotated)


def test_measures_are_those_of_image_metrics(tmp_path, write_split, rectangle):
    """Against scikit-image, and means over images by hand."""
    photos = noise(write_split, rectangle, tmp_path)
    rows = by_name(evaluate(photos, [controls_of(photos)], progress=False))
    grays = [gray_picture(rgb8_to_lab(photos[i].rgb)[..., 0]) for i in range(3)]
    expected = [peak_signal_noise_ratio(photos[i].rgb, gray) for i, gray in enumerate(grays)]
    assert rows["gray"]["psnr"] == pytest.approx(np.mean(expected), rel=1e-6)
    distances = [deltaE_ciede2000(rgb2lab(photos[i].rgb), rgb2lab(gray)).mean() for i, gray in enumerate(grays)]
    assert rows["gray"]["ciede2000"] == pytest.approx(np.mean(distances), rel=1e-2)
    distance = np.mean([colourfulness(photos[i].rgb) for i in range(3)])  # from 0, that of gray
    assert rows["gray"]["colourfulness_distance"] == pytest.approx(distance)
    assert rows["original"]["ssim"] == pytest.approx(1) and rows["original"]["ciede2000"] == 0
    assert rows["original"]["chroma_histogram_distance"] == 0 < rows["gray"]["chroma_histogram_distance"]


def test_intervals_are_those_of_the_resamples(folder):
    evaluation = evaluate_controls(folder, detector=ColourDetector(), progress=False)
    images = evaluation.per_image[evaluation.per_image["variant"] == "gray"]
    original = evaluation.per_image[evaluation.per_image["variant"] == "original"]
    row, resamples = by_name(evaluation)["gray"], Resamples(3)
    recognised = images["recognised"].to_numpy(float)
    for found, values in (
        (row["rmse_ci"]["ab_mean"], resamples.mean(images["rmse_ab"])),
        (row["rmse_ci"]["rgb_pooled"], resamples.rmse(images["rgb_squared"], 3 * images["pixels"])),
        (row["share_ci"], resamples.ratio(recognised, images["objects"])),
        (row["retention_ci"], resamples.ratio(recognised, original["recognised"].to_numpy(float))),
    ):
        expected = interval(values)
        ends = [end if np.isfinite(end) else None for end in (expected.low, expected.high)]
        assert found == ends


def test_average_precision_is_of_the_row(folder):
    rows = by_name(evaluate_controls(folder, detector=ColourDetector(), progress=False))
    # Of two categories, the crowd ignored: both are found in colour, the car alone in gray.
    assert [rows[name]["ap50"] for name in ("original", "gray")] == pytest.approx([1.0, 0.5])


def test_real_photographs(sample, tmp_path):
    """Three of them, with all controls and a model: what must hold of the numbers of any photograph."""
    content = json.loads((sample / "annotations" / "instances_val2017.json").read_text())
    content["images"] = content["images"][:3]
    ids = {image["id"] for image in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in ids]
    for name in ("val2017", "annotations"):
        (tmp_path / name).mkdir()
    for image in content["images"]:
        shutil.copy(sample / "val2017" / image["file_name"], tmp_path / "val2017")
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    photos = CocoSplit(tmp_path, "val2017")
    systems = [
        controls_of(photos),
        SizedControls(64),
        Damages(),
        ModelSystem("m", Fixed((1, 0)), 64, matched_gray=True),
    ]
    rows = by_name(evaluate(photos, systems, progress=False))
    assert {row["images"] for row in rows.values()} == {3} and {row["objects"] for row in rows.values()} == {
        len(content["annotations"])
    }
    assert numbers(rows["m_gray"]) == numbers(rows["gray_64"])
    error = {name: row["rmse"]["ab_pooled"] for name, row in rows.items()}
    assert 0 == error["original"] < error["jpeg_50"] < error["true_chroma_64"] < error["image_mean"] < error["gray"]
    assert error["chroma_half"] < error["gray"] < error["chroma_inverted"]
    expected = []
    for i in range(3):
        gray = gray_picture(rgb8_to_lab(photos[i].rgb)[..., 0])
        small = Image.fromarray(gray).resize((64, 64), Image.Resampling.BICUBIC)
        gray = small.resize(photos[i].rgb.shape[1::-1], Image.Resampling.BICUBIC)
        expected.append(np.sqrt(np.square(np.asarray(gray, float) - photos[i].rgb).mean()))
    assert rows["gray_64"]["rmse"]["rgb_mean"] == pytest.approx(np.mean(expected))
