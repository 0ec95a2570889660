"""What notebooks read from results/: the study's numbers and weights, and clear words where they are missing."""

import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.notebook import results
from ucolnet_lib.notebook.results import beyond, study, study_categories, study_history, trained_folder, trained_model


def test_the_committed_study_is_read():
    content = study()
    assert {"rows", "summary", "statements", "comparisons"} <= set(content)
    assert {"category", "gain", "low", "high"} <= set(study_categories())
    for row in content["summary"]:
        for seed in range(row["seeds"]):
            assert len(study_history(row["model"], seed)) > 1


def test_the_study_beyond_the_paper_is_read():
    content = beyond()
    assert {"validation", "rows", "says", "others"} <= set(content)
    assert {"temperature", "vividness", "rmse", "of_gray", "colourfulness"} <= set(content["validation"]["mse"][0])
    assert {"mse", "bins"} <= set(content["says"]) <= set(content["validation"])


@pytest.mark.parametrize("name", ["iizuka", "ucolnet_v1", "ucolnet_v2", "ucolnet_v3"])
def test_the_committed_weights_load(name):
    model = trained_model(name)
    assert model.config["model"] == name and not model.training
    assert (trained_folder(name) / "model.safetensors").stat().st_size <= 2_000_000


def test_what_is_not_there():
    with pytest.raises(UcolnetError, match="no run ucolnet_v4"):
        study_history("ucolnet_v4")
    with pytest.raises(UcolnetError, match="keeps no weights"):
        trained_folder("ucolnet_v3_no_segmentation")


def test_without_a_clone(monkeypatch):
    monkeypatch.setattr(results, "repository", lambda: None)
    for read in (study, beyond):
        with pytest.raises(UcolnetError, match="clone"):
            read()
