"""The bricks that the models share: convolutions with batch norm, and the two halves of a U-Net."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucolnet_lib.common import UcolnetError


def scale_channels(channels: int, width: float) -> int:
    """Multiply a default number of channels by the model's `width`, rounded, and at least 2."""
    if not 0 < width <= 16:
        raise UcolnetError(f"The width of a model is a factor above 0 and up to 16, 1.0 the full model; got {width}.")
    return max(2, round(channels * width))


class BatchNorm(nn.BatchNorm2d):
    """Batch norm for maps (N, C, H, W) and vectors (N, C) that can also train on one single value per channel.

    One value has no variance, so torch refuses a batch of one image whose map is 1 x 1 (a 16-pixel image at the
    bottom of a U-Net). Then the running statistics are used, as in evaluation; every other batch is treated as usual.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        if x.ndim not in (2, 4):
            raise ValueError(f"expected (N, C) or (N, C, H, W), got {tuple(x.shape)}")

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def conv_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, batch_norm: bool = True) -> nn.Sequential:
    """Convolution (padded, so that only `stride` changes the size), batch norm, ReLU."""
    # Batch norm subtracts the mean: a bias before it would have no effect.
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=not batch_norm)]
    if batch_norm:
        layers.append(BatchNorm(outputs))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def linear_relu(inputs: int, outputs: int, batch_norm: bool = True) -> nn.Sequential:
    """Fully connected layer, batch norm, ReLU: (N, inputs) -> (N, outputs)."""
    layers = [nn.Linear(inputs, outputs, bias=not batch_norm)]
    if batch_norm:
        layers.append(BatchNorm(outputs))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    """The step of every U-Net level: two 3 x 3 convolutions."""
    return nn.Sequential(conv_relu(inputs, outputs), conv_relu(outputs, outputs))


class Encoder(nn.Module):
    """The descending half of a U-Net: a double convolution at each level, 2 x 2 max pooling between levels.

    `channels` lists the levels from the top (full size) to the bottleneck: 64, 128, 256, 512, 1024 is the classic.
    `inputs`: channels of the image, 1 for lightness.
    """

    def __init__(self, channels: list[int], inputs: int = 1) -> None:
        super().__init__()
        self.levels = nn.ModuleList(double_conv(above, here) for above, here in pairwise([inputs, *channels]))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Image (N, inputs, H, W) -> bottleneck (N, C, H/16, W/16) and the maps for the skip connections, top first."""
        skips = []
        for level in self.levels[:-1]:
            x = level(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        return self.levels[-1](x), skips


class Decoder(nn.Module):
    """The ascending half of a U-Net: at each level double the size, concatenate the encoder's map, convolve twice."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        steps = list(pairwise(channels[::-1]))
        # A transposed convolution, as the U-Net's paper has it. A 1x1 convolution and interpolation would save up to
        # a quarter of a training step's time on a CPU (noisy measurement).
        self.ups = nn.ModuleList(nn.ConvTranspose2d(below, here, 2, stride=2) for below, here in steps)
        self.levels = nn.ModuleList(double_conv(2 * here, here) for _, here in steps)

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Bottleneck and skips of an `Encoder` with the same channels -> (N, channels[0], H, W)."""
        for up, level, skip in zip(self.ups, self.levels, reversed(skips), strict=True):
            x = level(torch.cat([skip, up(x)], dim=1))
        return x


def initialise(model: nn.Module, outputs: list[nn.Module]) -> None:
    """Kaiming initialisation, which keeps the size of activations through ReLUs; small weights in the `outputs`.

    Small outputs mean that training starts from gray (ab near 0) and from equal class probabilities.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in outputs:
        nn.init.normal_(module.weight, std=0.001)
