"""All figures of one experiment, from what it saved: `python -m ucolnet_lib.figures.make RUN OUT`.

`RUN` is the folder of an `ucolnet reproduce`: results.json, table.md, NAME-SEED/history.csv and pictures/.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.figures.curves import loss_curves
from ucolnet_lib.figures.grid import picture_grid
from ucolnet_lib.figures.lab import lab_channels
from ucolnet_lib.figures.style import LABELS, save


def make_figures(run: str | Path, out: str | Path) -> dict:
    """Draw the figures of `run` into `out`, with a manifest: each file, its checksum and what it was made from.

    Raises:
        UcolnetError: `run` is not the folder of a finished experiment.
    """
    run, out = Path(run), Path(out)
    if not (run / "results.json").is_file():
        raise UcolnetError(f"{run} holds no results.json. Make one first: ucolnet reproduce --out {run}")
    histories = {
        row["name"]: run / f"{row['name']}-{row['seed']}" / "history.csv"
        for row in json.loads((run / "results.json").read_text(encoding="utf-8"))["rows"]
        if row["kind"] == "model" and not row["name"].endswith("_full_lightness")
    }
    rows = sorted((run / "pictures").iterdir())
    names = [p.stem.partition("-")[2] for p in sorted(rows[0].iterdir())]
    grid = [[np.asarray(Image.open(p)) for p in sorted(row.iterdir())] for row in rows]

    made: dict[Path, str] = {}
    curves = loss_curves({name: pd.read_csv(file) for name, file in histories.items()})
    made |= dict.fromkeys(save(curves, out / "loss-curves"), "NAME-SEED/history.csv")
    made |= dict.fromkeys(
        save(picture_grid(grid, [LABELS.get(n, n) for n in names]), out / "before-after"), "pictures/"
    )
    truth = grid[0][names.index("truth")]
    made |= dict.fromkeys(save(lab_channels(truth), out / "lab-channels"), "pictures/")
    with write_beside(out / "table.md") as file:
        shutil.copyfile(run / "table.md", file)
    made[out / "table.md"] = "results.json"

    manifest = {
        "results.json": _sha256(run / "results.json"),
        "figures": {p.name: {"from": source, "sha256": _sha256(p)} for p, source in sorted(made.items())},
    }
    with write_beside(out / "manifest.json") as file:
        file.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    try:
        print(f"{len(make_figures(*sys.argv[1:3])['figures'])} files lie in {sys.argv[2]}.")
    except UcolnetError as error:
        sys.exit(f"figures: {error}")
