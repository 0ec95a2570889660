"""Outlines to maps: both rules pixel by pixel in plain Python, all kinds of outlines, and what cannot be read."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle

from ucolnet_lib.data.coco import CLASS_OF_CATEGORY, CocoSplit
from ucolnet_lib.data.rasterize import OVERLAPS, mask_of, rasterize

SHAPE = (6, 7)  # H, W
PERSON, CAR, TOOTHBRUSH = 1, 3, 80  # classes; as categories 1, 3, 90


def encoded(mask) -> dict:
    """A mask as compressed RLE, as a JSON file has it."""
    runs = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": runs["counts"].decode()}


def plain(mask) -> dict:
    """A mask as plain run lengths: down the columns, the first run of zeros."""
    counts, value = [0], 0
    for pixel in np.asarray(mask, int).T.ravel().tolist():
        if pixel != value:
            counts, value = [*counts, 0], pixel
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


def annotation(segmentation, category=3, area=1.0, iscrowd=0, number=5) -> dict:
    return {"id": number, "segmentation": segmentation, "category_id": category, "area": area, "iscrowd": iscrowd}


# Random small cases against pycocotools and plain Python.

coordinates = st.one_of(st.integers(-4, 12), st.floats(-4, 12, width=32))
polygons = st.lists(st.lists(coordinates, min_size=6, max_size=12).filter(lambda p: len(p) % 2 == 0), max_size=3)


@st.composite
def scenes(draw):
    """A shape and annotations: polygons that may lie outside, and masks in both kinds of RLE."""
    height, width = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    bits = st.lists(st.booleans(), min_size=height * width, max_size=height * width)
    masks = bits.map(lambda flat: np.reshape(flat, (height, width)))
    outlines = st.one_of(polygons, masks.map(encoded), masks.map(plain))
    # Few areas and few classes: ties occur, and objects of one class that overlap.
    areas, categories = st.sampled_from([1, 2.5, 40]), st.sampled_from([1, 3, 90])
    annotations = st.lists(
        st.builds(annotation, outlines, categories, areas, st.sampled_from([0, 0, 0, 1])), max_size=5
    )
    return (height, width), draw(annotations)


def pixels_of(segmentation, shape) -> np.ndarray:
    """By pycocotools, without the library."""
    if segmentation == []:
        return np.zeros(shape, np.uint8)
    if isinstance(segmentation, list):
        return np.max(rle.decode(rle.frPyObjects(segmentation, *shape)), axis=2)
    return rle.decode(
        rle.frPyObjects(segmentation, *shape) if isinstance(segmentation["counts"], list) else segmentation
    )


def map_by_hand(shape, annotations, overlaps) -> np.ndarray:
    """Each pixel asks all annotations."""
    masks = [pixels_of(a["segmentation"], shape) for a in annotations]
    result = np.zeros(shape, int)
    for y, x in np.ndindex(shape):
        here = [a for a, mask in zip(annotations, masks, strict=True) if mask[y, x]]
        things = [a for a in here if not a["iscrowd"]]
        if not here:
            continue
        if overlaps == "ignore":
            result[y, x] = CLASS_OF_CATEGORY[here[0]["category_id"]] if len(here) == 1 else 255
        elif things:
            smallest = min(a["area"] for a in things)
            # Of equal ones the later lies on top.
            result[y, x] = CLASS_OF_CATEGORY[[a for a in things if a["area"] == smallest][-1]["category_id"]]
        else:
            result[y, x] = 255
    return result


@pytest.mark.parametrize("overlaps", OVERLAPS)
@given(scene=scenes())
@example(scene=((1, 1), []))
@settings(max_examples=150, deadline=None)
def test_maps_equal_plain_python_over_pycocotools(overlaps, scene):
    shape, annotations = scene
    found = rasterize(annotations, CLASS_OF_CATEGORY, shape, overlaps)
    assert found.shape == shape and found.dtype == np.uint8
    assert np.array_equal(found, map_by_hand(shape, annotations, overlaps))


@given(scene=scenes())
@settings(max_examples=50, deadline=None)
def test_where_nothing_overlaps_and_nothing_is_a_crowd_the_rules_agree(scene):
    shape, annotations = scene
    annotations = [a | {"iscrowd": 0} for a in annotations]
    claims = sum((pixels_of(a["segmentation"], shape).astype(int) for a in annotations), np.zeros(shape, int))
    on_top, ignored = (rasterize(annotations, CLASS_OF_CATEGORY, shape, rule) for rule in OVERLAPS)
    assert np.array_equal(on_top[claims < 2], ignored[claims < 2])
    assert (ignored[claims > 1] == 255).all() and (on_top != 255).all()


def test_both_rules_by_hand():
    """A crowd of persons, a car half in it, a toothbrush on the car, and a second car on the first."""

    def columns(first, last):
        mask = np.zeros((1, 8), bool)
        mask[:, first : last + 1] = True
        return encoded(mask)

    annotations = [
        annotation(columns(6, 6), 90, area=1),
        annotation(columns(2, 6), 3, area=5),
        annotation(columns(0, 3), 1, area=4, iscrowd=1),
        annotation(columns(4, 4), 3, area=2),
    ]
    on_top = [255, 255, CAR, CAR, CAR, CAR, TOOTHBRUSH, 0]
    assert rasterize(annotations, CLASS_OF_CATEGORY, (1, 8)).tolist() == [on_top]
    ignored = [PERSON, PERSON, 255, 255, 255, CAR, 255, 0]
    assert rasterize(annotations, CLASS_OF_CATEGORY, (1, 8), "ignore").tolist() == [ignored]


def test_more_than_255_annotations_of_one_pixel():
    whole = annotation(encoded(np.ones((2, 2), bool)))
    assert (rasterize([whole] * 257, CLASS_OF_CATEGORY, (2, 2), "ignore") == 255).all()


def test_an_annotation_without_iscrowd_is_an_object():
    whole = annotation(encoded(np.ones((2, 2), bool)))
    del whole["iscrowd"]
    assert (rasterize([whole], CLASS_OF_CATEGORY, (2, 2)) == CAR).all()


# Outlines that are odd and right.


@pytest.mark.parametrize(
    "segmentation",
    [
        [],
        {},
        [[]],
        [[2, 2]],
        [[0, 0, 5, 5]],  # two points: pycocotools would take four numbers for a box
        [[2, 2, 2, 2, 2, 2]],
        [[1, 1, 4, 1, 2, 1]],
        [[-9, -9, -2, -9, -2, -2, -9, -2]],
        [[20, 20, 30, 20, 30, 30]],
        [[1, -30, 4, -30, 4, -20]],
        {"size": [6, 7], "counts": [42]},
        {"size": [6, 7], "counts": [0, 0, 42]},
    ],
    ids=str,
)
def test_what_encloses_no_pixel(segmentation):
    assert not mask_of(segmentation, SHAPE).any()


@pytest.mark.parametrize(
    "segmentation",
    [
        [[0, 0, 7, 0, 7, 6, 0, 6]],
        [[-50, -50, 60, -50, 60, 60, -50, 60]],
        [[-90000, -90000, 90000, -90000, 90000, 90000, -90000, 90000]],
        [[0, 0, 7, 0, 7, 6, 0, 6], [], [3, 3], [1, 1, 2, 2]],
        {"size": [6, 7], "counts": [0, 42]},
        {"size": (6, 7), "counts": [0, 40, 0, 2]},
    ],
    ids=str,
)
def test_what_covers_all(segmentation):
    assert mask_of(segmentation, SHAPE).all()


def test_a_polygon_partly_outside_is_cut_off():
    expected = np.zeros(SHAPE, bool)
    expected[4:, 5:] = True
    assert np.array_equal(mask_of([[5, 4, 50, 4, 50, 40, 5, 40]], SHAPE), expected)
    expected[:] = False
    expected[:2, :3] = True
    assert np.array_equal(mask_of([[-5, -4, 3, -4, 3, 2, -5, 2]], SHAPE), expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (6, 7)])
@pytest.mark.parametrize("kind", [encoded, plain])
def test_run_lengths_there_and_back(shape, kind):
    random = np.random.default_rng(0)
    for density in (0, 0.5, 1):
        mask = random.random(shape) < density
        assert np.array_equal(mask_of(kind(mask), shape), mask)


def test_what_is_read_stays_as_it_was():
    segmentation = [[0, 0, 7, 0, 7, 6], [1, 1]]
    runs = plain(np.eye(6, 7))
    before = str((segmentation, runs))
    mask_of(segmentation, SHAPE), mask_of(runs, SHAPE)
    assert str((segmentation, runs)) == before


# What cannot be read.

NOT_READ, NOT_FULL = "is neither polygons nor run lengths", "run lengths .RLE. that do not fill its mask"
NO_LIST, TOO_FAR = "is no list of polygons", "no number, or farther than 100,000 pixels away"


@pytest.mark.parametrize(
    ("segmentation", "says"),
    [
        # pycocotools would end the process, or take all memory.
        ([[1, 1, float("nan"), 1, 5, 5]], TOO_FAR),
        ([[1, 1, None, 1, 5, 5]], TOO_FAR),
        ([[1, 1, float("inf"), 1, 5, 5]], TOO_FAR),
        ([[1, 1, -1e12, 1, 5, 5]], TOO_FAR),
        ([[1, 1, 5, 1, 5, 5, 1]], NO_LIST),
        ([1, 1, 5, 1, 5, 5], NO_LIST),
        ([["a", "b", "c", "d", "e", "f"]], NO_LIST),
        ([plain(np.ones(SHAPE))], NO_LIST),
        # pycocotools would leave what lies in memory.
        ({"size": [6, 7], "counts": [5, 4]}, NOT_FULL),
        ({"size": [6, 7], "counts": []}, NOT_FULL),
        ({"size": [6, 7], "counts": ""}, NOT_FULL),
        ({"size": [6, 7], "counts": encoded(np.eye(6, 7))["counts"][:-2]}, NOT_FULL),
        ({"size": [6, 7], "counts": [5, 400]}, NOT_FULL),
        ({"size": [6, 7], "counts": encoded(np.eye(7, 7))["counts"]}, NOT_FULL),
        ({"size": [7, 6], "counts": [42]}, "has a mask of 6 x 7 pixels, and the photograph has 7 x 6"),
        (plain(np.ones((3, 5))), "has a mask of 5 x 3 pixels, and the photograph has 7 x 6"),
        ({"size": [6, 7], "counts": [50, -8]}, NOT_READ),
        ({"size": [6, 7], "counts": [2**33, 1]}, NOT_READ),
        ({"size": [6, 7], "counts": [[42]]}, NOT_READ),
        ({"size": [6, 7], "counts": None}, NOT_READ),
        ({"size": 42, "counts": [42]}, NOT_READ),
        ({"counts": [42]}, NOT_READ),
        ({"size": [6, 7]}, NOT_READ),
        ("polygon", NOT_READ),
        (True, NOT_READ),
    ],
    ids=str,
)
@pytest.mark.parametrize("overlaps", OVERLAPS)
def test_one_sentence_that_names_the_annotation(segmentation, says, overlaps):
    with pytest.raises(ValueError, match=f"^annotation 5 .*{says}"):
        rasterize([annotation(segmentation)], CLASS_OF_CATEGORY, SHAPE, overlaps)


def test_an_unknown_rule():
    with pytest.raises(ValueError, match="'largest' for overlaps: choose smaller_on_top or ignore"):
        rasterize([], CLASS_OF_CATEGORY, SHAPE, "largest")


# The real photographs.


@pytest.mark.parametrize(("split", "differ", "ignored"), [("train2017", 0.0261, 0.0207), ("val2017", 0.0330, 0.0273)])
def test_how_far_the_rules_differ_on_the_sample(sample, split, differ, ignored):
    """Shares of all pixels; `ignore` was compared with torchvision's own program there, and no pixel differed."""
    photos = CocoSplit(sample, split)
    pixels = np.zeros(3)
    for index in range(len(photos)):
        image = photos.coco.imgs[photos.ids[index]]
        shape = image["height"], image["width"]
        on_top, torchvisions = (
            rasterize(photos.annotations(index), CLASS_OF_CATEGORY, shape, rule) for rule in OVERLAPS
        )
        pixels += on_top.size, (on_top != torchvisions).sum(), (torchvisions == 255).sum()
    assert pixels[1:] / pixels[0] == pytest.approx([differ, ignored], abs=1e-4)
