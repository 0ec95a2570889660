"""UColNet v2: one U-Net, the two tasks part only in the last convolution (the paper has no figure of it).

                                                      +--> 1x1 --> tanh * 110 --> ab
    L --> [encoder] --> bottleneck --> [decoder] -----+
               |                           ^          +--> 1x1 -----------------> logits
               +---- skip connections -----+

Shapes at 224 x 224, width 1 (each level: two 3x3 convolutions with batch norm and ReLU):

    encoder      1 x 224 x 224 -> 32 x 224 x 224 -> 64 x 112 x 112 -> 128 x 56 x 56 -> 256 x 28 x 28
    bottleneck   512 x 14 x 14
    decoder      256 x 28 x 28 -> 128 x 56 x 56 -> 64 x 112 x 112 -> 32 x 224 x 224
    outputs      ab 2 x 224 x 224 in -110..110, logits 81 x 224 x 224

The paper says: one U-Net, separated by the decoder's last convolution; that is too late, since one convolution has too
few parameters for each task. Results too modest to be reported.
Our reading: a U-Net of half the classic width (32 to 512, four poolings), batch norm, tanh on ab scaled by 110.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ucolnet_lib.models.base import ColorizationModel, Output
from ucolnet_lib.models.blocks import Decoder, Encoder, initialise, scale_channels


class UColNetV2(ColorizationModel):
    """One U-Net with two output convolutions.

    width: factor on all channel widths. num_classes: classes of the segmentation, background included.
    """

    name = "ucolnet_v2"
    stride = 16

    def __init__(self, width: float = 1.0, num_classes: int = 81) -> None:
        super().__init__()
        channels = [scale_channels(c, width) for c in (32, 64, 128, 256, 512)]
        self.encoder = Encoder(channels)
        self.decoder = Decoder(channels)
        self.color_output = nn.Conv2d(channels[0], 2, 1)
        self.segmentation_output = nn.Conv2d(channels[0], num_classes, 1)
        initialise(self, outputs=[self.color_output, self.segmentation_output])

    def forward(self, lightness: Tensor) -> Output:
        """L (N, 1, H, W) in 0-100, any size -> ab (N, 2, H, W) in -110..110, logits (N, num_classes, H, W)."""
        height, width = lightness.shape[-2:]
        x = self.prepare(lightness)  # (N, 1, H, W), sides now multiples of 16
        x = self.decoder(*self.encoder(x))  # (N, 32, H, W)

        ab = 110 * torch.tanh(self.color_output(x).float())  # (N, 2, H, W)
        logits = self.segmentation_output(x).float()  # (N, 81, H, W)
        return Output(ab[..., :height, :width], logits[..., :height, :width])
