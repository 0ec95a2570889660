"""Saving the outputs of notebooks: what is kept, what is left out, and that a failure changes nothing."""

import nbformat
import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.notebook import execute as module
from ucolnet_lib.notebook.execute import METADATA, clean, course, execute, main


def write(path, *sources):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title")])
    notebook.cells += [nbformat.v4.new_code_cell(source, execution_count=7) for source in sources]
    notebook.cells[1].metadata |= {"tags": ["nbval-check-output"], "execution": {"shell.execute_reply": "now"}}
    notebook.metadata["language_info"] = {"name": "python", "version": "2.7"}
    nbformat.write(notebook, path)
    return path


def test_outputs_are_saved_and_what_depends_on_the_machine_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("UCOLNET_PROFILE", "smoke")
    path = write(
        tmp_path / "a.ipynb",
        "import os, sys\nprint(os.environ['UCOLNET_PROFILE'])\nprint(os.path.basename(os.getcwd()))",
        "import ipywidgets\nslider = ipywidgets.IntSlider()\nprint(sys.executable)",
    )
    execute(path)
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    _, first, second = notebook.cells
    assert [first.execution_count, second.execution_count] == [1, 2]
    assert [output.text for output in first.outputs] == [f"toy\n{tmp_path.name}\n"]
    assert second.outputs[0].text.strip() == module.sys.executable
    assert notebook.metadata == METADATA
    assert first.metadata == {"tags": ["nbval-check-output"]} and second.metadata == {}
    before = path.read_bytes()
    execute(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.ipynb"]


def test_an_error_names_notebook_and_cell_and_keeps_the_old_file(tmp_path, capfd):
    path = write(tmp_path / "b.ipynb", "x = 1", "1 / 0", "x = 2")
    before = path.read_bytes()
    assert main([str(path)]) == 2
    assert "b.ipynb, code cell 2: ZeroDivisionError: division by zero" in capfd.readouterr().err
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["b.ipynb"]


def test_a_cell_that_takes_too_long_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 1)
    path = write(tmp_path / "c.ipynb", "x = 1", "import time\ntime.sleep(60)")
    with pytest.raises(UcolnetError, match="c.ipynb, code cell 2: it took longer than 1 seconds"):
        execute(path)


@pytest.mark.parametrize("content", [None, "", "{", '{"cells": 3}'])
def test_a_file_that_is_no_notebook_is_named(tmp_path, content):
    path = tmp_path / "d.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UcolnetError, match="d.ipynb"):
        execute(path)


def test_clean_keeps_only_tags():
    kernelspec = {"name": "mine", "display_name": "My Python"}
    notebook = nbformat.v4.new_notebook(metadata={"widgets": {}, "kernelspec": kernelspec})
    notebook.cells = [nbformat.v4.new_code_cell("1", metadata={"tags": ["a"], "execution": {}, "collapsed": True})]
    clean(notebook)
    assert notebook.metadata == METADATA and notebook.cells[0].metadata == {"tags": ["a"]}


def test_the_course_holds_chapters_then_solutions(tmp_path):
    (tmp_path / "notebooks" / "solutions" / ".ipynb_checkpoints").mkdir(parents=True)
    checkpoint = "solutions/.ipynb_checkpoints/x.ipynb"
    for name in ("01_b.ipynb", "00_a.ipynb", "solutions/00_a.ipynb", checkpoint, "notes.md"):
        (tmp_path / "notebooks" / name).touch()
    assert [p.relative_to(tmp_path / "notebooks").as_posix() for p in course(tmp_path)] == [
        "00_a.ipynb", "01_b.ipynb", "solutions/00_a.ipynb",
    ]  # fmt: skip


def test_without_names_all_notebooks_are_executed(monkeypatch, tmp_path, capsys):
    executed = []
    (tmp_path / "notebooks" / "solutions").mkdir(parents=True)
    for name in ("00_a.ipynb", "solutions/00_a.ipynb"):
        (tmp_path / "notebooks" / name).touch()
    monkeypatch.setattr(module, "repository", lambda: tmp_path)
    monkeypatch.setattr(module, "execute", executed.append)
    assert main([]) == 0
    assert executed == course(tmp_path) and len(executed) == 2
    monkeypatch.setattr(module, "repository", lambda: None)
    assert main([]) == 2 and "clone" in capsys.readouterr().err
