"""The overfitting study: what it trains, and one whole run at the smallest size, killed and gone on with."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

import ucolnet_lib.experiments.study as engine
import ucolnet_lib.experiments.study_overfitting as module
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.batches import split_indices
from ucolnet_lib.experiments.study_overfitting import CHANGES, SHARE, on_small_data, study_overfitting, study_run
from ucolnet_lib.experiments.study_overfitting_numbers import CONDITIONS, STRENGTHS, Condition
from ucolnet_lib.recipes import PROFILES, RECIPES, Profile, recipe_for
from ucolnet_lib.training.loop import learning_rate

SETTINGS = {"size": "16", "width": "0.05", "batch_size": "4", "validation_share": "0.2"}


@pytest.mark.parametrize(
    ("photographs", "share", "limit"), [(800, 0.1, 0), (118_287, 0.1, 0), (800, 0.25, 333), (16, 0.1, 0), (20, 0.3, 0)]
)
def test_small_data_is_a_tenth_with_the_same_held_out(photographs, share, limit):
    split = SimpleNamespace(ids=list(range(1, photographs + 1)))
    whole = RECIPES["paper"].replace(validation_share=share, limit=limit)
    small = on_small_data(whole, photographs)
    (training, held_out), (few, same) = (split_indices(split, r.validation_share, r.limit) for r in (whole, small))
    assert same == held_out and set(few) <= set(training)
    assert len(few) == max(1, len(training) // SHARE)


def test_both_sizes_take_as_many_steps_along_the_same_course():
    whole = recipe_for("study", "ucolnet_v1", CHANGES["toy"])
    small = on_small_data(whole, 800)
    steps = {"whole": 720 // 8, "small": 72 // 8}
    assert whole.epochs * steps["whole"] == small.epochs * steps["small"] == 1800
    for step in (0, 179, 180, 899, 1799):
        assert learning_rate(whole, step, steps["whole"]) == learning_rate(small, step, steps["small"])
    assert learning_rate(whole, 1799, steps["whole"]) == pytest.approx(0.3 * 0.9**9)
    assert on_small_data(whole.replace(patience=3), 800).patience == 30


def test_at_full_scale_the_recipe_is_the_papers():
    paper = recipe_for(PROFILES["full"].study_recipe, "ucolnet_v1", CHANGES["full"])
    assert paper == RECIPES["paper"]
    assert study_run(Condition("ucolnet_v1", "whole", "1e-5"), paper, 118_287).recipe == paper
    assert study_run(Condition("ucolnet_v3", "whole", "0"), paper, 118_287).recipe == paper.replace(weight_decay=0.0)


def test_conditions_differ_in_nothing_else():
    recipe = recipe_for("study", "ucolnet_v1", CHANGES["toy"])
    runs = [study_run(condition, recipe, 800) for condition in CONDITIONS]
    assert len({run.key for run in runs}) == len(runs) == 2 * 2 * 4
    for condition, run in zip(CONDITIONS, runs, strict=True):
        assert run.model == condition.model and run.recipe.weight_decay == STRENGTHS[condition.strength]
        plain = recipe if condition.size == "whole" else on_small_data(recipe, 800)
        assert run.recipe.replace(weight_decay=recipe.weight_decay) == plain
        assert run.recipe.optimizer == "sgd"  # for which weight decay is L2


@pytest.fixture(scope="module")
def small():
    patch = pytest.MonkeyPatch()
    patch.setitem(PROFILES, "smoke", Profile("smoke", "smoke", scenes=20, scene_size=48, detector_epochs=1))
    patch.setattr(module, "SHARE", 3)
    patch.setattr(engine, "train_toy_detector", None)  # none is wanted
    yield patch
    patch.undo()


def test_the_whole_study_goes_on_after_a_kill(small, tmp_path):
    out, said = tmp_path / "out", []
    arguments = {"seeds": 1, "profile": "smoke", "settings": SETTINGS, "jobs": 1, "progress": False}
    trained, train = [], engine.train

    def dying(model, *args):
        trained.append(model)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return train(model, *args)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engine, "train", dying)
        study_overfitting(out, **arguments)
    results = study_overfitting(out, **arguments, say=said.append)
    assert "16 runs: 2 are done, 14 are to do" in said[0]
    assert json.loads((out / "results.json").read_text(encoding="utf-8")) == results
    assert results["photographs"] == {"small": 4, "whole": 13}
    runs = pd.read_csv(out / "runs.csv", dtype={"strength": str})
    assert list(map(tuple, runs[["model", "size", "strength"]].to_numpy())) == [tuple(c) for c in CONDITIONS]
    assert (runs["steps"] > 0).all() and (runs["ab_rmse_last"] > 0).all()
    assert set(runs[runs["size"] == "small"]["epochs"]) == {3} and set(runs[runs["size"] == "whole"]["epochs"]) == {1}
    texts = {name: (out / f"{name}.md").read_text(encoding="utf-8") for name in ("summary", "findings")}
    assert set(texts.values()) <= set(said)
    assert not any("nan" in text.lower() for text in (*texts.values(), json.dumps(results)))
    assert "cannot be told" in texts["findings"]  # with one seed nothing can
    assert {p.name for p in (out / "figures").iterdir()} == {"loss-curves.png", "loss-curves.pdf"}
    # A second call trains nothing, also without work/.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "train", None)
        assert study_overfitting(out, **arguments, say=said.append)["runs"] == results["runs"]


def test_inputs_are_checked_before_work_starts(tmp_path):
    for arguments, word in (
        ({"profile": "soup"}, "profile"), ({"seeds": 0}, "seeds"), ({"settings": {"colour": "1"}}, "no key"),
        ({"settings": {"weight_decay": "1"}}, "weight_decay"), ({"data": tmp_path / "no"}, "no"),
    ):  # fmt: skip
        with pytest.raises(UcolnetError, match=word):
            study_overfitting(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()
