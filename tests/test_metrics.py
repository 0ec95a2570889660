"""RMSE, colourfulness, mIoU and overfitting against independent implementations and numbers made by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from skimage.color import rgb2lab
from torchmetrics.classification import MulticlassJaccardIndex

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.metrics import (
    RMSE_NAMES,
    ConfusionMatrix,
    class_errors,
    colourfulness,
    colourfulness_absolute,
    image_errors,
    overfitting,
    rmse,
    squared_ab_error,
)


@pytest.fixture
def triples(rng):
    """Pictures, truths and semantic maps of three sizes, so that pooling and averaging differ."""
    shapes = [(14, 15), (31, 17), (1, 1)]
    pictures = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
    truths = [rng.integers(60 * i, 60 * i + 40, (*shape, 3), dtype=np.uint8) for i, shape in enumerate(shapes)]
    maps = [rng.choice(np.array([0, 1, 80, 255], np.uint8), shape) for shape in shapes]
    maps[1][maps[1] == 80] = 0
    maps[2][:] = 0
    return pictures, truths, maps


@pytest.fixture
def rng():
    return np.random.default_rng(5)


# RMSE.


def test_errors_class_by_class_add_up_to_the_picture():
    random = np.random.default_rng(0)
    picture, truth = random.integers(0, 256, (2, 9, 7, 3), np.uint8)
    semantic_map = random.choice([0, 3, 80, 255], (9, 7)).astype(np.uint8)
    squared = squared_ab_error(rgb8_to_lab(picture), rgb8_to_lab(truth))
    classes = class_errors(squared, semantic_map)
    assert [entry["class"] for entry in classes] == [0, 3, 80, 255]
    theirs = np.square(rgb2lab(picture)[..., 1:] - rgb2lab(truth)[..., 1:]).sum(axis=-1)
    for entry in classes:
        here = semantic_map == entry["class"]
        assert entry["class_pixels"] == here.sum()
        assert entry["class_ab_squared"] == pytest.approx(theirs[here].sum(), rel=1e-3)
    whole = image_errors(picture, truth, semantic_map)
    assert sum(entry["class_ab_squared"] for entry in classes) == pytest.approx(whole["ab_squared"], rel=1e-6)


def test_rmse_in_all_definitions_equals_numpy_with_scikit_image(triples):
    pictures, truths, maps = triples
    measured = rmse([image_errors(p, t, m) for p, t, m in zip(*triples, strict=True)])

    rgb = [(p.astype(float) - t) ** 2 for p, t in zip(pictures, truths, strict=True)]
    ab = [(rgb2lab(p / 255) - rgb2lab(t / 255))[..., 1:] for p, t in zip(pictures, truths, strict=True)]
    distance = [np.linalg.norm(e, axis=-1) for e in ab]
    on_objects = [e[np.isin(m, range(1, 81))] for e, m in zip(ab, maps, strict=True)]

    def pooled(parts):
        return np.mean(np.concatenate([part.ravel() for part in parts]))

    expected = {
        "rgb_pooled": pooled(rgb) ** 0.5,
        "rgb_mean": np.mean([part.mean() ** 0.5 for part in rgb]),
        "ab_pooled": pooled([e**2 for e in ab]) ** 0.5,
        "ab_mean": np.mean([(e**2).mean() ** 0.5 for e in ab]),
        "ab_euclid_pooled": pooled(distance),
        "ab_euclid_mean": np.mean([d.mean() for d in distance]),
        "ab_objects_pooled": pooled([e**2 for e in on_objects]) ** 0.5,
    }
    assert tuple(measured) == RMSE_NAMES
    assert measured == pytest.approx(expected, abs=0.01)
    assert len({round(value) for value in expected.values()}) == len(expected)  # no two can be mixed up


def test_a_table_and_a_list_give_the_same(triples):
    errors = [image_errors(*triple) for triple in zip(*triples, strict=True)]
    assert rmse(pd.DataFrame(errors)) == rmse(errors)


def test_lab_given_or_not_gives_the_same(triples):
    picture, truth, semantic_map = (part[1] for part in triples)
    squared = squared_ab_error(rgb8_to_lab(picture), rgb8_to_lab(truth))
    assert image_errors(picture, truth, semantic_map, squared) == image_errors(picture, truth, semantic_map)


def test_equal_pictures_have_no_error(triples):
    _, truths, maps = triples
    values = rmse([image_errors(t, t, m) for t, m in zip(truths, maps, strict=True)])
    assert set(values.values()) == {0.0}


def test_sums_of_a_large_picture_are_exact():
    black, white = (np.full((1500, 2500, 3), value, np.uint8) for value in (0, 255))
    errors = image_errors(black, white, np.zeros((1500, 2500), np.uint8))
    assert errors["rgb_squared"] == 1500 * 2500 * 3 * 255**2  # more than 32 bits hold
    assert rmse([errors])["rgb_pooled"] == 255


def test_without_a_pixel_of_an_object_there_is_no_error_on_objects(triples):
    picture, truth, semantic_map = (part[0] for part in triples)
    for other in (0, 255):
        assert rmse([image_errors(picture, truth, np.full_like(semantic_map, other))])["ab_objects_pooled"] is None


def test_rmse_of_nothing_is_none():
    assert set(rmse([]).values()) == {None}


def test_pictures_of_another_size_are_refused(triples):
    pictures, truths, maps = triples
    with pytest.raises(ValueError, match="sizes differ"):
        image_errors(pictures[0], truths[1], maps[1])
    with pytest.raises(ValueError, match="sizes differ"):
        image_errors(pictures[0], truths[0], maps[1])


# Colourfulness.


def hasler_susstrunk(picture):
    """The published formula, with NumPy's own standard deviations."""
    red, green, blue = np.moveaxis(picture.astype(np.float64), -1, 0)
    rg, yb = red - green, 0.5 * (red + green) - blue
    return np.sqrt(np.std(rg) ** 2 + np.std(yb) ** 2) + 0.3 * np.sqrt(np.mean(rg) ** 2 + np.mean(yb) ** 2)


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (240, 320)])
def test_colourfulness_equals_the_published_formula(rng, shape):
    picture = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert colourfulness(picture) == pytest.approx(hasler_susstrunk(picture), rel=1e-9, abs=1e-6)


