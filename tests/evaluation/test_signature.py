"""The signature: the checksum that people can compute themselves, and what a long error becomes."""

import hashlib
import warnings

import pytest

from ucolnet_lib import __version__
from ucolnet_lib.evaluation.signature import (
    SignatureWarning,
    reason,
    signature,
    signature_text,
    warn_if_incomparable,
)


def checksum(files) -> str:
    return signature("name", files, 640, 0.7, 300)["checksum"]


def test_all_a_reader_must_know(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"weights")
    assert signature("yolo", [tmp_path / "weights.pt"], 640, 0.7, 300) == {
        "detector": "yolo",
        "checksum": hashlib.sha256(b"weights").hexdigest()[:8],
        "input_size": 640,
        "confidence": 0.25,
        "nms_iou": 0.7,
        "max_detections": 300,
    }


def test_the_checksum_is_of_all_files_in_the_order_of_their_names(tmp_path):
    first, second = tmp_path / "a.bin", tmp_path / "b.xml"
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    assert checksum([second, first]) == checksum([first, second]) == hashlib.sha256(b"onetwo").hexdigest()[:8]
    second.write_bytes(b"twO")
    assert checksum([first, second]) != hashlib.sha256(b"onetwo").hexdigest()[:8]
    assert checksum([]) == "e3b0c442"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("It failed.\n  The file is cut.\n\n"), "The file is cut"),
        (ValueError("cut"), "cut"),
        (StopIteration(), "StopIteration"),
        (OSError("\n "), "OSError"),
    ],
)
def test_the_reason_is_one_line(error, expected):
    assert reason(error) == expected


def test_the_text_of_a_row(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"weights")
    referee = signature("yolo", [tmp_path / "weights.pt"], 640, 0.7, 300)
    made = f"resize:pil-bicubic-antialiased|gray:L|photos:all|ucolnet:{__version__}"
    digits = hashlib.sha256(b"weights").hexdigest()[:8]
    assert signature_text(referee) == f"yolo#{digits}|size:640|conf:0.25|iou:0.5|nms:0.7|max:300|crowds:counted|{made}"
    assert signature_text(None) == f"no detector|{made}"


def test_all_that_a_signature_holds_is_in_the_text():
    first = signature("yolo", [], 640, 0.7, 300)
    others = [{**first, key: "other"} for key in first]
    texts = [signature_text(first), signature_text(first, leave_out_gray=True), *map(signature_text, others)]
    assert len(set(texts)) == len(texts) == 8
    assert "photos:without-gray" in texts[1]


def test_a_warning_where_rows_were_not_measured_alike():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_incomparable([])
        warn_if_incomparable(["one"])
        warn_if_incomparable(["one", "one", "one"])
        warn_if_incomparable([None, None])
    with pytest.warns(SignatureWarning, match=r"cannot be compared: one; two\.") as caught:
        warn_if_incomparable(["two", "one", "two"])
    assert caught[0].filename == __file__  # where the rows are compared, not where the warning is made
    with pytest.warns(SignatureWarning):
        warn_if_incomparable(["one", None])  # a row of an older version has none
