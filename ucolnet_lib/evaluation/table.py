"""The results table in the paper's format, extended: gray and the other controls beside the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ucolnet_lib.common import write_beside


class Column(NamedTuple):
    """Where a column stands in a row of results.json, how many decimals it is shown with (or "%"), and where its
    interval stands, if it is shown."""

    path: tuple[str, ...]
    digits: int | str
    interval: tuple[str, ...] | None = None


# The arrows say which way is better.
COLUMNS: dict[str, Column] = {
    "model": Column(("name",), 0),
    "seed": Column(("seed",), 0),
    "RMSE ↓": Column(("rmse", "rgb_mean"), 2),
    "objects": Column(("objects",), 0),
    "recognised ↑": Column(("recognised",), 0),
    "share ↑": Column(("share",), "%"),
    "retention ↑": Column(("retention",), "%"),
    "ab RMSE ↓": Column(("rmse", "ab_pooled"), 2),
    "on objects ↓": Column(("rmse", "ab_objects_pooled"), 2),
    "mIoU ↑": Column(("miou",), 3),
    "colourfulness": Column(("colourfulness",), 1),
}
CAPTION = (
    "RMSE: RGB (0-255), mean over images; ab RMSE: CIELAB per channel, all pixels pooled; on objects: the same on "
    "their pixels; share: recognised of all objects; retention: of those recognised in the originals; "
    "↓ lower is better, ↑ higher is better; colourfulness: the nearer to the originals' the better."
)

EVALUATION_COLUMNS: dict[str, Column] = {
    "pictures": Column(("name",), 0),
    "images": Column(("images",), 0),
    "RMSE ↓": Column(("rmse", "rgb_mean"), 2, ("rmse_ci", "rgb_mean")),
    "objects": Column(("objects",), 0),
    "recognised ↑": Column(("recognised",), 0),
    "share ↑": Column(("share",), "%", ("share_ci",)),
    "retention ↑": Column(("retention",), "%", ("retention_ci",)),
    "AP50 ↑": Column(("ap50",), 3),
    "ab RMSE ↓": Column(("rmse", "ab_pooled"), 2, ("rmse_ci", "ab_pooled")),
    "SSIM ↑": Column(("ssim",), 3),
    "CIEDE2000 ↓": Column(("ciede2000",), 2),
    "colourfulness": Column(("colourfulness",), 1),
}
EVALUATION_CAPTION = (
    f"{CAPTION} In brackets: intervals of 95%, by a bootstrap over images. NAME_gray: the gray picture through the "
    "same size and kernel as NAME."
)


def results_table(rows: Sequence[dict], columns: Mapping[str, Column] = COLUMNS) -> pd.DataFrame:
    """Rows of results.json as a table of numbers; shares and retention are fractions."""
    return pd.DataFrame(
        [{name: _value(row, column.path) for name, column in columns.items()} for row in rows], columns=list(columns)
    )


def markdown(rows: Sequence[dict], columns: Mapping[str, Column] = COLUMNS, caption: str = CAPTION) -> str:
    """The results table as Markdown, rounded, with a caption; what was not measured is a dash."""
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    lines += ["| " + " | ".join(cells) + " |" for cells in text_cells(rows, columns)]
    return "\n".join([*lines, "", caption, ""])


def latex(rows: Sequence[dict], columns: Mapping[str, Column] = COLUMNS, caption: str = CAPTION) -> str:
    r"""The same table for LaTeX: needs `\usepackage{booktabs}`."""
    arrows = {"↓": r"$\downarrow$", "↑": r"$\uparrow$", "–": "--"}

    def escape(text: str) -> str:
        for special in "%_&#":
            text = text.replace(special, "\\" + special)
        for arrow, command in arrows.items():
            text = text.replace(arrow, command)
        return text

    body = [" & ".join(map(escape, cells)) + r" \\" for cells in text_cells(rows, columns)]
    head = " & ".join(map(escape, columns)) + r" \\"
    return "\n".join(
        [
            r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}", r"\toprule", head,
            r"\midrule", *body, r"\bottomrule", r"\end{tabular}", rf"\caption{{{escape(caption)}}}", r"\end{table}", "",
        ]
    )  # fmt: skip


def write_tables(rows: Sequence[dict], path: str | Path) -> None:
    """Write `path`.md (rounded, for reading) and `path`.csv (all digits, for programs)."""
    path = Path(path)
    with write_beside(path.with_name(path.name + ".md")) as beside:
        beside.write_text(markdown(rows), encoding="utf-8")
    with write_beside(path.with_name(path.name + ".csv")) as beside:
        results_table(rows).to_csv(beside, index=False)


def by_detector(rows: Sequence[dict]) -> dict[str | None, list[dict]]:
    """The rows of each detector, which may be compared; those of two detectors may not."""
    return {name: [r for r in rows if r["detector"] == name] for name in dict.fromkeys(r["detector"] for r in rows)}


def text_cells(rows: Sequence[dict], columns: Mapping[str, Column]) -> list[list[str]]:
    """The table's cells as text, rounded; what was not measured is a dash."""
    return [[_cell(row, column) for column in columns.values()] for row in rows]


def _value(row: dict, path: tuple[str, ...]):
    for key in path:
        row = row[key]
    return row


def _cell(row: dict, column: Column) -> str:
    def shown(value) -> str:
        if value is None or pd.isna(value):
            return "–"
        if isinstance(value, str):
            return value
        return f"{value:.2%}" if column.digits == "%" else f"{value:,.{column.digits}f}"

    value = _value(row, column.path)
    if column.interval is None or value is None:
        return shown(value)
    low, high = _value(row, column.interval) or (None, None)
    return f"{shown(value)} ({shown(low).removesuffix('%')} to {shown(high)})"
