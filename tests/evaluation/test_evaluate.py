"""The evaluation on tiny folders whose every number is known, with detectors and models made for the purpose."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CLASS_NAMES, CocoSplit
from ucolnet_lib.evaluation import evaluate, stream
from ucolnet_lib.evaluation.controls import CONTROLS, control_pictures
from ucolnet_lib.evaluation.detection import Detections
from ucolnet_lib.evaluation.evaluate import evaluate_controls, evaluate_model, model_pictures, with_retention
from ucolnet_lib.metrics import RMSE_NAMES, colourfulness, rmse
from ucolnet_lib.models import Output

FIELDS = [
    "name", "kind", "seed", "objects", "recognised", "share", "retention", "rmse", "miou", "miou_objects",
    "colourfulness",
]  # fmt: skip
PERSON, CAR = 1, 3


class ColourDetector:
    """Finds the person at its place when the picture is colourful there, and the car always."""

    name = "colour"

    def detect(self, pictures: Sequence[np.ndarray]) -> list[Detections]:
        found = []
        for picture in pictures:
            boxes = [(0, 12, 16, 24)] if picture.shape[0] == 24 else []
            labels = [CAR] * len(boxes)
            if np.ptp(picture[:8, :8].astype(int), axis=-1).mean() > 60:
                boxes, labels = [*boxes, (0, 0, 8, 8)], [*labels, PERSON]
            found.append(Detections(np.reshape(boxes, (-1, 4)), np.full(len(boxes), 0.9), np.array(labels, int)))
        return found


class BlindDetector:
    name = "blind"

    def detect(self, pictures):
        return [Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int)) for _ in pictures]


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
        assert list(row) == [*FIELDS, "statistics"]
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
    assert len(table) == 3 * len(CONTROLS) and not table.isna().any().any()
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
        assert list(row) == FIELDS
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


def test_the_presumed_path_is_the_gray_picture_resized_by_pil(folder):
    photo = CocoSplit(folder, "val2017")[0]
    lab = rgb8_to_lab(photo.rgb)
    small, full, semantic_map = model_pictures(Fixed(), lab[..., 0], 10)
    statistics = type("Statistics", (), {"overall": np.zeros(2), "by_class": np.zeros((81, 2))})
    gray = control_pictures(photo.rgb, lab, photo.semantic_map, statistics)["gray"]
    bicubic = Image.Resampling.BICUBIC
    expected = np.asarray(Image.fromarray(gray).resize((10, 10), bicubic).resize((32, 24), bicubic))
    np.testing.assert_array_equal(small, expected)
    np.testing.assert_array_equal(full, gray)
    assert semantic_map is None


def test_predicted_chroma_arrives_as_a_and_b_at_its_place():
    class Halves(nn.Module):
        """Red on the left, blue on the right."""

        def forward(self, lightness):
            assert lightness.shape == (1, 1, 16, 16) and lightness.dtype == torch.float32
            ab = torch.zeros(1, 2, 16, 16)
            ab[:, 0, :, :8], ab[:, 1, :, 8:] = 40, -30
            return Output(ab, None)

    lightness = np.full((20, 40), 55, np.float32)
    for picture in model_pictures(Halves(), lightness, 16)[:2]:
        lab = rgb8_to_lab(picture)
        assert picture.shape == (20, 40, 3)
        np.testing.assert_allclose(lab[:, :16].reshape(-1, 3), [[55, 40, 0]] * 320, atol=1)
        np.testing.assert_allclose(lab[:, 24:].reshape(-1, 3), [[55, 0, -30]] * 320, atol=1)


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


def test_classes_of_the_image_are_no_segmentation(folder):
    assert evaluate_model("iizuka", 0, Fixed(per_image=True), 8, folder, progress=False).rows[0]["miou"] is None


def test_upsampled_classes_equal_the_argmax_of_all_logits():
    torch.manual_seed(0)
    coarse = torch.randn(1, 81, 4, 4) * 4
    logits = nn.functional.interpolate(coarse, size=(16, 16), mode="bicubic")[0]
    expected = nn.functional.interpolate(logits[None], size=(37, 50), mode="bilinear")[0].argmax(dim=0).numpy()
    found = evaluate._upsampled_classes(logits, (37, 50))
    assert found.dtype == np.uint8
    assert (found == expected).mean() > 0.99


# Retention.


def test_retention_is_of_what_the_originals_gave_not_of_all_objects():
    rows = [{"name": n, "objects": 10, "recognised": r} for n, r in (("m", 3), ("original", 4), ("none", None))]
    assert [row["retention"] for row in with_retention(rows)] == [0.75, 1.0, None]


def test_retention_without_the_originals_is_none(folder):
    rows = with_retention(model_run(folder).rows)
    assert [row["retention"] for row in rows] == [None, None]
