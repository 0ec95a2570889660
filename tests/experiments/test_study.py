"""The engine of the studies: small files that are enough to go on from, and nothing done twice."""

import json
import shutil

import pandas as pd
import pytest
import torch

import ucolnet_lib.experiments.study as module
from ucolnet_lib.colorizer import Colorizer
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation.evaluate import evaluate_model
from ucolnet_lib.experiments.study import StudyRun, run_study
from ucolnet_lib.models import load_model
from ucolnet_lib.recipes import RECIPES, Profile, RunDescription

PROFILE = Profile(recipe="smoke", study_recipe="smoke", scenes=12, scene_size=64, detector_epochs=1)
RECIPE = RECIPES["smoke"].replace(epochs=1, size=16, batch_size=4, precision="fp32")
RUNS = [
    StudyRun("v3", "ucolnet_v3", RECIPE),
    StudyRun("v3", "ucolnet_v3", RECIPE.replace(seed=1)),
    StudyRun("v3-l2", "ucolnet_v3", RECIPE.replace(weight_decay=0.1)),
]


def study(out, runs=RUNS, **kwargs):
    """Run it; returns the contents and the keys of the runs that were done."""
    said = []
    contents = run_study(out, runs, PROFILE, **{"keep": ("v3",), "jobs": 1, "progress": False, **kwargs},
                         say=said.append)  # fmt: skip
    return contents, [line.partition(":")[0] for line in said if "ab RMSE" in line]


def numbers(content) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "signature"} for row in content["rows"]]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """One finished study for all tests of this file; each works on a copy."""
    out = tmp_path_factory.mktemp("study") / "out"
    return out, *study(out)


@pytest.fixture
def out(first, tmp_path):
    return shutil.copytree(first[0], tmp_path / "out")


def test_every_run_leaves_its_small_files(first):
    out, contents, done = first
    assert done == ["v3-0", "v3-1", "v3-l2-0"]
    assert len(contents) == 4 and [row["name"] for row in contents[0]["rows"]][:2] == ["original", "gray"]
    for run, content in zip(RUNS, contents[1:], strict=True):
        row, full = content["rows"]
        assert (row["name"], row["seed"], full["name"]) == (run.name, run.recipe.seed, f"{run.name}_full_lightness")
        assert row["recognised"] is not None and row["miou"] is not None
        assert content["inputs"]["recipe"] == run.recipe.to_dict()
        assert content["epochs"] == len(pd.read_csv(out / "history" / f"{run.key}.csv")) == 1
        classes = pd.read_csv(out / "classes" / f"{run.key}.csv")
        total = classes["class_ab_squared"].sum() / (2 * classes["class_pixels"].sum())
        assert total**0.5 == pytest.approx(row["rmse"]["ab_pooled"], rel=1e-4)
    assert contents[1]["rows"][0]["rmse"] != contents[2]["rows"][0]["rmse"] != contents[3]["rows"][0]["rmse"]


def test_kept_weights_are_small_and_colour_alike(first):
    out, _, _ = first
    assert [p.name for p in (out / "models").iterdir()] == ["v3"]
    kept, whole = load_model(out / "models" / "v3"), load_model(out / "work" / "v3-0")
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(kept.state_dict()[key], value, rtol=1e-3, atol=1e-4)
    sizes = [(out / p / "model.safetensors").stat().st_size for p in ("models/v3", "work/v3-0")]
    assert sizes[0] < 0.65 * sizes[1]  # half, but for the names of the tensors
    assert Colorizer.load(out / "models" / "v3").size == RECIPE.size


def test_kept_weights_are_finite_whatever_batch_norm_has_seen(first, tmp_path):
    """Half precision ends at 65,504; the variance of a layer may be millions."""
    model = load_model(first[0] / "work" / "v3-0")
    statistics = next(buffer for name, buffer in model.named_buffers() if name.endswith("running_var"))
    statistics.fill_(3e6)
    module.write_half(model, RunDescription(RUNS[0].model, RUNS[0].recipe, "toy"), tmp_path / "v3")
    kept = load_model(tmp_path / "v3")
    for name, value in kept.named_buffers():
        assert torch.equal(value, model.get_buffer(name))
    assert all(parameter.isfinite().all() for parameter in kept.parameters())


def test_a_second_call_does_nothing_even_in_a_fresh_clone(first, out, monkeypatch):
    shutil.rmtree(out / "work")
    for name in ("train", "draw_toy_world", "train_toy_detector", "evaluate_controls"):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("worked"))
    contents, done = study(out)
    assert done == [] and contents == first[1] and not (out / "work").exists()


def test_a_run_that_is_missing_is_done_in_a_fresh_clone(first, out):
    shutil.rmtree(out / "work")
    (out / "rows" / "v3-1.json").unlink()
    contents, done = study(out)
    assert done == ["v3-1"]
    # Data and detector were made anew, and the numbers are the same. The signature is not: ultralytics writes the date
    # into the detector's file, and with it another checksum.
    assert [numbers(c) for c in contents] == [numbers(c) for c in first[1]]


