"""Detectors, the matching, the controls, the evaluation that joins them, and its table."""

from ucolnet_lib.evaluation.detection import Detections
from ucolnet_lib.evaluation.detectors import Detector, open_detector
from ucolnet_lib.evaluation.evaluate import Evaluation, evaluate_controls, evaluate_model
from ucolnet_lib.evaluation.rows import with_retention
from ucolnet_lib.evaluation.table import markdown, results_table, write_tables

__all__ = [
    "Detections",
    "Detector",
    "Evaluation",
    "evaluate_controls",
    "evaluate_model",
    "markdown",
    "open_detector",
    "results_table",
    "with_retention",
    "write_tables",
]
