"""How fast the evaluation is, beside the loop that one would write first, in one run:

    python tests/benchmarks/bench_evaluation.py --data COCO_FOLDER --detector WEIGHTS --json FILE [--limit N]

All make the same ten variants of each photograph (the controls), detect objects in them, match these, and measure
RMSE in RGB and in ab. The plain loops use ultralytics' `predict` and scikit-image, picture by picture. `plain`
measures nothing else; `plain, all measures` also PSNR, SSIM, CIEDE2000 and colourfulness. Ours measures these and more,
and keeps everything for a second call.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.color import deltaE_ciede2000, lab2rgb, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ucolnet_lib.data.coco import CocoSplit, read_rgb
from ucolnet_lib.evaluation.cache import Cache
from ucolnet_lib.evaluation.controls import CONTROLS, DAMAGES, sized_controls
from ucolnet_lib.evaluation.detection import Detections, recognised
from ucolnet_lib.evaluation.detectors import open_detector
from ucolnet_lib.evaluation.evaluate import control_statistics, evaluate
from ucolnet_lib.evaluation.systems import Controls, Damages, SizedControls
from ucolnet_lib.evaluation.yolo import import_ultralytics
from ucolnet_lib.metrics import colourfulness

SIZE = 224
VARIANTS = (*CONTROLS[:4], *sized_controls(SIZE), *DAMAGES)


class FourControls(Controls):
    """The controls without the class oracle, which the plain loop does not make either."""

    variants = CONTROLS[:4]


class Some(CocoSplit):
    """The first photographs of a split."""

    def __init__(self, root: str, limit: int):
        super().__init__(root, "val2017")
        self._images = self._images[:limit]
        self.ids = self.ids[:limit]


def plain(photos: CocoSplit, detector: str, mean_ab: np.ndarray, all_measures: bool) -> dict[str, int]:
    """The plain loop, with RMSE alone or with all measures. Returns how many objects are recognised in each variant."""
    import_ultralytics()
    from ultralytics import YOLO

    model = YOLO(detector, task="detect")
    found = dict.fromkeys(VARIANTS, 0)
    for index in range(len(photos)):
        rgb, objects = read_rgb(photos.file(index)), photos.objects(index)
        lab = rgb2lab(rgb)
        for name, picture in plain_variants(rgb, lab, mean_ab).items():
            result = model.predict(picture[..., ::-1], conf=0.25, verbose=False)[0].boxes
            labels = result.cls.numpy().astype(int) + 1
            found[name] += recognised(Detections(result.xyxy.numpy(), result.conf.numpy(), labels), objects)
            np.sqrt(((picture.astype(float) - rgb) ** 2).mean())
            picture_lab = rgb2lab(picture)
            np.sqrt(((picture_lab - lab)[..., 1:] ** 2).mean())
            if all_measures:
                peak_signal_noise_ratio(rgb, picture) if name != "original" else np.inf
                structural_similarity(rgb, picture, channel_axis=2, gaussian_weights=True, sigma=1.5)
                deltaE_ciede2000(lab, picture_lab).mean()
                colourfulness(picture)
    return found


def plain_variants(rgb: np.ndarray, lab: np.ndarray, mean_ab: np.ndarray) -> dict[str, np.ndarray]:
    def from_lab(ab: np.ndarray) -> np.ndarray:
        ab = np.broadcast_to(ab, (*rgb.shape[:2], 2))
        return (lab2rgb(np.concatenate([lab[..., :1], ab], axis=-1)) * 255).round().astype(np.uint8)

    def through(picture: np.ndarray) -> np.ndarray:
        small = Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        return np.asarray(small.resize(rgb.shape[1::-1], Image.Resampling.BICUBIC))

    def plane(channel: int) -> np.ndarray:
        small = Image.fromarray(lab[..., channel].astype(np.float32)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        return np.asarray(small.resize(rgb.shape[1::-1], Image.Resampling.BICUBIC))

    gray = from_lab(np.zeros(2))
    with tempfile.TemporaryFile() as file:
        Image.fromarray(rgb).save(file, format="JPEG", quality=50)
        jpeg = np.asarray(Image.open(file))
    pictures = (
        rgb, gray, from_lab(mean_ab), from_lab(lab[..., 1:].mean(axis=(0, 1))), through(rgb), through(gray),
        from_lab(np.stack([plane(1), plane(2)], axis=-1)), from_lab(lab[..., 1:] / 2), from_lab(-lab[..., 1:]), jpeg,
    )  # fmt: skip
    return dict(zip(VARIANTS, pictures, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--json", required=True, type=Path)
    parser.add_argument("--limit", type=int, default=300)
    options = parser.parse_args()
    photos = Some(options.data, options.limit)
    statistics = control_statistics(options.data, photos, progress=False)
    systems = [FourControls(statistics), SizedControls(SIZE), Damages()]
    referee = open_detector(options.detector)
    referee.detect({"warm": np.zeros((64, 64, 3), np.uint8)}, 0)
    rows = []

    def measure(name: str, work) -> None:
        start = time.perf_counter()
        found = work()
        seconds = time.perf_counter() - start
        pictures = len(photos) * len(VARIANTS)
        rows.append({"name": name, "seconds": seconds, "milliseconds_per_picture": 1000 * seconds / pictures, **found})
        print(f"{name:20} {seconds:7.1f} s  {1000 * seconds / pictures:6.1f} ms a picture  {found}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder) / "cache.sqlite")

        def ours() -> dict:
            rows = evaluate(photos, systems, [referee], cache, progress=False).rows
            return {row["name"]: row["recognised"] for row in rows}

        measure("ours", ours)
        measure("ours, again", ours)
    measure("plain", lambda: plain(photos, options.detector, statistics.overall, all_measures=False))
    measure("plain, all measures", lambda: plain(photos, options.detector, statistics.overall, all_measures=True))
    options.json.write_text(json.dumps({"photographs": len(photos), "rows": rows}, indent=1) + "\n", encoding="utf-8")
    for row in rows[2:]:
        print(f"ours is {row['seconds'] / rows[0]['seconds']:.1f} times as fast as {row['name']}")


if __name__ == "__main__":
    main()
