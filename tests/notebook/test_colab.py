"""The set-up cell on Colab, as far as a machine without Colab can tell."""

import subprocess
import sys
import types
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from ucolnet_lib import __version__
from ucolnet_lib.notebook import colab

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pip(monkeypatch):
    """Records the command lines in place of running them; `code` and `git` are what pip and git exit with."""
    record = types.SimpleNamespace(commands=[], code=0, git=0)

    def run(command):
        record.commands.append(command)
        return subprocess.CompletedProcess(command, record.git if command[0] == "git" else record.code)

    monkeypatch.setattr(colab.subprocess, "run", run)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return record


def test_what_colab_has_is_kept(tmp_path, pip):
    colab.install(tmp_path, "v1.2.3")
    checkout, command = pip.commands
    assert checkout == ["git", "-C", str(tmp_path), "checkout", "--quiet", "v1.2.3"]
    constraints = Path(command[command.index("-c") + 1]).read_text().split()
    assert f"torch=={version('torch')}" in constraints and f"numpy=={version('numpy')}" in constraints
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert command[-2:] == ["-e", f"{tmp_path}[train,yolo]"]
    assert sys.path[0] == str(tmp_path)


def test_before_a_release_the_newest_state_is_taken(tmp_path, pip, capsys):
    pip.git = 1
    colab.install(tmp_path, "v1.2.3")
    assert "no tag v1.2.3" in capsys.readouterr().out and len(pip.commands) == 2


def test_a_package_that_colab_lacks_is_not_bound():
    assert colab._installed(("ucolnet-no-such-package", "torch")) == [("torch", version("torch"))]


def test_a_failed_installation_is_told(tmp_path, pip):
    pip.code = 1
    with pytest.raises(RuntimeError, match="pip could not install"):
        colab.install(tmp_path, "v1.2.3")
    assert str(tmp_path) not in sys.path


def test_installing_needs_only_the_standard_library():
    # On Colab it runs before anything of the course is installed.
    code = f"import sys, runpy; runpy.run_path({colab.__file__!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-I", "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "ucolnet_lib"} & set(done.stdout.split())


@pytest.mark.parametrize("on_colab", [True, False])
def test_the_setup_cell_brings_the_course_only_on_colab(monkeypatch, on_colab):
    notebook = nbformat.read(ROOT / "notebooks" / "00_start_here.ipynb", as_version=4)
    source = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    if on_colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    ran = []
    shell = InteractiveShell.instance()
    monkeypatch.setattr(shell, "system", lambda line: ran.append(line))
    monkeypatch.setattr(shell, "run_line_magic", lambda name, line, **_: ran.append(f"%{name} {line}"))
    monkeypatch.setattr("ucolnet_lib.notebook.start", lambda: ran.append("start"))
    shell.run_cell(source).raise_error()
    if on_colab:
        clone, install = ran[:2]
        assert clone.startswith("git clone ") and "https://github.com/ucolnet/ucolnet" in clone
        assert install.startswith("%run ") and install.endswith(f"ucolnet_lib/notebook/colab.py v{__version__}")
    assert ran[-1] == "start" and len(ran) == (3 if on_colab else 1)
