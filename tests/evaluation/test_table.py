"""The results table: numbers, rounding, dashes, files."""

import pandas as pd
import pytest

from ucolnet_lib.evaluation.rows import FIELDS
from ucolnet_lib.evaluation.table import (
    CAPTION,
    COLUMNS,
    EVALUATION_COLUMNS,
    latex,
    markdown,
    results_table,
    write_tables,
)
from ucolnet_lib.metrics import RMSE_NAMES


def row(name, **changes):
    numbers = {key: float(i) for i, key in enumerate(RMSE_NAMES, 1)}
    content = {
        "name": name, "kind": "control", "seed": None, "objects": 36781, "recognised": 17554, "share": 0.477257,
        "retention": 1.0, "rmse": numbers, "miou": None, "miou_objects": None, "colourfulness": 40.84,
    }  # fmt: skip
    return content | changes


ROWS = [
    row("gray"),
    row("ucolnet_v3", kind="model", seed=3, miou=0.3216, recognised=None, share=None, retention=None),
]


def test_numbers_stand_under_their_names():
    table = results_table(ROWS)
    assert list(table) == list(COLUMNS)
    gray = table.iloc[0]
    assert gray["model"] == "gray" and gray["objects"] == 36781 and gray["share ↑"] == 0.477257
    assert gray["RMSE ↓"] == 2 and gray["ab RMSE ↓"] == 3 and gray["on objects ↓"] == 7  # places in RMSE_NAMES


def test_markdown_is_rounded_and_aligned():
    lines = markdown(ROWS).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:4]]
    assert {len(line) for line in cells} == {len(COLUMNS)}
    assert cells[0] == list(COLUMNS)
    assert cells[2] == ["gray", "–", "2.00", "36,781", "17,554", "47.73%", "100.00%", "3.00", "7.00", "–", "40.8"]
    assert cells[3] == ["ucolnet_v3", "3", "2.00", "36,781", "–", "–", "–", "3.00", "7.00", "0.322", "40.8"]
    assert CAPTION in lines


def test_files(tmp_path):
    write_tables(ROWS, tmp_path / "out" / "table")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["table.csv", "table.md"]
    assert (tmp_path / "out" / "table.md").read_text(encoding="utf-8") == markdown(ROWS)
    read = pd.read_csv(tmp_path / "out" / "table.csv")
    assert list(read) == list(COLUMNS)
    assert read["share ↑"][0] == pytest.approx(0.477257, abs=1e-12) and pd.isna(read["mIoU ↑"][0])


def test_no_rows_give_an_empty_table():
    assert results_table([]).empty and list(results_table([])) == list(COLUMNS)


def evaluated(**changes):
    """A row as the evaluation makes it."""
    numbers = {"rgb_mean": 20.756, "ab_pooled": 15.5}
    content = dict.fromkeys(FIELDS) | {
        "name": "my_gray", "images": 300, "objects": 2457, "recognised": 1085, "share": 0.4416,
        "share_ci": [0.4106, 0.4743], "retention": 0.9164, "retention_ci": [None, None], "rmse": numbers,
        "rmse_ci": {"rgb_mean": [19.1, 22.25], "ab_pooled": [14.9, 16.05]}, "ssim": 0.918,
    }  # fmt: skip
    return content | changes


def test_intervals_stand_beside_their_numbers():
    cells = [cell.strip() for cell in markdown([evaluated()], EVALUATION_COLUMNS).splitlines()[2].strip("|").split("|")]
    found = dict(zip(EVALUATION_COLUMNS, cells, strict=True))
    assert found["RMSE ↓"] == "20.76 (19.10 to 22.25)" and found["share ↑"] == "44.16% (41.06 to 47.43%)"
    assert found["retention ↑"] == "91.64% (– to –)" and found["AP50 ↑"] == "–" and found["images"] == "300"


def test_latex_has_the_same_cells_and_nothing_that_latex_would_take_for_itself():
    row = evaluated(name="a_b & 50%", signature="x#1")
    text = latex([row, row], EVALUATION_COLUMNS, "Recognised_1 ↑ 95% #")
    lines = text.splitlines()
    assert [line for line in lines if "rule" in line] == ["\\toprule", "\\midrule", "\\bottomrule"]
    body = lines[lines.index("\\midrule") + 1 : lines.index("\\bottomrule")]
    assert len(body) == 2 and all(line.startswith("a\\_b \\& 50\\% & 300 & 20.76 (19.10 to 22.25) & ") for line in body)
    assert all(line.replace("\\&", "").count("&") == len(EVALUATION_COLUMNS) - 1 for line in body)
    assert "\\caption{Recognised\\_1 $\\uparrow$ 95\\% \\#}" in text
    assert f"{{l{'r' * (len(EVALUATION_COLUMNS) - 1)}}}" in text and not set("↓↑–") & set(text)
