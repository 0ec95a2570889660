"""One training step, for test_step.py: alone, or as one of several processes that each take their share of a batch.

    python one_step.py MODEL OUT [--parts N]
    torchrun --nproc_per_node 2 one_step.py MODEL OUT [--parts N]

Writes the losses and the gradient of process 0 into OUT.
"""

import sys

import torch
from accelerate import Accelerator
from torch import nn

from ucolnet_lib.losses import create_loss
from ucolnet_lib.models import create_model
from ucolnet_lib.training.step import backward


def tiny(name: str) -> nn.Module:
    """A small model whose batch norm has fixed statistics: so a picture's result depends on no other picture."""
    torch.manual_seed(0)
    extra = {"global_size": 32} if name.startswith("iizuka") else {}
    model = create_model(name, width=1 / 32, num_classes=5, **extra).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.eval()
    return model


def loss_of(name: str) -> nn.Module:
    return create_loss(name, "balanced", 1.0, "bins" if name.startswith("ucolnet_v3_bins") else "mse")


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Six pictures; the first three have few labelled pixels, the fourth none, and some classes occur in one alone."""
    random = torch.Generator().manual_seed(1)
    rgb = torch.randint(0, 256, (6, 16, 16, 3), generator=random, dtype=torch.uint8)
    semantic_map = torch.randint(0, 3, (6, 16, 16), generator=random, dtype=torch.uint8)
    semantic_map[:3, 2:] = 255
    semantic_map[3] = 255
    semantic_map[4, :5] = 3
    semantic_map[1, 0] = 4
    return rgb, semantic_map


def step(name: str, parts: int) -> dict[str, torch.Tensor]:
    accelerator = Accelerator(cpu=True)
    model = accelerator.prepare(tiny(name))
    loss_function = loss_of(name)
    mine = [t[accelerator.process_index :: accelerator.num_processes] for t in batch()]
    pieces = list(zip(*(t.tensor_split(parts) for t in mine), strict=True))
    losses = backward(model, loss_function, pieces, accelerator)
    gradient = {key: p.grad for key, p in accelerator.unwrap_model(model).named_parameters()}
    return gradient | {f"loss {key}": value.detach() for key, value in losses._asdict().items()}


if __name__ == "__main__":
    arguments = sys.argv[1:]
    found = step(arguments[0], int(arguments[3]) if len(arguments) > 2 else 1)
    if Accelerator().is_main_process:
        torch.save(found, arguments[1])
