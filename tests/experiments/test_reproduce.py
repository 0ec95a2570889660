"""The whole experiment, at the smallest size: what it writes, and what a second call does again."""

import json
import shutil

import pytest

import ucolnet_lib.experiments.reproduce as module
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.experiments.reproduce import reproduce
from ucolnet_lib.recipes import PROFILES, Profile

MODELS = ("iizuka_no_classes", "ucolnet_v3")
SETTINGS = {"epochs": "1", "size": "16", "batch_size": "4", "precision": "fp32"}


@pytest.fixture(scope="module")
def small():
    """Two models, twelve scenes."""
    patch = pytest.MonkeyPatch()
    patch.setattr(module, "MODELS", MODELS)
    tiny = Profile(recipe="smoke", study_recipe="smoke", scenes=12, scene_size=64, detector_epochs=1)
    patch.setitem(PROFILES, "smoke", tiny)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def first(small, tmp_path_factory):
    """One finished experiment, for all tests of this file; each works on a copy."""
    out = tmp_path_factory.mktemp("reproduce") / "out"
    said = []
    return out, reproduce(out, "smoke", settings=SETTINGS, progress=False, say=said.append), said


def again(out, **kwargs) -> list[str]:
    """Call it once more; returns the steps that were done."""
    said = []
    reproduce(out, "smoke", progress=False, say=said.append, **{"settings": SETTINGS, **kwargs})
    return [line.removesuffix(": working") for line in said if line.endswith(": working")]


@pytest.fixture
def out(first, tmp_path):
    return shutil.copytree(first[0], tmp_path / "out")


def test_results_have_every_row_and_field(first):
    out, results, said = first
    assert results == json.loads((out / "results.json").read_text(encoding="utf-8"))
    names = [row["name"] for row in results["rows"]]
    controls = ["original", "gray", "mean_colour", "image_mean", "class_oracle"]
    assert names == controls + [n + suffix for n in MODELS for suffix in ("", "_full_lightness")]
    fields = {
        "name",
        "kind",
        "seed",
        "objects",
        "recognised",
        "share",
        "retention",
        "rmse",
        "miou",
        "miou_objects",
        "colourfulness",
    }
    rmse = {"rgb_pooled", "rgb_mean", "ab_pooled", "ab_mean", "ab_euclid_pooled", "ab_euclid_mean", "ab_objects_pooled"}
    for row in results["rows"]:
        assert fields <= set(row) and set(row["rmse"]) == rmse
        assert row["kind"] == ("control" if row["name"] in controls else "model")
        assert row["seed"] == (None if row["kind"] == "control" else 0)
    assert {"command", "data", "detector", "versions", "hardware"} <= set(results)
    by_name = {row["name"]: row for row in results["rows"]}
    assert by_name["original"]["rmse"]["rgb_pooled"] == 0 < by_name["gray"]["rmse"]["rgb_pooled"]
    assert by_name["ucolnet_v3"]["miou"] is not None and by_name["iizuka_no_classes"]["miou"] is None
    assert "of gray's" in said[-1]


def test_tables_and_figures_are_there(first):
    out, _, _ = first
    for name in ("loss-curves", "before-after", "lab-channels"):
        for suffix in (".png", ".pdf"):
            assert (out / "figures" / f"{name}{suffix}").stat().st_size > 5_000
    manifest = json.loads((out / "figures" / "manifest.json").read_text(encoding="utf-8"))
    assert "before-after.png" in manifest["figures"]
    assert "UColNet" not in (out / "table.csv").read_text(encoding="utf-8")
    assert (out / "table.md").read_text(encoding="utf-8").count("\n| ucolnet_v3") == 2


def test_a_second_call_does_nothing(out):
    assert again(out) == []


def test_one_changed_number_redoes_what_depends_on_it(out):
    steps = again(out, settings={**SETTINGS, "learning_rate": "0.01"})
    assert steps == [f"{step}-{model}" for step in ("train", "evaluate") for model in MODELS]


def test_one_number_of_one_model(out, monkeypatch):
    plain = module.recipe_for

    def changed(name, model, settings):
        recipe = plain(name, model, settings)
        return recipe.replace(learning_rate=0.01) if model == "ucolnet_v3" else recipe

    monkeypatch.setattr(module, "recipe_for", changed)
    assert again(out) == ["train-ucolnet_v3", "evaluate-ucolnet_v3"]


def test_a_lost_model_is_trained_again_but_not_evaluated_again(out):
    # Training is deterministic: the weights come out as they were, and so nothing that was measured has changed.
    shutil.rmtree(out / "ucolnet_v3-0")
    assert again(out) == ["train-ucolnet_v3"]


def test_a_lost_table_is_measured_again(out):
    (out / "rows" / "controls.json").unlink()
    assert again(out) == ["evaluate-controls"]


def test_an_interrupted_run_goes_on(out):
    (out / "ucolnet_v3-0" / "finished").unlink()
    said = []
    reproduce(out, "smoke", settings=SETTINGS, progress=False, say=said.append)
    assert "train-ucolnet_v3: working" in said
    assert (out / "ucolnet_v3-0" / "finished").exists()


def test_inputs_are_checked_before_work_starts(small, first, tmp_path):
    with pytest.raises(UcolnetError, match="profile"):
        reproduce(tmp_path / "out", "soup")
    with pytest.raises(UcolnetError, match="no key"):
        reproduce(tmp_path / "out", "smoke", settings={"colour": "1"})
    with pytest.raises(UcolnetError, match="does not exist"):
        reproduce(tmp_path / "out", "smoke", data=tmp_path / "nothing")
    with pytest.raises(UcolnetError, match="--detector"):
        reproduce(tmp_path / "out", "smoke", data=first[0] / "data")
    with pytest.raises(UcolnetError, match="detector"):
        reproduce(tmp_path / "out", "smoke", detector=tmp_path / "no.pt")
    assert not (tmp_path / "out").exists()


def test_other_data_by_name(small, first, tmp_path):
    # The toy world read as if it were COCO, with the detector that is there already.
    said = []
    data, detector = first[0] / "data", first[0] / "detector.pt"
    results = reproduce(tmp_path / "out", "smoke", data, detector, SETTINGS, progress=False, say=said.append)
    assert not (tmp_path / "out" / "data").exists() and not (tmp_path / "out" / "detector.pt").exists()
    assert {r["name"]: r["rmse"] for r in results["rows"]} == {r["name"]: r["rmse"] for r in first[1]["rows"]}
