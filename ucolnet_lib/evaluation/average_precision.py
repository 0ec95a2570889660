"""COCO's box average precision of what the metric sees, by pycocotools (Lin et al. 2014).

The detection metric counts recognised objects at one confidence and does not mind false alarms; average precision does.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Mapping

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ucolnet_lib.evaluation.detection import Detections
from ucolnet_lib.evaluation.detections_file import coco_results

# Where they stand in COCOeval.stats.
_AP, _AP50, _AR100 = 0, 1, 8
_KEYS = ("image_id", "category_id", "bbox", "area")


def average_precision(
    annotations: COCO, image_ids: Collection[int], detections: Mapping[int, Detections]
) -> dict[str, float | None]:
    """AP, AP50 and AR100 of the detections in the pictures of one variant.

    The referees keep detections of confidence 0.25 or more, so this is the AP *of what the metric sees*: lower than
    the AP of a detector's card, which is measured from a confidence near 0 (for YOLO with several classes a box
    besides). Compare it between variants, not with cards.

    Args:
        annotations: a loaded annotation file, such as `CocoSplit.coco`; it is left as it is.
        image_ids: the photographs to count. One without objects counts its false alarms; one that the annotations do
            not list is left out, since nobody looked at it.
        detections: image id -> what was found there; an image that is missing has none.
    Returns:
        `ap`: mean over categories and over IoU 0.5 to 0.95; `ap50`: at IoU 0.5; `ar100`: recall with at most 100
        detections an image, mean as for `ap`. All 0-1; None where there is no object. Crowds are ignored, as COCO does.
    """
    images = [image_id for image_id in image_ids if image_id in annotations.imgs]
    found = coco_results({image_id: detections[image_id] for image_id in images if image_id in detections})
    # pycocotools prints its progress.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _truth(annotations, images)
        # loadRes does not take an empty list.
        evaluation = COCOeval(truth, truth.loadRes(found) if found else _truth(annotations, []), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    stats = {"ap": evaluation.stats[_AP], "ap50": evaluation.stats[_AP50], "ar100": evaluation.stats[_AR100]}
    return {name: None if value < 0 else float(value) for name, value in stats.items()}


def _truth(annotations: COCO, images: list[int]) -> COCO:
    """The boxes of some images, apart from `annotations`: COCOeval writes into what it is given."""
    boxes = [annotation for image_id in images for annotation in annotations.imgToAnns.get(image_id, [])]
    truth = COCO()
    truth.dataset = {
        "images": [annotations.imgs[image_id] for image_id in images],
        "categories": annotations.dataset["categories"],
        "annotations": [
            # COCOeval takes the id 0 for "not matched".
            {"id": i, "iscrowd": a.get("iscrowd", 0)} | {key: a[key] for key in _KEYS}
            for i, a in enumerate(boxes, start=1)
        ],
    }
    truth.createIndex()
    return truth
