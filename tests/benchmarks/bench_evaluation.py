"""How fast the evaluation is, beside the loop that one would write first, in one run:

    python tests/benchmarks/bench_evaluation.py --data COCO_FOLDER --detector WEIGHTS --json FILE [--limit N]

Both make the same ten variants of each photograph (the controls), detect objects in them, match these, and measure
RMSE in RGB and in ab. The plain loop uses ultralytics' `predict` and scikit-image's conversions, picture by picture.
Ours measures SSIM, CIEDE2000 and the other image metrics besides, and keeps everything for a second call.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.color import lab2rgb, rgb2lab

from ucolnet_lib.data.coco import CocoSplit, read_rgb
from ucolnet_lib.evaluation.cache import Cache
from ucolnet_lib.evaluation.controls import CONTROLS, sized_controls
from ucolnet_lib.evaluation.detection import Detections, recognised
from ucolnet_lib.evaluation.detectors import open_detector
from ucolnet_lib.evaluation.evaluate import control_statistics, evaluate
from ucolnet_lib.evaluation.systems import Controls
from ucolnet_lib.evaluation.yolo import import_ultralytics

SIZE = 224
VARIANTS = [name for name in (*CONTROLS, *sized_controls(SIZE)) if name != "class_oracle"]


class TenControls(Controls):
    """The controls without the class oracle, which the plain loop does not make either."""

    def __init__(self, statistics):
        super().__init__(statistics, SIZE)
        self.variants = tuple(VARIANTS)


class Some(CocoSplit):
    """The first photographs of a split."""

    def __init__(self, root: str, limit: int):
        super().__init__(root, "val2017")
        self._images = self._images[:limit]
        self.ids = self.ids[:limit]


def plain(photos: CocoSplit, detector: str, mean_ab: np.ndarray) -> dict[str, int]:
    """The plain loop. Returns how many objects are recognised in each variant."""
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
            np.sqrt(((rgb2lab(picture) - lab)[..., 1:] ** 2).mean())
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
    referee = open_detector(options.detector)
    referee.detect({"warm": np.zeros((64, 64, 3), np.uint8)}, 0)
    rows = []

    def measure(name: str, work) -> None:
        start = time.perf_counter()
        found = work()
        seconds = time.perf_counter() - start
        pictures = len(photos) * len(VARIANTS)
        rows.append({"name": name, "seconds": seconds, "milliseconds_per_picture": 1000 * seconds / pictures, **found})
        print(f"{name:12} {seconds:7.1f} s  {1000 * seconds / pictures:6.1f} ms a picture  {found}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder) / "cache.sqlite")

        def ours() -> dict:
            rows = evaluate(photos, [TenControls(statistics)], [referee], cache, progress=False).rows
            return {row["name"]: row["recognised"] for row in rows}

        measure("ours", ours)
        measure("ours, again", ours)
    measure("plain", lambda: plain(photos, options.detector, statistics.overall))
    options.json.write_text(json.dumps({"photographs": len(photos), "rows": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"ours is {rows[2]['seconds'] / rows[0]['seconds']:.1f} times as fast as plain")


if __name__ == "__main__":
    main()
