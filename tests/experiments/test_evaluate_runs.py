"""`ucolnet evaluate` as a function: what it writes, and what it refuses before it starts."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.evaluation import evaluate
from ucolnet_lib.evaluation.detection import Detections
from ucolnet_lib.evaluation.detections_file import write_detections
from ucolnet_lib.evaluation.rows import FIELDS
from ucolnet_lib.experiments.evaluate_runs import evaluate_runs, parse_pictures
from ucolnet_lib.models import create_model
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training import Run

CONTROLS = [
    "original", "gray", "mean_colour", "image_mean", "class_oracle", "original_16", "gray_16", "true_chroma_16",
    "chroma_half", "chroma_inverted", "jpeg_50",
]  # fmt: skip


def silent(sentence):
    pass


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return draw_toy_world(tmp_path_factory.mktemp("toy") / "world", scenes=20, size=32, progress=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "my-run"
    Run(folder).describe("ucolnet_v3", RECIPES["smoke"].replace(size=16, seed=3), "toy")
    create_model("ucolnet_v3", width=0.0625).save_pretrained(folder)
    return folder


@pytest.fixture
def pictures(toy, tmp_path):
    """The photographs, half as large, in another format."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in (toy / "val2017").iterdir():
        Image.open(path).resize((16, 16)).save(folder / f"{path.stem}.png")
    return folder


def test_the_pictures_are_kept_on_request_and_a_detector_of_ones_own_reads_them(toy, run, pictures, tmp_path):
    out = tmp_path / "out"
    evaluate_runs([run], toy, out, (), {"mine": pictures}, keep_pictures=True, progress=False, say=silent)
    split = CocoSplit(toy, "val2017")
    names = [*CONTROLS, "ucolnet_v3", "ucolnet_v3_full_lightness", "ucolnet_v3_gray", "mine", "mine_gray"]
    assert sorted(path.name for path in (out / "pictures").iterdir()) == sorted(names)
    for name in names:
        assert {p.name for p in (out / "pictures" / name).iterdir()} == {f"{f.stem}.png" for f in files(split)}
    for folder, truth in (("original", True), ("gray", False)):
        shown = np.asarray(Image.open(out / "pictures" / folder / f"{split.file(0).stem}.png"))
        assert np.array_equal(shown, split[0].rgb) == truth
    # The pictures are those that were measured: as another system's, they have the rows of the first.
    again = {"shown": out / "pictures" / "ucolnet_v3"}
    table = evaluate_runs([run], toy, tmp_path / "again", (), again, progress=False, say=silent).set_index("name")
    for column in ("rmse.rgb_mean", "rmse.ab_pooled", "colourfulness", "ssim"):
        assert table.loc["shown", column] == table.loc["ucolnet_v3", column]


def files(split):
    return [split.file(i) for i in range(len(split))]


def test_runs_of_two_sizes_have_the_controls_of_both(toy, run, tmp_path):
    other = tmp_path / "small-run"
    Run(other).describe("ucolnet_v3", RECIPES["smoke"].replace(size=8), "toy")
    create_model("ucolnet_v3", width=0.0625).save_pretrained(other)
    table = evaluate_runs([run, other], toy, tmp_path / "out", progress=False, say=silent).set_index("name")
    assert table.loc[["gray_8", "gray_16", "small-run", "my-run_gray", "chroma_half"], "size"].fillna(0).tolist() == [
        8, 16, 8, 16, 0,
    ]  # fmt: skip
    assert table.loc["gray_16", "rmse.rgb_mean"] == table.loc["my-run_gray", "rmse.rgb_mean"]


def true_objects(toy) -> dict[int, Detections]:
    """A detector that finds every annotated object."""
    split = CocoSplit(toy, "val2017")
    found = {}
    for index, image_id in enumerate(split.ids):
        objects = split.objects(index)
        boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in (o.box for o in objects)]).reshape(-1, 4)
        found[image_id] = Detections(boxes, np.ones(len(boxes)), np.array([o.label for o in objects], int))
    return found


