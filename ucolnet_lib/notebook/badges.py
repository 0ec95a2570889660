"""Keep badges and set-up cells at the repository's address and version: `make badges REPO=owner/name`.

Run after a fork (with REPO) or after a change of the version (without). The address stands in pyproject.toml; it is
changed there and wherever else it is written, the notebooks included.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from ucolnet_lib import __version__
from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.notebook.execute import course
from ucolnet_lib.notebook.setup import repository

TEXTS = ("pyproject.toml", "CITATION.cff", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
"""Where the address may stand, besides the notebooks."""


def move(root: Path, repo: str | None = None) -> list[Path]:
    """Write the address and the version's tag into all badges and set-up cells below `root`.

    Args:
        repo: the new `owner/name` on GitHub; None keeps the address.
    Returns:
        the files that changed.
    Raises:
        UcolnetError: `repo` is not of the form owner/name.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    old = project["urls"]["Repository"].removeprefix("https://github.com/")
    new = repo or old
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", new):
        raise UcolnetError(f"{new!r} is no repository of GitHub. Write it as owner/name.")
    changed = []
    for path in [*(root / name for name in TEXTS if (root / name).is_file()), *course(root)]:
        before = path.read_text(encoding="utf-8")
        # Both https://github.com/OWNER/NAME and Colab's .../github/OWNER/NAME.
        after = re.sub(rf"(github(?:\.com)?/){re.escape(old)}\b", rf"\g<1>{new}", before)
        if path.suffix == ".ipynb":
            after = re.sub(r"(/notebook/colab\.py)[^\\\"]*", rf"\g<1> v{__version__}", after)
        if after != before:
            with write_beside(path) as file:
                file.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed


def main(arguments: Sequence[str]) -> int:
    """Move the badges of this clone. Returns the exit code."""
    root = repository()
    if root is None:
        print("badges: they stand only in a clone of the repository.", file=sys.stderr)
        return 2
    try:
        changed = move(root, *arguments[:1])
    except UcolnetError as error:
        print(f"badges: {error}", file=sys.stderr)
        return 2
    print(f"{len(changed)} files changed.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
