"""The study of all models: comparisons, statements from made-up rows, and one whole run at the smallest size."""

import json

import numpy as np
import pandas as pd
import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.coco import CLASS_NAMES
from ucolnet_lib.evaluation.statistics import rmse_difference
from ucolnet_lib.experiments import study_models as module
from ucolnet_lib.experiments.study_models import by_scene, categories, comparisons, statements, study_models
from ucolnet_lib.models import MODELS
from ucolnet_lib.recipes import PROFILES, Profile

NAMES = tuple(MODELS)
SCENES, SEEDS = 40, 3
SETTINGS = {"epochs": "1", "size": "16", "batch_size": "4", "precision": "fp32"}


def made_up(levels: dict[str, float], epochs: dict[str, int] | None = None):
    """Contents and errors of models whose RMSE is about `levels`, the same on objects (class 3) and background."""
    random = np.random.default_rng(0)
    scenes = random.uniform(0.9, 1.1, SCENES)
    contents, errors = {}, {}
    for name in NAMES:
        contents[name], errors[name] = [], []
        for seed in range(SEEDS):
            level = levels[name] * random.uniform(0.99, 1.01)
            table = pd.DataFrame({"image_id": np.repeat(np.arange(SCENES), 2), "class": [0, 3] * SCENES})
            table["variant"], table["class_pixels"] = name, 100
            table["class_ab_squared"] = 200 * level**2 * np.repeat(scenes, 2)
            errors[name].append(table)
            row = {"rmse": {"ab_pooled": level, "ab_objects_pooled": level}, "miou": None if "no_seg" in name else 0.5}
            marks = {"best_epoch": (epochs or {}).get(name, 9) + seed % 2, "final_gap": 0.001 * seed}
            contents[name].append({"rows": [row], "overfitting": marks})
    return contents, errors


LEVELS = {
    "iizuka": 20, "iizuka_no_classes": 20, "iizuka_no_global": 25, "ucolnet_v1": 15, "ucolnet_v2": 18,
    "ucolnet_v3": 10, "ucolnet_v3_no_segmentation": 9,
}  # fmt: skip


def test_every_two_models_are_compared():
    contents, errors = made_up(LEVELS)
    found = comparisons(contents, errors)
    pairs = {(c["first"], c["second"]) for c in found}
    assert len(pairs) == 21 and all(NAMES.index(a) < NAMES.index(b) for a, b in pairs)
    by_key = {(c["first"], c["second"], c["measure"]): c for c in found}
    one = by_key["ucolnet_v1", "ucolnet_v3", "ab_pooled"]
    assert one["difference"] == pytest.approx(5, abs=0.5) and one["better"] == "ucolnet_v3"
    assert by_key["iizuka", "iizuka_no_classes", "ab_pooled"]["better"] is None
    assert ("iizuka", "ucolnet_v3_no_segmentation", "miou") not in by_key
    squares, counts = by_scene(errors["ucolnet_v1"], lambda c: c >= 0)
    assert squares.shape == (SEEDS, SCENES) and (counts == 400).all()
    direct = rmse_difference(squares, by_scene(errors["ucolnet_v3"], lambda c: c >= 0)[0], counts)
    assert (one["difference"], one["low"], one["high"]) == (direct.estimate, direct.low, direct.high)


def verdicts(levels, epochs=None) -> dict[tuple[str, str], bool | None]:
    contents, errors = made_up(levels, epochs)
    found = statements(contents, comparisons(contents, errors))
    return {(entry["statement"], entry["measure"]): entry["holds"] for entry in found}


def test_statements_hold_fail_or_cannot_be_told():
    said = verdicts(LEVELS, {"ucolnet_v3": 30, "ucolnet_v1": 10})
    assert said["v2 is the worst of the three", "ab_pooled"] is True
    assert said["v3 is at least as good as v1", "ab_pooled"] is True
    assert said["segmentation helps colour", "ab_objects_pooled"] is False
    assert said["classification helps Iizuka", "ab_pooled"] is None
    assert said["the global branch helps Iizuka", "ab_pooled"] is True
    assert said["v3 overfits later than v1", "best_epoch"] is True
    assert said["v3 overfits later than v1", "final_gap"] is None


