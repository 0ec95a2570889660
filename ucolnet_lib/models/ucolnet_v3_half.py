"""Beyond the paper: UColNet v3 at half resolution, with a choice between one colour and a distribution of colours.

    L --> [2x2 pixels: 4 channels] --> [shared encoder] --> bottleneck --+--> [colour decoder] -------> 1x1 --> ab
                                            |                            |
                                            +----- skip connections -----+--> [segmentation decoder] -> 1x1 --> logits

Shapes at 224 x 224, width 1:

    lightness      1 x 224 x 224 -> 4 x 112 x 112
    encoder        32 x 112 x 112 -> 64 x 56 x 56 -> 128 x 28 x 28 -> 256 x 14 x 14, bottleneck 512 x 7 x 7
    each decoder   256 x 14 x 14 -> 128 x 28 x 28 -> 64 x 56 x 56 -> 32 x 112 x 112
    outputs        ab 2 x 224 x 224 in -110..110, logits 81 x 224 x 224; with bins: ab_logits BINS x 112 x 112

What differs from v3, and why:

- **Half resolution.** Eyes see colour coarsely, and the picture keeps its own lightness at full resolution: chroma at
  half the size is enough (JPEG does the same). A step of training costs a quarter, and the network sees twice as far.
- **Bins** (`ucolnet_v3_bins`), after Zhang, Isola, Efros, *Colorful Image Colorization*, 2016. Where a thing may be red
  or green, mean squared error wants the mean of both: brown. So the network gives a probability to each of about 200
  colours, and the *annealed mean* makes one colour of them: all probabilities are raised to 1 / temperature first.
  Temperature 1 is the mean (sure, and dull), towards 0 it becomes the likeliest colour (vivid, and spotty).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucolnet_lib.ab_bins import bin_centres
from ucolnet_lib.color import AB_MAX
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models.base import ColorizationModel, Output
from ucolnet_lib.models.blocks import Decoder, Encoder, initialise, scale_channels


class BinsOutput(NamedTuple):
    """`Output`, and ab_logits: float32 (N, BINS, H/2, W/2), the scores of the colours before the softmax.

    ab is None in training mode: the loss needs the scores alone, and the mean would take a quarter of a step's time.
    """

    ab: Tensor | None
    logits: Tensor | None
    ab_logits: Tensor


class UColNetV3Half(ColorizationModel):
    """One encoder, two decoders, at half the resolution of the picture.

    width: factor on all channel widths. num_classes: classes of the segmentation, background included.
    segmentation: False leaves the segmentation decoder out (logits are None). bins: predict a distribution over the
    colours of `ab_bins.bin_centres`. temperature: of the annealed mean, above 0 and up to 1; Zhang et al.
    take 0.38. gain: factor on the chroma, chosen after training on photographs held out of it. dropout: share of the
    bottleneck's channels that a training step leaves out, 0 to 0.9.
    """

    name = "ucolnet_v3_half"
    stride = 32

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 81,
        segmentation: bool = True,
        bins: bool = False,
        temperature: float = 0.38,
        gain: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 < temperature <= 1:
            raise UcolnetError(f"The temperature of the annealed mean lies above 0 and up to 1, not at {temperature}.")
        channels = [scale_channels(c, width) for c in (32, 64, 128, 256, 512)]
        self.temperature, self.gain = temperature, gain
        self.encoder = Encoder(channels, inputs=4)
        self.dropout = nn.Dropout2d(dropout)
        self.color_decoder = Decoder(channels)
        self.bins = bins
        if bins:
            self.name = "ucolnet_v3_bins"
            self.register_buffer("centres", torch.from_numpy(bin_centres()), persistent=False)  # (BINS, 2)
        self.color_output = nn.Conv2d(channels[0], len(self.centres) if bins else 2, 1)
        self.segmentation = segmentation
        if segmentation:
            self.segmentation_decoder = Decoder(channels)
            self.segmentation_output = nn.Conv2d(channels[0], num_classes, 1)
        initialise(self, outputs=[self.color_output] + ([self.segmentation_output] if segmentation else []))

    def forward(self, lightness: Tensor) -> Output | BinsOutput:
        """L (N, 1, H, W) in 0-100, any size -> ab (N, 2, H, W), logits (N, num_classes, H, W) or None."""
        height, width = lightness.shape[-2:]
        x = F.pixel_unshuffle(self.prepare(lightness), 2)  # (N, 4, H/2, W/2), sides of the input multiples of 32
        x, skips = self.encoder(x)  # (N, 512, H/32, W/32)
        x = self.dropout(x)

        def whole(small: Tensor) -> Tensor:
            return F.interpolate(small, scale_factor=2, mode="bilinear")[..., :height, :width]

        color = self.color_output(self.color_decoder(x, skips)).float()
        logits = None
        if self.segmentation:
            logits = whole(self.segmentation_output(self.segmentation_decoder(x, skips)).float())
        if self.bins:
            ab = None if self.training else self.gain * whole(self.annealed_mean(color))
            return BinsOutput(ab, logits, color)
        return Output(self.gain * whole(AB_MAX * torch.tanh(color)), logits)

    def annealed_mean(self, ab_logits: Tensor) -> Tensor:
        """Scores of the bins (N, BINS, h, w) -> ab (N, 2, h, w), CIELAB units (Zhang et al. 2016, section 2.3)."""
        # The bins of a place side by side, as `channels_last` has them in memory: that is fastest.
        probability = (ab_logits.movedim(1, -1) / self.temperature).softmax(dim=-1)
        return (probability @ self.centres).movedim(-1, 1)
