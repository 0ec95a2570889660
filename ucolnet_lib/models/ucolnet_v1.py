"""UColNet v1: Iizuka's model whose lower branch segments instead of classifying (the paper's Fig. 3).

    L --> [low-level] --> [mid-level] --+--> [fusion] --> [colour network] --> tanh * 110 --> ab
                                        ^
                                        | concatenated: the two smallest volumes
                                        |
    L --> [U-Net encoder] -------> bottleneck --> [U-Net decoder] --> 1x1 ----------------> logits
                       |                                ^
                       +------- skip connections -------+

Shapes at 224 x 224, width 1:

    low-level        1 x 224 x 224 -> 64 x 112 x 112 -> ... -> 512 x 28 x 28 (as Iizuka's)
    mid-level        512 x 14 x 14 -> 256 x 14 x 14 (as Iizuka's, but the first has stride 2)
    U-Net encoder    64 x 224 x 224 -> 128 x 112 x 112 -> 256 x 56 x 56 -> 512 x 28 x 28
    bottleneck       1024 x 14 x 14
    fusion           256 + 1024 = 1280 x 14 x 14 -> 1x1 -> 256 x 14 x 14 -> upsampled 256 x 28 x 28
    colour network   128 x 28 x 28 -> 64 x 56 x 56 -> 64 -> 32 x 112 x 112 -> 2 x 112 x 112 (as Iizuka's)
    U-Net decoder    512 x 28 x 28 -> 256 x 56 x 56 -> 128 x 112 x 112 -> 64 x 224 x 224
    outputs          ab 2 x 224 x 224 in -110..110, logits 81 x 224 x 224

The paper says: two branches and the fusion layer as Iizuka's, the lower branch is a U-Net, the fusion takes place
between the two volumes of the smallest spatial size. Found to overfit: too many parameters.
Our reading: the classic U-Net (64 to 1024, four poolings); one more stride in the mid-level features, so that both
smallest volumes have H/16; the fused map is upsampled before the colour network to make up for it; the decoder goes on
from the U-Net's own bottleneck; tanh on ab scaled by 110.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucolnet_lib.models.base import ColorizationModel, Output
from ucolnet_lib.models.blocks import Decoder, Encoder, conv_relu, initialise, scale_channels
from ucolnet_lib.models.iizuka import color_network, low_level_features


class UColNetV1(ColorizationModel):
    """Two branches, colour above and a U-Net below, fused where both are smallest.

    width: factor on all channel widths. num_classes: classes of the segmentation, background included.
    """

    name = "ucolnet_v1"
    stride = 16

    def __init__(self, width: float = 1.0, num_classes: int = 81) -> None:
        super().__init__()
        c256, c512 = scale_channels(256, width), scale_channels(512, width)
        channels = [scale_channels(c, width) for c in (64, 128, 256, 512, 1024)]
        self.low_level = low_level_features(width)
        self.mid_level = nn.Sequential(conv_relu(c512, c512, stride=2), conv_relu(c512, c256))
        self.encoder = Encoder(channels)
        self.fusion = conv_relu(c256 + channels[-1], c256, kernel=1)
        self.color = color_network(width)
        self.decoder = Decoder(channels)
        self.segmentation_output = nn.Conv2d(channels[0], num_classes, 1)
        initialise(self, outputs=[self.color[-1], self.segmentation_output])

    def forward(self, lightness: Tensor) -> Output:
        """L (N, 1, H, W) in 0-100, any size -> ab (N, 2, H, W) in -110..110, logits (N, num_classes, H, W)."""
        height, width = lightness.shape[-2:]
        image = self.prepare(lightness)  # (N, 1, H, W), sides now multiples of 16
        mid = self.mid_level(self.low_level(image))  # (N, 256, H/16, W/16)
        bottleneck, skips = self.encoder(image)  # (N, 1024, H/16, W/16)

        fused = self.fusion(torch.cat([mid, bottleneck], dim=1))  # (N, 256, H/16, W/16)
        ab = self.color(F.interpolate(fused, scale_factor=2, mode="nearest"))  # (N, 2, H/2, W/2)
        ab = 110 * torch.tanh(ab.float())
        ab = F.interpolate(ab, scale_factor=2, mode="bilinear", align_corners=False)  # (N, 2, H, W)

        logits = self.segmentation_output(self.decoder(bottleneck, skips))  # (N, 81, H, W)
        return Output(ab[..., :height, :width], logits[..., :height, :width].float())