def test_the_other_way_round():
    turned = LEVELS | {"ucolnet_v1": 10, "ucolnet_v3": 15, "ucolnet_v3_no_segmentation": 16, "ucolnet_v2": 12}
    said = verdicts(turned, {"ucolnet_v3": 10, "ucolnet_v1": 30})
    # v2 is better than v3: being worse than v1 does not make it the worst.
    assert said["v2 is the worst of the three", "ab_pooled"] is False
    assert said["v3 is at least as good as v1", "ab_pooled"] is False
    assert said["segmentation helps colour", "ab_pooled"] is True
    assert said["v3 overfits later than v1", "best_epoch"] is False


def test_categories(tmp_path):
    _, errors = made_up(LEVELS)
    oracle = errors["ucolnet_v1"][0].assign(variant="class_oracle")
    (tmp_path / "classes").mkdir()
    oracle.to_csv(tmp_path / "classes" / "controls.csv", index=False)
    table = categories(errors, tmp_path).set_index("category")
    assert list(table.index) == ["background", CLASS_NAMES[3]]
    line = table.loc[CLASS_NAMES[3]]
    assert line["pixels"] == 100 * SCENES and line["ambiguity"] == pytest.approx(15, rel=0.05)
    assert line["with_segmentation"] == pytest.approx(10, rel=0.05)
    assert line["without_segmentation"] == pytest.approx(9, rel=0.05)
    assert line["gain"] == pytest.approx(line["without_segmentation"] - line["with_segmentation"])
    assert line["low"] < line["gain"] < line["high"] < 0


@pytest.fixture(scope="module")
def small():
    patch = pytest.MonkeyPatch()
    tiny = Profile(recipe="smoke", study_recipe="smoke", scenes=12, scene_size=64, detector_epochs=1)
    patch.setitem(PROFILES, "smoke", tiny)
    patch.setattr(module, "MODELS", {name: MODELS[name] for name in NAMES})
    yield
    patch.undo()


def test_the_whole_study(small, tmp_path):
    said = []
    out = tmp_path / "out"
    arguments = {"seeds": 2, "profile": "smoke", "settings": SETTINGS, "jobs": 1, "progress": False}
    results = study_models(out, **arguments, say=said.append)
    assert json.loads((out / "results.json").read_text(encoding="utf-8")) == results
    assert len(results["rows"]) == 5 + 2 * 2 * 7 and {"command", "versions", "hardware", "inputs"} <= set(results)
    assert len(results["comparisons"]) == 21 * 4 + 3  # mIoU for the three that segment
    assert set(results["models"]) == set(module.KEPT)
    for name in ("table.md", "table.csv", "summary.md", "statements.md", "comparisons.csv", "categories.csv"):
        assert (out / name).stat().st_size > 100
    for name in ("loss-curves", "comparisons", "segmentation-by-category"):
        for suffix in ("png", "pdf"):
            assert (out / "figures" / f"{name}.{suffix}").stat().st_size > 5_000
    assert (out / "summary.md").read_text(encoding="utf-8") in said
    assert not any("NaN" in (out / f).read_text(encoding="utf-8") for f in ("results.json", "summary.md"))
    # A second call trains nothing, and says the same.
    again = []
    assert study_models(out, **arguments, say=again.append)["summary"] == results["summary"]
    assert "14 are done, 0 are to do" in again[0] and not any("working" in line for line in again)
    # One more seed trains that one alone; with one seed nothing can be told.
    alone = study_models(out, **arguments | {"seeds": 1}, say=again.append)
    assert all(entry["holds"] is None for entry in alone["statements"])


def test_inputs_are_checked_before_work_starts(tmp_path):
    for arguments, word in (
        ({"profile": "soup"}, "profile"), ({"seeds": 0}, "seeds"), ({"settings": {"colour": "1"}}, "no key"),
    ):  # fmt: skip
        with pytest.raises(UcolnetError, match=word):
            study_models(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()