def test_side_by_side_is_the_same(first, tmp_path):
    contents, done = study(tmp_path / "out", RUNS[:2], jobs=2)
    assert sorted(done) == ["v3-0", "v3-1"]
    for ours, theirs in zip(contents, first[1][:3], strict=True):
        assert ours["rows"][0]["rmse"] == pytest.approx(theirs["rows"][0]["rmse"], rel=1e-3)


def test_another_recipe_is_another_run(out):
    changed = [StudyRun("v3", "ucolnet_v3", RECIPE.replace(learning_rate=1e-4))]
    assert study(out, changed)[1] == ["v3-0"]
    assert study(out, changed)[1] == []


@pytest.mark.parametrize("damage", ["", "{", '{"rows": []', '{"rows": []}', "[]"])
def test_damaged_rows_are_no_rows(out, damage):
    (out / "rows" / "v3-0.json").write_text(damage)
    assert study(out)[1] == ["v3-0"]


def test_what_is_finished_stays_when_a_later_run_fails(tmp_path):
    bad = StudyRun("bad", "no_such_model", RECIPE)
    with pytest.raises(UcolnetError, match="no_such_model"):
        study(tmp_path / "out", [RUNS[0], bad])
    assert json.loads((tmp_path / "out" / "rows" / "v3-0.json").read_text(encoding="utf-8"))["epochs"] == 1
    assert study(tmp_path / "out", RUNS[:1])[1] == []


def test_a_killed_worker_is_told_in_one_sentence(first, tmp_path):
    # No recipe kills a process, so a study of a model whose unpickling does is as near as it gets.
    with pytest.raises(UcolnetError, match="killed.*--jobs 1"):
        module._do_all([_Killer()], None, 2, False, print)


class _Killer:
    key = "killer"

    def __reduce__(self):
        import os

        return os._exit, (9,)


def test_other_data_without_a_detector(first, tmp_path):
    contents, _ = study(tmp_path / "out", RUNS[:1], data=first[0] / "work" / "data")
    assert [row["recognised"] for content in contents for row in content["rows"]] == [None] * 7
    assert contents[1]["rows"][0]["rmse"] == first[1][1]["rows"][0]["rmse"]
    assert not (tmp_path / "out" / "work" / "detector.pt").exists()


def test_colours_alone_of_the_best_and_the_last_epoch(first, tmp_path):
    # Steps so large that the last epoch is not the best.
    worse = StudyRun("v3", "ucolnet_v3", RECIPE.replace(epochs=3, optimizer="sgd", schedule="step", learning_rate=3.0))
    contents, _ = study(tmp_path / "out", [worse], recognise=False, last=True)
    assert contents[0]["inputs"]["detector"] is None and not (tmp_path / "out" / "work" / "detector.pt").exists()
    assert [row["name"] for row in contents[1]["rows"]] == [
        "v3", "v3_full_lightness", "v3_last", "v3_last_full_lightness",
    ]  # fmt: skip
    assert contents[1]["overfitting"]["best_epoch"] < 3
    classes = pd.read_csv(tmp_path / "out" / "classes" / "v3-0.csv").groupby("variant")
    for row, weights in zip(contents[1]["rows"][::2], ("model", "last"), strict=True):
        sums = classes.get_group(row["name"])[["class_ab_squared", "class_pixels"]].sum()
        found = (sums["class_ab_squared"] / (2 * sums["class_pixels"])) ** 0.5
        assert found == pytest.approx(row["rmse"]["ab_pooled"], rel=1e-4)
        model = load_model(tmp_path / "out" / "work" / "v3-0" / f"{weights}.safetensors")
        direct = evaluate_model("v3", 0, model, RECIPE.size, tmp_path / "out" / "work" / "data", progress=False)
        assert direct.rows[0]["rmse"] == row["rmse"]
    assert contents[1]["rows"][0]["rmse"] != contents[1]["rows"][2]["rmse"]
    assert study(tmp_path / "out", [worse], recognise=False, last=True)[1] == []


def test_a_study_that_measures_its_models_itself(first, tmp_path, monkeypatch):
    data, said = first[0] / "work" / "data", []
    monkeypatch.setattr(module, "train_toy_detector", None)  # none is wanted
    arguments = {"data": data, "measure": False, "jobs": 1, "progress": False, "say": said.append}
    (content,) = run_study(tmp_path, RUNS[:1], PROFILE, **arguments)
    assert content["rows"] == [] and content["overfitting"]["best_epoch"] == 1 and "v3-0: 1 epochs." in said[-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["history", "rows", "work"]
    shutil.rmtree(tmp_path / "work")
    monkeypatch.setattr(module, "train", None)
    assert run_study(tmp_path, RUNS[:1], PROFILE, **arguments) == [content]


def test_inputs_are_checked_before_work_starts(first, tmp_path):
    with pytest.raises(UcolnetError, match="does not exist"):
        study(tmp_path / "out", data=tmp_path / "nothing")
    with pytest.raises(UcolnetError, match="detector"):
        study(tmp_path / "out", detector=tmp_path / "no.pt")
    assert not (tmp_path / "out").exists()
