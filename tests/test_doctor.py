"""The doctor, on this environment and on broken ones."""

import importlib
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from ucolnet_lib import doctor

ROOT = Path(__file__).parents[1]


@pytest.fixture
def with_versions(monkeypatch):
    """A function that makes installed packages look older, or (None) missing."""
    real = metadata.version

    def fake(**versions):
        def version(name):
            if name in versions and versions[name] is None:
                raise metadata.PackageNotFoundError(name)
            return versions.get(name) or real(name)

        monkeypatch.setattr(metadata, "version", version)

    return fake


@pytest.fixture
def failing_import(monkeypatch):
    """A function that makes the import of one module fail."""
    real = importlib.import_module

    def fake(broken, error):
        def import_module(name, package=None):
            if name == broken:
                raise error
            return real(name, package)

        monkeypatch.setattr(importlib, "import_module", import_module)

    return fake


def test_all_fits_where_everything_is_installed(capsys):
    checks = doctor.check_environment()
    required = [check for check in checks if check.name not in ("memory", "disk")]
    assert all(check.ok is not False for check in required), doctor.as_table(checks)
    assert {"Python", "packages", "numpy", "torch, torchvision", "device"} <= {c.name for c in checks if c.ok}


def test_old_python(monkeypatch):
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.14")
    check = doctor.check_python()
    assert check.ok is False and check.found == "3.10.14" and "3.11" in check.advice


def test_minimum_python_is_the_one_of_pyproject():
    assert metadata.metadata("ucolnet")["Requires-Python"] == f">={doctor.MINIMUM_PYTHON}"


def test_missing_torchvision(with_versions):
    with_versions(torchvision=None)
    check = doctor.check_torch()
    assert check.ok is False and "torchvision is missing" in check.found and "torch torchvision" in check.advice


def test_torch_that_is_too_old(with_versions):
    with_versions(torch="2.5.1")
    check = doctor.check_torch()
    assert check.ok is False and "torch 2.5.1 does not fit" in check.found


def test_torchvision_of_another_release(with_versions, monkeypatch):
    """torchvision states which torch it was made for."""
    with_versions(torch="2.6.0+cpu")
    real = metadata.requires
    monkeypatch.setattr(
        metadata, "requires", lambda name: ["torch (==2.7.0)"] if name == "torchvision" else real(name)
    )
    check = doctor.check_torch()
    assert check.ok is False and "does not fit torch==2.7.0 of this torchvision" in check.found


def test_builds_of_torch_and_torchvision_that_do_not_match(tmp_path):
    """A real process with a torchvision that fails as a CUDA build does beside a CPU build of torch."""
    planted = tmp_path / "torchvision"
    planted.mkdir()
    (planted / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    done = subprocess.run(
        [sys.executable, "-m", "ucolnet_lib.doctor"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "torchvision::nms does not exist" in done.stdout
    assert "--force-reinstall torch torchvision" in done.stdout
    assert "To mend: torch, torchvision." in done.stdout
    assert "Traceback" not in done.stderr


def test_numpy_1(with_versions):
    with_versions(numpy="1.26.4")
    check = doctor.check_numpy()
    assert check.ok is False and "numpy 1.26.4" in check.found and "numpy>=2.0" in check.advice


def test_another_missing_package(with_versions):
    with_versions(pycocotools=None)
    check = doctor.check_packages()
    assert check.ok is False and "pycocotools is missing" in check.found


def test_ucolnet_not_installed(monkeypatch):
    def nothing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", nothing)
    monkeypatch.setattr(metadata, "requires", nothing)
    check = doctor.check_packages()
    assert check.ok is False and "ucolnet itself is not installed" in check.found
    assert doctor.check_detector().ok is None


def test_missing_ultralytics_is_a_note(with_versions):
    with_versions(ultralytics=None)
    check = doctor.check_detector()
    assert check.ok is None and "ultralytics is missing" in check.found and '".[yolo]"' in check.advice


def test_opencv_without_opengl(failing_import):
    failing_import("cv2", ImportError("libGL.so.1: cannot open shared object file: No such file or directory"))
    check = doctor.check_detector()
    assert check.ok is False and "libGL.so.1" in check.found and "libgl1" in check.advice


def test_too_little_disk(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1.9 * 2**30))
    check = doctor.check_disk()
    assert check.ok is False and check.found == "1.9 GB free" and "2 GB" in check.advice


def test_little_memory_is_a_note(monkeypatch):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**30, total=8 * 2**30))
    check = doctor.check_memory()
    assert check.ok is None and check.found == "1.0 GB free of 8.0 GB" and check.advice


def test_memory_not_known_without_psutil(failing_import):
    failing_import("psutil", ModuleNotFoundError("No module named 'psutil'"))
    assert doctor.check_memory().ok is None


@pytest.mark.parametrize(("capability", "told"), [((7, 5), "no bf16 in hardware"), ((9, 0), "GB, bf16 in hardware")])
def test_bf16_of_a_cuda_card(monkeypatch, capability, told):
    import torch

    card = SimpleNamespace(name="a card", total_memory=16 * 2**30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    check = doctor.check_device()
    assert check.ok is True and check.found.startswith("cuda: a card, 16 GB") and told in check.found


def test_cpu_build_of_torch_beside_an_nvidia_card(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: "nvidia-smi")
    check = doctor.check_device()
    assert check.ok is None and check.found.startswith("cpu") and "torch torchvision" in check.advice


def test_device_without_torch(failing_import):
    failing_import("torch", OSError("libtorch.so: cannot open"))
    assert doctor.check_device().ok is None


def test_exit_code_and_table(monkeypatch, capsys):
    checks = [doctor.Check("one", True, "1.0"), doctor.Check("two", None, "missing", "do this")]
    monkeypatch.setattr(doctor, "check_environment", lambda: checks)
    assert doctor.main() == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok    one                 1.0",
        "note  two                 missing",
        "                          -> do this",
        "The environment fits.",
    ]
    checks.append(doctor.Check("three", False, "broken", "do that"))
    assert doctor.main() == 2
    assert capsys.readouterr().out.endswith("To mend: three.\n")


def test_every_broken_check_has_advice(with_versions, monkeypatch):
    with_versions(**dict.fromkeys(["numpy", "torch", "pillow", "accelerate", "ultralytics", "jupyterlab"]))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    checks = doctor.check_environment()
    assert sum(check.ok is not True for check in checks) >= 7
    assert all(check.advice for check in checks if check.ok is not True)
