"""The checks of notebook 06."""

import numpy as np
import torch
from scipy import stats
from torch import nn

from ucolnet_lib.models.blocks import Decoder
from ucolnet_lib.notebook.checks import ucolnet_v3


class Two(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.color_decoder, self.segmentation_decoder = Decoder(channels), Decoder(channels)

    def forward(self, bottleneck, skips):
        return self.color_decoder(bottleneck, skips), self.segmentation_decoder(bottleneck, skips)


class One(Two):  # as planted
    def __init__(self, channels):
        super().__init__(channels)
        self.segmentation_decoder = self.color_decoder


class Unused(Two):
    def forward(self, bottleneck, skips):
        return self.color_decoder(bottleneck, skips), self.color_decoder(bottleneck, skips)


class Swapped(Two):
    def forward(self, bottleneck, skips):
        return super().forward(bottleneck, skips)[::-1]


class Anew(Two):
    def forward(self, bottleneck, skips):
        channels = [skip.shape[1] for skip in skips] + [bottleneck.shape[1]]
        return self.color_decoder(bottleneck, skips), Decoder(channels)(bottleneck, skips)


def decoder_parameters(channels, transposed_bias=1, skip=2, norm=4):
    steps = zip(channels[1:], channels, strict=False)
    return sum(b * h * 4 + transposed_bias * h + skip * h * h * 9 + h * h * 9 + norm * h for b, h in steps)


def color_only(model, lightness, scale=110, center=True, skip=True):
    bottleneck, skips = model.encoder(lightness / 50 - 1 if center else lightness)
    skips = skips if skip else [0 * s for s in skips]
    return scale * torch.tanh(model.color_output(model.color_decoder(bottleneck, skips)))


def interval(values, ddof=1, root=True, t=None):
    n, d = len(values), np.asarray(values)
    margin = (t or stats.t.ppf(0.975, n - 1)) * d.std(ddof=ddof) / (np.sqrt(n) if root else 1)
    return d.mean() - margin, d.mean() + margin


DAMAGED = np.array([[19, 7, 0.3], [18, 8, 0.2], [33, 14, 0.9], [17, 6, 0.2], [18, 28, 0.2]])


def test_checks(judge):
    right = {
        ucolnet_v3.two_decoders: [(Two,)],
        ucolnet_v3.decoder_parameters: [(decoder_parameters,)],
        ucolnet_v3.color_only: [(color_only,)],
        ucolnet_v3.most_needed: [(2, 4, DAMAGED), (4, 2, DAMAGED[:, [1, 0, 2]])],
        ucolnet_v3.interval: [(interval,), (lambda d: list(interval(d)),), (lambda d: np.float32(interval(d)),)],
        ucolnet_v3.verdicts: [
            (["A", "B", "cannot be told", "cannot be told", "A"],),
            (("a", "b", *2 * ["It cannot be told"], "A"),),
        ],
    }
    wrong = {
        ucolnet_v3.two_decoders: [(One,), (Unused,), (Swapped,), (Anew,), (Decoder,)],
        ucolnet_v3.decoder_parameters: [
            (lambda c: decoder_parameters(c, skip=1),),  # without the channels of the skip
            (lambda c: decoder_parameters(c, norm=0),),
            (lambda c: decoder_parameters(c, transposed_bias=0),),
            (lambda c: 3_065_000,),
        ],
        ucolnet_v3.color_only: [
            (lambda m, x: m(x).ab,),  # the segmentation decoder runs
            (lambda m, x: color_only(m, x, scale=1),),
            (lambda m, x: color_only(m, x, center=False),),
            (lambda m, x: color_only(m, x, skip=False),),
            (lambda m, x: m(x).logits,),
        ],
        ucolnet_v3.most_needed: [(2, 2, DAMAGED), (4, 4, DAMAGED), (4, 2, DAMAGED), (2, 5, DAMAGED), (2, 4, DAMAGED.T)],
        ucolnet_v3.interval: [
            (lambda d: interval(d, ddof=0),),
            (lambda d: interval(d, root=False),),
            (lambda d: interval(d, t=stats.t.ppf(0.975, len(d) - 1) / np.sqrt(len(d))),),  # s / n
            (lambda d: interval(d, t=1.96),),
            (lambda d: interval(d, t=stats.t.ppf(0.95, len(d) - 1)),),  # 90%
            (lambda d: interval(d, t=stats.t.ppf(0.975, len(d))),),  # one degree of freedom too many
            (lambda d: interval(d)[::-1],),
        ],
        ucolnet_v3.verdicts: [
            (["B", "A", "cannot be told", "cannot be told", "B"],),
            (["A", "B", "A", "cannot be told", "A"],),  # by the middle of the interval
            (["A", "B", "A", "B", "A"],),
            (["A", "B", "cannot be told", "cannot be told"],),
            (["a", "b", "equal", "equal", "a"],),
        ],
    }
    judge(ucolnet_v3, right, wrong)
