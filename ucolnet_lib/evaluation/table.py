"""The results table in the paper's format, extended: gray and the other controls beside the models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ucolnet_lib.common import write_beside

# Column -> (where it stands in a row of results.json, decimals or "%"). The arrows say which way is better.
COLUMNS: dict[str, tuple[tuple[str, ...], int | str]] = {
    "model": (("name",), 0),
    "seed": (("seed",), 0),
    "RMSE ↓": (("rmse", "rgb_mean"), 2),
    "objects": (("objects",), 0),
    "recognised ↑": (("recognised",), 0),
    "share ↑": (("share",), "%"),
    "retention ↑": (("retention",), "%"),
    "ab RMSE ↓": (("rmse", "ab_pooled"), 2),
    "on objects ↓": (("rmse", "ab_objects_pooled"), 2),
    "mIoU ↑": (("miou",), 3),
    "colourfulness": (("colourfulness",), 1),
}
CAPTION = (
    "RMSE: RGB (0-255), mean over images; ab RMSE: CIELAB per channel, all pixels pooled; on objects: the same on "
    "their pixels; share: recognised of all objects; retention: of those recognised in the originals; "
    "↓ lower is better, ↑ higher is better; colourfulness: the nearer to the originals' the better."
)


def results_table(rows: Sequence[dict]) -> pd.DataFrame:
    """Rows of results.json as a table of numbers, columns as in `COLUMNS`; shares and retention are fractions."""

    def value(row: dict, path: tuple[str, ...]):
        for key in path:
            row = row[key]
        return row

    return pd.DataFrame(
        [{c: value(row, path) for c, (path, _) in COLUMNS.items()} for row in rows], columns=list(COLUMNS)
    )


def markdown(rows: Sequence[dict]) -> str:
    """The results table as Markdown, rounded, with a caption; what was not measured is a dash."""

    def cell(value, digits: int | str) -> str:
        if value is None or pd.isna(value):
            return "–"
        if isinstance(value, str):
            return value
        return f"{value:.2%}" if digits == "%" else f"{value:,.{digits}f}"

    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" + "|---:" * (len(COLUMNS) - 1) + "|"]
    for _, line in results_table(rows).iterrows():
        lines.append("| " + " | ".join(cell(line[c], digits) for c, (_, digits) in COLUMNS.items()) + " |")
    return "\n".join([*lines, "", CAPTION, ""])


def write_tables(rows: Sequence[dict], path: str | Path) -> None:
    """Write `path`.md (rounded, for reading) and `path`.csv (all digits, for programs)."""
    path = Path(path)
    with write_beside(path.with_name(path.name + ".md")) as beside:
        beside.write_text(markdown(rows), encoding="utf-8")
    with write_beside(path.with_name(path.name + ".csv")) as beside:
        results_table(rows).to_csv(beside, index=False)
