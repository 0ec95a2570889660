"""The README says what is there: its tables are the committed results, its links and commands exist."""

import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from ucolnet_lib.cli import app
from ucolnet_lib.evaluation.table import markdown

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shown(folder: str) -> list[dict]:
    """The rows that the README shows: each model in the paper's presumed way, and v3 with full lightness too."""
    rows = json.loads((ROOT / "results" / folder / "results.json").read_text(encoding="utf-8"))["rows"]
    return [r for r in rows if not r["name"].endswith("_full_lightness") or r["name"] == "ucolnet_v3_full_lightness"]


def test_the_toy_table_is_the_committed_one():
    assert markdown(shown("toy")).strip() in README


def test_the_real_sample_is_the_committed_one():
    section = README.split("### Real photographs, few of them\n")[1].split("\n### ")[0]
    committed = {
        line
        for name in ("table", "trainings")
        for line in (ROOT / "results" / "coco-sample" / f"{name}.md").read_text(encoding="utf-8").splitlines()
    }
    shown_lines = [line for line in section.splitlines() if line.startswith("|")]
    assert len(shown_lines) > 20 and [line for line in shown_lines if line not in committed] == []


def test_the_table_beyond_the_paper_is_the_committed_one():
    assert (ROOT / "results" / "beyond" / "table.md").read_text(encoding="utf-8").strip() in README


@pytest.mark.parametrize("name", ["summary", "statements"])
def test_the_study_is_the_committed_one(name):
    assert (ROOT / "results" / "study-models" / f"{name}.md").read_text(encoding="utf-8").strip() in README


def test_the_differences_in_overfitting_are_the_committed_ones():
    section = README.split("### Overfitting, and L2\n")[1].split("\n### ")[0]
    shown = re.findall(r"[+-][\d.,]+\s\([+-][\d.,]+ to [+-][\d.,]+\)", section)
    findings = (ROOT / "results" / "overfitting" / "findings.md").read_text(encoding="utf-8")
    assert len(shown) >= 5 and [s for s in shown if " ".join(s.split()) not in findings] == []


def test_links_and_pictures_exist():
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", README) if not t.startswith("http")]
    assert targets and [t for t in targets if not (ROOT / t).exists()] == []


def test_commands_exist():
    commands = set(get_command(app).commands)
    used = set(re.findall(r"`?ucolnet ([a-z]+)", "\n".join(re.findall(r"```(?:bash)?\n(.*?)```", README, re.S))))
    assert used and used <= commands
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"make ([a-z]+)", "\n".join(re.findall(r"`+(?:bash\n)?(make [^`]+)`", README)))) <= targets


def test_the_papers_numbers():
    for number in ("18.45", "18.33", "36,781", "17,554", "13,546", "13,459", "36.83%", "36.59%"):
        assert number in README
