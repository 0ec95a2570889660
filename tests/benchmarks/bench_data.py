"""How fast photographs become batches, beside the loader that one would write first, in one run:

    python tests/benchmarks/bench_data.py --data COCO_FOLDER --json FILE

    naive            torchvision's CocoDetection, Pillow, annToMask, scikit-image's Lab in the workers
    originals        ours from the original JPEGs
    prepared         ours from the prepared set
    decode_limit     only the JPEGs of the prepared set, decoded by Pillow to arrays
    lab_...          CIELAB of a 224 px picture on one core; in `naive` it is included, in ours the device does it
    device_batches   with CUDA: ours from the prepared set, with Lab on the device
    on_device        with CUDA: all photographs decoded on the device, with Lab there
    nvjpeg           with CUDA: only the JPEGs of the prepared set, decoded by the graphics card

All give random crops of 224 px with their maps, in batches of 64, by as many processes as there are cores. They take
turns; the best of the rounds counts. Compare only within one run: machines differ, and so do their hours. Where others
compute on the same cores, the rate by CPU seconds is the fairer one.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import torch
from PIL import Image
from skimage.color import rgb2lab
from torch.utils.data import BatchSampler, DataLoader, Dataset, Subset
from torchvision.datasets import CocoDetection
from torchvision.io import decode_jpeg
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as tf

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.data import batches
from ucolnet_lib.data.batches import PhotographCrops, create_loader, to_batch
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.on_device import OnDevice
from ucolnet_lib.data.prepare import prepare
from ucolnet_lib.data.prepared import PreparedSplit
from ucolnet_lib.data.workers import BatchLoader, count_workers
from ucolnet_lib.recipes import RECIPES

SIZE, BATCH, CROP_AREA = 224, 64, RECIPES["paper"].crop_area
ROUNDS = 3


class Naive(CocoDetection):
    """What a user would write: every object's mask, crop and flip of both, Lab by scikit-image."""

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        image, annotations = super().__getitem__(index)
        semantic_map = np.zeros((image.height, image.width), np.uint8)
        for annotation in annotations:
            semantic_map[self.coco.annToMask(annotation) == 1] = annotation["category_id"]
        box = RandomResizedCrop.get_params(image, (CROP_AREA, 1), (3 / 4, 4 / 3))
        image = tf.resized_crop(image, *box, (SIZE, SIZE), InterpolationMode.BICUBIC)
        semantic_map = tf.resized_crop(Image.fromarray(semantic_map), *box, (SIZE, SIZE), InterpolationMode.NEAREST)
        if torch.rand(1) < 0.5:
            image, semantic_map = tf.hflip(image), tf.hflip(semantic_map)
        lab = torch.from_numpy(rgb2lab(np.asarray(image)).astype(np.float32)).permute(2, 0, 1)
        return lab[:1], lab[1:], torch.from_numpy(np.array(semantic_map)).long()


class Decoding(Dataset):
    """Batches of JPEGs, decoded and thrown away."""

    def __init__(self, split: PreparedSplit):
        self.split = split

    def __getitem__(self, indices: list[int]) -> int:
        for i in indices:
            np.asarray(Image.open(io.BytesIO(self.split.jpeg(i))))
        return len(indices)


