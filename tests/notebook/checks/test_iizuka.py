"""The checks of notebook 03 against right answers and plausible wrong ones."""

import numpy as np
import pytest
import torch

from ucolnet_lib.notebook.checks import iizuka as check


def fuse(local, vector):
    return torch.cat([local, vector[:, :, None, None].expand(-1, -1, *local.shape[2:])], dim=1)


def fuse_by_repeat(local, vector):
    height, width = local.shape[2:]
    copies = vector.repeat(1, height * width).view(len(vector), height, width, -1).permute(0, 3, 1, 2)
    return torch.cat([local, copies], dim=1)


def fuse_mixed(local, vector):
    """The planted bug: channels and places are mixed up."""
    height, width = local.shape[2:]
    return torch.cat([local, vector.repeat(1, height * width).view(len(vector), -1, height, width)], dim=1)


def fuse_swapped(local, vector):
    return torch.cat([vector[:, :, None, None].expand(-1, -1, *local.shape[2:]), local], dim=1)


def fuse_at_one_place(local, vector):
    copies = torch.zeros(len(local), vector.shape[1], *local.shape[2:])
    copies[:, :, 0, 0] = vector
    return torch.cat([local, copies], dim=1)


def fuse_mean(local, vector):
    return torch.cat([local, vector.mean(1)[:, None, None, None].expand(-1, vector.shape[1], *local.shape[2:])], dim=1)


def fuse_first_of_the_batch(local, vector):
    return fuse(local, vector[:1].expand(len(vector), -1))


def main_class(semantic_map):
    area = np.bincount(semantic_map.ravel(), minlength=256)
    area[[0, 255]] = 0
    return area.argmax() if area.any() else 255


def main_class_by_loop(semantic_map):
    labels = [c for c in np.unique(semantic_map) if 0 < c < 255]
    return max(labels, key=lambda c: (semantic_map == c).sum(), default=255)


def with_background(semantic_map):
    return np.bincount(semantic_map[semantic_map != 255].ravel()).argmax()


def with_ignore(semantic_map):
    area = np.bincount(semantic_map.ravel(), minlength=256)
    area[0] = 0
    return area.argmax()


def background_where_empty(semantic_map):
    found = main_class(semantic_map)
    return 0 if found == 255 else found


def largest_number(semantic_map):
    labels = semantic_map[semantic_map < 255]
    return labels.max() or 255


def off_by_one(semantic_map):
    area = np.bincount(semantic_map.ravel(), minlength=256)
    return area[1:81].argmax()


def the_area(semantic_map):
    area = np.bincount(semantic_map.ravel(), minlength=256)
    return area[1:81].max()


def nothing_where_empty(semantic_map):
    found = main_class(semantic_map)
    return None if found == 255 else found


def test_checks(judge):
    taught = {"low_level", "global_maps", "global_512", "classifier"}
    right = {
        check.field_of_view: [(75,), (75.0,), (np.int64(75),)],
        check.first_fully_connected: [(25_691_136,), (7 * 7 * 512 * 1024 + 1024,)],
        check.fusion: [(fuse,), (fuse_by_repeat,)],
        check.taught_by_classification: [(taught,), (sorted(taught),), (tuple(taught),)],
        check.main_class: [(main_class,), (main_class_by_loop,), (lambda m: torch.tensor(main_class(m)),)],
    }
    wrong = {
        check.field_of_view: [
            (59,), (43,), (17,), (150,), (True,), ("75",), ([75, 75],), ((75, 75),), (75**2,),
            (torch.tensor([75, 75]),),
        ],
        check.first_fully_connected: [(25_690_112,), (525_312,), (25_088,), (42_353_839,), (25_715_200,)],
        check.fusion: [
            (fuse_mixed,), (fuse_swapped,), (fuse_at_one_place,), (fuse_mean,), (fuse_first_of_the_batch,),
            (lambda a, b: a,),
        ],
        check.taught_by_classification: [
            ({"classifier"},), (set(check.PARTS),), (taught - {"low_level"},), (taught | {"global_256"},),
            ({"classification"},), ("classifier",),
        ],
        check.main_class: [
            (with_background,), (with_ignore,), (background_where_empty,), (largest_number,), (lambda m: 7,),
            (off_by_one,), (the_area,), (nothing_where_empty,), (lambda m: (main_class(m), 1),),
        ],
    }  # fmt: skip
    judge(check, right, wrong)


@pytest.mark.parametrize(
    ("name", "answer", "hint"),
    [
        ("field_of_view", (75, 75), "Give a number"),
        ("field_of_view", 75**2, "along one side"),
        ("first_fully_connected", "25,691,136", "Give a whole number"),
        ("first_fully_connected", 25_715_200, "belongs to an output"),
        ("fusion", fuse_mixed, "one number of the vector"),
        ("fusion", fuse_first_of_the_batch, "its own vector"),
        ("main_class", with_background, "Background is no object"),
        ("main_class", off_by_one, "cut off in front"),
        ("main_class", the_area, "number of pixels"),
        ("main_class", background_where_empty, "no object?"),
        ("main_class", nothing_where_empty, "returns nothing. What should come out"),
        ("main_class", lambda semantic_map: (7, 2), "one number: a class"),
        ("main_class", lambda semantic_map: None, "Not answered yet"),
    ],
)
def test_the_hint_fits_the_mistake(capsys, name, answer, hint):
    assert getattr(check, name)(answer) is False
    assert hint in capsys.readouterr().out
