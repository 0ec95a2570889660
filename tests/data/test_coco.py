"""COCO folders: ids, masks, what lies on top, ugly pictures, broken files, and the real photographs."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle
from scipy.ndimage import maximum_filter, minimum_filter
from skimage.draw import polygon2mask
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from ucolnet_lib.common import BACKGROUND, IGNORE_INDEX, UcolnetError
from ucolnet_lib.data.coco import (
    CATEGORIES,
    CATEGORY_OF_CLASS,
    CLASS_NAMES,
    CLASS_OF_CATEGORY,
    NUM_CLASSES,
    CocoSplit,
    read_rgb,
)

PERSON, CAR, TOOTHBRUSH = 1, 3, 80  # classes; as categories 1, 3, 90
GRAY = np.full((8, 12, 3), 90, np.uint8)


def one(write_split, tmp_path, annotations, picture=GRAY) -> np.ndarray:
    """The semantic map of a folder with one picture of id 7."""
    return CocoSplit(write_split(tmp_path, {"000000000007.png": picture}, annotations), "val2017")[0].semantic_map


# The ids.


def test_80_categories_in_91_ids_and_back():
    official = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]  # by id, gaps are N/A
    assert len(official) == 91
    assert {i: name for i, name in enumerate(official) if name not in ("N/A", "__background__")} == CATEGORIES
    assert NUM_CLASSES == len(CLASS_NAMES) == 81 and CLASS_NAMES[BACKGROUND] == "background"
    assert sorted(CLASS_OF_CATEGORY.values()) == list(range(1, 81))
    for category, label in CLASS_OF_CATEGORY.items():
        assert CATEGORY_OF_CLASS[label] == category and CLASS_NAMES[label] == official[category]
    # Every id after the first gap is shifted.
    assert CLASS_OF_CATEGORY[11] == 11 and CLASS_OF_CATEGORY[13] == 12 and CLASS_OF_CATEGORY[90] == 80


def test_the_ids_equal_the_official_file(sample):
    categories = json.loads((sample / "annotations" / "instances_val2017.json").read_text())["categories"]
    assert {c["id"]: c["name"] for c in categories} == CATEGORIES
    assert [c["name"] for c in sorted(categories, key=lambda c: c["id"])] == list(CLASS_NAMES[1:])


# Masks and what lies on top.


def test_a_rectangle_fills_its_pixels(write_split, rectangle, tmp_path):
    expected = np.zeros((8, 12), np.uint8)
    expected[2:5, 3:9] = TOOTHBRUSH
    assert np.array_equal(one(write_split, tmp_path, [rectangle(7, 90, 3, 2, 6, 3)]), expected)


def test_masks_equal_pycocotools(write_split, tmp_path):
    """A concave polygon, a polygon of two parts, and both kinds of RLE."""
    random = np.random.default_rng(0)
    blob = np.asfortranarray(random.random((40, 50)) < 0.5, dtype=np.uint8)
    compressed = rle.encode(blob)
    shapes = {
        "concave": [[2.5, 1, 45, 3.2, 20, 12, 44.1, 36, 4, 30]],
        "two parts": [[1, 1, 15, 2, 8, 20], [30, 5, 48, 8, 40, 30.7, 28, 22]],
        "compressed": {"size": [40, 50], "counts": compressed["counts"].decode()},
        "uncompressed": {"size": [40, 50], "counts": [100, 500, 300, 1, 1099]},
    }
    for i, (name, segmentation) in enumerate(shapes.items()):
        annotation = {"image_id": 7, "category_id": 3, "area": 9, "bbox": [0, 0, 1, 1], "segmentation": segmentation}
        root = write_split(tmp_path / str(i), {"7.png": np.zeros((40, 50, 3), np.uint8)}, [annotation])
        split = CocoSplit(root, "val2017")
        expected = split.coco.annToMask(split.coco.anns[1])
        assert 0 < expected.sum() < 2000, name
        assert np.array_equal(split[0].semantic_map, CAR * expected), name
    assert np.array_equal(CocoSplit(tmp_path / "2", "val2017")[0].semantic_map == CAR, blob.astype(bool))


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_smaller_objects_lie_on_larger_ones(write_split, rectangle, tmp_path, order):
    objects = [rectangle(7, 1, 0, 0, 10, 8), rectangle(7, 3, 2, 1, 6, 5), rectangle(7, 90, 4, 2, 2, 2)]
    expected = np.zeros((8, 12), np.uint8)
    expected[:, :10] = PERSON
    expected[1:6, 2:8] = CAR
    expected[2:4, 4:6] = TOOTHBRUSH
    assert np.array_equal(one(write_split, tmp_path, [objects[i] for i in order]), expected)


@pytest.mark.parametrize("last", ["crowd", "object"])
@pytest.mark.parametrize("crowd_is_larger", [True, False])
def test_an_object_in_a_crowd_keeps_its_class_and_the_rest_is_ignored(
    write_split, rectangle, tmp_path, last, crowd_is_larger
):
    wide, narrow = (1, 1, 10, 6), (4, 2, 3, 3)
    crowd = rectangle(7, 1, *(wide if crowd_is_larger else narrow), crowd=True, size=(8, 12))
    thing = rectangle(7, 1, *(narrow if crowd_is_larger else wide))
    expected = np.zeros((8, 12), np.uint8)
    expected[1:7, 1:11] = IGNORE_INDEX if crowd_is_larger else PERSON
    expected[2:5, 4:7] = PERSON
    assert np.array_equal(one(write_split, tmp_path, [crowd, thing] if last == "object" else [thing, crowd]), expected)


def test_the_rule_for_overlaps_is_chosen_where_a_split_is_opened(write_split, rectangle, tmp_path):
    """The rules themselves are tested in test_rasterize.py."""
    annotations = [rectangle(7, 1, 0, 0, 6, 8), rectangle(7, 3, 4, 0, 4, 8)]
    root = write_split(tmp_path, {"7.png": GRAY, "8.png": GRAY}, annotations, unlisted=["8.png"])
    expected = np.repeat([[PERSON] * 4 + [CAR] * 4 + [BACKGROUND] * 4], 8, axis=0)
    assert np.array_equal(CocoSplit(root, "val2017")[0].semantic_map, expected)
    expected[:, 4:6] = IGNORE_INDEX
    split = CocoSplit(root, "val2017", overlaps="ignore")
    assert np.array_equal(split[0].semantic_map, expected)
    assert (split[1].semantic_map == IGNORE_INDEX).all()
    with pytest.raises(UcolnetError, match="no rule 'largest' for overlaps. Choose smaller_on_top or ignore"):
        CocoSplit(root, "val2017", overlaps="largest")


def test_an_outline_that_cannot_be_read_is_named(write_split, rectangle, tmp_path):
    broken = rectangle(7, 3, 0, 0, 2, 2) | {"segmentation": {"size": [8, 13], "counts": [104]}}
    root = write_split(tmp_path, {"7.png": GRAY}, [rectangle(7, 1, 0, 0, 6, 8), broken])
    says = r"instances_val2017.json: of image 7, annotation 2 has a mask of 13 x 8 pixels, and the photograph has 12"
    with pytest.raises(UcolnetError, match=says):
        CocoSplit(root, "val2017")[0]


def test_an_object_without_an_outline_is_not_painted(write_split, rectangle, tmp_path):
    annotations = [rectangle(7, 1, 0, 0, 4, 4) | {"segmentation": []}, rectangle(7, 3, 1, 1, 2, 2)]
    assert set(np.unique(one(write_split, tmp_path, annotations))) == {BACKGROUND, CAR}


def test_a_picture_of_one_pixel(write_split, rectangle, tmp_path):
    picture = np.full((1, 1, 3), 9, np.uint8)
    assert one(write_split, tmp_path, [rectangle(7, 3, 0, 0, 1, 1)], picture).tolist() == [[CAR]]


# Photographs with and without annotations.


def test_listed_without_objects_is_background_and_unlisted_is_ignored(write_split, rectangle, tmp_path):
    pictures = {"000000000009.png": GRAY, "000000000007.png": GRAY, "000000000008.jpg": GRAY}
    orphan = rectangle(8, 3, 0, 0, 2, 2)  # of a photograph that is not listed
    root = write_split(tmp_path, pictures, [rectangle(9, 1, 0, 0, 2, 2), orphan], unlisted=["000000000008.jpg"])
    (root / "val2017" / "notes.txt").write_text("no picture")
    split = CocoSplit(root, "val2017")
    assert len(split) == 3 and split.ids == [7, 8, 9]
    assert [p.id for p in split] == [7, 8, 9] and [p.path.name[9:12] for p in split] == ["007", "008", "009"]
    assert (split[0].semantic_map == BACKGROUND).all() and split.objects(0) == []
    assert (split[1].semantic_map == IGNORE_INDEX).all() and split.objects(1) == []
    assert split[1].semantic_map.shape == (8, 12)
    assert set(np.unique(split[2].semantic_map)) == {BACKGROUND, PERSON}


def test_objects_of_a_photograph(write_split, rectangle, tmp_path):
    annotations = [rectangle(7, 90, 1, 2, 3, 4), rectangle(7, 1, 0, 0, 5, 5, crowd=True, size=(8, 12))]
    first, second = CocoSplit(write_split(tmp_path, {"7.png": GRAY}, annotations), "val2017").objects(0)
    assert first.box == (1, 2, 3, 4) and first.label == TOOTHBRUSH and first.iscrowd is False
    assert second.label == PERSON and second.iscrowd is True


def test_files_and_annotations_by_place(write_split, rectangle, tmp_path):
    annotations = [rectangle(9, 90, 0, 0, 4, 4), rectangle(7, 3, 1, 1, 2, 2), rectangle(9, 1, 0, 0, 2, 2)]
    names = {"000000000007.png": GRAY, "000000000009.png": GRAY, "000000000008.png": GRAY}
    split = CocoSplit(write_split(tmp_path, names, annotations, unlisted=("000000000008.png",)), "val2017")
    assert [split.file(i) for i in range(3)] == [tmp_path / "val2017" / f"00000000000{i}.png" for i in (7, 8, 9)]
    assert [split.file(i) for i in range(3)] == [split[i].path for i in range(3)]
    assert [[a["id"] for a in split.annotations(i)] for i in range(3)] == [[2], [], [1, 3]]
    assert split.annotations(0) == [{"id": 2, **annotations[1]}]


def test_the_checksum_changes_with_all_it_is_over(write_split, rectangle, tmp_path):
    def checksum():
        return CocoSplit(tmp_path, "val2017").checksum

    write_split(tmp_path, {"000000000007.png": GRAY, "000000000008.png": GRAY}, [rectangle(7, 1, 0, 0, 4, 4)])
    photos, annotations = tmp_path / "val2017", tmp_path / "annotations" / "instances_val2017.json"
    seen = [checksum()]
    assert checksum() == seen[0] == CocoSplit(tmp_path, "val2017").checksum
    content = json.loads(annotations.read_text())
    content["annotations"][0]["area"] += 1
    annotations.write_text(json.dumps(content))
    seen.append(checksum())
    with (photos / "000000000007.png").open("ab") as file:
        file.write(b"more")
    seen.append(checksum())
    (photos / "000000000009.png").write_bytes((photos / "000000000008.png").read_bytes())
    seen.append(checksum())
    (photos / "000000000009.png").rename(photos / "000000000010.png")
    seen.append(checksum())
    (photos / "000000000008.png").unlink()  # listed, and missing: told when the photograph is read
    seen.append(checksum())
    seen.append(CocoSplit(tmp_path, "val2017", overlaps="ignore").checksum)
    assert len(set(seen)) == len(seen) == 7


def test_every_photograph_has_an_id_of_its_own(write_split, tmp_path):
    """Numbers that are taken, written twice, or missing: crops and splits are drawn by id."""
    names = ["7.png", "007.png", "8.png", "holiday.png", "²3.png", "3.jpg"]
    root = write_split(tmp_path, dict.fromkeys(names, GRAY), unlisted=names[1:])
    split = CocoSplit(root, "val2017")
    assert len(set(split.ids)) == len(split) == 6
    by_name = {photo.path.name: photo.id for photo in split}
    assert by_name["7.png"] == 7 and by_name["8.png"] == 8 and by_name["3.jpg"] == 3
    assert split.ids == CocoSplit(root, "val2017").ids == sorted(split.ids)


def test_a_folder_of_photographs_alone(write_split, tmp_path):
    root = write_split(tmp_path, {"a.png": GRAY, "b.png": GRAY}, unlisted=["a.png", "b.png"])
    split = CocoSplit(root, "val2017")
    assert split.ids == [1, 2] and all((photo.semantic_map == IGNORE_INDEX).all() for photo in split)


def test_ids_are_not_collected_anew_at_each_access(write_split, tmp_path):
    """Crops ask for an id at every step: on 118,287 photographs a new list each time would take hours."""
    split = CocoSplit(write_split(tmp_path, {"7.png": GRAY}), "val2017")
    assert split.ids is split.ids


# Ugly pictures.


def ramp() -> np.ndarray:
    """(8, 12): gray that tells left from right and top from bottom."""
    return (np.arange(12)[None] * 8 + np.arange(8)[:, None] * 16).astype(np.uint8)


def test_gray_jpeg(write_split, rectangle, tmp_path):
    root = write_split(tmp_path, {"7.jpg": ramp()}, [rectangle(7, 3, 0, 0, 2, 2)])
    with Image.open(root / "val2017" / "7.jpg") as image:
        assert image.mode == "L"
    photo = CocoSplit(root, "val2017")[0]
    assert photo.rgb.shape == (8, 12, 3) and photo.rgb.dtype == np.uint8
    assert np.ptp(photo.rgb, axis=2).max() == 0 and np.abs(photo.rgb[..., 0].astype(int) - ramp()).max() < 12
    assert photo.semantic_map[0, 0] == CAR


def test_cmyk_jpeg(write_split, tmp_path):
    colours = np.zeros((16, 32, 3), np.uint8)
    colours[:, :16], colours[:, 16:] = (200, 30, 40), (30, 60, 180)
    picture = Image.fromarray(colours).convert("CMYK")
    root = write_split(tmp_path, {"7.jpg": picture})
    with Image.open(root / "val2017" / "7.jpg") as image:
        assert image.mode == "CMYK"
    rgb = CocoSplit(root, "val2017")[0].rgb
    assert rgb.shape == (16, 32, 3)
    np.testing.assert_allclose(rgb[:, 2:14].mean(axis=(0, 1)), (200, 30, 40), atol=10)
    np.testing.assert_allclose(rgb[:, 18:30].mean(axis=(0, 1)), (30, 60, 180), atol=10)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1)), (8, np.rot90), (2, lambda a: a[:, ::-1])],
)
def test_exif_rotation_is_applied(write_split, rectangle, tmp_path, orientation, upright):
    """The annotations are those of the picture as it is seen."""
    expected = upright(np.repeat(ramp()[..., None], 3, axis=2))
    height, width = expected.shape[:2]
    root = write_split(tmp_path, {"7.png": np.zeros((height, width, 3), np.uint8)}, [rectangle(7, 3, 0, 0, 2, 3)])
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(ramp()).convert("RGB").save(root / "val2017" / "7.png", exif=exif)
    photo = CocoSplit(root, "val2017")[0]
    assert np.array_equal(photo.rgb, expected)
    assert (photo.semantic_map[:3, :2] == CAR).all() and (photo.semantic_map == CAR).sum() == 6


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_other_modes_become_rgb(tmp_path, mode):
    suffix = ".tif" if mode in ("CMYK", "YCbCr") else ".png"
    Image.fromarray(ramp()).convert(mode).save(tmp_path / f"a{suffix}")
    rgb = read_rgb(tmp_path / f"a{suffix}")
    assert rgb.shape == (8, 12, 3) and rgb.dtype == np.uint8
    if mode != "1":
        assert np.abs(rgb.astype(int) - ramp()[..., None]).max() < 6


# Broken files: one sentence that names the file.


def broken(tmp_path, content: bytes):
    path = tmp_path / "000000000007.jpg"
    path.write_bytes(content)
    with pytest.raises(UcolnetError, match="000000000007.jpg is no readable picture") as error:
        read_rgb(path)
    assert "Replace the file" in str(error.value)


def jpeg(tmp_path) -> bytes:
    path = tmp_path / "whole.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    return path.read_bytes()


def test_an_image_that_is_text(tmp_path):
    broken(tmp_path, b"<html><body>404 Not Found</body></html>")


def test_an_empty_file(tmp_path):
    broken(tmp_path, b"")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_jpeg(tmp_path, share):
    whole = jpeg(tmp_path)
    broken(tmp_path, whole[: int(len(whole) * share)])


def test_a_broken_header_that_pil_answers_with_a_value_error(tmp_path):
    broken(tmp_path, b"P6\n2\xe45 4\n255\n" + bytes(300))


def test_a_picture_of_16_bits_is_refused(tmp_path):
    """PIL would read it as white."""
    Image.fromarray(np.full((4, 4), 30_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(UcolnetError, match=r"deep.png has more than 8 bits a channel"):
        read_rgb(tmp_path / "deep.png")


def test_a_missing_photograph(write_split, tmp_path):
    root = write_split(tmp_path, {"000000000007.png": GRAY})
    (root / "val2017" / "000000000007.png").unlink()
    with pytest.raises(UcolnetError, match=r"000000000007.png is missing\. Fetch it again"):
        CocoSplit(root, "val2017")[0]


def test_a_photograph_of_another_size(write_split, rectangle, tmp_path):
    root = write_split(tmp_path, {"7.png": GRAY}, [rectangle(7, 3, 0, 0, 2, 2)])
    Image.fromarray(GRAY[:, :5]).save(root / "val2017" / "7.png")
    with pytest.raises(UcolnetError, match=r"7.png is 5 x 8 pixels, its annotation says 12 x 8"):
        CocoSplit(root, "val2017")[0]


@pytest.mark.parametrize("missing", ["root", "split", "annotations", "photographs"])
def test_missing_folders(write_split, tmp_path, missing):
    root = write_split(tmp_path / "coco", {"7.png": GRAY}, unlisted=["7.png"])
    if missing == "root":
        root = tmp_path / "nowhere"
    elif missing == "split":
        (root / "val2017").rename(root / "test2017")
    elif missing == "annotations":
        (root / "annotations" / "instances_val2017.json").unlink()
    else:
        (root / "val2017" / "7.png").unlink()
    says = {
        "root": r"nowhere does not exist\. Name a COCO folder, or draw one: ucolnet data toy",
        "split": r"coco has no folder val2017/",
        "annotations": r"instances_val2017.json is missing",
        "photographs": r"val2017 holds no photograph",
    }
    with pytest.raises(UcolnetError, match=says[missing]):
        CocoSplit(root, "val2017")


def rewrite(root, change) -> None:
    file = root / "annotations" / "instances_val2017.json"
    file.write_text(change(file.read_text()))


def changed(key: str, entry: dict):
    """A change of the first entry of `key` of an annotation file; a value None takes the key away."""

    def change(text: str) -> str:
        content = json.loads(text)
        content[key][0] = {k: v for k, v in (content[key][0] | entry).items() if v is not None}
        return json.dumps(content)

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[: len(text) // 2], "is no whole COCO annotation file"),
        (lambda text: "", "is no whole COCO annotation file"),
        (lambda text: "<html>404</html>", "is no whole COCO annotation file"),
        (lambda text: "[1, 2]", "is no whole COCO annotation file"),
        (lambda text: '{"images": [], "annotations": []}', "is no whole COCO annotation file"),
        (lambda text: '{"images": [1], "annotations": [], "categories": []}', "is no whole COCO annotation file"),
        (lambda text: '{"images": 5, "annotations": [], "categories": []}', "is no whole COCO annotation file"),
        (changed("images", {"file_name": None}), "an entry of images lacks file_name"),
        (changed("images", {"height": None, "width": None}), "an entry of images lacks height, width"),
        (changed("annotations", {"category_id": None}), "an entry of annotations lacks category_id"),
        (changed("annotations", {"segmentation": None}), "an entry of annotations lacks segmentation"),
        (changed("annotations", {"category_id": 12}), r"category ids that COCO does not have: \[12\]"),
        (changed("annotations", {"category_id": 0}), r"category ids that COCO does not have: \[0\]"),
    ],
)
def test_broken_annotation_files(write_split, rectangle, tmp_path, capsys, change, says):
    root = write_split(tmp_path, {"7.png": GRAY}, [rectangle(7, 3, 0, 0, 2, 2)])
    rewrite(root, change)
    with pytest.raises(UcolnetError, match=f"instances_val2017.json .*{says}"):
        CocoSplit(root, "val2017")
    assert capsys.readouterr().out == ""


def test_nothing_is_printed(write_split, tmp_path, capsys):
    CocoSplit(write_split(tmp_path, {"7.png": GRAY}), "val2017")[0]
    assert capsys.readouterr() == ("", "")


# The real photographs.


@pytest.mark.parametrize(("split", "photographs", "annotations"), [("val2017", 300, 2457), ("train2017", 518, 4294)])
def test_counts_of_the_sample(sample, split, photographs, annotations):
    photos = CocoSplit(sample, split)
    objects = [thing for i in range(len(photos)) for thing in photos.objects(i)]
    assert len(photos) == photographs and len(objects) == annotations
    assert sum(thing.iscrowd for thing in objects) == {"val2017": 25, "train2017": 47}[split]
    assert {thing.label for thing in objects} == set(range(1, 81))


@pytest.mark.parametrize(("split", "image_id"), [("train2017", 86), ("train2017", 559665), ("val2017", 7888)])
def test_single_channel_files_of_the_sample(sample, split, image_id):
    photos = CocoSplit(sample, split)
    photo = photos[photos.ids.index(image_id)]
    with Image.open(photo.path) as image:
        assert image.mode == "L"
    assert photo.rgb.shape == (*photo.semantic_map.shape, 3) and np.ptp(photo.rgb, axis=2).max() == 0


def raster(segmentation, shape) -> np.ndarray:
    """A mask without pycocotools: polygons by scikit-image, uncompressed RLE by hand; None for compressed RLE."""
    if isinstance(segmentation, list):
        parts = [np.reshape(points, (-1, 2))[:, ::-1] - 0.5 for points in segmentation]
        return np.any([polygon2mask(shape, part) for part in parts], axis=0)
    counts = segmentation["counts"]
    values = np.arange(len(counts)) % 2
    return np.repeat(values, counts).reshape(shape[::-1]).T.astype(bool)


@pytest.mark.parametrize("split", ["val2017", "train2017"])
def test_semantic_maps_of_the_sample_against_another_rasterisation(sample, split):
    """They may differ along outlines, where the two draw the border's pixels differently, and at needle-like tips."""
    photos = CocoSplit(sample, split)
    crowded = [i for i in range(len(photos)) if any(thing.iscrowd for thing in photos.objects(i))][:4]
    for index in [*range(0, len(photos), len(photos) // 8), *crowded]:
        photo = photos[index]
        shape = photo.semantic_map.shape
        expected = np.zeros(shape, int)
        annotations = photos.coco.imgToAnns[photo.id]
        for a in [a for a in annotations if a["iscrowd"]]:
            expected[raster(a["segmentation"], shape)] = IGNORE_INDEX
        for a in sorted((a for a in annotations if not a["iscrowd"]), key=lambda a: a["area"], reverse=True):
            assert isinstance(a["segmentation"], list), "choose another photograph: this one has a compressed RLE"
            expected[raster(a["segmentation"], shape)] = sorted(CATEGORIES).index(a["category_id"]) + 1
        inside = maximum_filter(expected, 5) == minimum_filter(expected, 5)
        different = photo.semantic_map != expected
        assert (different & inside).sum() < 20 and different.mean() < 0.03, photo.path
