"""The rooms of the library stand in an order, and a room imports only from the rooms above it.

The order keeps the library readable from the top: who reads a file needs only what stands above it.
"""

import ast
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "ucolnet_lib"

# From the ground up: room -> rooms above it that it must not import either.
ROOMS = {
    "common": (),
    "color": (),
    "ab_bins": (),
    "data": (),
    "models": ("data",),
    "color_losses": ("data", "models"),
    "losses": (),
    "metrics": (),
    "image_metrics": (),
    "recipes": (),
    "training": (),
    "colorizer": ("training",),
    "evaluation": ("training",),
    "figures": ("training",),
    "notebook": (),
    "experiments": (),
    "doctor": (),
    "cli": (),
}
# The doctor must run where torch cannot be imported, and all other rooms import torch.
ROOMS["doctor"] = tuple(set(ROOMS) - {"doctor", "cli"})

# Modules without a test file of their own, and why.
WITHOUT_TESTS: dict[str, str] = {}


def modules(library: Path) -> list[Path]:
    return sorted(library.rglob("*.py"))


def room_of(path: Path, library: Path) -> str:
    """The room that a file belongs to; the empty string for the package's own `__init__.py`."""
    first = path.relative_to(library).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imported_modules(path: Path, library: Path) -> list[tuple[int, str]]:
    """All modules that a file imports, anywhere in it, as (line, dotted name); relative ones resolved."""
    package = ("ucolnet_lib", *path.relative_to(library).parts[:-1])
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*start, *([node.module] if node.module else [])])
            # `from ucolnet_lib import data` imports a room by its name.
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "ucolnet_lib" else [module]
            found += [(node.lineno, name) for name in names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if function in ("import_module", "__import__"):
                found.append((node.lineno, str(node.args[0].value)))
    return found


def faults_of(library: Path) -> list[str]:
    """One sentence for each import that goes against the order."""
    order = list(ROOMS)
    faults = []
    for path in modules(library):
        room, name_of_file = room_of(path, library), path.relative_to(library).as_posix()
        if room and room not in ROOMS:
            faults.append(f"{name_of_file} stands in no room: enter it into ROOMS in tests/test_house.py")
            continue
        for line, name in imported_modules(path, library):
            parts = name.split(".")
            if parts[0] != "ucolnet_lib" or len(parts) == 1 or parts[1].startswith("__"):
                continue
            other, where = parts[1], f"{name_of_file}:{line}"
            if other == room:
                continue
            if other not in ROOMS:
                faults.append(f"{where} imports {name}, which is no room")
            elif not room or order.index(other) > order.index(room):
                faults.append(f"{where} imports {other}, which stands below {room or 'the package itself'}")
            elif other in ROOMS[room]:
                faults.append(f"{where} imports {other}, of which {room} knows nothing")
    return faults


def test_every_room_imports_only_from_the_rooms_above_it():
    assert faults_of(LIBRARY) == []


@pytest.mark.parametrize(
    ("path", "line", "fault"),
    [
        ("color.py", "import ucolnet_lib.models", "color.py:1 imports models, which stands below color"),
        ("color.py", "from ucolnet_lib import data", "color.py:1 imports data, which stands below color"),
        ("data/coco.py", "from ..models import create_model", "data/coco.py:1 imports models, which stands below data"),
        ("data/coco.py", "from .. import cli", "data/coco.py:1 imports cli, which stands below data"),
        ("losses.py", "def f():\n    from .training import run", "losses.py:2 imports training, which stands below"),
        ("common.py", "m = importlib.import_module('ucolnet_lib.color')", "common.py:1 imports color, which stands"),
        ("models/new.py", "from ucolnet_lib.data.coco import NUM_CLASSES", "models/new.py:1 imports data, of which"),
        ("evaluation/new.py", "import ucolnet_lib.training.run as r", "evaluation/new.py:1 imports training, of which"),
        ("figures/new.py", "from ..training.run import load", "figures/new.py:1 imports training, of which"),
        ("colorizer.py", "from .training import run", "colorizer.py:1 imports training, of which"),
        ("doctor.py", "def f():\n    from .common import UcolnetError", "doctor.py:2 imports common, of which doctor"),
        ("notebook/new.py", "from .. import cli", "notebook/new.py:1 imports cli, which stands below notebook"),
        ("__init__.py", "from .common import UcolnetError", "__init__.py:1 imports common, which stands below"),
        ("cli.py", "from .attic import old", "cli.py:1 imports ucolnet_lib.attic, which is no room"),
        ("attic/old.py", "", "attic/old.py stands in no room"),
    ],
)
def test_a_planted_fault_is_found(tmp_path, path, line, fault):
    copy = tmp_path / "ucolnet_lib"
    shutil.copytree(LIBRARY, copy, ignore=shutil.ignore_patterns("__pycache__"))
    target = copy / path
    target.parent.mkdir(exist_ok=True)
    target.write_text(line, encoding="utf8")
    found = faults_of(copy)
    assert len(found) == 1 and found[0].startswith(fault), found


def test_imports_within_a_room_and_of_the_rooms_above_are_fine(tmp_path):
    library = tmp_path / "ucolnet_lib"
    (library / "data").mkdir(parents=True)
    (library / "data" / "toy.py").write_text(
        "import numpy\nfrom . import coco\nfrom .coco import CLASS_NAMES\nfrom ..common import UcolnetError\n"
        "from ucolnet_lib import __version__, color\nimport ucolnet_lib\n"
    )
    assert faults_of(library) == []


def missing_tests(library: Path, tests: Path) -> list[str]:
    """The modules whose mirror tests/ROOM/test_NAME.py is missing."""
    names = [path.relative_to(library) for path in modules(library) if path.name != "__init__.py"]
    return [
        name.as_posix()
        for name in names
        if name.as_posix() not in WITHOUT_TESTS and not (tests / name.parent / f"test_{name.name}").is_file()
    ]


def test_every_module_has_its_test_file():
    assert missing_tests(LIBRARY, ROOT / "tests") == []


def test_a_missing_test_file_is_found(tmp_path):
    (tmp_path / "ucolnet_lib" / "data").mkdir(parents=True)
    (tmp_path / "ucolnet_lib" / "data" / "__init__.py").touch()
    (tmp_path / "ucolnet_lib" / "data" / "coco.py").touch()
    (tmp_path / "tests" / "models").mkdir(parents=True)
    (tmp_path / "tests" / "models" / "test_coco.py").touch()
    assert missing_tests(tmp_path / "ucolnet_lib", tmp_path / "tests") == ["data/coco.py"]


def test_the_list_of_exceptions_names_only_files_that_exist():
    assert [name for name in WITHOUT_TESTS if not (LIBRARY / name).is_file()] == []
