"""The study of the real sample: what it trains, and one whole run on drawn scenes, killed and gone on with."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import ucolnet_lib.experiments.measurements as module
import ucolnet_lib.experiments.study as engine
import ucolnet_lib.experiments.study_coco_sample as study
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.evaluation.detection import Detections
from ucolnet_lib.experiments.study_coco_sample import L2, STRENGTH, SYSTEMS, planned, study_coco_sample
from ucolnet_lib.models import create_model
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training import Run

SETTINGS = {"size": "16", "width": "0.05", "epochs": "1", "batch_size": "4", "validation_share": "0.2"}


class Referee:
    """Sees a cat in the whole of every picture: what it recognises does not matter here."""

    def __init__(self, name: str):
        self.name, self.signature = name, {"detector": name, "checksum": name, "input_size": 32, "confidence": 0.25,
                                           "nms_iou": 0.7, "max_detections": 300}  # fmt: skip

    def detect(self, pictures, image_id):
        return {
            variant: Detections(np.array([[0.0, 0, *picture.shape[1::-1]]]), np.array([0.9]), np.array([16]))
            for variant, picture in pictures.items()
        }


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return draw_toy_world(tmp_path_factory.mktemp("toy") / "world", scenes=20, size=32, progress=False)


@pytest.fixture
def referees(monkeypatch):
    monkeypatch.setattr(module, "open_detector", Referee)


def test_models_differ_in_nothing_else():
    for profile, name in (("toy", "sample"), ("smoke", "smoke")):
        runs = {row: planned(row, profile, 1) for row in SYSTEMS}
        for row, run in runs.items():
            assert (run.key, run.model) == (f"{row}-1", "ucolnet_v3" if row == L2 else row)
            plain = run.recipe.replace(seed=0)
            if row == L2:
                assert plain.weight_decay == STRENGTH[profile]
                plain = plain.replace(weight_decay=RECIPES[name].weight_decay)
            assert plain == RECIPES[name]
    assert RECIPES["sample"].weight_decay == 0 and RECIPES["sample"].patience == 0
    # At full scale the recipe is the paper's: v1 with L2, v3 without.
    strengths = {row: planned(row, "full", 0).recipe.weight_decay for row in SYSTEMS}
    assert strengths["ucolnet_v1"] == strengths[L2] == 1e-5 and strengths["ucolnet_v3"] == 0


def test_the_whole_study_goes_on_after_a_kill(toy, referees, tmp_path, monkeypatch):
    out, other, said = tmp_path / "out", tmp_path / "mine", []
    Run(other).describe("ucolnet_v2", RECIPES["smoke"].replace(size=24, seed=3), "toy")
    create_model("ucolnet_v2", width=0.0625).save_pretrained(other)
    arguments = {
        "data": toy, "out": out, "detectors": ["one", "two"], "others": [other], "seeds": 1, "profile": "smoke",
        "settings": SETTINGS, "jobs": 1, "progress": False, "say": said.append,
    }  # fmt: skip
    trained, train = [], engine.train

    def dying(model, *args):
        trained.append(model)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return train(model, *args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engine, "train", dying)
        study_coco_sample(**arguments)
    results = study_coco_sample(**arguments)
    assert any("7 runs: 2 are done, 5 are to do" in text for text in said)
    assert json.loads((out / "results.json").read_text(encoding="utf-8")) == results
    assert results["photographs"] == {"training": 13, "validation": 3, "test": 4} and results["others"] == ["mine"]
    assert [row["name"] for row in results["rows"]] == [
        "original", "gray", "mean_colour", "image_mean", "class_oracle",
        "original_16", "gray_16", "true_chroma_16", "original_24", "gray_24", "true_chroma_24",
        *(name + way for name in (*SYSTEMS, "mine") for way in ("", "_full_lightness")),
    ]  # fmt: skip
    grays = {row["name"]: row["gray"] for row in results["rows"]}
    assert (grays["iizuka"], grays["mine"], grays["mine_full_lightness"]) == ("gray_16", "gray_24", "gray")
    for row in results["rows"]:
        assert list(row["detectors"]) == ["one", "two"]
    for name in ("table", "trainings", "findings"):
        assert (out / f"{name}.md").read_text(encoding="utf-8") in said
    texts = [json.dumps(results), *((out / f"{n}.md").read_text(encoding="utf-8") for n in ("table", "findings"))]
    assert not any("nan" in text.lower() for text in texts)
    assert len(pd.read_csv(out / "table.csv")) == len(results["rows"])
    assert {p.stem for p in (out / "figures").iterdir()} == {"loss-curves", "beside-gray"}

    # A second call, in a clone without work/, trains and measures nothing.
    shutil.rmtree(out / "work")
    for place, name in ((engine, "train"), (module, "evaluate"), (module, "control_statistics")):
        monkeypatch.setattr(place, name, None)
    again = study_coco_sample(**arguments)
    assert again["rows"] == results["rows"] and again["trainings"] == results["trainings"]
    monkeypatch.undo()
    monkeypatch.setattr(module, "open_detector", Referee)
    with pytest.raises(UcolnetError, match=r"iizuka-0 was trained elsewhere .*iizuka-0\.json to train it again"):
        study_coco_sample(**arguments | {"detectors": ["three"]})


@pytest.mark.parametrize(
    ("name", "profile", "settings", "expected"),
    [
        ("coco-sample", "toy", None, "results/coco-sample"),
        ("world", "toy", None, "runs/coco-sample"),
        ("coco-sample", "smoke", None, "runs/coco-sample"),
        ("coco-sample", "toy", {"epochs": "2"}, "runs/coco-sample"),
    ],
)
def test_only_the_committed_study_goes_into_results(toy, tmp_path, monkeypatch, name, profile, settings, expected):
    shutil.copytree(toy, tmp_path / name)
    asked = []

    def stop(out, *args, **kwargs):
        asked.append(out.as_posix())
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run_study", stop)
    with pytest.raises(KeyboardInterrupt):
        study_coco_sample(tmp_path / name, profile=profile, settings=settings)
    assert asked == [expected]


def test_inputs_are_checked_before_work_starts(toy, tmp_path):
    run = tmp_path / "ucolnet_v3"
    Run(run).describe("ucolnet_v2", RECIPES["smoke"], "toy")
    create_model("ucolnet_v2", width=0.0625).save_pretrained(run)
    for arguments, word in (
        ({"profile": "soup"}, "profile"), ({"seeds": 0}, "seeds"), ({"settings": {"colour": "1"}}, "no key"),
        ({"data": tmp_path / "no"}, "no"), ({"detectors": ["no.pt"]}, "no.pt"),
        ({"others": [tmp_path]}, "no run folder"), ({"others": [run]}, "has a row ucolnet_v3 already"),
    ):  # fmt: skip
        with pytest.raises(UcolnetError, match=word):
            study_coco_sample(**{"data": toy, "out": tmp_path / "out", "profile": "smoke"} | arguments)
    assert not (tmp_path / "out").exists()
