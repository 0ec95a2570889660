"""The toy world's own referee: a small YOLOv8 that learns the toy scenes in colour.

The detector's package, ultralytics, is AGPL-3.0; what is trained with it is never committed.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

from ucolnet_lib.common import write_beside
from ucolnet_lib.data.coco import CATEGORIES, CLASS_NAMES, CocoSplit
from ucolnet_lib.evaluation.yolo import import_ultralytics


def train_toy_detector(data: str | Path, out: str | Path, size: int, epochs: int, seed: int = 0) -> Path:
    """Train YOLOv8n from its own yaml on `train2017` of a COCO folder, on originals in colour.

    Args:
        data: a COCO folder, here the toy world.
        out: the weights file to write, such as `detector.pt`.
        size: side of the pictures in pixels, a multiple of 32.
        epochs: passes over the training scenes.
        seed: ultralytics' own seed.
    Returns:
        `out`.
    """
    import_ultralytics()
    from ultralytics import YOLO

    out = Path(out)
    work = out.with_name(f".{out.stem}-training")
    shutil.rmtree(work, ignore_errors=True)
    try:
        _write_yolo_folder(Path(data), work)
        detector = YOLO("yolov8n.yaml", task="detect")
        # ultralytics prints a page an epoch; the person who waits is told what matters by the caller.
        with contextlib.redirect_stdout(io.StringIO()):
            detector.train(
                data=str((work / "toy.yaml").resolve()), epochs=epochs, imgsz=size, batch=16, seed=seed, workers=0,
                device="cpu", optimizer="AdamW", lr0=0.002, close_mosaic=2, hsv_h=0.0, hsv_s=0.1, val=False,
                plots=False, verbose=False, project=str(work.resolve()), name="run",
            )  # fmt: skip
        with write_beside(out) as file:
            shutil.copyfile(work / "run" / "weights" / "last.pt", file)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return out


def _write_yolo_folder(data: Path, work: Path) -> None:
    """Pictures and labels in the layout that ultralytics reads: class, centre and size as shares of the sides."""
    for name in ("train2017", "val2017"):
        split = CocoSplit(data, name)
        images, labels = work / "images" / name, work / "labels" / name
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for image in split.coco.imgs.values():
            file, width, height = image["file_name"], image["width"], image["height"]
            shutil.copyfile(data / name / file, images / file)
            lines = []
            for a in split.coco.imgToAnns.get(image["id"], []):
                if not a["iscrowd"]:
                    x, y, w, h = a["bbox"]
                    label = list(CATEGORIES).index(a["category_id"])
                    lines.append(f"{label} {(x + w / 2) / width} {(y + h / 2) / height} {w / width} {h / height}")
            (labels / file).with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    # JSON is YAML too.
    content = {"path": str(work.resolve()), "train": "images/train2017", "val": "images/val2017"}
    content["names"] = dict(enumerate(CLASS_NAMES[1:]))
    (work / "toy.yaml").write_text(json.dumps(content), encoding="utf-8")
