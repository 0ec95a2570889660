"""From photographs to batches: decoded by workers, cropped and flipped, Lab on the device.

The workers give bytes, uint8 RGB and uint8 classes: four bytes a pixel to copy instead of twenty. What costs most on a
CPU, the powers of CIELAB, is done for a whole batch on the training device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from ucolnet_lib.color import rgb_to_lab
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.choice import by_hash
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.crops import Crop, cut, random_crop, whole
from ucolnet_lib.data.prepared import PreparedSplit
from ucolnet_lib.data.workers import BatchLoader, count_workers

_MEMORY_LIMIT = 4 * 2**30
"""Photographs that need less than this many bytes together are decoded once and kept in memory."""


class Batch(NamedTuple):
    """`lightness` (N, 1, H, W) 0-100; `ab` (N, 2, H, W) CIELAB units; `semantic_map` int64 (N, H, W)."""

    lightness: torch.Tensor
    ab: torch.Tensor
    semantic_map: torch.Tensor


def split_indices(
    split: CocoSplit | PreparedSplit, validation_share: float = 0.1, limit: int = 0, leave_out_gray: bool = False
) -> tuple[list[int], list[int]]:
    """The 90/10 split of `train2017` into training and validation, by a fixed rule: the SHA-256 of the image ids.

    The rule does not depend on the order of files nor on the seed of a run: every model and every seed
    trains on the same photographs.

    Args:
        split: the photographs.
        validation_share: 0-1, the share that is held out.
        limit: take so many photographs only, by the same rule; 0 takes all.
        leave_out_gray: take gray photographs out of training. What is held out stays the same.
    Returns:
        indices into `split` for training and for validation, each in order.
    Raises:
        UcolnetError: gray photographs are to be left out, and the data are not prepared, or nothing else is left.
    """
    place = {image_id: i for i, image_id in enumerate(split.ids)}
    order = [place[image_id] for image_id in by_hash(split.ids)]
    if limit:
        order = order[:limit]
    held_out = min(max(1, round(len(order) * validation_share)), len(order) - 1) if len(order) > 1 else 0
    # One photograph serves for both: a run on it shows that everything works, and nothing more.
    validation, training = (order[:held_out], order[held_out:]) if held_out else (order, order)
    if leave_out_gray:
        training = [i for i in training if not need_prepared(split, "leave_out_gray").gray[i]]
        if not training:
            raise UcolnetError(f"All photographs in {split.root} to train on are gray. Leave out leave_out_gray.")
    return sorted(training), sorted(validation)


def need_prepared(split: CocoSplit | PreparedSplit, field: str) -> PreparedSplit:
    """`split`, which must be prepared: before, nothing is known of a photograph but its name.

    Raises:
        UcolnetError: names the recipe's `field` that asks for it.
    """
    if not isinstance(split, PreparedSplit):
        raise UcolnetError(
            f"{field} needs a prepared data set, and {split.root} is none. Prepare it first: "
            f"ucolnet data prepare {split.root} OUT"
        )
    return split


class PhotographCrops(Dataset):
    """uint8 pictures and maps of one size: random crops and flips for training, the whole picture else.

    `dataset[(epoch, i)]` gives (rgb uint8 (S, S, 3), semantic map uint8 (S, S)) of the i-th photograph.

    Args:
        split: where the photographs come from, a COCO folder or a prepared set.
        indices: which of them.
        size: S, the side in pixels.
        crop_area: training crops keep at least this share of the area, 0-1; None: no cropping and no flips.
        seed: decides the crops, together with the epoch and the photograph's id.
    """

    def __init__(
        self,
        split: CocoSplit | PreparedSplit,
        indices: list[int],
        size: int,
        crop_area: float | None = None,
        seed: int = 0,
    ):
        self.split, self.indices, self.size, self.crop_area, self.seed = split, indices, size, crop_area, seed
        # Kept a little larger than the crop, so that the smallest crops are not blown up.
        self.short_side = round(size / (crop_area or 1) ** 0.5)
        estimate = len(indices) * self.short_side**2 * 4 * 4 / 3
        self.cache: dict[int, tuple[np.ndarray, np.ndarray]] | None = {} if estimate < _MEMORY_LIMIT else None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        epoch, i = key
        rgb, semantic_map = self._load(i)
        height, width = semantic_map.shape
        return cut(rgb, semantic_map, self.crop(epoch, i, width, height), (self.size, self.size))

    def crop(self, epoch: int, i: int, width: int, height: int) -> Crop:
        """The part of the i-th photograph, `width` x `height` pixels, that is seen in an epoch."""
        if self.crop_area is None:
            return whole(width, height)
        return random_crop((self.seed, epoch, self.split.ids[self.indices[i]]), width, height, self.crop_area)

    def decode(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """The i-th photograph and its map, no larger than needed: uint8 (H, W, 3) and (H, W)."""
        photo = self.split[self.indices[i]]
        height, width = photo.semantic_map.shape
        kept = self.kept_shape(height, width)
        if kept == (height, width):
            return photo.rgb, photo.semantic_map
        return cut(photo.rgb, photo.semantic_map, whole(width, height), kept)

    def kept_shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that `decode` gives a photograph of this height and width."""
        scale = min(1, self.short_side / min(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _load(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        if self.cache is None:
            return self.decode(i)
        if i not in self.cache:
            self.cache[i] = self.decode(i)
        return self.cache[i]


class EpochSampler(Sampler):
    """Gives (epoch, i) for each photograph: shuffled by seed and epoch for training, in order else.

    Of several processes each takes every `world_size`-th, from its `rank` on. So one step of all of them together sees
    what one process with as many times the batch would see. In training all get equally many: they wait for each other.

    Args:
        length: photographs.
        seed: decides the order, together with `epoch`, which is to be set before each epoch.
        shuffle: for training.
        rank, world_size: which of how many processes this is.
    """

    def __init__(self, length: int, seed: int, shuffle: bool, rank: int = 0, world_size: int = 1):
        self.length, self.seed, self.shuffle, self.epoch = length, seed, shuffle, 0
        # Fewer photographs than processes: each gets all, as one that serves for training and validation does.
        self.rank, self.world_size = (rank, world_size) if length >= world_size else (0, 1)

    def __len__(self) -> int:
        end = self.length - self.length % self.world_size if self.shuffle else self.length
        return len(range(self.rank, end, self.world_size))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        for i in order[self.rank :: self.world_size][: len(self)]:
            yield self.epoch, int(i)


def create_loader(dataset: PhotographCrops, batch_size: int, rank: int = 0, world_size: int = 1) -> BatchLoader:
    """A loader of uint8 batches; `loader.sampler.epoch` is to be set before each epoch.

    Photographs kept in memory need no workers; others are decoded by as many as there are cores. `rank` and
    `world_size`: which of how many training processes this is; each loads its own share.

    Returns:
        a loader of (rgb uint8 (N, S, S, 3), semantic map uint8 (N, S, S)).
    """
    sampler, drop_last = create_sampler(dataset, batch_size, rank, world_size)
    workers = 0 if dataset.cache is not None else count_workers(world_size)
    return BatchLoader(dataset, sampler, batch_size, drop_last, workers)


def create_sampler(dataset: PhotographCrops, batch_size: int, rank: int, world_size: int) -> tuple[EpochSampler, bool]:
    """The order of the photographs, and whether a last batch that is not whole is left out."""
    training = dataset.crop_area is not None
    sampler = EpochSampler(len(dataset), dataset.seed, training, rank, world_size)
    # Every step sees a whole batch: batch norm cannot train on a rest of one photograph.
    return sampler, training and len(sampler) > batch_size


def to_batch(rgb: torch.Tensor, semantic_map: torch.Tensor, device: torch.device | str | None = None) -> Batch:
    """uint8 pictures (N, H, W, 3) and maps (N, H, W) to what the models take, on `device` (None: where they are)."""
    rgb, semantic_map = (part.to(device, non_blocking=True) for part in (rgb, semantic_map))
    lab = rgb_to_lab(rgb.permute(0, 3, 1, 2).float() / 255)
    return Batch(lab[:, :1], lab[:, 1:], semantic_map.long())


def vary_exposure(
    pictures_and_maps: tuple[torch.Tensor, torch.Tensor],
    strength: float,
    key: tuple[int, ...],
    device: torch.device | str | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make each picture of a batch brighter or darker, as another exposure would: v ** g, v the value in 0-1.

    Args:
        pictures_and_maps: uint8 (N, H, W, 3) and (N, H, W).
        strength: log g is drawn evenly from -strength..strength.
        key: the same key draws the same numbers.
    Returns:
        the same shapes, on `device`; black and white stay what they are.
    """
    rgb, semantic_map = (part.to(device, non_blocking=True) for part in pictures_and_maps)
    powers = np.exp(np.random.default_rng(key).uniform(-strength, strength, len(rgb)))
    tables = (255 * (np.arange(256) / 255) ** powers[:, None]).round().astype(np.uint8)
    picture = torch.arange(len(rgb), device=rgb.device)[:, None, None, None]
    return torch.from_numpy(tables).to(rgb.device)[picture, rgb.int()], semantic_map
