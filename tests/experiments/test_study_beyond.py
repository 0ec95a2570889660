"""The ablation: what it trains, how strengths are measured, and one whole run on drawn scenes."""

import json
import shutil

import numpy as np
import pytest
import torch

import ucolnet_lib.experiments.measurements as measurements
import ucolnet_lib.experiments.study as engine
import ucolnet_lib.experiments.study_beyond as module
from tests.experiments.test_study_coco_sample import Referee
from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.colorizer import with_chroma
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.batches import split_indices
from ucolnet_lib.data.prepare import prepare
from ucolnet_lib.data.prepared import open_split
from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.experiments.study_beyond import VARIANTS, strengths, study_beyond, trial
from ucolnet_lib.metrics import colourfulness
from ucolnet_lib.models import create_model
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training import Run


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return draw_toy_world(tmp_path_factory.mktemp("toy") / "world", scenes=24, size=48, progress=False)


@pytest.fixture(scope="module")
def prepared(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "set"
    prepare([toy], folder, size=48, progress=False)
    return folder


@pytest.mark.parametrize("profile", ["smoke", "toy", "full"])
def test_variants_differ_from_the_row_they_are_compared_with_in_what_they_say(profile):
    def changes(name, base):
        ours, theirs = (trial(n, profile).recipe.to_dict() for n in (name, base))
        return {key for key in ours | theirs if ours.get(key) != theirs.get(key)}

    assert changes("huber", "mse") == changes("chroma_weighted", "mse") == {"color_loss"}
    assert changes("mse_augmented", "mse") == changes("bins_augmented", "bins") == {"crop_area", "exposure", "ema"}
    assert changes("bins", "mse") == {"color_loss"}
    assert changes("bins_not_rebalanced", "bins") == {"rebalance"}
    assert changes("bins_dropout", "bins_augmented") == {"dropout"}
    assert changes("bins_wide", "bins_augmented") == {"width"}
    assert changes("mse_segmentation", "mse") == set(), "here the model differs"
    assert trial("bins", "full").recipe.size == RECIPES["demo"].size


class Constant(torch.nn.Module):
    """Predicts one chroma everywhere; `temperature` scales it, as it does nowhere else."""

    centres, temperature = None, 0.38

    def forward(self, lightness):
        ab = torch.tensor([6.0, -8.0])[None, :, None, None].expand(len(lightness), 2, *lightness.shape[2:])
        return type("Output", (), {"ab": ab * self.temperature / 0.38})()


def test_strengths_against_a_measurement_by_hand(prepared):
    recipe = RECIPES["smoke"].replace(size=32, validation_share=0.2, limit=0)
    rows = strengths(Constant(), recipe, prepared)
    split = open_split(prepared, "train2017")
    _, held_out = split_indices(split, 0.2)
    truth = np.mean([colourfulness(split[i].rgb) for i in held_out])
    own = {row["vividness"]: row for row in rows if row["temperature"] == 0.38}
    assert own[0.0]["of_gray"] == 1 and own[0.0]["colourfulness"] == 0
    for vividness in (0.5, 1.0, 2.0):
        ab = np.broadcast_to(np.float32(vividness) * np.float32([6, -8]), (4, 4, 2))
        pictures = [(with_chroma(rgb8_to_lab(split[i].rgb)[..., 0], ab), split[i].rgb) for i in held_out]
        errors = [np.sqrt(np.mean((picture.astype(float) - rgb) ** 2)) for picture, rgb in pictures]
        assert own[vividness]["rmse"] == pytest.approx(np.mean(errors), rel=1e-5)
        expected = np.mean([colourfulness(picture) for picture, _ in pictures]) / truth
        assert own[vividness]["colourfulness"] == pytest.approx(expected, rel=1e-5)
    other = next(row for row in rows if row["temperature"] == 0.2)
    assert other["vividness"] == 1 and other["colourfulness"] < own[1.0]["colourfulness"]


def test_the_whole_study(toy, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(measurements, "open_detector", Referee)
    monkeypatch.setattr(module, "VARIANTS", {name: VARIANTS[name] for name in ("mse", "bins_augmented")})
    for name, value in (("size", "16"), ("width", "0.05"), ("limit", "0")):
        monkeypatch.setitem(module.SIZES["smoke"], name, value)
    other, said = tmp_path / "mine", []
    Run(other).describe("ucolnet_v2", RECIPES["smoke"].replace(size=24), "toy")
    create_model("ucolnet_v2", width=0.0625).save_pretrained(other)
    arguments = {
        "data": prepared, "test": toy, "out": tmp_path / "out", "detectors": ["one"], "others": [other],
        "profile": "smoke", "jobs": 1, "progress": False, "say": said.append,
    }  # fmt: skip
    results = study_beyond(**arguments)
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8")) == results
    assert list(results["validation"]) == ["mse", "bins_augmented", "mine"] and results["others"] == ["mine"]
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert table in said and [line.split(" | ")[0] for line in table.splitlines()[2:5]] == [
        "| mse", "| bins_augmented", "| mine",
    ]  # fmt: skip
    assert {p.name for p in (tmp_path / "out" / "figures").glob("*.png")} == {"strengths.png", "colourings.png"}

    # A second call, in a clone without work/, trains and measures nothing.
    shutil.rmtree(tmp_path / "out" / "work")
    monkeypatch.setattr(engine, "train", None)
    monkeypatch.setattr(measurements, "evaluate", None)
    monkeypatch.setattr(module, "strengths", None)
    assert study_beyond(**arguments)["rows"] == results["rows"]


def test_data_that_are_not_prepared(toy, tmp_path):
    with pytest.raises(UcolnetError, match="needs a prepared data set"):
        study_beyond(toy, toy, tmp_path / "out", progress=False)