def test_gray_has_no_colourfulness():
    gray = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    assert colourfulness(gray) == 0


def test_opponent_differences_keep_their_sign():
    red_and_green = np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)
    # rg is 255 and -255, yb is 127.5 twice; with absolute differences rg has no spread.
    assert colourfulness(red_and_green) == pytest.approx(255 + 0.3 * 127.5)
    assert colourfulness_absolute(red_and_green) == pytest.approx(0.3 * np.hypot(255, 127.5))


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (240, 320)])
def test_absolute_colourfulness_equals_the_formula_with_absolute_differences(rng, shape):
    picture = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    red, green, blue = np.moveaxis(picture.astype(np.float64), -1, 0)
    differences = np.abs(red - green), np.abs(0.5 * (red + green) - blue)
    spread = np.linalg.norm([np.std(difference) for difference in differences])
    mean = np.linalg.norm([np.mean(difference) for difference in differences])
    assert colourfulness_absolute(picture) == pytest.approx(spread + 0.3 * mean, rel=1e-9, abs=1e-6)


def test_both_kinds_of_colourfulness_agree_where_no_difference_is_negative(rng):
    picture = np.sort(rng.integers(0, 256, (9, 8, 3), dtype=np.uint8), axis=-1)[..., ::-1]  # R >= G >= B
    assert colourfulness_absolute(picture) == colourfulness(picture)


# mIoU.


def confusion(truth, prediction, classes=4):
    matrix = ConfusionMatrix(classes)
    matrix.add(np.array(truth, np.uint8), np.array(prediction, np.uint8))
    return matrix


def test_miou_by_hand():
    # Class 0: 1 of {2 + 1 more predicted}; class 1: 1 of 3; class 2 is predicted only; 255 is left out.
    matrix = confusion([0, 0, 1, 1, 255], [0, 1, 1, 2, 3])
    assert matrix.miou() == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert matrix.miou(background=False) == pytest.approx(1 / 3)
    assert matrix.counts.tolist()[0] == [1, 1, 0, 0]  # rows are the truth


def test_a_class_that_the_truth_never_has_is_not_averaged_over():
    assert confusion([0, 0, 0, 1], [0, 0, 3, 1]).miou() == pytest.approx((2 / 3 + 1) / 2)


