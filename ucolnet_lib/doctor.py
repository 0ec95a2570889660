"""Checks the environment and says how to mend it (`ucolnet doctor`).

At import it needs only the standard library and `packaging`: it must run where torch cannot be imported.
What is required is read from the metadata of the installed package, so pyproject.toml stays the only list.
"""

from __future__ import annotations

import importlib
import platform
import shutil
from importlib import metadata
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.version import Version

MINIMUM_PYTHON = "3.11"
MINIMUM_DISK_GB = 2  # drawn scenes, a detector and six small models take less than 1 GB
MINIMUM_MEMORY_GB = 4  # training one model at the size of the profile toy takes about 2 GB

INSTALL = "python -m pip install -c constraints.txt"
MEND_TORCH = f"install the two together, in the folder of the clone: {INSTALL} --force-reinstall torch torchvision"


class Check(NamedTuple):
    """One line of the report.

    `ok` is True (fits), None (works without it, something is left out) or False (must be mended).
    `advice` is empty where nothing is to be done.
    """

    name: str
    ok: bool | None
    found: str
    advice: str = ""


def _requirements(extra: str = "") -> list[Requirement]:
    """What the installed ucolnet requires: its core, or one extra of it. Empty if it is not installed."""
    try:
        lines = metadata.requires("ucolnet") or []
    except metadata.PackageNotFoundError:
        return []
    requirements = [Requirement(line) for line in lines]
    return [r for r in requirements if (r.marker.evaluate({"extra": extra}) if r.marker else not extra)]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _versions(names: list[str]) -> str:
    return ", ".join(f"{name} {_version(name)}" for name in names)


def _lacking(requirements: list[Requirement]) -> list[str]:
    """One phrase for each requirement that is not met."""
    lacking = []
    for requirement in requirements:
        version = _version(requirement.name)
        if version is None:
            lacking.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(version, prereleases=True):
            lacking.append(f"{requirement.name} {version} does not fit {requirement.name}{requirement.specifier}")
    return lacking


def _import_error(name: str) -> str:
    """The first line of what goes wrong when `name` is imported; empty when nothing does."""
    try:
        importlib.import_module(name)
    except Exception as error:  # compiled packages fail with whatever their loader raises
        return f"{name} cannot be imported: {str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}"
    return ""


def check_python() -> Check:
    found = platform.python_version()
    if Version(found) >= Version(MINIMUM_PYTHON):
        return Check("Python", True, found)
    return Check("Python", False, found, f"install Python {MINIMUM_PYTHON} or newer and make a new environment with it")


def check_torch() -> Check:
    """torch and torchvision: present, new enough, made for each other, and importable.

    A CPU build of torch beside a torchvision built for CUDA has fitting versions, and fails only at import with
    "operator torchvision::nms does not exist".
    """
    name = "torch, torchvision"
    lacking = _lacking([r for r in _requirements() if r.name in ("torch", "torchvision")])
    if not lacking and _version("torchvision"):
        made_for = [Requirement(line) for line in metadata.requires("torchvision") or []]
        lacking = [f"{phrase} of this torchvision" for phrase in _lacking([r for r in made_for if r.name == "torch"])]
    error = ", ".join(lacking) or _import_error("torch") or _import_error("torchvision")
    found = _versions(["torch", "torchvision"])
    return Check(name, False, f"{found}: {error}", MEND_TORCH) if error else Check(name, True, found)


def check_numpy() -> Check:
    lacking = _lacking([r for r in _requirements() if r.name == "numpy"])
    error = ", ".join(lacking) or _import_error("numpy")
    if error:
        return Check("numpy", False, error, f'{INSTALL} --force-reinstall "numpy>=2.0"')
    return Check("numpy", True, _versions(["numpy"]))


def check_packages() -> Check:
    """The other packages of the core, and ucolnet itself."""
    apart = ("torch", "torchvision", "numpy")
    lacking = ["ucolnet itself is not installed"] if _version("ucolnet") is None else []
    lacking += _lacking([r for r in _requirements() if r.name not in apart])
    if lacking:
        return Check("packages", False, ", ".join(lacking), f"in the folder of the clone: {INSTALL} -e .")
    return Check("packages", True, _versions(["ucolnet"]) + " and all that it requires")


