"""What a reader must know about the referee to compare two rows: which weights looked, and how."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from pathlib import Path

from ucolnet_lib import __version__
from ucolnet_lib.evaluation.detection import CONFIDENCE, IOU
from ucolnet_lib.evaluation.resize import DEFAULT_KERNEL

Signature = dict[str, str | float | int]


def signature(
    detector: str,
    files: Iterable[Path],
    input_size: int | str,
    nms_iou: float | str,
    max_detections: int | str,
) -> Signature:
    """The signature of a detector; two rows can be compared where all its entries are equal.

    Args:
        detector: its name.
        files: what its weights are made of; `checksum` is the first 8 hexadecimal digits of the SHA-256 of their
            contents, one after another in the order of their names. For one file these are those of `sha256sum`.
        input_size: side in pixels to which pictures are enlarged or made small, or a text where it is not one number.
        nms_iou: intersection over union from which the weaker of two detections of a class is dropped (non-maximum
            suppression), or a text where it is not known.
        max_detections: the most detections in one picture, or a text where it is not known.
    """
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return {
        "detector": detector,
        "checksum": digest.hexdigest()[:8],
        "input_size": input_size,
        "confidence": CONFIDENCE,
        "nms_iou": nms_iou,
        "max_detections": max_detections,
    }


def signature_text(referee: Signature | None, leave_out_gray: bool = False) -> str:
    """One short text for a row, which can be printed in a paper, as sacrebleu's for BLEU (Post 2018).

    It holds the referee (None: there was none), the IoU of a match, that crowds are counted, how pictures are resized
    and made gray, whether gray photographs were left out, and the version of this library.
    """
    judged = ["no detector"]
    if referee is not None:
        judged = [
            f"{referee['detector']}#{referee['checksum']}",
            f"size:{referee['input_size']}",
            f"conf:{referee['confidence']}",
            f"iou:{IOU}",
            f"nms:{referee['nms_iou']}",
            f"max:{referee['max_detections']}",
            "crowds:counted",
        ]
    photographs = "without-gray" if leave_out_gray else "all"
    made = [f"resize:{DEFAULT_KERNEL}-antialiased", "gray:L", f"photos:{photographs}", f"ucolnet:{__version__}"]
    return "|".join([*judged, *made])


def warn_if_incomparable(signatures: Iterable[str | None]) -> None:
    """Warn (`SignatureWarning`) where rows to be compared have different signatures."""
    different = sorted({str(s) for s in signatures})
    if len(different) > 1:
        warnings.warn(
            f"Rows with different signatures cannot be compared: {'; '.join(different)}.",
            SignatureWarning,
            stacklevel=2,
        )


class SignatureWarning(UserWarning):
    """Rows were compared that were not measured alike."""


def reason(error: Exception) -> str:
    """The last line of an error's message, or its kind: what a sentence for people can hold of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__
