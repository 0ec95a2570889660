"""Notebook 04: what it builds by hand gives the library's numbers."""

import pandas as pd
import pytest
import torch

from ucolnet_lib.metrics import overfitting
from ucolnet_lib.models import blocks, count_parameters, create_model
from ucolnet_lib.models.iizuka import low_level_features

NAMES = ("CLASSIC", "double_convolution", "Encoder", "Decoder", "UNet", "upper_branch", "UColNetV1")


@pytest.fixture(scope="module")
def built(notebook_definitions):
    return notebook_definitions("04", *NAMES, "signs", "coarse")


def with_random_norms(module: torch.nn.Module) -> torch.nn.Module:
    """In evaluation mode, with running statistics and factors that differ from channel to channel."""
    generator = torch.Generator().manual_seed(1)
    for key, value in module.state_dict().items():
        if value.ndim == 1 and value.is_floating_point():
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif "weight" in key:
            # The library starts its output layers near zero, where every model looks alike.
            value.copy_(torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5)
    return module.eval()


def copy_weights(source: torch.nn.Module, target: torch.nn.Module) -> None:
    """In the order of definition; another number of tensors or another shape fails."""
    for theirs, ours in zip(source.state_dict().values(), target.state_dict().values(), strict=True):
        assert theirs.shape == ours.shape
        ours.copy_(theirs)


def prepared(library: torch.nn.Module, mine: torch.nn.Module) -> tuple[torch.nn.Module, torch.nn.Module]:
    copy_weights(with_random_norms(library), mine.eval())
    assert count_parameters(mine) == count_parameters(library)
    return library, mine


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert theirs.std() > 1e-3, "a constant proves nothing"
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_double_convolution(built):
    library, mine = prepared(blocks.double_conv(3, 5), built["double_convolution"](3, 5))
    x = torch.rand(2, 3, 9, 7)
    assert_same(mine(x), library(x))


@torch.no_grad()
def test_encoder(built):
    library, mine = prepared(blocks.Encoder([3, 4, 6, 8]), built["Encoder"]([3, 4, 6, 8]))
    x = torch.rand(2, 1, 16, 24)
    (ours, our_skips), (theirs, their_skips) = mine(x), library(x)
    assert_same(ours, theirs)
    for one, other in zip(our_skips, their_skips, strict=True):
        assert_same(one, other)


@torch.no_grad()
def test_decoder(built):
    channels = [3, 4, 6, 8]
    library, mine = prepared(blocks.Decoder(channels), built["Decoder"](channels))
    x, skips = blocks.Encoder(channels).eval()(torch.rand(2, 1, 16, 24))
    assert_same(mine(x, skips), library(x, skips))


@torch.no_grad()
def test_unet_is_the_lower_branch_of_v1(built):
    v1 = with_random_norms(create_model("ucolnet_v1", width=0.125))
    mine = built["UNet"]([8, 16, 32, 64, 128]).eval()
    copy_weights(torch.nn.ModuleList([v1.encoder, v1.decoder, v1.segmentation_output]), mine)
    lightness = 100 * torch.rand(2, 1, 32, 48)
    assert_same(mine(lightness), v1(lightness).logits)


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 2])
def test_upper_branch(built, stride):
    mid_level = torch.nn.Sequential(blocks.conv_relu(64, 64, stride=stride), blocks.conv_relu(64, 32))
    library = torch.nn.Sequential(low_level_features(0.125), mid_level)
    library, mine = prepared(library, built["upper_branch"](0.125, stride=stride))
    x = torch.rand(2, 1, 32, 48)
    assert mine(x).shape == (2, 32, 4 // stride, 6 // stride)
    assert_same(mine(x), library(x))


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (16, 48)])
def test_ucolnet_v1(built, size):
    library, mine = prepared(create_model("ucolnet_v1", width=0.125), built["UColNetV1"](width=0.125))
    lightness = 100 * torch.rand(2, 1, *size)
    ours, theirs = mine(lightness), library(lightness)
    assert_same(ours.ab, theirs.ab)
    assert_same(ours.logits, theirs.logits)


def test_ucolnet_v1_at_full_width(built):
    with torch.device("meta"):
        library, mine = create_model("ucolnet_v1"), built["UColNetV1"]()
    shapes = [[value.shape for value in model.state_dict().values()] for model in (library, mine)]
    assert shapes[0] == shapes[1]
    assert count_parameters(mine) == 37_624_275


@pytest.mark.parametrize("validation", [[0.5, 0.3, 0.4], [0.5, 0.4, 0.3], [0.3, 0.3, 0.2, 0.2, 0.6]])
def test_signs(built, validation):
    epochs = range(1, len(validation) + 1)
    history = pd.DataFrame({"epoch": epochs, "train_color": [0.6 / e for e in epochs], "validation_color": validation})
    assert built["signs"](history) == pytest.approx(tuple(overfitting(history).values()))


def test_coarse_keeps_one_class_of_each_block(built):
    maps = torch.arange(16).reshape(1, 4, 4)
    assert built["coarse"](maps, 1).equal(maps)
    blocks_of_two = built["coarse"](maps, 2)
    assert blocks_of_two.shape == maps.shape
    assert blocks_of_two[0, :2, :2].unique().tolist() == [5]
