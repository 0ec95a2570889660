"""What a colouring is worth: pictures, referees, numbers, and what is shown of them.

| what | where |
|---|---|
| pictures to measure | `controls`, `systems` (models, folders of pictures), `gray_paths`, `resize` |
| pictures as files | `pictures` |
| referees | `detectors` opens them: `yolo`, `torchvision_detector`, `detections_file`, `toy_detector`; `signature` |
| the metric | `detection` (the matching), `average_precision` |
| the pass over all photographs | `evaluate`, with `stream` (threads) and `cache` (what was measured already) |
| numbers of a row | `rows`, `bootstrap` (chance by photographs) |
| two rows compared | `comparisons`, `mcnemar`; `statistics` (chance by seeds and scenes, for the studies) |
| for readers | `table`, `report` |
"""

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
