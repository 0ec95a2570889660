"""The choice of images: the same everywhere, growing with the limit, and annotations of the chosen alone."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.batches import split_indices
from ucolnet_lib.data.choice import by_hash, choose_images, read_ids, restrict

CONTENT = {
    "info": {"year": 2017},
    "licenses": [{"id": 4, "name": "CC BY"}],
    "images": [{"id": i, "file_name": f"{i:012d}.jpg", "license": 4, "flickr_url": f"http://{i}"} for i in range(40)],
    "annotations": [{"id": 100 + i, "image_id": i, "category_id": 17 if i % 2 else 58} for i in range(30)],
    "categories": [{"id": 17, "name": "cat"}, {"id": 58, "name": "hot dog"}],
}


def test_the_order_is_that_of_the_hashes():
    assert by_hash([139, 285, 632, 724]) == sorted(
        [139, 285, 632, 724], key=lambda i: hashlib.sha256(b"%d" % i).hexdigest()
    )


def test_the_choice_is_fixed_for_ever():
    """Written down: two versions of the library must choose alike."""
    assert choose_images(CONTENT, 5) == [8, 9, 13, 29, 39]


def test_the_choice_does_not_depend_on_the_order_of_the_file():
    assert choose_images(CONTENT | {"images": CONTENT["images"][::-1]}, 7) == choose_images(CONTENT, 7)


@given(st.integers(1, 50), st.integers(1, 50))
def test_a_larger_limit_keeps_the_images_of_a_smaller_one(a, b):
    few, many = sorted([a, b])
    assert set(choose_images(CONTENT, few)) <= set(choose_images(CONTENT, many))
    assert len(choose_images(CONTENT, many)) == min(many, 40)


def test_it_is_the_choice_of_training():
    """A run with a limit takes the same images as a fetch with that limit."""

    class Split:
        ids = [image["id"] for image in CONTENT["images"]]

    training, validation = split_indices(Split, limit=12)
    assert sorted(Split.ids[i] for i in training + validation) == choose_images(CONTENT, 12)


def test_categories():
    assert choose_images(CONTENT, categories=["cat"]) == list(range(1, 30, 2))
    assert choose_images(CONTENT, categories=["hot dog", "cat"]) == list(range(30))
    cats = choose_images(CONTENT, 4, categories=["cat"])
    assert cats == sorted(by_hash(range(1, 30, 2))[:4])


def test_ids():
    assert choose_images(CONTENT, image_ids=[5, 3, 5]) == [3, 5]
    assert choose_images(CONTENT, image_ids=[2, 3], categories=["cat"]) == [3]
    with pytest.raises(UcolnetError, match=r"2 of the ids are not in this split, such as 77\. Take them out"):
        choose_images(CONTENT, image_ids=[5, 99, 77])


@pytest.mark.parametrize(
    "choice", [{"categories": ["dog"]}, {"image_ids": []}, {"image_ids": [35], "categories": ["cat"]}]
)
def test_nothing_fits(choice):
    with pytest.raises(UcolnetError, match="No image fits"):
        choose_images(CONTENT, **choice)


@pytest.mark.parametrize(
    ("name", "says"),
    [("hotdog", "Did you mean hot dog"), ("Cat", "Did you mean .*cat"), ("xyzzy", "They are: person, bicycle, .*")],
)
def test_unknown_categories(name, says):
    with pytest.raises(UcolnetError, match=f"no category '{name}'. {says}"):
        choose_images(CONTENT, categories=["cat", name])


def test_the_restricted_file_keeps_everything_of_the_chosen():
    few = restrict(CONTENT, [3, 35])
    assert few["images"] == [CONTENT["images"][3], CONTENT["images"][35]]
    assert few["annotations"] == [CONTENT["annotations"][3]]
    assert {key: few[key] for key in ("info", "licenses", "categories")} == {
        key: CONTENT[key] for key in ("info", "licenses", "categories")
    }
    assert few.keys() == CONTENT.keys() and len(CONTENT["images"]) == 40


def test_a_file_of_ids(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_bytes(b"\xef\xbb\xbf139\r\n\r\n 000000000285 \n000000000632.jpg")
    assert read_ids(path) == [139, 285, 632]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "names no image"),
        (b"139\n-5", "line '-5'"),
        (b"139,285", "line '139,285'"),
        (b"cat.jpg", "line 'cat'"),
        ("²".encode(), "line '²'"),
        (b"\xff\xd8\xff", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_files_that_name_no_ids(tmp_path, content, says):
    if content is not None:
        (tmp_path / "ids.txt").write_bytes(content)
    with pytest.raises(UcolnetError, match=f"ids.txt.* {says}"):
        read_ids(tmp_path / "ids.txt")