def repeated(photographs: int, least: int) -> list[int]:
    """The indices of so many photographs, again and again, at least so many: a short epoch is mostly its two ends."""
    return list(range(photographs)) * -(-least // photographs)


def loaders(split: CocoSplit, prepared: PreparedSplit, workers: int) -> dict[str, Iterable]:
    """The ways that are compared; an epoch of each takes seconds."""

    def ours(photos: CocoSplit | PreparedSplit, least: int) -> BatchLoader:
        return create_loader(PhotographCrops(photos, repeated(len(photos), least), SIZE, CROP_AREA), BATCH)

    common = {"num_workers": workers, "persistent_workers": True}
    naive = Naive(str(split.photos), str(split.annotation_file))
    naive = Subset(naive, repeated(len(naive), 250 * workers))
    batches_of_jpegs = BatchSampler(repeated(len(prepared), 2000 * workers), BATCH, drop_last=False)
    return {
        "naive": DataLoader(naive, BATCH, shuffle=True, **common),
        "originals": ours(split, 500 * workers),
        "prepared": ours(prepared, 2000 * workers),
        "decode_limit": DataLoader(Decoding(prepared), batch_size=None, sampler=batches_of_jpegs, **common),
    }


class Rate(NamedTuple):
    """Photographs a second, by the clock and by what all processes together computed."""

    by_clock: float
    by_cpu: float


def images_a_second(batches: Iterable) -> Rate:
    """Over one epoch; a batch begins with its pictures, or is their number."""
    start, computed = time.perf_counter(), cpu_seconds()
    images = sum(batch if isinstance(batch, int) else len(batch[0]) for batch in batches)
    return Rate(images / (time.perf_counter() - start), images / max(cpu_seconds() - computed, 0.01))


def cpu_seconds() -> float:
    """What this process and those that it has started have computed; the workers that wait compute nothing."""
    times = [process.cpu_times() for process in (psutil.Process(), *psutil.Process().children())]
    return sum(t.user + t.system for t in times)


def best(rates: list[Rate]) -> Rate:
    return Rate(*(max(values) for values in zip(*rates, strict=True)))


def memory(loader: BatchLoader) -> dict[str, float]:
    """MB of this process and the loader's: all that is mapped (the data file too), and what is theirs alone."""
    pids = [os.getpid(), *(worker.pid for worker in loader.tasks._iterator._workers)]
    found = [psutil.Process(pid).memory_full_info() for pid in pids]
    return {"rss": sum(f.rss for f in found) / 1e6, "own": sum(f.uss for f in found) / 1e6}


def compare_loaders(split: CocoSplit, prepared: PreparedSplit, workers: int) -> tuple[list[dict], dict]:
    """The rows of the loaders, and the memory of ours after each round."""
    ways, rates, used = loaders(split, prepared, workers), {}, {}
    for number in range(ROUNDS + 1):
        for name, loader in ways.items():
            if isinstance(loader, BatchLoader):
                loader.sampler.epoch = number
            rate = images_a_second(loader)
            if isinstance(loader, BatchLoader):
                used.setdefault(name, []).append(memory(loader))
            if number:  # the first round starts the processes
                rates.setdefault(name, []).append(rate)
    return [row(name, best(found), workers) for name, found in rates.items()], {k: v[1:] for k, v in used.items()}


def row(name: str, rate: Rate, cores: int) -> dict:
    print(f"{name:16}{rate.by_clock / cores:9.0f} images/s and core{rate.by_cpu:9.0f} images/CPU second", flush=True)
    return {
        "name": name,
        "images_per_second_per_core": rate.by_clock / cores,
        "images_per_second": rate.by_clock,
        "images_per_cpu_second": rate.by_cpu,
    }


def compare_lab(pictures: np.ndarray) -> list[dict]:
    """CIELAB of uint8 pictures (N, H, W, 3), one after the other on one core."""
    ways: dict[str, Callable] = {"lab_ours": rgb8_to_lab, "lab_skimage": rgb2lab}
    if find_spec("cv2"):
        import cv2

        cv2.setNumThreads(1)
        ways["lab_opencv"] = lambda rgb: cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    if find_spec("kornia"):
        from kornia.color import rgb_to_lab

        ways["lab_kornia"] = lambda rgb: rgb_to_lab(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255)
    exact, rows = rgb2lab(pictures[0]), []
    for name, convert in ways.items():
        lab = convert(pictures[0])
        lab = lab[0].permute(1, 2, 0).numpy() if isinstance(lab, torch.Tensor) else lab
        rates = [images_a_second((convert(p), 1)[1] for p in pictures) for _ in range(ROUNDS)]
        rows.append(row(name, best(rates), 1) | {"largest_error": float(np.abs(lab - exact).max())})
    return rows


def compare_on_cuda(prepared: PreparedSplit, workers: int) -> list[dict]:
    """Batches with Lab on the device: from the workers, and from photographs that live there; JPEGs decoded there."""

    def through_lab(loader: Iterable) -> Rate:
        def lab():
            for rgb, semantic_map in loader:
                yield to_batch(rgb, semantic_map, "cuda")
            torch.cuda.synchronize()

        return images_a_second(lab())

    def measure(name: str, loader: BatchLoader | OnDevice) -> dict:
        rates = []
        for number in range(ROUNDS + 1):
            loader.sampler.epoch = number
            rates.append(through_lab(loader))
        return row(name, best(rates[1:]), workers)

    crops = PhotographCrops(prepared, repeated(len(prepared), 2000 * workers), SIZE, CROP_AREA)
    rows = [measure("device_batches", create_loader(crops, BATCH))]
    crops = PhotographCrops(prepared, repeated(len(prepared), 20_000), SIZE, CROP_AREA)
    rows.append(measure("on_device", OnDevice(crops, BATCH, "cuda", progress=False)))

    def nvjpeg():
        for start in range(0, len(prepared), BATCH):
            some = [prepared.jpeg(i) for i in range(start, min(start + BATCH, len(prepared)))]
            jpegs = [torch.from_numpy(np.array(jpeg)) for jpeg in some]
            yield len(decode_jpeg(jpegs, device="cuda"))
        torch.cuda.synchronize()

    try:
        rows.append(row("nvjpeg", best([images_a_second(nvjpeg()) for _ in range(ROUNDS)]), workers))
    except RuntimeError as error:
        print(f"nvjpeg: {error}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--json", required=True, type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    batches._MEMORY_LIMIT = 0  # as with all of COCO: nothing is kept decoded
    workers = count_workers()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        prepare([options.data], Path(folder) / "prepared", progress=False)
        seconds = time.perf_counter() - start
        split, prepared = CocoSplit(options.data, "train2017"), PreparedSplit(Path(folder) / "prepared", "train2017")
        rows, used = compare_loaders(split, prepared, workers)
        pictures = PhotographCrops(prepared, range(min(64, len(prepared))), SIZE, CROP_AREA)
        rows += compare_lab(np.stack([pictures[0, i][0] for i in range(len(pictures))]))
        if torch.cuda.is_available():
            rows += compare_on_cuda(prepared, workers)
    by_clock = {row["name"]: row["images_per_second_per_core"] for row in rows}
    by_cpu = {row["name"]: row["images_per_cpu_second"] for row in rows}
    ratios = {
        f"{a}_over_{b}": {"by_clock": by_clock[a] / by_clock[b], "by_cpu": by_cpu[a] / by_cpu[b]}
        for a, b in (("prepared", "naive"), ("prepared", "decode_limit"), ("lab_ours", "lab_skimage"))
    }
    content = {
        "machine": {"processor": platform.machine(), "cores": workers, "torch": torch.__version__},
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "size": SIZE, "batch": BATCH, "crop_area": CROP_AREA, "prepare_seconds": seconds,
        "ratios": ratios,
        "memory_after_each_epoch_mb": used,
        "rows": rows,
    }  # fmt: skip
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in content.items() if key != "rows"}, indent=1))


if __name__ == "__main__":
    main()
