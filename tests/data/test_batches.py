"""From photographs to batches: the 90/10 rule, crops and flips that move picture and map together, Lab."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2lab

from ucolnet_lib.common import IGNORE_INDEX, UcolnetError
from ucolnet_lib.data import batches
from ucolnet_lib.data.batches import (
    EpochSampler,
    PhotographCrops,
    create_loader,
    split_indices,
    to_batch,
    vary_exposure,
)
from ucolnet_lib.data.coco import CATEGORY_OF_CLASS, CocoSplit, Photograph
from ucolnet_lib.data.prepare import prepare
from ucolnet_lib.data.prepared import PreparedSplit
from ucolnet_lib.data.toy import draw_toy_world


class Photographs:
    """Stands for a CocoSplit: photographs in memory, or ids alone."""

    def __init__(self, ids, photos=()):
        self._ids, self.photos, self.asked = list(ids), list(photos), 0

    @property
    def ids(self):
        self.asked += 1
        return self._ids

    def __len__(self):
        return len(self._ids)

    def __getitem__(self, index):
        rgb, semantic_map = self.photos[index]
        return Photograph(self._ids[index], Path("none"), rgb, semantic_map)


PALETTE = np.array([[20, 20, 20], [230, 30, 30], [30, 220, 30], [40, 60, 230], [240, 230, 40]], np.uint8)
LABELS = np.array([0, 7, 31, 80, IGNORE_INDEX], np.uint8)


def scene(height=90, width=120) -> tuple[np.ndarray, np.ndarray]:
    """A picture whose colours say the class: four quarters with a bar, alike under no flip."""
    which = np.zeros((height, width), int)
    which[: height // 2, : width // 2] = 1
    which[: height // 2, width // 2 :] = 2
    which[height // 2 :, : width // 3] = 3
    which[-height // 8 :, :] = 4
    return PALETTE[which], LABELS[which]


def class_by_colour(rgb: np.ndarray) -> np.ndarray:
    distance = np.abs(rgb[..., None, :].astype(int) - PALETTE).sum(axis=-1)
    return LABELS[distance.argmin(axis=-1)]


# The split.


def validation_ids(ids, **kwargs) -> set[int]:
    split = Photographs(ids)
    training, validation = split_indices(split, **kwargs)
    assert training == sorted(training) and validation == sorted(validation)
    return {split.ids[i] for i in validation}


def test_the_rule_is_fixed():
    """Written down: a change would put photographs that old models were trained on into the validation set."""
    assert validation_ids(range(1, 41)) == {8, 9, 29, 39}
    assert validation_ids([139, 285, 632, 724, 776, 785, 802, 872, 885, 1000, 1268, 1296]) == {1268}


@pytest.mark.parametrize("count", [2, 9, 10, 11, 518, 5000])
def test_ninety_to_ten_disjoint_and_whole(count):
    split = Photographs(np.random.default_rng(0).choice(600_000, count, replace=False).tolist())
    training, validation = split_indices(split)
    assert len(validation) == max(1, round(count / 10))
    assert sorted(training + validation) == list(range(count))


def test_the_rule_does_not_depend_on_the_order():
    ids = np.random.default_rng(0).choice(600_000, 300, replace=False)
    assert validation_ids(ids.tolist()) == validation_ids(sorted(ids.tolist())) == validation_ids(ids[::-1].tolist())


def test_the_held_out_photographs_are_spread_over_the_ids():
    """Neighbours are often alike (frames of a film): they are not held out in blocks."""
    held_out = np.array(sorted(validation_ids(range(1000))))
    assert min(np.bincount(held_out // 250)) > 15
    assert np.mean(np.diff(held_out) == 1) < 0.2


def test_limit_and_share():
    split = Photographs(range(1000))
    training, validation = split_indices(split, validation_share=0.25, limit=40)
    assert len(training) == 30 and len(validation) == 10 and not set(training) & set(validation)
    longer = split_indices(split, limit=80)
    assert set(training + validation) < set(longer[0] + longer[1])
    assert split_indices(split, limit=5000) == split_indices(split)


def test_one_photograph_serves_for_both():
    assert split_indices(Photographs([5])) == ([0], [0])
    assert split_indices(Photographs([5, 6]), validation_share=0.9) in (([0], [1]), ([1], [0]))


def test_the_ids_are_asked_for_once():
    """Not once a photograph: on all of COCO that would take minutes."""
    split = Photographs(range(100))
    split_indices(split)
    assert split.asked < 5


def test_the_split_of_the_sample(sample):
    split = CocoSplit(sample, "train2017")
    training, validation = split_indices(split)
    assert (len(training), len(validation)) == (466, 52) and not set(training) & set(validation)


# Crops.


def crops(size=32, crop_area=0.5, seed=0, ids=(7,), photos=None, **kwargs) -> PhotographCrops:
    photos = [scene()] * len(ids) if photos is None else photos
    return PhotographCrops(Photographs(ids, photos), list(range(len(ids))), size, crop_area, seed, **kwargs)


def test_without_augmentation_the_whole_picture_is_shown():
    rgb, semantic_map = scene()
    found, found_map = crops(size=30, crop_area=None)[5, 0]
    assert found.shape == (30, 30, 3) and found.dtype == np.uint8
    assert found_map.shape == (30, 30) and found_map.dtype == np.uint8
    expected = np.asarray(Image.fromarray(rgb).resize((30, 30), Image.Resampling.BICUBIC))
    assert np.abs(found.astype(int) - expected).mean() < 2
    expected = np.asarray(Image.fromarray(semantic_map).resize((30, 30), Image.Resampling.NEAREST))
    assert np.array_equal(found_map, expected)


def test_crop_area_1_shows_the_whole_picture_and_flips_it():
    whole, whole_map = crops(crop_area=None)[0, 0]
    seen = set()
    for epoch in range(20):
        rgb, semantic_map = crops(crop_area=1.0)[epoch, 0]
        flipped = not np.array_equal(rgb, whole)
        assert np.array_equal(rgb[:, ::-1] if flipped else rgb, whole)
        assert np.array_equal(semantic_map[:, ::-1] if flipped else semantic_map, whole_map)
        seen.add(flipped)
    assert seen == {True, False}


def test_crops_and_flips_move_picture_and_map_together():
    """The colour of a pixel says its class: they must still agree after cropping, scaling and flipping."""
    dataset, flips = crops(size=48, crop_area=0.3), Counter()
    for epoch in range(40):
        rgb, semantic_map = dataset[epoch, 0]
        agree = class_by_colour(rgb) == semantic_map
        assert agree.mean() > 0.93  # bicubic mixes colours along the borders
        interior = np.ones_like(agree)
        for axis in (0, 1):
            for shift in (-2, -1, 1, 2):
                interior &= np.roll(semantic_map, shift, axis) == semantic_map
        assert agree[2:-2, 2:-2][interior[2:-2, 2:-2]].all()
        # Which of red (left) and green (right) lies left tells whether the picture is flipped.
        columns = [np.nonzero(semantic_map == label)[1] for label in (7, 31)]
        if all(len(c) for c in columns):
            flips[bool(columns[0].mean() > columns[1].mean())] += 1
    assert min(flips[True], flips[False]) > 8


def test_crops_follow_from_seed_epoch_and_id_alone():
    photos = [scene(90, 120), scene(64, 64), scene(120, 90)]
    all_three = crops(ids=(7, 8, 9), photos=photos)
    first = [all_three[2, i] for i in range(3)]
    # Asked for in another order, again, after other epochs, beside other photographs, at another place.
    _ = all_three[0, 1], all_three[1, 2]
    for i in (2, 0, 1):
        assert all(np.array_equal(a, b) for a, b in zip(all_three[2, i], first[i], strict=True))
    alone = crops(ids=(9,), photos=photos[2:])
    assert np.array_equal(alone[2, 0][0], first[2][0])
    other_seed, other_id = crops(ids=(9,), photos=photos[2:], seed=1), crops(ids=(10,), photos=photos[2:])
    for changed in (alone[3, 0], other_seed[2, 0], other_id[2, 0]):
        assert not np.array_equal(changed[0], first[2][0])


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 2), (2000, 30), (31, 33)])
@pytest.mark.parametrize("crop_area", [None, 0.5])
def test_pictures_of_any_size(shape, crop_area):
    random = np.random.default_rng(0)
    photo = random.integers(0, 256, (*shape, 3), np.uint8), random.integers(0, 81, shape, np.uint8)
    rgb, semantic_map = crops(photos=[photo], crop_area=crop_area)[0, 0]
    assert rgb.shape == (32, 32, 3) and semantic_map.shape == (32, 32)
    assert set(np.unique(semantic_map)) <= set(np.unique(photo[1]))


def test_small_photographs_are_kept_as_they_are():
    """The cache is no larger than needed, and never blown up."""
    dataset = crops(size=32, crop_area=0.25, ids=(1, 2), photos=[scene(40, 50), scene(600, 900)])
    _ = dataset[0, 0], dataset[0, 1]
    assert dataset.short_side == 64
    assert dataset.cache[0][1].shape == (40, 50) and dataset.cache[1][1].shape == (64, 96)


# Loaders.


@pytest.fixture
def folder(write_split, rectangle, tmp_path) -> CocoSplit:
    """Ten photographs with an object each, on the disk."""
    random = np.random.default_rng(0)
    pictures = {f"{i}.png": random.integers(0, 256, (40 + i, 50, 3), np.uint8) for i in range(1, 11)}
    annotations = [rectangle(i, CATEGORY_OF_CLASS[i], 5, 5, 30, 20) for i in range(1, 11)]
    return CocoSplit(write_split(tmp_path, pictures, annotations, split="train2017"), "train2017")


def epoch_of(loader, epoch: int) -> list[torch.Tensor]:
    """All pictures and maps of one epoch, concatenated."""
    loader.sampler.epoch = epoch
    return [torch.cat(parts) for parts in zip(*loader, strict=True)]


def test_a_loader_gives_uint8_batches(folder):
    rgb, semantic_map = next(iter(create_loader(PhotographCrops(folder, list(range(10)), 16, 0.5), 4)))
    assert rgb.shape == (4, 16, 16, 3) and rgb.dtype == torch.uint8
    assert semantic_map.shape == (4, 16, 16) and semantic_map.dtype == torch.uint8


@pytest.mark.parametrize(
    ("crop_area", "count", "batch_size", "sizes"),
    [
        (0.5, 10, 4, [4, 4]),  # the rest is dropped in training
        (0.5, 10, 5, [5, 5]),
        (0.5, 10, 10, [10]),
        (0.5, 3, 16, [3]),  # fewer photographs than a batch
        (0.5, 1, 16, [1]),
        (0.5, 1, 1, [1]),
        (None, 10, 4, [4, 4, 2]),  # validation sees all
        (None, 1, 16, [1]),
    ],
)
def test_sizes_of_batches(folder, crop_area, count, batch_size, sizes):
    loader = create_loader(PhotographCrops(folder, list(range(count)), 16, crop_area), batch_size)
    assert [len(rgb) for rgb, _ in loader] == sizes and len(loader) == len(sizes)


def test_every_epoch_is_another_order_of_the_same_photographs(folder):
    def labels(epoch, seed):
        loader = create_loader(PhotographCrops(folder, list(range(10)), 16, 1.0, seed), 5)
        return epoch_of(loader, epoch)[1].amax(dim=(1, 2)).tolist()

    first = labels(0, 0)
    assert sorted(first) == list(range(1, 11)) and first != sorted(first)
    assert labels(0, 0) == first
    assert sorted(labels(1, 0)) == sorted(labels(0, 1)) == sorted(first)
    assert labels(1, 0) != first and labels(0, 1) != first


def test_validation_is_in_order(folder):
    loader = create_loader(PhotographCrops(folder, [8, 2, 5], 16), 2)
    assert epoch_of(loader, 0)[1].amax(dim=(1, 2)).tolist() == [9, 3, 6]
    assert all(torch.equal(a, b) for a, b in zip(epoch_of(loader, 0), epoch_of(loader, 7), strict=True))


def test_workers_without_a_cache_give_the_same_batches(folder, monkeypatch):
    def two_epochs():
        loader = create_loader(PhotographCrops(folder, list(range(10)), 16, 0.5, seed=3), 5)
        return loader.workers, [*epoch_of(loader, 0), *epoch_of(loader, 1)]

    workers, cached = two_epochs()
    assert workers == 0
    monkeypatch.setattr(batches, "_MEMORY_LIMIT", 0)
    monkeypatch.setattr(batches, "count_workers", lambda world_size: 2)
    workers, decoded = two_epochs()
    assert workers == 2
    assert all(torch.equal(a, b) for a, b in zip(cached, decoded, strict=True))


def test_photographs_that_fit_are_decoded_once(folder, monkeypatch):
    read = Counter()
    original = CocoSplit.__getitem__
    monkeypatch.setattr(CocoSplit, "__getitem__", lambda self, i: (read.update([i]), original(self, i))[1])
    loader = create_loader(PhotographCrops(folder, list(range(10)), 16, 0.5), 5)
    epoch_of(loader, 0), epoch_of(loader, 1)
    assert read == dict.fromkeys(range(10), 1)


# Lab.


def test_a_batch_is_lab_as_scikit_image_has_it():
    random = np.random.default_rng(0)
    rgb = random.integers(0, 256, (3, 5, 7, 3), np.uint8)
    semantic_map = random.choice(LABELS, (3, 5, 7))
    batch = to_batch(torch.from_numpy(rgb), torch.from_numpy(semantic_map))
    expected = rgb2lab(rgb.astype(np.float64) / 255)
    assert batch.lightness.shape == (3, 1, 5, 7) and batch.ab.shape == (3, 2, 5, 7)
    assert batch.lightness.dtype == batch.ab.dtype == torch.float32
    np.testing.assert_allclose(batch.lightness[:, 0], expected[..., 0], atol=0.01)
    np.testing.assert_allclose(batch.ab[:, 0], expected[..., 1], atol=0.01)
    np.testing.assert_allclose(batch.ab[:, 1], expected[..., 2], atol=0.01)
    assert batch.semantic_map.dtype == torch.int64 and np.array_equal(batch.semantic_map, semantic_map)


def test_classes_of_the_sample_after_cropping(sample):
    """Real photographs: every label that a model sees is a class or ignore, and pictures look like pictures."""
    split = CocoSplit(sample, "train2017")
    dataset = PhotographCrops(split, list(range(0, 518, 40)), 64, 0.5)
    rgb, semantic_map = next(iter(create_loader(dataset, len(dataset))))
    labels = set(semantic_map.unique().tolist())
    assert labels <= {*range(81), IGNORE_INDEX} and len(labels) > 10
    assert rgb.float().std() > 30


# Gray photographs.


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> PreparedSplit:
    """Twenty toy scenes, prepared, of which those with an id divisible by 3 are said to be gray."""
    folder = tmp_path_factory.mktemp("toy")
    draw_toy_world(folder / "world", scenes=25, size=64, progress=False)
    prepare([folder / "world"], folder / "set", size=48, workers=1, progress=False)
    split = PreparedSplit(folder / "set", "train2017")
    split.gray = np.array([i % 3 == 0 for i in split.ids])
    return split


def test_gray_photographs_are_left_out_of_training_alone(prepared):
    training, validation = split_indices(prepared)
    colourful, same = split_indices(prepared, leave_out_gray=True)
    assert same == validation and set(colourful) == {i for i in training if prepared.ids[i] % 3}
    assert 0 < len(colourful) < len(training)


def test_only_gray_photographs(prepared, monkeypatch):
    monkeypatch.setattr(prepared, "gray", np.ones(len(prepared), bool))
    with pytest.raises(UcolnetError, match=r"All photographs in .*set to train on are gray"):
        split_indices(prepared, leave_out_gray=True)


def test_what_is_not_prepared_does_not_know_its_gray_photographs(folder):
    with pytest.raises(UcolnetError, match=r"leave_out_gray needs a prepared data set.*ucolnet data prepare .* OUT"):
        split_indices(folder, leave_out_gray=True)


def test_a_prepared_set_gives_the_crops_of_its_folder(prepared):
    """The same choices, and all but the same pixels: a JPEG lies between."""
    folder = CocoSplit(prepared.root.parent / "world", "train2017")
    assert folder.ids == prepared.ids
    for size, crop_area in ((24, 0.5), (40, None)):
        ours = PhotographCrops(prepared, range(len(folder)), size, crop_area)
        theirs = PhotographCrops(folder, range(len(folder)), size, crop_area)
        for i in range(len(folder)):
            assert np.abs(ours[2, i][0].astype(int) - theirs[2, i][0]).mean() < 9
            assert (ours[2, i][1] == theirs[2, i][1]).mean() > 0.9


# Several processes.


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("length", "world_size"), [(20, 1), (20, 4), (21, 4), (23, 4), (4, 4), (3, 2)])
def test_the_shares_of_all_processes_are_one_epoch(length, world_size, shuffle):
    shares = [EpochSampler(length, 5, shuffle, rank, world_size) for rank in range(world_size)]
    alone = EpochSampler(length, 5, shuffle)
    for epoch in (0, 7):
        for sampler in (alone, *shares):
            sampler.epoch = epoch
        seen = [list(sampler) for sampler in shares]
        assert [len(part) for part in seen] == [len(sampler) for sampler in shares]
        together, expected = [key for part in seen for key in part], list(alone)
        assert len(set(together)) == len(together) and all(key[0] == epoch for key in together)
        # In training each gets equally many: less than one a process is left out, each epoch another.
        assert set(together) == set(expected[: length - length % world_size] if shuffle else expected)
        assert len({len(part) for part in seen}) == 1 or not shuffle


def test_a_step_of_all_processes_is_a_step_of_one_with_a_larger_batch(folder):
    dataset = PhotographCrops(folder, list(range(10)), 16, 0.5)
    ranks = [create_loader(dataset, 2, rank, 2) for rank in (0, 1)]
    alone = create_loader(dataset, 4)
    for loader in (alone, *ranks):
        loader.sampler.epoch = 3
    for one, two, (rgb, semantic_map) in zip(*ranks, alone, strict=True):
        assert torch.equal(torch.stack([one[0], two[0]], dim=1).flatten(0, 1), rgb)
        assert torch.equal(torch.stack([one[1], two[1]], dim=1).flatten(0, 1), semantic_map)


def test_more_processes_than_photographs():
    assert [list(EpochSampler(1, 0, True, rank, 2)) for rank in (0, 1)] == [[(0, 0)], [(0, 0)]]


def test_exposure_keeps_black_white_and_the_maps_and_draws_by_its_key():
    rgb = torch.randint(0, 256, (6, 5, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rgb[:, 0, 0], rgb[:, 0, 1] = 0, 255
    maps = torch.ones(6, 5, 4, dtype=torch.uint8)
    first, same_maps = vary_exposure((rgb, maps), 0.5, (0, 1, 2))
    again, _ = vary_exposure((rgb, maps), 0.5, (0, 1, 2))
    other, _ = vary_exposure((rgb, maps), 0.5, (0, 1, 3))
    assert first.dtype == torch.uint8 and torch.equal(maps, same_maps)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert (first[:, 0, 0] == 0).all() and (first[:, 0, 1] == 255).all()
    # One power a picture, between e^-0.5 and e^0.5; the order of values stays.
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.log(first.numpy() / 255) / np.log(rgb.numpy() / 255)
    middle = (rgb.numpy() > 60) & (rgb.numpy() < 200)
    for picture in range(6):
        values = powers[picture][middle[picture]]
        assert values.std() < 0.02 and 0.59 < values.mean() < 1.67


def test_no_exposure_changes_nothing():
    rgb = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    assert torch.equal(vary_exposure((rgb, torch.zeros(1, 16, 16, dtype=torch.uint8)), 0.0, (0,))[0], rgb)
