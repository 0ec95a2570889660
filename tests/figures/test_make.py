"""The figures of one experiment, from a hand-made folder of results."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.figures.make import make_figures


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    (folder / "ucolnet_v3-0").mkdir(parents=True)
    rows = [
        {"name": "gray", "kind": "control", "seed": None},
        {"name": "ucolnet_v3", "kind": "model", "seed": 0},
        {"name": "ucolnet_v3_full_lightness", "kind": "model", "seed": 0},
    ]
    (folder / "results.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
    (folder / "table.md").write_text("| model |\n", encoding="utf-8")
    history = pd.DataFrame({"epoch": [1, 2], "train_color": [0.05, 0.04], "validation_color": [0.05, 0.045]})
    history.to_csv(folder / "ucolnet_v3-0" / "history.csv", index=False)
    for row in range(2):
        (folder / "pictures" / str(row)).mkdir(parents=True)
        for column, name in enumerate(["gray", "ucolnet_v3", "truth", "true classes"]):
            picture = np.full((16, 16, 3), 40 * column + 10 * row, np.uint8)
            Image.fromarray(picture).save(folder / "pictures" / str(row) / f"{column:02d}-{name}.png")
    return folder


def test_every_figure_is_written_and_listed(run, tmp_path):
    manifest = make_figures(run, tmp_path / "figures")
    files = {p.name for p in (tmp_path / "figures").iterdir()}
    names = {
        f"{name}{suffix}" for name in ("loss-curves", "before-after", "lab-channels") for suffix in (".png", ".pdf")
    }
    assert files == names | {"table.md", "manifest.json"}
    assert set(manifest["figures"]) == names | {"table.md"}
    for name, entry in manifest["figures"].items():
        assert entry["sha256"] == hashlib.sha256((tmp_path / "figures" / name).read_bytes()).hexdigest()


def test_the_same_results_give_the_same_figures(run, tmp_path):
    assert make_figures(run, tmp_path / "a") == make_figures(run, tmp_path / "b")


def test_other_results_give_other_curves(run, tmp_path):
    before = make_figures(run, tmp_path / "a")["figures"]
    history = run / "ucolnet_v3-0" / "history.csv"
    history.write_text(history.read_text(encoding="utf-8").replace("0.045", "0.03"), encoding="utf-8")
    after = make_figures(run, tmp_path / "b")["figures"]
    assert {name for name in before if before[name] != after[name]} == {"loss-curves.png", "loss-curves.pdf"}


def test_a_folder_without_results(tmp_path):
    with pytest.raises(UcolnetError, match="ucolnet reproduce"):
        make_figures(tmp_path / "nothing", tmp_path / "figures")
    assert not (tmp_path / "figures").exists()