def test_everything_is_written(toy, run, pictures, tmp_path):
    found = tmp_path / "found"
    names = [*CONTROLS, "ucolnet_v3", "ucolnet_v3_full_lightness", "ucolnet_v3_gray", "mine", "mine_gray"]
    for name in names:
        write_detections(found / f"{name}.json", true_objects(toy))
    said = []
    table = evaluate_runs(
        [run], toy, tmp_path / "out", [found], {"mine": pictures}, progress=False, say=said.append
    )  # fmt: skip
    out = tmp_path / "out"
    assert table["name"].tolist() == names and {"rmse.ab_pooled", "rmse_ci.rgb_mean", "retention"} <= set(table)
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in results["rows"]] == names
    assert all(tuple(row) == FIELDS for row in results["rows"])
    rows = {row["name"]: row for row in results["rows"]}
    assert (rows["ucolnet_v3"]["seed"], rows["ucolnet_v3"]["size"], rows["ucolnet_v3"]["kind"]) == (3, 16, "model")
    assert rows["mine"]["note"] and rows["original"]["share"] == 1
    # Same size, same kernel: the matched gray controls of the model and of the pictures are one picture.
    for measure in ("rmse", "ssim", "ciede2000", "recognised"):
        assert rows["ucolnet_v3_gray"][measure] == rows["mine_gray"][measure] == rows["gray_16"][measure]
    assert {"versions", "command", "data", "split"} <= set(results)
    for name in ("results.csv", "comparisons.csv", "per-image.csv", "per-category.csv"):
        assert len(pd.read_csv(out / name))
    assert len(pd.read_csv(out / "comparisons.csv")) == len(names) * (len(names) - 1) // 2
    markdown = (out / "table-found.md").read_text(encoding="utf-8")
    assert "| ucolnet_v3_gray |" in markdown and rows["gray"]["signature"] in markdown
    latex = (out / "table-found.tex").read_text(encoding="utf-8")
    assert r"ucolnet\_v3\_gray &" in latex and r"\toprule" in latex
    assert (out / "report.html").is_file() and list((out / "figures").glob("*.png"))
    assert "Tables, figures and report.html lie in" in said[-1]


def test_a_second_call_gives_the_same_and_colours_nothing(toy, run, tmp_path, monkeypatch):
    first = evaluate_runs([run], toy, tmp_path, progress=False, say=silent)

    def fail(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(evaluate, "_record", fail)
    second = evaluate_runs([run], toy, tmp_path, progress=False, say=silent)
    pd.testing.assert_frame_equal(first, second)
    assert (tmp_path / "table-no-detector.md").is_file()


def test_without_a_run_the_controls_stand_at_224(toy, tmp_path):
    names = evaluate_runs([], toy, tmp_path, progress=False, say=silent)["name"].tolist()
    assert names == [name.replace("_16", "_224") for name in CONTROLS]


def test_two_runs_of_one_model_are_named_by_their_folders(toy, run, tmp_path):
    other = shutil.copytree(run, tmp_path / "other")
    table = evaluate_runs([run, other], toy, tmp_path / "out", progress=False, say=silent)
    assert {"my-run", "my-run_gray", "other", "other_full_lightness"} <= set(table["name"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": "nowhere"}, "does not exist"),
        ({"runs": ["nowhere"]}, "is no run folder"),
        ({"detectors": ["nowhere"]}, "The detector nowhere does not exist"),
        ({"pictures": {"mine": "nowhere"}}, "there is no folder nowhere"),
        ({"split": "test2017"}, "test2017"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_written(toy, tmp_path, change, sentence):
    arguments = {"runs": [], "data": toy, "out": tmp_path / "out", "progress": False, "say": silent} | change
    with pytest.raises(UcolnetError, match=sentence):
        evaluate_runs(**arguments)
    assert not (tmp_path / "out").exists()


def test_missing_pictures(toy, pictures, tmp_path):
    gone = sorted(pictures.iterdir())[0]
    gone.unlink()
    with pytest.raises(UcolnetError, match=f"1 missing \\({gone.stem}\\).*--allow-missing"):
        evaluate_runs([], toy, tmp_path / "out", pictures={"mine": pictures}, progress=False, say=silent)
    table = evaluate_runs(
        [], toy, tmp_path / "out", pictures={"mine": pictures}, allow_missing=True, progress=False, say=silent
    )
    assert set(table["images"]) == {3}


def test_names_and_folders_of_the_command_line(tmp_path):
    assert parse_pictures(["a=x/y", "b=z=1"])["b"].name == "z=1"
    for texts in (["a"], ["=x"], ["a="]):
        with pytest.raises(UcolnetError, match="NAME=FOLDER"):
            parse_pictures(texts)
    with pytest.raises(UcolnetError, match="twice"):
        parse_pictures(["a=x", "a=y"])
