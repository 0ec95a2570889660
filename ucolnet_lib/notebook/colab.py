"""Install the course on Colab: run by the set-up cell from the fresh clone, so it needs only the standard library.

    %run /content/ucolnet/ucolnet_lib/notebook/colab.py v0.1.0

The tag is the version that the notebook was saved with: its text and its numbers belong to that one.

What Colab has is kept: pip is bound to the installed versions of the packages that must match Colab's drivers.
"""

import importlib
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

KEPT = ("torch", "torchvision", "numpy", "pillow", "scipy", "pandas", "matplotlib", "ipywidgets")
"""Packages that match Colab's drivers or page, or that its kernel has loaded: others would break the session."""


def install(root: Path, tag: str) -> None:
    """Bring the clone at `root` to `tag`, install it with what training and evaluation need, and let this kernel
    import it.

    Where the tag is missing, as before a release, the newest state stays. JupyterLab and its like are left alone:
    Colab has its own.

    Raises:
        RuntimeError: pip failed; its own message stands above.
    """
    if subprocess.run(["git", "-C", str(root), "checkout", "--quiet", tag]).returncode:
        print(f"The repository has no tag {tag}: taking its newest state. Numbers may differ from the text.")
    constraints = root / "runs" / "colab-constraints.txt"
    constraints.parent.mkdir(exist_ok=True)
    constraints.write_text("".join(f"{name}=={found}\n" for name, found in _installed(KEPT)), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "-c", str(constraints)]
    if subprocess.run([*pip, "-e", f"{root}[train,yolo]"]).returncode:
        raise RuntimeError("pip could not install the course. Read its message above, then run this cell again.")
    # A kernel that is running does not see what was installed meanwhile.
    importlib.invalidate_caches()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))


def _installed(names: tuple[str, ...]) -> list[tuple[str, str]]:
    found = []
    for name in names:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            pass
    return found


if __name__ == "__main__":
    install(Path(__file__).resolve().parents[2], sys.argv[1])
