"""Saving and strict loading of weights."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models import ColorizationModel, create_model, load_model


@pytest.fixture
def saved(tiny, tmp_path):
    """A folder with a saved v3."""
    tiny("ucolnet_v3").save_pretrained(tmp_path / "run")
    return tmp_path / "run"


def test_save_pretrained_writes_config_weights_and_card(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    config = {"model": "ucolnet_v3", "num_classes": 7, "segmentation": True, "width": 1 / 16}
    assert json.loads((saved / "config.json").read_text()) == config
    with safe_open(saved / "model.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["config"]) == config
    assert "load_model" in (saved / "README.md").read_text(encoding="utf-8")


def test_saving_again_replaces_the_old_model(saved, tiny):
    model = tiny("ucolnet_v3")
    model.color_output.bias.data.fill_(0.125)
    model.save_pretrained(saved)
    assert load_model(saved).color_output.bias.tolist() == [0.125, 0.125]
    assert len(list(saved.iterdir())) == 3


def test_equal_weights_are_equal_files(tiny, tmp_path):
    """So that a checksum tells whether a model has changed: `ucolnet reproduce` relies on it."""
    model = tiny("ucolnet_v3")
    contents = set()
    for i in range(20):
        model.save_weights(tmp_path / f"{i}.safetensors")
        contents.add((tmp_path / f"{i}.safetensors").read_bytes())
    assert len(contents) == 1


def test_weights_of_a_channels_last_model_can_be_saved(tiny, tmp_path):
    model = tiny("ucolnet_v3").to(memory_format=torch.channels_last)
    model.save_weights(tmp_path / "last.safetensors")
    stored = load_file(tmp_path / "last.safetensors")
    assert stored.keys() == model.state_dict().keys()
    assert all(torch.equal(stored[key], value) for key, value in model.state_dict().items())


def fails(model: ColorizationModel, path) -> str:
    """The message with which loading fails; the model must be left as it was, and the message must name the file."""
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(UcolnetError) as error:
        model.load_weights(path)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert str(path) in str(error.value)
    return str(error.value)


def test_weights_of_another_model_are_named(saved, tiny):
    message = fails(tiny("ucolnet_v1"), saved / "model.safetensors")
    assert "holds ucolnet_v3, not ucolnet_v1" in message


def test_weights_of_another_width_are_named(saved):
    message = fails(create_model("ucolnet_v3", width=0.125, num_classes=7), saved / "model.safetensors")
    assert "holds ucolnet_v3 with width=0.0625, not width=0.125" in message


def test_weights_of_an_ablation_are_named(saved, tiny):
    message = fails(tiny("ucolnet_v3_no_segmentation"), saved / "model.safetensors")
    assert "holds ucolnet_v3 with segmentation=True, not segmentation=False" in message


def test_weights_without_our_metadata_load_when_they_fit(saved, tiny, tmp_path):
    weights = load_file(saved / "model.safetensors")
    save_file(weights, tmp_path / "plain.safetensors")
    model = tiny("ucolnet_v3")
    model.color_output.weight.data.zero_()
    model.load_weights(tmp_path / "plain.safetensors")
    assert torch.equal(model.color_output.weight, weights["color_output.weight"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda weights: weights.pop("color_output.bias"), r"lacks color_output.bias"),
        (lambda weights: weights.update(stray=torch.zeros(1)), r"has more, such as stray"),
        (
            lambda weights: weights.update({"color_output.bias": torch.zeros(3)}),
            r"color_output.bias is \(3,\), not \(2,\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_every_way_of_loading(saved, tiny, change, said):
    weights = load_file(saved / "model.safetensors")
    change(weights)
    save_file(weights, saved / "model.safetensors")
    for load in (load_model, type(tiny("ucolnet_v3")).from_pretrained):
        with pytest.raises(UcolnetError, match=f"does not fit ucolnet_v3 .*{said}"):
            load(saved)


def test_another_class_refuses_the_folder(saved, tiny):
    with pytest.raises(UcolnetError, match="holds ucolnet_v3, not ucolnet_v2"):
        type(tiny("ucolnet_v2")).from_pretrained(saved)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file_is_named(saved, tiny, keep):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert "damaged or no safetensors file" in fails(tiny("ucolnet_v3"), path)


def test_a_text_file_is_named(tiny, tmp_path):
    (tmp_path / "model.safetensors").write_text("these are no weights " * 100)
    assert "damaged or no safetensors file" in fails(tiny("ucolnet_v3"), tmp_path / "model.safetensors")


def test_a_missing_file_and_a_folder_are_named(tiny, tmp_path):
    assert "There are no weights at" in fails(tiny("ucolnet_v3"), tmp_path / "none.safetensors")
    assert "There are no weights at" in fails(tiny("ucolnet_v3"), tmp_path)


def test_weights_go_to_the_place_asked_for(saved, tiny):
    loaded = type(tiny("ucolnet_v3")).from_pretrained(saved, map_location="meta")
    assert loaded.color_output.weight.device.type == "meta"
