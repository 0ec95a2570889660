"""`create_model`, `load_model` and the two counters."""

import json
import socket

import pytest
import torch

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models import MODELS, count_multiply_adds, count_parameters, create_model, load_model


def test_models_are_those_of_the_paper_and_the_ablations():
    assert list(MODELS) == [
        "iizuka",
        "iizuka_no_classes",
        "iizuka_no_global",
        "ucolnet_v1",
        "ucolnet_v2",
        "ucolnet_v3",
        "ucolnet_v3_no_segmentation",
    ]


def test_an_unknown_name_lists_the_known():
    with pytest.raises(UcolnetError, match="no model 'ucolnet_v4': take one of iizuka, .*ucolnet_v3_no_segmentation"):
        create_model("ucolnet_v4")


@pytest.fixture
def saved(tiny, tmp_path):
    """A folder with a saved v3."""
    tiny("ucolnet_v3").save_pretrained(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_file_of_weights_beside_the_config_can_be_loaded(saved):
    model = load_model(saved)
    model.color_output.bias.data.fill_(0.5)
    model.save_weights(saved / "last.safetensors")
    assert load_model(saved / "last.safetensors").color_output.bias.tolist() == [0.5, 0.5]
    assert load_model(str(saved)).color_output.bias.tolist() != [0.5, 0.5]


@pytest.mark.parametrize("path", ["runs/none", "somebody/model", "none.safetensors", ""])
def test_a_missing_path_is_not_looked_up_on_the_network(no_network, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UcolnetError, match="There is no model at|is missing"):
        load_model(path)


def test_a_folder_without_config_is_named(saved):
    (saved / "config.json").unlink()
    with pytest.raises(UcolnetError, match=r"config\.json is missing"):
        load_model(saved)


def test_a_folder_without_weights_is_named(saved):
    (saved / "model.safetensors").unlink()
    with pytest.raises(UcolnetError, match=r"no weights at .*model\.safetensors"):
        load_model(saved)


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"model": "ucolnet_v3", "width"',
        "[1, 2]",
        "null",
        "{}",
        '{"model": "ucolnet_v9", "width": 1.0}',
        '{"model": ["ucolnet_v3"]}',
        '{"model": "ucolnet_v3", "depth": 3}',
        '{"model": "ucolnet_v3", "width": "wide"}',
        '{"model": "ucolnet_v3", "width": -1}',
        '{"model": "ucolnet_v3", "num_classes": -5}',
        '{"model": "iizuka", "width": 0.1, "global_size": 33}',
        "\xff\xfe",
    ],
)
def test_a_broken_config_is_named(saved, text):
    (saved / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UcolnetError, match=r"config\.json does not describe a model \(.+\): copy it again"):
        load_model(saved)


def test_a_config_of_another_model_is_named(saved):
    (saved / "config.json").write_text(json.dumps({"model": "ucolnet_v1", "width": 1 / 16}))
    with pytest.raises(UcolnetError, match=r"model\.safetensors holds ucolnet_v3, not ucolnet_v1"):
        load_model(saved)


def test_multiply_adds_of_the_published_layers_by_hand():
    """Each 3x3 convolution takes 9 x inputs x outputs multiply-adds at each place of its output."""
    layers = [  # inputs, outputs, side of the output for an image of 224 pixels
        [(1, 64, 112), (64, 128, 112), (128, 128, 56), (128, 256, 56), (256, 256, 28), (256, 512, 28)],
        [(512, 512, 28), (512, 256, 28)],
        [(256, 128, 28), (128, 64, 56), (64, 64, 56), (64, 32, 112), (32, 2, 112)],
    ]
    by_hand = sum(9 * a * b * side**2 for part in layers for a, b, side in part) + 256 * 256 * 28**2
    assert count_multiply_adds(create_model("iizuka_no_global"), 224) == by_hand


def test_multiply_adds_of_a_unet_by_hand():
    def twice(inputs, outputs, side):
        return 9 * (inputs + outputs) * outputs * side**2

    down = twice(1, 32, 64) + twice(32, 64, 32) + twice(64, 128, 16) + twice(128, 256, 8) + twice(256, 512, 4)
    steps = [(256, 8), (128, 16), (64, 32), (32, 64)]  # channels and side after each transposed convolution
    up = sum(2 * c * c * side**2 + twice(2 * c, c, side) for c, side in steps)
    assert count_multiply_adds(create_model("ucolnet_v2"), 64) == down + up + 32 * (2 + 81) * 64**2


def test_counting_leaves_the_model_as_it_was(tiny):
    model = tiny("ucolnet_v2")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert count_multiply_adds(model, 17) == count_multiply_adds(model, 32)  # padded to the stride
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_count_parameters_counts_what_is_trained():
    layer = torch.nn.Linear(3, 4)
    assert count_parameters(layer) == 16
    layer.bias.requires_grad = False
    assert count_parameters(layer) == 12
