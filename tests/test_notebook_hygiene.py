"""What nbval lets pass in silence, and what a saved notebook must not hold.

nbval compares nothing where an output is missing, ignores a tag that it does not know, and passes a magic that does
not exist. Each rule here is one function from a notebook to its faults, and each is shown to bite by a planted fault.
"""

import ast
import copy
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell

from ucolnet_lib.notebook.execute import METADATA, course

ROOT = Path(__file__).parents[1]
ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]["urls"]["Repository"]
NOTEBOOKS = course(ROOT)

KNOWN_TAGS = {"nbval-check-output", "nbval-ignore-output"}
NBVAL_COMMENT = re.compile(r"^\s*#\s*(NBVAL|PYTEST_VALIDATE)_\w+\s*$", re.MULTILINE)
MAX_BYTES = 1_500_000
MAX_SETUP_LINES = 6
MAX_CELL_LINES = 12
MAX_LINE = 100  # what a page of usual width shows without scrolling
# Folders of a machine; the set-up cell's /content is Colab's own, the same for everybody.
MACHINE_PATH = re.compile(r"/home/|/root/|/tmp/|/Users/|/var/folders/|\b[A-Za-z]:\\+(?:Users|Windows)", re.IGNORECASE)
PROGRESS_BAR = re.compile(r"\d+%\|| ?\d+/\d+ \[\d+:\d\d|it/s|s/it|[█▏▎▍▌▋▊▉]")
TIMING = re.compile(r"CPU times:|Wall time:|\bper loop\b")
WARNING = re.compile(r"\b\w*Warning\b")
NOISE = {"a path of a machine": MACHINE_PATH, "a progress bar": PROGRESS_BAR, "a timing": TIMING, "a warning": WARNING}

Notebook = nbformat.NotebookNode
Faults = Iterator[str]


def code_cells(notebook: Notebook) -> list[tuple[int, Notebook]]:
    """(number from 1, cell) of all code cells."""
    return list(enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1))


def tags(cell: Notebook) -> list[str]:
    return cell.metadata.get("tags", [])


