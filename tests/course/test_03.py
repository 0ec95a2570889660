"""Notebook 03: what it builds by hand is what the library has."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ucolnet_lib.losses import IizukaLoss, main_class
from ucolnet_lib.models import Output, count_parameters, create_model

BRICKS = ("convolution", "fully_connected", "stack", "LOW_LEVEL", "MID_LEVEL", "GLOBAL_MAPS")
MODEL = (*BRICKS, "fuse", "colour_network", "Iizuka2016")


@pytest.fixture(scope="module")
def by_hand(notebook_definitions):
    return notebook_definitions("03", *MODEL, "copy_weights", "published_loss", "shape_table", "field_of_view")


def test_parameters_as_published(by_hand):
    with torch.device("meta"):
        assert count_parameters(by_hand["Iizuka2016"]()) == 42_353_839


@pytest.mark.parametrize(("norm", "classes"), [(False, 205), (True, 81)])
def test_same_parameters_and_state_as_the_library(by_hand, norm, classes):
    with torch.device("meta"):
        ours = by_hand["Iizuka2016"](classes, norm)
        theirs = create_model("iizuka", num_classes=classes, batch_norm=norm)
    assert count_parameters(ours) == count_parameters(theirs)
    shapes = [[tuple(value.shape) for value in model.state_dict().values()] for model in (ours, theirs)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("norm", [False, True])
@torch.no_grad()
def test_same_outputs_as_the_library(by_hand, norm):
    torch.manual_seed(0)
    theirs = create_model("iizuka", num_classes=9, batch_norm=norm).eval()
    for layer in theirs.modules():  # fresh weights are nearly gray and would hide mistakes
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                nn.init.uniform_(values, 0.5, 1.5)
    nn.init.normal_(theirs.color[-1].weight, std=0.05)
    nn.init.normal_(theirs.classifier[-1].weight, std=0.05)
    ours = by_hand["Iizuka2016"](9, norm).eval()
    by_hand["copy_weights"](theirs, ours)
    lightness = 100 * torch.rand(1, 1, 40, 64)
    output, (ab, logits) = theirs(lightness), ours(lightness)
    assert output.ab.std() > 1 and output.logits.std() > 0.1
    torch.testing.assert_close(ab, output.ab, atol=1e-2, rtol=1e-3)
    torch.testing.assert_close(logits, output.logits, atol=1e-3, rtol=1e-3)


def test_weights_of_another_model_are_not_copied(by_hand):
    with pytest.raises(AssertionError, match="differ"):
        by_hand["copy_weights"](nn.Linear(3, 2), nn.Linear(2, 2))


def test_fusion_repeats_the_vector(by_hand):
    fused = by_hand["fuse"](torch.zeros(2, 3, 4, 5), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert fused.shape == (2, 5, 4, 5)
    assert (fused[:, :3] == 0).all() and (fused[1, 4] == 4).all() and (fused[0, 3] == 1).all()


def test_the_published_loss_is_the_library_s_but_for_one_factor(by_hand):
    torch.manual_seed(0)
    ab, true = (80 * torch.randn(2, 2, 8, 8) for _ in range(2))
    semantic_map = torch.randint(1, 9, (2, 8, 8))
    logits = torch.randn(2, 81)
    ours = by_hand["published_loss"](ab, logits, true, main_class(semantic_map, 81))
    theirs = IizukaLoss()(Output(ab, logits), true, semantic_map).loss
    torch.testing.assert_close(theirs / ours, torch.tensor((200 / 110) ** 2))


def test_the_field_of_view(by_hand):
    layers = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 3, 1, 1))
    assert by_hand["field_of_view"](layers, 33) == 7


def test_the_table_of_shapes_holds_every_layer_once(by_hand):
    with torch.device("meta"):
        model = by_hand["Iizuka2016"]()
    rows = by_hand["shape_table"](model, torch.zeros(1, 1, 224, 224, device="meta"))
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(rows) == len(layers) and sum(row[-1] for row in rows.values()) == 42_353_839
    assert list(rows) != layers and set(rows) == set(layers)  # in the order of running: classifier last
    assert rows[model.global_maps[0][0]] == ("3 x 3", (512, 14, 14), 2_359_808)
    assert not any(layer._forward_hooks for layer in model.modules())