def test_miou_equals_torchmetrics(rng):
    truth = rng.choice(np.array([0, 1, 2, 3, 5, 255], np.uint8), (3, 20, 30))
    prediction = rng.integers(0, 6, (3, 20, 30), dtype=np.uint8)
    matrix = ConfusionMatrix(6)
    for pair in zip(truth, prediction, strict=True):
        matrix.add(*pair)
    index = MulticlassJaccardIndex(num_classes=6, average=None, ignore_index=255)
    by_class = index(torch.from_numpy(prediction).long(), torch.from_numpy(truth).long()).numpy()
    assert matrix.miou() == pytest.approx(by_class[[0, 1, 2, 3, 5]].mean(), abs=1e-6)
    assert matrix.miou(background=False) == pytest.approx(by_class[[1, 2, 3, 5]].mean(), abs=1e-6)


def test_one_matrix_over_the_set_is_not_the_mean_over_images():
    matrix = confusion([0, 0, 0, 0], [0, 0, 0, 1])
    matrix.add(np.array([1], np.uint8), np.array([1], np.uint8))
    assert matrix.miou() == pytest.approx((3 / 4 + 1 / 2) / 2)


@pytest.mark.parametrize("background", [True, False])
def test_miou_without_a_labelled_pixel_is_none(background):
    assert confusion([255, 255], [0, 1]).miou(background) is None
    assert ConfusionMatrix(4).miou(background) is None


def test_miou_of_objects_without_an_object_is_none():
    assert confusion([0, 0], [0, 1]).miou(background=False) is None


# Photographs that nobody annotated: all their pixels are 255.


def test_photographs_without_annotations_count_in_colour_and_not_on_objects(triples):
    pictures, truths, maps = triples
    unlabelled = [np.full_like(one, 255) for one in maps]
    labelled = [image_errors(*triple) for triple in zip(pictures, truths, maps, strict=True)]
    without = [image_errors(*triple) for triple in zip(pictures[::-1], truths[::-1], unlabelled[::-1], strict=True)]
    assert rmse(labelled + without) == pytest.approx(rmse(labelled))  # the same pictures twice, objects once
    alone = rmse(without)
    assert alone["ab_objects_pooled"] is None
    assert all(np.isfinite(value) for name, value in alone.items() if name != "ab_objects_pooled")
    squared = squared_ab_error(rgb8_to_lab(pictures[0]), rgb8_to_lab(truths[0]))
    (entry,) = class_errors(squared, unlabelled[0])
    assert entry["class"] == 255 and entry["class_pixels"] == maps[0].size
    assert entry["class_ab_squared"] == pytest.approx(without[-1]["ab_squared"])


def test_photographs_without_annotations_leave_miou_as_it_is():
    matrix = confusion([0, 0, 1, 1], [0, 1, 1, 2])
    before = matrix.counts.copy()
    for prediction in ([0, 0, 0], [1, 2, 3]):
        matrix.add(np.full(3, 255, np.uint8), np.array(prediction, np.uint8))
    assert np.array_equal(matrix.counts, before)


# Overfitting.


def test_overfitting_measures():
    history = pd.DataFrame(
        {"epoch": [1, 2, 3, 4], "train_color": [5.0, 3.0, 2.0, 1.0], "validation_color": [5.5, 4.0, 4.0, 4.5]}
    )
    assert overfitting(history) == {"best_epoch": 2, "final_gap": 3.5}
    shuffled = history.sample(frac=1, random_state=0).sort_values("epoch", ascending=False)
    assert overfitting(shuffled)["final_gap"] == 3.5


def test_a_loss_that_diverged_is_not_the_best():
    history = pd.DataFrame({"epoch": [1, 2], "train_color": [5.0, np.nan], "validation_color": [5.5, np.nan]})
    assert overfitting(history)["best_epoch"] == 1


def test_an_empty_history_is_one_clear_sentence():
    columns = ["epoch", "train_color", "validation_color"]
    for history in (pd.DataFrame(columns=columns), pd.DataFrame({c: [np.nan] for c in columns})):
        with pytest.raises(UcolnetError, match="no validation loss"):
            overfitting(history)
