"""From photographs to batches: decoded once and kept small, cropped and flipped, Lab on the device.

Every random choice follows from (seed, epoch, photograph) alone. So a run that was interrupted goes on exactly
as it would have gone, and several processes or workers draw the same crops as one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Sampler

from ucolnet_lib.color import rgb_to_lab
from ucolnet_lib.data.coco import CocoSplit

_MEMORY_LIMIT = 4 * 2**30
"""Photographs that need less than this many bytes together are decoded once and kept in memory."""


class Batch(NamedTuple):
    """`lightness` (N, 1, H, W) 0-100; `ab` (N, 2, H, W) CIELAB units; `semantic_map` int64 (N, H, W)."""

    lightness: torch.Tensor
    ab: torch.Tensor
    semantic_map: torch.Tensor


def split_indices(split: CocoSplit, validation_share: float = 0.1, limit: int = 0) -> tuple[list[int], list[int]]:
    """The 90/10 split of `train2017` into training and validation, by a fixed rule: the SHA-256 of the image ids.

    The rule does not depend on the order of files nor on the seed of a run: every model and every seed
    trains on the same photographs.

    Args:
        split: the photographs.
        validation_share: 0-1, the share that is held out.
        limit: take so many photographs only, by the same rule; 0 takes all.
    Returns:
        indices into `split` for training and for validation, each in order.
    """
    ids = split.ids
    order = sorted(range(len(ids)), key=lambda i: hashlib.sha256(str(ids[i]).encode()).digest())
    if limit:
        order = order[:limit]
    held_out = min(max(1, round(len(order) * validation_share)), len(order) - 1) if len(order) > 1 else 0
    # One photograph serves for both: a run on it shows that everything works, and nothing more.
    validation, training = (order[:held_out], order[held_out:]) if held_out else (order, order)
    return sorted(training), sorted(validation)


class PhotographCrops(Dataset):
    """uint8 pictures and maps of one size: random crops and flips for training, the whole picture else.

    `dataset[(epoch, i)]` gives (rgb uint8 (S, S, 3), semantic map uint8 (S, S)) of the i-th photograph.

    Args:
        split: where the photographs come from.
        indices: which of them.
        size: S, the side in pixels.
        crop_area: training crops keep at least this share of the area, 0-1; None: no cropping and no flips.
        seed: decides the crops, together with the epoch and the photograph's id.
    """

    def __init__(self, split: CocoSplit, indices: list[int], size: int, crop_area: float | None = None, seed: int = 0):
        self.split, self.indices, self.size, self.crop_area, self.seed = split, indices, size, crop_area, seed
        # Kept a little larger than the crop, so that the smallest crops are not blown up.
        self.short_side = round(size / (crop_area or 1) ** 0.5)
        estimate = len(indices) * self.short_side**2 * 4 * 4 / 3
        self.cache: dict[int, tuple[np.ndarray, np.ndarray]] | None = {} if estimate < _MEMORY_LIMIT else None

    def __len__(self) -> int:
        return len(self.indices)

    def _load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if self.cache is not None and index in self.cache:
            return self.cache[index]
        photo = self.split[index]
        height, width = photo.semantic_map.shape
        scale = self.short_side / min(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale))) if scale < 1 else (width, height)
        rgb = np.asarray(Image.fromarray(photo.rgb).resize(size, Image.Resampling.BICUBIC))
        semantic_map = np.asarray(Image.fromarray(photo.semantic_map).resize(size, Image.Resampling.NEAREST))
        if self.cache is not None:
            self.cache[index] = rgb, semantic_map
        return rgb, semantic_map

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        epoch, i = key
        rgb, semantic_map = self._load(self.indices[i])
        height, width = semantic_map.shape
        box, flip = (0.0, 0.0, float(width), float(height)), False
        if self.crop_area is not None:
            random = np.random.default_rng((self.seed, epoch, self.split.ids[self.indices[i]]))
            box, flip = _random_box(random, width, height, self.crop_area), random.random() < 0.5
        size = (self.size, self.size)
        rgb = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC, box=box))
        semantic_map = np.asarray(Image.fromarray(semantic_map).resize(size, Image.Resampling.NEAREST, box=box))
        return (rgb[:, ::-1], semantic_map[:, ::-1]) if flip else (rgb, semantic_map)


def _random_box(random: np.random.Generator, width: int, height: int, least_area: float):
    """A box of a random share of the area, its aspect ratio 3/4 to 4/3 of the picture's, inside the picture."""
    area = random.uniform(least_area, 1)
    # A large box has less room to be narrow: at area 1 only the whole picture fits.
    narrowest = np.log(max(3 / 4, area))
    ratio = np.exp(narrowest * random.uniform(-1, 1))
    w = width * min(1.0, (area * ratio) ** 0.5)
    h = height * min(1.0, (area / ratio) ** 0.5)
    left, top = random.uniform(0, width - w), random.uniform(0, height - h)
    return left, top, left + w, top + h


class EpochSampler(Sampler):
    """Gives (epoch, i) for each photograph: shuffled by seed and epoch for training, in order else."""

    def __init__(self, length: int, seed: int, shuffle: bool):
        self.length, self.seed, self.shuffle, self.epoch = length, seed, shuffle, 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        return iter([(self.epoch, int(i)) for i in order])


def _stack(items: list[tuple[np.ndarray, np.ndarray]]) -> tuple[torch.Tensor, torch.Tensor]:
    rgb, semantic_map = zip(*items, strict=True)
    return torch.from_numpy(np.stack(rgb)), torch.from_numpy(np.stack(semantic_map))


def create_loader(dataset: PhotographCrops, batch_size: int) -> DataLoader:
    """A loader of uint8 batches; `loader.sampler.epoch` is to be set before each epoch.

    Photographs kept in memory need no workers; others are decoded by as many as there are cores.
    """
    training = dataset.crop_area is not None
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=EpochSampler(len(dataset), dataset.seed, shuffle=training),
        # Every step sees a whole batch: batch norm cannot train on a rest of one photograph.
        drop_last=training and len(dataset) > batch_size,
        num_workers=0 if dataset.cache is not None else min(16, os.cpu_count() or 1),
        collate_fn=_stack,
        pin_memory=torch.cuda.is_available(),
    )


def to_batch(rgb: torch.Tensor, semantic_map: torch.Tensor) -> Batch:
    """uint8 pictures (N, H, W, 3) and maps (N, H, W), already on the device, to what the models take."""
    lab = rgb_to_lab(rgb.permute(0, 3, 1, 2).float() / 255)
    return Batch(lab[:, :1], lab[:, 1:], semantic_map.long())
