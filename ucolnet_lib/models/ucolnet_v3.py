"""UColNet v3: one shared encoder, one decoder for each task (the paper's Fig. 4).

                       +--------- skip connections ----------+
                       |                                     v
    L --> [shared encoder] --> bottleneck --+--> [colour decoder] -------> 1x1 --> tanh * 110 --> ab
                       |                    |
                       |                    +--> [segmentation decoder] -> 1x1 -----------------> logits
                       |                                     ^
                       +--------- skip connections ----------+

Shapes at 224 x 224, width 1 (each level: two 3x3 convolutions with batch norm and ReLU):

    encoder        1 x 224 x 224 -> 32 x 224 x 224 -> 64 x 112 x 112 -> 128 x 56 x 56 -> 256 x 28 x 28
    bottleneck     512 x 14 x 14
    each decoder   256 x 28 x 28 -> 128 x 56 x 56 -> 64 x 112 x 112 -> 32 x 224 x 224
    outputs        ab 2 x 224 x 224 in -110..110, logits 81 x 224 x 224

The paper says: U-Net style, two branches that share one encoder, then a decoder for each of the two tasks.
Our reading: a U-Net of half the classic width (32 to 512, four poolings), batch norm, skip connections from the
shared encoder to both decoders, tanh on ab scaled by 110, classes are COCO's 80 and the background.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ucolnet_lib.models.base import ColorizationModel, Output
from ucolnet_lib.models.blocks import Decoder, Encoder, initialise, scale_channels


class UColNetV3(ColorizationModel):
    """The paper's best simplification: one encoder, two decoders.

    width: factor on all channel widths. num_classes: classes of the segmentation, background included.
    segmentation: False leaves the segmentation decoder out, to see what the second task brings (logits are None).
    """

    name = "ucolnet_v3"
    stride = 16

    def __init__(self, width: float = 1.0, num_classes: int = 81, segmentation: bool = True) -> None:
        super().__init__()
        channels = [scale_channels(c, width) for c in (32, 64, 128, 256, 512)]
        self.encoder = Encoder(channels)
        self.color_decoder = Decoder(channels)
        self.color_output = nn.Conv2d(channels[0], 2, 1)
        self.segmentation = segmentation
        if segmentation:
            self.segmentation_decoder = Decoder(channels)
            self.segmentation_output = nn.Conv2d(channels[0], num_classes, 1)
        initialise(self, outputs=[self.color_output] + ([self.segmentation_output] if segmentation else []))

    def forward(self, lightness: Tensor) -> Output:
        """L (N, 1, H, W) in 0-100, any size -> ab (N, 2, H, W) in -110..110, logits (N, num_classes, H, W) or None."""
        height, width = lightness.shape[-2:]
        x = self.prepare(lightness)  # (N, 1, H, W), sides now multiples of 16
        x, skips = self.encoder(x)  # (N, 512, H/16, W/16)

        ab = 110 * torch.tanh(self.color_output(self.color_decoder(x, skips)).float())  # (N, 2, H, W)
        ab = ab[..., :height, :width]
        if not self.segmentation:
            return Output(ab, None)

        logits = self.segmentation_output(self.segmentation_decoder(x, skips)).float()  # (N, 81, H, W)
        return Output(ab, logits[..., :height, :width])