def _optional(name: str, extra: str, use: str, module: str = "") -> Check:
    """An extra of ours: None where it is missing, False where it is there and broken (`module` cannot be imported)."""
    requirements = _requirements(extra)
    lacking = _lacking(requirements)
    advice = f'needed {use}; in the folder of the clone: {INSTALL} -e ".[{extra}]"'
    if lacking or not requirements:
        return Check(name, None, ", ".join(lacking) or "not known: ucolnet is not installed", advice)
    error = _import_error(module) if module else ""
    if error:
        return Check(name, False, error, f"{advice} --force-reinstall")
    return Check(name, True, _versions([r.name for r in requirements]))


def check_training() -> Check:
    return _optional("training", "train", "to train models")


def check_detector() -> Check:
    check = _optional("detector", "yolo", "to count recognised objects", "cv2")
    if "libGL" in check.found:  # OpenCV on a Linux without a desktop
        return check._replace(advice="install the system's OpenGL library; on Debian and Ubuntu: apt install libgl1")
    return check


def check_notebooks() -> Check:
    return _optional("notebooks", "notebooks", "to open the notebooks")


def check_device() -> Check:
    """Which device torch computes on, and whether it has bfloat16 in hardware."""
    if _import_error("torch"):
        return Check("device", None, "not known: torch cannot be imported", "mend torch first")
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        # Older cards (a T4 has 7.5) accept bfloat16 and compute it slowly.
        bf16 = "bf16 in hardware" if torch.cuda.get_device_capability(0) >= (8, 0) else "no bf16 in hardware: use fp16"
        return Check("device", True, f"cuda: {properties.name}, {properties.total_memory / 2**30:.0f} GB, {bf16}")
    if torch.backends.mps.is_available():
        return Check("device", True, "mps (Apple)")
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # newer torch only
    bf16 = [known for known in ("avx512_bf16", "amx_bf16", "bf16") if capabilities.get(known)]
    told = "bf16 in hardware" if bf16 else "no bf16 in hardware" if capabilities else "bf16 not known"
    found = f"cpu: {torch.get_num_threads()} threads, {told}"
    if shutil.which("nvidia-smi"):
        advice = f"an NVIDIA driver is there, but torch {torch.__version__} does not see its card; {MEND_TORCH}"
        return Check("device", None, found, advice)
    return Check("device", True, found)


def check_memory() -> Check:
    if _import_error("psutil"):
        return Check("memory", None, "not known", "psutil comes with the extra train")
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / 2**30:.1f} GB free of {memory.total / 2**30:.1f} GB"
    if memory.available >= MINIMUM_MEMORY_GB * 2**30:
        return Check("memory", True, found)
    return Check("memory", None, found, f"close other programs: {MINIMUM_MEMORY_GB} GB should be free")


def check_disk() -> Check:
    """Free space of the disk that the current folder lies on."""
    free = shutil.disk_usage(".").free / 2**30
    found = f"{free:.1f} GB free"
    if free >= MINIMUM_DISK_GB:
        return Check("disk", True, found)
    return Check("disk", False, found, f"make room: {MINIMUM_DISK_GB} GB are needed here, 50 GB for the whole of COCO")


def check_environment() -> list[Check]:
    """Run all checks, in the order in which they are best mended."""
    return [
        check_python(),
        check_packages(),
        check_numpy(),
        check_torch(),
        check_device(),
        check_memory(),
        check_disk(),
        check_training(),
        check_detector(),
        check_notebooks(),
    ]


def as_table(checks: list[Check]) -> str:
    """One line a check: mark, name, what was found; below it the advice, if there is one."""
    marks = {True: "ok", None: "note", False: "MEND"}
    lines = []
    for check in checks:
        lines.append(f"{marks[check.ok]:<6}{check.name:<20}{check.found}")
        if check.advice:
            lines.append(f"{'':<26}-> {check.advice}")
    return "\n".join(lines)


def main() -> int:
    """Print the table; return the exit code: 2 when something must be mended, else 0."""
    checks = check_environment()
    print(as_table(checks))
    broken = [check.name for check in checks if check.ok is False]
    print(f"To mend: {', '.join(broken)}." if broken else "The environment fits.")
    return 2 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
