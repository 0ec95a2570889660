"""What was measured once is not measured again, and models trained elsewhere; the rest is in the studies' tests."""

import pytest

import ucolnet_lib.experiments.measurements as module
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.experiments.measurements import open_others
from ucolnet_lib.models import create_model
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training import Run


def test_a_broken_file_of_measurements_is_measured_again(tmp_path):
    file = tmp_path / "x.json"
    assert module._read(file) is None
    for text in ("", "[]", "{}", '{"inputs": {}, "vari'):
        file.write_text(text, encoding="utf-8")
        assert module._read(file) is None
    file.write_text('{"inputs": {}, "variants": {}}', encoding="utf-8")
    assert module._read(file) == {"inputs": {}, "variants": {}}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "mine"
    Run(folder).describe("ucolnet_v3_bins", RECIPES["smoke"].replace(size=24, seed=3), "toy")
    create_model("ucolnet_v3_bins", width=0.0625, temperature=0.5).save_pretrained(folder)
    return folder


def test_a_model_trained_elsewhere(run):
    ((name, (system, inputs)),) = open_others([run], ["ucolnet_v3"]).items()
    assert (name, system.size, system.seed, system.variants) == ("mine", 24, 3, ("mine", "mine_full_lightness"))
    # Another temperature gives other colours with the same weights: it belongs to what is measured.
    assert inputs["config"]["temperature"] == 0.5 and len(inputs["weights"]) == 64


@pytest.mark.parametrize("taken", [["mine"], ["ucolnet_v3", "mine"]])
def test_a_name_that_is_taken(run, taken):
    with pytest.raises(UcolnetError, match="has a row mine already"):
        open_others([run], taken)


def test_the_same_folder_twice(run):
    with pytest.raises(UcolnetError, match="has a row mine already"):
        open_others([run, run], [])
