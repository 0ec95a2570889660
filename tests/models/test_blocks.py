"""The bricks one by one."""

import pytest
import torch
from torch import nn

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models.blocks import BatchNorm, Decoder, Encoder, conv_relu, initialise, linear_relu, scale_channels


@pytest.mark.parametrize(
    ("channels", "width", "expected"), [(64, 1.0, 64), (64, 0.5, 32), (32, 0.1, 3), (64, 0.001, 2), (32, 1.5, 48)]
)
def test_scale_channels(channels, width, expected):
    assert scale_channels(channels, width) == expected


@pytest.mark.parametrize("width", [0, -0.5, float("nan"), 17])
def test_scale_channels_refuses_what_is_no_factor(width):
    with pytest.raises(UcolnetError, match=f"got {width}"):
        scale_channels(64, width)


@pytest.mark.parametrize("shape", [(2, 5, 1, 1), (1, 5, 2, 1), (3, 5, 4, 6)])
def test_batch_norm_is_torchs_own_where_there_are_several_values(shape):
    ours, torchs = BatchNorm(5), nn.BatchNorm2d(5)
    x = torch.randn(shape)
    for _ in range(2):
        assert torch.equal(ours(x), torchs(x))
    assert torch.equal(ours.running_var, torchs.running_var)
    assert torch.equal(ours.eval()(x), torchs.eval()(x))


def test_batch_norm_of_vectors_is_torchs_own():
    x = torch.randn(4, 5)
    assert torch.equal(BatchNorm(5)(x), nn.BatchNorm1d(5)(x))


@pytest.mark.parametrize("shape", [(1, 5, 1, 1), (1, 5)])
def test_batch_norm_of_a_single_value_uses_the_running_statistics(shape):
    norm = BatchNorm(5)
    norm.running_mean.fill_(2.0)
    norm.running_var.fill_(4.0)
    x = torch.randn(shape)
    torch.testing.assert_close(norm(x), (x - 2) / 2, atol=1e-4, rtol=1e-4)
    assert norm.running_mean.tolist() == [2.0] * 5


def test_batch_norm_refuses_other_shapes():
    with pytest.raises(ValueError, match="expected"):
        BatchNorm(5)(torch.zeros(2, 5, 3))


@pytest.mark.parametrize(("kernel", "stride", "size"), [(3, 1, 16), (1, 1, 16), (3, 2, 8)])
def test_only_the_stride_changes_the_size(kernel, stride, size):
    output = conv_relu(3, 4, kernel, stride)(torch.randn(2, 3, 16, 16))
    assert output.shape == (2, 4, size, size)
    assert output.min() == 0


def test_linear_relu():
    output = linear_relu(6, 4, batch_norm=False)(torch.randn(8, 6))
    assert output.shape == (8, 4) and output.min() == 0


def test_encoder_gives_the_skips_from_the_top_and_decoder_takes_them_back():
    encoder, decoder = Encoder([2, 4, 8]), Decoder([2, 4, 8])
    bottleneck, skips = encoder(torch.randn(2, 1, 16, 24))
    assert bottleneck.shape == (2, 8, 4, 6)
    assert [tuple(skip.shape) for skip in skips] == [(2, 2, 16, 24), (2, 4, 8, 12)]
    assert decoder(bottleneck, skips).shape == (2, 2, 16, 24)
    with pytest.raises(ValueError, match="shorter"):  # a skip too few must not be passed over
        decoder(bottleneck, skips[1:])


def test_initialise_keeps_the_size_of_activations_and_makes_outputs_small():
    torch.manual_seed(0)
    layers = [conv_relu(64, 64, batch_norm=False) for _ in range(8)]
    output = nn.Conv2d(64, 2, 1)
    initialise(nn.Sequential(*layers, output), outputs=[output])
    x = torch.randn(1, 64, 32, 32)
    after = nn.Sequential(*layers)(x)
    assert 0.2 < after.square().mean() < 5  # with torch's default initialisation it would be about 1e-6
    assert output.weight.std() < 0.002 and not output.bias.any()
