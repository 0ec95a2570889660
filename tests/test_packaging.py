"""The four lists of packages agree, the citation is current, and who only evaluates needs no training packages."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import ucolnet_lib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
EXTRAS = ("train", "yolo", "notebooks", "dev")

# Where the name on conda-forge is another one.
CONDA_NAMES = {"torch": "pytorch"}

# Packages that we import and that arrive with one of ours: module -> the package of ours that requires it.
ARRIVES_WITH = {"IPython": "ipywidgets", "cv2": "ultralytics", "yaml": "ultralytics", "psutil": "accelerate"}


def requirements(*groups: str) -> dict[str, SpecifierSet]:
    """Name -> bounds of the core requirements (group "core") and of extras."""
    listed = {"core": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    parsed = [Requirement(line) for group in groups for line in listed[group]]
    return {canonicalize_name(r.name): r.specifier for r in parsed}


def constraints() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf8").splitlines()
    pins = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def test_the_extras_are_those_that_make_installs():
    assert tuple(PROJECT["optional-dependencies"]) == EXTRAS
    assert f"'.[{','.join(EXTRAS)}]'" in (ROOT / "Makefile").read_text(encoding="utf8")


def test_every_requirement_has_a_lower_bound():
    assert [n for n, bounds in requirements("core", *EXTRAS).items() if not str(bounds).startswith(">=")] == []


def test_conda_lists_the_same_packages_with_the_same_bounds():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf8"))["dependencies"]
    parsed = [Requirement(entry) for entry in entries if isinstance(entry, str)]
    listed = {canonicalize_name(r.name): r.specifier for r in parsed}
    wanted = {CONDA_NAMES.get(name, name): bounds for name, bounds in requirements("core", *EXTRAS).items()}
    wanted |= {"python": SpecifierSet(PROJECT["requires-python"]), "pip": SpecifierSet()}
    assert listed == wanted
    assert entries[-1] == {"pip": ["-e ."]}


def test_constraints_pin_every_direct_requirement_within_its_bounds():
    pins = constraints()
    for name, bounds in requirements("core", *EXTRAS).items():
        assert name in pins, f"constraints.txt pins no {name}"
        (pin,) = pins[name].specifier
        assert pin.operator == "==" and bounds.contains(pin.version), f"{pins[name]} does not fit {bounds}"


def test_constraints_fit_a_cpu_build_of_torch():
    """No CUDA packages, no build tags (2.15.0+cpu), one OpenCV, and not torch 2.13.0."""
    pins = constraints()
    assert [name for name in pins if name.startswith(("nvidia", "cuda", "triton"))] == []
    assert [str(pin) for pin in pins.values() if "+" in str(pin.specifier)] == []
    assert [name for name in pins if name.startswith("opencv")] == ["opencv-python"]
    assert str(pins["torch"].specifier) != "==2.13.0"


def test_the_pinned_torchvision_is_made_for_the_pinned_torch():
    pins = constraints()
    (pinned,) = pins["torchvision"].specifier
    if metadata.version("torchvision").split("+")[0] != pinned.version:
        pytest.skip("another torchvision is installed than the pinned one")
    (torch,) = pins["torch"].specifier
    wanted = [r for r in map(Requirement, metadata.requires("torchvision")) if r.name == "torch"]
    assert all(r.specifier.contains(torch.version) for r in wanted)


def declared(modules: set[str], groups: tuple[str, ...]) -> list[str]:
    """Those of the modules that no package of the groups provides."""
    required = set(requirements(*groups))
    providers = metadata.packages_distributions()
    undeclared = []
    for module in modules - {"ucolnet_lib", "tests", *sys.stdlib_module_names}:
        names = [*providers.get(module, []), ARRIVES_WITH.get(module, "")]
        if not required & {canonicalize_name(name) for name in names}:
            undeclared.append(module)
    return sorted(undeclared)


def third_party(folder: Path) -> set[str]:
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    return found


def test_the_library_imports_only_what_the_project_requires():
    assert declared(third_party(ROOT / "ucolnet_lib"), ("core", "train", "yolo", "notebooks")) == []


def test_the_tests_import_only_what_the_project_requires():
    assert declared(third_party(ROOT / "tests"), ("core", *EXTRAS)) == []


def test_an_undeclared_import_is_found(tmp_path):
    (tmp_path / "new.py").write_text("import torch\nfrom sympy.core import add\n")
    assert declared(third_party(tmp_path), ("core",)) == ["sympy"]


def test_citation_names_this_version_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))
    assert citation["version"] == ucolnet_lib.__version__
    assert citation["license"] == PROJECT["license"] == "MIT"
    (paper,) = citation["references"]
    assert (paper["authors"][0]["family-names"], paper["year"]) == ("Pușcaș", 2024)


def test_changelog_tells_of_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf8")
    assert re.search(rf"^## \[(Unreleased|{re.escape(ucolnet_lib.__version__)})\]", text, flags=re.MULTILINE)


def test_who_only_evaluates_needs_no_training_packages():
    """All modules of these rooms are imported in a process in which the packages of the extra train do not exist."""
    code = """
import importlib, pkgutil, sys
sys.modules["accelerate"] = None  # Python's own way to say: cannot be imported
for name in ("models", "colorizer", "evaluation", "figures"):
    room = importlib.import_module(f"ucolnet_lib.{name}")
    for module in pkgutil.walk_packages(getattr(room, "__path__", []), room.__name__ + "."):
        importlib.import_module(module.name)
loaded = [name for name in sys.modules if name.startswith("ucolnet_lib.training")]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
