"""notebooks/claims.md points to cells that are there, and its numbers are those of their outputs."""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
VERDICTS = {"reproduced", "differs", "cannot be tested here"}
TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (NOTEBOOKS / "claims.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("|")
][2:]


def output(cell) -> str:
    return "".join(o.get("text", "") or str(o.get("data", {}).get("text/plain", "")) for o in cell.outputs)


@pytest.mark.parametrize(("claim", "where", "verdict", "result"), TABLE, ids=[row[0][:40] for row in TABLE])
def test_a_claim_points_to_its_cell_and_shows_its_numbers(claim, where, verdict, result):
    assert verdict in VERDICTS
    file, section = re.fullmatch(r"\[\d\d\]\((.+?)\), section (\d+)(?:, In \[\d+\])?", where).groups()
    notebook = nbformat.read(NOTEBOOKS / file, as_version=4)
    headings = [
        line for c in notebook.cells if c.cell_type == "markdown" for line in c.source.splitlines() if line[:3] == "## "
    ]
    assert any(heading.startswith(f"## {section}. ") for heading in headings), f"{file} has no section {section}"
    shown = re.findall(r"`([^`]+)`", result)
    number = re.search(r"In \[(\d+)\]", where)
    assert number or not shown, "numbers need the cell that they come from"
    if number:
        at = next(i for i, c in enumerate(notebook.cells) if c.get("execution_count") == int(number[1]))
        before = [line for c in notebook.cells[:at] if c.cell_type == "markdown" for line in c.source.splitlines()]
        assert [line for line in before if line[:3] == "## "][-1].startswith(f"## {section}. "), "another section"
        text = output(notebook.cells[at])
        assert [s for s in shown if s not in text] == [], f"not in the output of In [{number[1]}] of {file}"


def test_all_notebooks_of_the_models_are_there():
    linked = {re.search(r"\((.+?)\)", row[1])[1] for row in TABLE}
    assert linked >= {p.name for p in NOTEBOOKS.glob("0*.ipynb")}
    assert len({row[0] for row in TABLE}) == len(TABLE) >= 20
