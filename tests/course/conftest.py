"""Definitions taken out of the notebooks' own cells, to be compared with the library's."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def definitions(notebook: str, *names: str) -> dict[str, Any]:
    """Execute the imports of a notebook and its definitions of `names` (functions, classes, constants), nothing else.

    Args:
        notebook: the beginning of its file name, such as "04".
        names: in any order; what one of them needs from the notebook must be named too.
    Returns:
        the namespace.
    """
    (path,) = NOTEBOOKS.glob(f"{notebook}*.ipynb")
    cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    body, found = [], set()
    for source in cells:
        for node in ast.parse(TransformerManager().transform_cell(source)).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                body.append(node)
                continue
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                defined = {node.name}
            elif isinstance(node, ast.Assign):
                defined = {n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
            else:
                continue
            if defined & set(names):
                found |= defined
                body.append(node)
    missing = set(names) - found
    assert not missing, f"{path.name} does not define {sorted(missing)}"
    namespace: dict[str, Any] = {"__name__": path.stem}
    exec(compile(ast.Module(body, type_ignores=[]), path.name, "exec"), namespace)
    return namespace


@pytest.fixture(scope="session")
def notebook_definitions() -> Callable[..., dict[str, Any]]:
    """The function `definitions(notebook, *names)`."""
    return definitions