def texts(cell: Notebook) -> Iterator[str]:
    """All text among the outputs of a cell."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
        for kind, data in output.get("data", {}).items():
            if kind.startswith("text/") or "json" in kind or "svg" in kind:
                yield str(data)


# The rules. Each yields one sentence a fault.


def unknown_tags(notebook: Notebook) -> Faults:
    for i, cell in enumerate(notebook.cells, 1):
        for tag in set(tags(cell)) - KNOWN_TAGS:
            yield f"cell {i}: the tag {tag!r} is unknown, or would have nbval skip the cell or pass its error"
        if cell.cell_type == "code" and NBVAL_COMMENT.search(cell.source):
            yield f"cell {i}: use a tag in place of nbval's comment"


def unknown_magics(notebook: Notebook) -> Faults:
    known = InteractiveShell.instance().magics_manager.magics
    for i, cell in code_cells(notebook):
        for line in cell.source.splitlines():
            found = re.match(r"\s*(%%?)(\w+)", line)
            if found and found[2] not in known["cell" if found[1] == "%%" else "line"]:
                yield f"code cell {i}: there is no magic {found[0].strip()}, and nbval would pass the cell all the same"


def checked_cells_without_output(notebook: Notebook) -> Faults:
    for i, cell in code_cells(notebook):
        if "nbval-check-output" in tags(cell) and not any(text.strip() for text in texts(cell)):
            yield f"code cell {i}: is to be checked, and has no text among its saved outputs to compare with"


def not_executed(notebook: Notebook) -> Faults:
    cells = code_cells(notebook)
    for i, cell in cells:
        if cell.execution_count != i:
            yield f"code cell {i}: its execution count is {cell.execution_count}: it was not run from first to last"
    if sum(bool(cell.outputs) for _, cell in cells) * 2 < len(cells):
        yield "fewer than half of the code cells have an output: they were stripped"


def errors_and_stderr(notebook: Notebook) -> Faults:
    for i, cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"code cell {i}: ends in {output.ename}"
            if output.output_type == "stream" and output.name == "stderr":
                yield f"code cell {i}: has output on stderr"


def noise_in_outputs(notebook: Notebook) -> Faults:
    for i, cell in code_cells(notebook):
        for name, pattern in NOISE.items():
            found = next(filter(None, (pattern.search(text) for text in texts(cell))), None)
            if found:
                yield f"code cell {i}: its output holds {name} ({found[0]!r})"


def widget_states(notebook: Notebook) -> Faults:
    if "widgets" in notebook.metadata:
        yield "metadata.widgets: GitHub may call the notebook invalid"
    for i, cell in code_cells(notebook):
        if any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in cell.outputs):
            yield f"code cell {i}: a saved widget shows nothing without a kernel"


def kernel_metadata(notebook: Notebook) -> Faults:
    if notebook.metadata != METADATA:
        yield f"the notebook's metadata tell more or less than {METADATA}"
    for i, cell in enumerate(notebook.cells, 1):
        if set(cell.metadata) - {"tags"}:
            yield f"cell {i}: has metadata {sorted(set(cell.metadata) - {'tags'})}"


def badge(notebook: Notebook, name: str = "", address: str = ADDRESS) -> Faults:
    colab = address.replace("https://github.com", "https://colab.research.google.com/github")
    wanted = f"{colab}/blob/main/notebooks/{name}"
    first = notebook.cells[0].source if notebook.cells else ""
    if f"]({wanted})" not in first:
        yield f"the first cell has no badge that leads to {wanted}"
    for i, cell in code_cells(notebook):
        for found in re.findall(r"git clone[^\n]*?(https://\S+)", cell.source):
            if found != address:
                yield f"code cell {i}: clones {found}, pyproject says {address}"


def long_cells(notebook: Notebook) -> Faults:
    for i, cell in code_cells(notebook):
        lines = cell.source.strip().splitlines()
        if len(lines) > MAX_CELL_LINES and not defines_class(cell.source):
            yield f"code cell {i}: {len(lines)} lines, at most {MAX_CELL_LINES} are read at a glance"
        if max(map(len, lines), default=0) > MAX_LINE:
            yield f"code cell {i}: a line is longer than {MAX_LINE} characters, and a page cuts it off"


def defines_class(source: str) -> bool:
    """Whether the cell holds a class definition at its outer level; magics are translated first."""
    return any(isinstance(node, ast.ClassDef) for node in ast.parse(TransformerManager().transform_cell(source)).body)


def setup_cell(notebook: Notebook, same_as: Notebook | None = None) -> Faults:
    cells = code_cells(notebook)
    if not cells or "lesson = start()" not in cells[0][1].source:
        yield "the first code cell is not the set-up cell"
        return
    first = cells[0][1]
    if len(first.source.splitlines()) > MAX_SETUP_LINES:
        yield f"the set-up cell is longer than {MAX_SETUP_LINES} lines"
    if "nbval-ignore-output" not in tags(first):
        yield "the set-up cell prints versions, and does not carry nbval-ignore-output"
    if same_as is not None and first.source != code_cells(same_as)[0][1].source:
        yield "the set-up cell differs from that of notebook 00"


def too_large(path: Path) -> Faults:
    if path.stat().st_size > MAX_BYTES:
        yield f"{path.stat().st_size} bytes: more than {MAX_BYTES} load slowly"


RULES: list[Callable[[Notebook], Faults]] = [
    unknown_tags, unknown_magics, checked_cells_without_output, not_executed, errors_and_stderr, noise_in_outputs,
    widget_states, kernel_metadata, long_cells,
]  # fmt: skip


def faults_of(path: Path) -> list[str]:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    faults = [fault for rule in RULES for fault in rule(notebook)]
    faults += setup_cell(notebook, same_as=nbformat.read(NOTEBOOKS[0], as_version=4))
    faults += badge(notebook, path.relative_to(ROOT / "notebooks").as_posix())
    return faults + list(too_large(path))


def test_there_are_notebooks():
    assert NOTEBOOKS and NOTEBOOKS[0].name == "00_start_here.ipynb"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_has_no_fault(path):
    assert faults_of(path) == []


# Planted faults: a small notebook without fault, changed in one place.

BADGE = "https://colab.research.google.com/github/a/b/blob/main/notebooks/x.ipynb"
SETUP = "from ucolnet_lib.notebook import start\nlesson = start()"


@pytest.fixture
def notebook() -> Notebook:
    new = nbformat.v4
    cells = [
        new.new_markdown_cell("# Title\n[![Open in Colab](badge.svg)](" + BADGE + ")"),
        new.new_code_cell(SETUP, execution_count=1, outputs=[stream("ucolnet\n")]),
        new.new_code_cell("print(6 * 7)", execution_count=2, outputs=[stream("42\n")]),
    ]
    cells[1].metadata["tags"], cells[2].metadata["tags"] = ["nbval-ignore-output"], ["nbval-check-output"]
    return new.new_notebook(cells=cells, metadata=copy.deepcopy(METADATA))


def stream(text: str, name: str = "stdout") -> Notebook:
    return nbformat.v4.new_output("stream", name=name, text=text)


def test_the_small_notebook_has_no_fault(notebook):
    nbformat.validate(notebook)
    assert [fault for rule in [*RULES, setup_cell] for fault in rule(notebook)] == []
    assert list(badge(notebook, "x.ipynb", "https://github.com/a/b")) == []


@pytest.mark.parametrize("tag", ["nbval-check-outputs", "nbval_check_output", "nbval-skip", "raises-exception"])
def test_an_unknown_tag_is_found(notebook, tag):
    notebook.cells[2].metadata["tags"] = [tag]
    assert len(list(unknown_tags(notebook))) == 1


@pytest.mark.parametrize("comment", ["# NBVAL_SKIP", "  #NBVAL_IGNORE_OUTPUT"])
def test_a_comment_of_nbval_is_found(notebook, comment):
    notebook.cells[2].source += f"\n{comment}"
    assert len(list(unknown_tags(notebook))) == 1


@pytest.mark.parametrize("line", ["%matplotib inline", "%%tme\n1", "if True:\n    %rnu x.py"])
def test_an_unknown_magic_is_found(notebook, line):
    notebook.cells[2].source = line
    assert len(list(unknown_magics(notebook))) == 1


@pytest.mark.parametrize("line", ["%matplotlib inline", "%%capture\n1", "if True:\n    %run x.py", "a = 7 %2"])
def test_a_known_magic_is_fine(notebook, line):
    notebook.cells[2].source = line
    assert list(unknown_magics(notebook)) == []


@pytest.mark.parametrize(
    "outputs",
    [[], [stream("\n")], [nbformat.v4.new_output("display_data", data={"image/png": "iVBORw0KGgo="})]],
    ids=["none", "empty", "only a picture"],
)
def test_a_checked_cell_without_output_is_found(notebook, outputs):
    notebook.cells[2].outputs = outputs
    assert len(list(checked_cells_without_output(notebook))) == 1


@pytest.mark.parametrize("count", [None, 1, 3])
def test_an_execution_count_out_of_order_is_found(notebook, count):
    notebook.cells[2].execution_count = count
    assert len(list(not_executed(notebook))) == 1


def test_stripped_outputs_are_found(notebook):
    notebook.cells[1].outputs = notebook.cells[2].outputs = []
    assert len(list(not_executed(notebook))) == 1


def test_an_error_is_found(notebook):
    notebook.cells[2].outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])]
    assert len(list(errors_and_stderr(notebook))) == 1


def test_stderr_is_found(notebook):
    notebook.cells[2].outputs.append(stream("hello", "stderr"))
    assert len(list(errors_and_stderr(notebook))) == 1


@pytest.mark.parametrize(
    ("text", "what"),
    [
        # Written in two parts, so that no tool takes them for paths of a machine.
        ("saved in /home" + "/ana/x", "path"), ("/root" + "/x.py:3", "path"), ("/tmp" + "/x", "path"),
        ("/Users" + "/ana/x", "path"),
        ("C:\\Users\\ana", "path"), ("C:\\\\Users\\\\ana", "path"),
        (" 40%|████      | 4/10", "progress"), ("4/10 [00:03<00:04, 1.3it/s]", "progress"),
        ("Wall time: 3 s", "timing"), ("1.2 ms per loop", "timing"), ("UserWarning: old", "warning"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["stream", "text/plain", "text/html"])
def test_noise_in_an_output_is_found(notebook, text, what, kind):
    output = stream(text) if kind == "stream" else nbformat.v4.new_output("display_data", data={kind: text})
    notebook.cells[2].outputs = [output]
    found = list(noise_in_outputs(notebook))
    assert found and any(what in fault for fault in found)


def test_widget_states_are_found(notebook):
    notebook.metadata["widgets"] = {}
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "VBox()"}
    notebook.cells[2].outputs = [nbformat.v4.new_output("display_data", data=data)]
    assert len(list(widget_states(notebook))) == 2


def test_metadata_of_a_kernel_are_found(notebook):
    notebook.metadata["language_info"]["version"] = "3.12.3"
    notebook.cells[2].metadata["execution"] = {"iopub.execute_input": "2024-01-01"}
    assert len(list(kernel_metadata(notebook))) == 2


def test_a_badge_of_another_address_is_found(notebook):
    assert len(list(badge(notebook, "x.ipynb", "https://github.com/a/c"))) == 1
    assert len(list(badge(notebook, "y.ipynb", "https://github.com/a/b"))) == 1


def test_a_clone_of_another_address_is_found(notebook):
    notebook.cells[1].source = "!git clone -q https://github.com/a/c /content/b"
    assert len(list(badge(notebook, "x.ipynb", "https://github.com/a/b"))) == 1


def test_a_long_cell_is_found_and_a_long_class_is_not(notebook):
    notebook.cells[2].source = "\n".join(["x = 1"] * 13)
    assert len(list(long_cells(notebook))) == 1
    notebook.cells[2].source = "!ls\nclass A:\n" + "\n".join(["    x = 1"] * 13)
    assert list(long_cells(notebook)) == []


def test_a_long_line_is_found(notebook):
    notebook.cells[2].source = "x" * 101
    assert len(list(long_cells(notebook))) == 1
    notebook.cells[2].source = "x" * 100
    assert list(long_cells(notebook)) == []


def test_faults_of_the_setup_cell_are_found(notebook):
    other = copy.deepcopy(notebook)
    other.cells[1].source += "\nprint()"
    assert len(list(setup_cell(other, same_as=notebook))) == 1
    other.cells[1].source = "\n" * 5 + SETUP
    assert len(list(setup_cell(other))) == 1
    other.cells[1].metadata["tags"] = []
    assert len(list(setup_cell(other))) == 2
    del other.cells[1]
    assert list(setup_cell(other)) == ["the first code cell is not the set-up cell"]


def test_a_file_that_is_too_large_is_found(tmp_path):
    (tmp_path / "x.ipynb").write_bytes(b" " * (MAX_BYTES + 1))
    assert len(list(too_large(tmp_path / "x.ipynb"))) == 1
    (tmp_path / "x.ipynb").write_bytes(b" " * MAX_BYTES)
    assert list(too_large(tmp_path / "x.ipynb")) == []
