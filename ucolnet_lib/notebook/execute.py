"""Execute notebooks and save their outputs: `python -m ucolnet_lib.notebook.execute [NOTEBOOK ...]`.

Without names it takes all notebooks of the course, solutions included, in the profile toy.
A notebook is replaced only when all its cells ran. What differs from machine to machine is left out of the file.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.notebook.setup import SAVING, repository

TIMEOUT = 1800
"""Seconds that one cell may take: much more than it should, for a machine that is busy."""

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""All that a saved notebook says about its kernel."""


def execute(path: str | Path) -> None:
    """Run all cells of a notebook in its own folder with this Python, and save the outputs in place.

    Raises:
        UcolnetError: the file is no notebook, or a cell failed; the file is left as it was.
    """
    path = Path(path)
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except FileNotFoundError as error:
        raise UcolnetError(f"There is no notebook {path}. Check the path.") from error
    except (ValueError, KeyError, TypeError, AttributeError, nbformat.ValidationError) as error:
        raise UcolnetError(f"{path} is no notebook. Restore the file, or remove it.") from error
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}},
        record_timing=False, store_widget_state=False, coalesce_streams=True, extra_arguments=["--log-level=ERROR"],
    )  # fmt: skip
    try:
        client.execute(env={**os.environ, "UCOLNET_PROFILE": "toy", SAVING: "1"})
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        where = f"{path.name}, code cell {_failed_cell(notebook)}"
        raise UcolnetError(f"{where}: {_reason(error)}. Mend the cell; the saved file is as before.") from error
    clean(notebook)
    with write_beside(path) as file:
        file.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def clean(notebook: nbformat.NotebookNode) -> None:
    """Leave out what tells about the machine or the moment: versions, timings, widget states. Changes `notebook`."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {})


def course(root: Path) -> list[Path]:
    """All notebooks of the clone at `root`, chapters before solutions."""
    return sorted((root / "notebooks").glob("*.ipynb")) + sorted((root / "notebooks" / "solutions").glob("*.ipynb"))


def _failed_cell(notebook: nbformat.NotebookNode) -> int:
    """The number of the code cell that ran last, counted from 1 as Jupyter counts."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    failed = [i for i, cell in enumerate(code, 1) if any(output.output_type == "error" for output in cell.outputs)]
    return failed[0] if failed else sum(cell.execution_count is not None for cell in code) + 1


def _reason(error: Exception) -> str:
    if isinstance(error, CellExecutionError):
        return f"{error.ename}: {error.evalue}"
    return f"it took longer than {TIMEOUT} seconds" if isinstance(error, CellTimeoutError) else "its kernel died"


def main(names: Sequence[str]) -> int:
    """Execute the named notebooks, or all. Returns the exit code."""
    root = repository()
    if not names and root is None:
        print("The notebooks stand only in a clone of the repository. Name a notebook, or clone it.", file=sys.stderr)
        return 2
    for path in map(Path, names) if names else course(root):
        started = time.perf_counter()
        try:
            execute(path)
        except UcolnetError as error:
            print(error, file=sys.stderr)
            return 2
        print(f"{path.name}: {time.perf_counter() - started:.0f} s, {path.stat().st_size / 2**20:.2f} MB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
