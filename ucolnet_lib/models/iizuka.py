"""The baseline: Iizuka, Simo-Serra, Ishikawa, *Let there be Color!*, 2016 (the paper's Fig. 1).

    L, any size --> [low-level] --> [mid-level] ---------------> [fusion] --> [colour network] --> sigmoid --> ab
                         :                                          ^
                         : same weights                             | repeated at every place
                         :                                          |
    L at 224    --> [low-level] --> [global features]: 1024 --> 512 --> 256
                                                                 |
                                                                 +--> 256 --> number of classes: logits

Shapes at 224 x 224, width 1 (3x3 convolutions, batch norm, ReLU; strides instead of pooling):

    low-level        1 x 224 x 224 -> 64 x 112 x 112 -> 128 -> 128 x 56 x 56 -> 256 -> 256 x 28 x 28 -> 512 x 28 x 28
    mid-level        512 x 28 x 28 -> 256 x 28 x 28
    global           512 x 14 x 14 -> 512 -> 512 x 7 x 7 -> 512 -> flatten 25088 -> 1024 -> 512 -> 256
    fusion           256 + 256 = 512 x 28 x 28 -> 1x1 -> 256 x 28 x 28
    colour network   128 x 28 x 28 -> 64 x 56 x 56 -> 64 -> 32 x 112 x 112 -> 2 x 112 x 112
    output           ab 2 x 224 x 224 in -100..100, logits 81 (one class for each image)

As published: every layer. Our reading: the input is L (theirs was YUV luma); the last doubling is bilinear, since ab
is smooth; the class of an image, which COCO does not have, is the category with the largest area in it.
Where a batch already has the size of the global path, its low-level features are computed once and used twice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models.base import ColorizationModel, Output
from ucolnet_lib.models.blocks import conv_relu, initialise, linear_relu, scale_channels


def low_level_features(width: float, batch_norm: bool = True) -> nn.Sequential:
    """Six convolutions, (N, 1, H, W) -> (N, 512, H/8, W/8): edges and textures, for both paths."""
    c64, c128, c256, c512 = (scale_channels(c, width) for c in (64, 128, 256, 512))
    return nn.Sequential(
        conv_relu(1, c64, stride=2, batch_norm=batch_norm),
        conv_relu(c64, c128, batch_norm=batch_norm),
        conv_relu(c128, c128, stride=2, batch_norm=batch_norm),
        conv_relu(c128, c256, batch_norm=batch_norm),
        conv_relu(c256, c256, stride=2, batch_norm=batch_norm),
        conv_relu(c256, c512, batch_norm=batch_norm),
    )


def color_network(width: float, batch_norm: bool = True) -> nn.Sequential:
    """Fused features (N, 256, H/8, W/8) -> (N, 2, H/2, W/2), before the activation."""
    c32, c64, c128, c256 = (scale_channels(c, width) for c in (32, 64, 128, 256))
    return nn.Sequential(
        conv_relu(c256, c128, batch_norm=batch_norm),
        nn.Upsample(scale_factor=2, mode="nearest"),
        conv_relu(c128, c64, batch_norm=batch_norm),
        conv_relu(c64, c64, batch_norm=batch_norm),
        nn.Upsample(scale_factor=2, mode="nearest"),
        conv_relu(c64, c32, batch_norm=batch_norm),
        nn.Conv2d(c32, 2, 3, padding=1),
    )


class Iizuka(ColorizationModel):
    """Colorization helped by global features that also classify the image.

    width: factor on all widths. num_classes: classes of an image. global_size: side at which the global path sees
    the image, a multiple of 32. classify: False leaves the classification out. global_features: False leaves the
    whole global path out, and with it the classification, which has nothing else to stand on.
    """

    name = "iizuka"
    stride = 8

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 81,
        classify: bool = True,
        global_features: bool = True,
        global_size: int = 224,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        if global_size < 32 or global_size % 32:
            raise UcolnetError(f"global_size must be a multiple of 32, got {global_size}: take 64 or 224, for example.")
        c256, c512, c1024 = (scale_channels(c, width) for c in (256, 512, 1024))
        self.global_size = global_size
        self.low_level = low_level_features(width, batch_norm)
        self.mid_level = nn.Sequential(
            conv_relu(c512, c512, batch_norm=batch_norm),
            conv_relu(c512, c256, batch_norm=batch_norm),
        )
        self.global_maps = self.global_512 = self.global_256 = self.classifier = None
        if global_features:
            self.global_maps = nn.Sequential(
                conv_relu(c512, c512, stride=2, batch_norm=batch_norm),
                conv_relu(c512, c512, batch_norm=batch_norm),
                conv_relu(c512, c512, stride=2, batch_norm=batch_norm),
                conv_relu(c512, c512, batch_norm=batch_norm),
                nn.Flatten(),
            )
            self.global_512 = nn.Sequential(
                linear_relu(c512 * (global_size // 32) ** 2, c1024, batch_norm), linear_relu(c1024, c512, batch_norm)
            )
            self.global_256 = linear_relu(c512, c256, batch_norm)
            if classify:
                self.classifier = nn.Sequential(linear_relu(c512, c256, batch_norm), nn.Linear(c256, num_classes))
        self.fusion = conv_relu(c256 + (c256 if global_features else 0), c256, kernel=1, batch_norm=batch_norm)
        self.color = color_network(width, batch_norm)
        initialise(self, outputs=[self.color[-1]] + ([self.classifier[-1]] if self.classifier else []))

    def forward(self, lightness: Tensor) -> Output:
        """L (N, 1, H, W) in 0-100, any size -> ab (N, 2, H, W) in -100..100, logits (N, num_classes) or None."""
        height, width = lightness.shape[-2:]
        image = self.prepare(lightness)  # (N, 1, H, W), sides now multiples of 8
        low = self.low_level(image)  # (N, 512, H/8, W/8)
        fused = self.mid_level(low)  # (N, 256, H/8, W/8)

        logits = None
        if self.global_maps is not None:
            features = self.global_512(self.global_maps(self._low_level_of_square(lightness, low)))  # (N, 512)
            repeated = self.global_256(features)[:, :, None, None].expand(-1, -1, *fused.shape[-2:])
            fused = torch.cat([fused, repeated], dim=1)  # (N, 256 + 256, H/8, W/8)
            if self.classifier is not None:
                logits = self.classifier(features).float()  # (N, num_classes)

        ab = self.color(self.fusion(fused))  # (N, 2, H/2, W/2)
        ab = 100 * (2 * torch.sigmoid(ab.float()) - 1)
        ab = F.interpolate(ab, scale_factor=2, mode="bilinear", align_corners=False)  # (N, 2, H, W)
        return Output(ab[..., :height, :width], logits)

    def _low_level_of_square(self, lightness: Tensor, low: Tensor) -> Tensor:
        """Low-level features of the image at `global_size` squared: `low` itself where the image has that size."""
        size = (self.global_size, self.global_size)
        if tuple(lightness.shape[-2:]) == size:
            return low
        return self.low_level(self.prepare(F.interpolate(lightness, size, mode="bilinear", antialias=True)))
