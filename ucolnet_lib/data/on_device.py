"""All photographs in the memory of the training device, decoded: crops are cut there, and no loader is needed.

The device cuts the same crops as the workers do. Resizing is written as two products of matrices: each row of a matrix
holds the weights that make one pixel of the result out of the pixels of a column, or of a row, of the crop. So a whole
batch of crops, each of another size, is resized at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset
from tqdm.auto import tqdm

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.batches import PhotographCrops, create_sampler, need_prepared
from ucolnet_lib.data.workers import count_workers

_BYTES_A_PIXEL = 4  # red, green, blue, class


class OnDevice:
    """Reads as the loader of `create_loader` does; its batches lie on the device. `sampler.epoch` is to be set.

    Args:
        dataset: crops of a prepared set.
        batch_size: photographs in a batch.
        device: where the photographs are to live.
        rank, world_size: which of how many training processes this is. Each holds all photographs and takes its share.
        progress: show a bar while the photographs are decoded.
    Raises:
        UcolnetError: the data are not prepared, or do not fit (see `check_memory`).
    """

    def __init__(
        self,
        dataset: PhotographCrops,
        batch_size: int,
        device: torch.device | str,
        rank: int = 0,
        world_size: int = 1,
        progress: bool = True,
    ):
        check_memory([dataset], device)
        self.dataset, self.device = dataset, torch.device(device)
        self.sampler, drop_last = create_sampler(dataset, batch_size, rank, world_size)
        self.batches = BatchSampler(self.sampler, batch_size, drop_last)
        self.shapes = _kept_shapes(dataset)
        self.offsets = np.concatenate([[0], np.cumsum(self.shapes.prod(axis=1))])
        """Where the pixels of each photograph begin, row by row, and where the last ones end."""
        self.rgb = torch.empty(self.offsets[-1], 3, dtype=torch.uint8, device=self.device)
        self.semantic_map = torch.empty(self.offsets[-1], dtype=torch.uint8, device=self.device)
        workers = 0 if dataset.cache is not None else count_workers(world_size)
        decoded = DataLoader(_Decoded(dataset), batch_size=None, num_workers=workers, generator=torch.Generator())
        bar = tqdm(decoded, desc="decoding", unit="photograph", disable=not progress)
        for i, (rgb, semantic_map) in enumerate(bar):
            place = slice(self.offsets[i], self.offsets[i + 1])
            self.rgb[place], self.semantic_map[place] = rgb.reshape(-1, 3).to(self.device), semantic_map.reshape(-1)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for keys in self.batches:
            yield self._cut(keys)

    def _cut(self, keys: list[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """The crops of a batch: uint8 (N, S, S, 3) and (N, S, S)."""
        numbers = []
        for epoch, i in keys:
            height, width = self.shapes[i].tolist()
            crop = self.dataset.crop(epoch, i, width, height)
            corner = int(self.offsets[i]) + crop.top * width + crop.left
            numbers.append((corner, width, crop.bottom - crop.top, crop.right - crop.left, crop.flip))
        tallest, widest = (max(n[part] for n in numbers) for part in (2, 3))
        corner, width, heights, widths, flips = torch.tensor(numbers).T[..., None].to(self.device)  # (N, 1) each
        size = self.dataset.size

        def pixels(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
            """Where the pixels at (N, R) rows and (N, C) columns of the crops lie: (N, R, C)."""
            return (corner + rows * width)[:, :, None] + columns[:, None, :]

        # Crops smaller than the largest are filled up with their last pixels; these get the weight 0.
        rows = torch.arange(tallest, device=self.device).minimum(heights - 1)
        columns = torch.arange(widest, device=self.device).minimum(widths - 1)
        crops = self.rgb[pixels(rows, columns)].float()  # (N, tallest, widest, 3)
        crops = (bicubic_weights(heights, tallest, size) @ crops.flatten(2)).unflatten(2, (widest, 3))
        crops = bicubic_weights(widths, widest, size) @ crops.transpose(1, 2).flatten(2)  # (N, S columns, S rows x 3)
        crops = crops.unflatten(2, (size, 3)).transpose(1, 2)
        maps = self.semantic_map[pixels(nearest_rows(heights, size), nearest_rows(widths, size))]
        flips = flips.bool()[:, :, None]
        crops = torch.where(flips[..., None], crops.flip(2), crops)
        maps = torch.where(flips, maps.flip(2), maps)
        return crops.round().clamp(0, 255).byte(), maps


def bicubic_weights(lengths: torch.Tensor, longest: int, size: int) -> torch.Tensor:
    """Matrices that resize columns of pixels by antialiased bicubic interpolation (Keys 1981, a = -0.5) as Pillow does.

    Args:
        lengths: whole numbers (N, 1), the pixels that each column has.
        longest: the largest of them.
        size: pixels of the result.
    Returns:
        float32 (N, size, longest), each row sums to 1; pixels behind a column's length get 0.
    """
    lengths = lengths[:, :, None]
    scale = lengths / size
    centres = (torch.arange(size, device=lengths.device)[:, None] + 0.5) * scale
    pixel = torch.arange(longest, device=lengths.device)
    # Where pixels are lost, the curve is as much wider.
    x = ((pixel + 0.5 - centres) / scale.clamp_min(1)).abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, 0)) * (pixel < lengths)
    return weights / weights.sum(dim=2, keepdim=True)


def nearest_rows(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """`crops.nearest` for a batch: int64 (N, size) for whole numbers (N, 1)."""
    return (2 * torch.arange(size, device=lengths.device) + 1) * lengths // (2 * size)


def check_memory(datasets: list[PhotographCrops], device: torch.device | str) -> None:
    """See before anything is decoded that the photographs fit on the device.

    Raises:
        UcolnetError: the data are not prepared, or need more memory than the device has free.
    """
    needed = sum(int(_kept_shapes(dataset).prod(axis=1).sum()) * _BYTES_A_PIXEL for dataset in datasets)
    free = free_memory(torch.device(device))
    if free is not None and needed > free:
        raise UcolnetError(
            f"The decoded photographs need {needed / 1e9:.1f} GB on {device}, which has {free / 1e9:.1f} GB free, and "
            "training needs some too. Take them from the disk: --set data_on_device=false"
        )


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows, macOS
        return None


def _kept_shapes(dataset: PhotographCrops) -> np.ndarray:
    """Height and width of the photographs as they are kept: int64 (n, 2)."""
    shapes = need_prepared(dataset.split, "data_on_device").shapes[dataset.indices].tolist()
    return np.array([dataset.kept_shape(height, width) for height, width in shapes], np.int64)


class _Decoded(Dataset):
    """The photographs whole, as they are kept."""

    def __init__(self, dataset: PhotographCrops):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        rgb, semantic_map = self.dataset.decode(i)
        return np.array(rgb), np.array(semantic_map)  # torch wants arrays that may be written to
