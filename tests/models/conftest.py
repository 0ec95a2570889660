"""Tools for all tests of the models: tiny models whose outputs are lively, and what depends on what."""

import pytest
import torch
from torch import nn

from ucolnet_lib.common import seed_everything
from ucolnet_lib.models import create_model

CLASSES = 7


def make_tiny(name: str, lively: bool = True, **kwargs) -> nn.Module:
    """A model of `MODELS` at 1/16 of its width, with 7 classes and, in Iizuka's, a global path of 32 pixels.

    lively: batch norms and output layers get larger random values, since a fresh model is nearly gray and would hide
    mistakes.
    """
    seed_everything(0)
    kwargs = {"num_classes": CLASSES, **kwargs}
    if name.startswith("iizuka"):
        kwargs = {"global_size": 32, **kwargs}
    model = create_model(name, width=1 / 16, **kwargs)
    for module in model.modules() if lively else ():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.5)
        elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:  # the output layers
            nn.init.normal_(module.weight, std=0.3)
            nn.init.normal_(module.bias, std=0.3)
    return model


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny models are faster without a second thread, and the more so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny():
    """The function `make_tiny`."""
    return make_tiny


@pytest.fixture
def outputs_that_need():
    """A function (model, part) -> the set of outputs, "ab" or "logits", that change when the part's weights change."""

    @torch.no_grad()
    def find(model: nn.Module, part: nn.Module) -> set[str]:
        model.eval()
        lightness = 100 * torch.rand(2, 1, 40, 32)
        before = model(lightness)
        for parameter in part.parameters():
            parameter.mul_(1.5)
        after = model(lightness)
        return {key for key in ("ab", "logits") if not torch.equal(getattr(before, key), getattr(after, key))}

    return find


@pytest.fixture
def shapes_at_224():
    """A function (model, its parts) -> the shape (C, H, W) or (C,) that each gives for an image of 224 x 224.

    The model is built on the device "meta": shapes without values, so that the full width costs nothing.
    """

    def measure(model: nn.Module, parts: dict[str, nn.Module]) -> dict[str, tuple[int, ...]]:
        shapes = {}
        for key, part in parts.items():
            part.register_forward_hook(lambda _, __, output, key=key: shapes.__setitem__(key, tuple(output.shape[1:])))
        output = model.eval()(torch.zeros(1, 1, 224, 224, device="meta"))
        return {**shapes, "ab": tuple(output.ab.shape[1:]), "logits": tuple(output.logits.shape[1:])}

    return measure
