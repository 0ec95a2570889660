"""One step of training, on one process or on several, in one piece or in several: the same losses, the same gradient.

A batch may be too large for one device, or be spread over many. Each part gives the sums that its losses are made of
(`losses.LossSums`). The sums are added over all parts, and the losses of the whole batch are computed from the totals.
For the gradient, each part takes the totals as constants, but for its own share:

    total + (own - own.detach())        the value of the total, the gradient of the own share

The gradients of the parts then add up to that of the whole batch, also for Dice, a ratio that no part knows alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.batches import to_batch
from ucolnet_lib.losses import LossSums, LossTerms

Part = tuple[torch.Tensor, torch.Tensor]
"""uint8 pictures (n, H, W, 3) and maps (n, H, W)."""


def backward(model: nn.Module, loss_function: nn.Module, parts: Sequence[Part], accelerator: Accelerator) -> LossTerms:
    """Add the gradient of one batch, and return its losses, which are the same on all processes.

    Several parts cost a third more time than one: a forward pass without gradient comes first, for the totals.
    Batch norm uses the statistics of each part; its running means move as by the parts one after another.

    Args:
        model: as `accelerator.prepare` gives it, in training mode.
        parts: this process's share of the batch, in one piece or in several.
    """
    world = accelerator.num_processes
    if len(parts) == 1:
        sums = _sums(model, loss_function, parts[0], accelerator)
        losses = loss_function.terms(_join(sums, add_over_processes([sums], accelerator)))
        # Accelerate's DistributedDataParallel averages over the processes: here their shares are to be added.
        accelerator.backward(losses.loss * world)
        return losses
    with torch.no_grad(), _running_means_at_rest(model):
        totals = add_over_processes([_sums(model, loss_function, part, accelerator) for part in parts], accelerator)
    losses = loss_function.terms(totals)
    loss_function.eval()  # alpha has taken this batch in
    for place, part in enumerate(parts, 1):
        with accelerator.no_sync(model) if place < len(parts) else nullcontext():
            joined = _join(_sums(model, loss_function, part, accelerator), totals)
            accelerator.backward(loss_function.terms(joined).loss * world)
    loss_function.train()
    return losses


def backward_within_memory(
    model: nn.Module, loss_function: nn.Module, whole: Part, parts: int, accelerator: Accelerator
) -> tuple[LossTerms, int]:
    """`backward`, with the batch cut into `parts`, or into twice as many as often as the device's memory asks for.

    Returns:
        the losses, and into how many parts the batch was cut.
    Raises:
        UcolnetError: a part of one picture is still too large, or there are several processes, which cannot know of
            each other in time.
    """
    before = copy.deepcopy(loss_function.state_dict())
    while True:
        try:
            pieces = zip(*(tensor.tensor_split(parts) for tensor in whole), strict=True)
            return backward(model, loss_function, list(pieces), accelerator), parts
        except torch.OutOfMemoryError as error:
            out_of_memory = str(error).partition(".")[0]
        # Outside of the handler: there, the error would still hold on to the tensors of the step.
        if accelerator.num_processes > 1 or parts >= len(whole[0]):
            raise UcolnetError(
                f"The device's memory does not hold this step ({out_of_memory}). Take a smaller batch, picture or "
                "model: --set batch_size=..., --set size=... or --set width=..."
            )
        parts = min(2 * parts, len(whole[0]))
        model.zero_grad(set_to_none=True)
        loss_function.load_state_dict(before)
        loss_function.train()
        if accelerator.device.type == "cuda":
            torch.cuda.empty_cache()


@torch.no_grad()
def validate(model: nn.Module, loss_function: nn.Module, loader, accelerator: Accelerator) -> torch.Tensor:
    """The loss terms on the validation photographs: a tensor in the order of `LossTerms`, mean over photographs.

    Cross-entropy and Dice: over the batches that have a labelled pixel. Dice is that of whole batches, as in training:
    the processes' shares of one batch are added before it is computed.
    """
    model.eval(), loss_function.eval()
    steps = []
    for part in loader:
        sums = _sums(model, loss_function, part, accelerator)
        count = torch.full((1,), len(part[0]), dtype=torch.float32, device=accelerator.device)
        steps.append([count, *(s.float() for s in sums if s is not None)])
    # Some processes may have had one batch less: it counts as nothing.
    longest = int(accelerator.gather(torch.tensor([len(steps)], device=accelerator.device)).max())
    steps += [[torch.zeros_like(s) for s in steps[0]]] * (longest - len(steps))
    counts, *sums = (accelerator.reduce(torch.stack(s), "sum") for s in zip(*steps, strict=True))
    terms = torch.stack([torch.stack(loss_function.terms(LossSums(*step))) for step in zip(*sums, strict=True)])
    weights = counts.expand_as(terms).clone()
    if len(sums) > 1:
        # A batch without a labelled pixel has no segmentation loss: its 0 says nothing.
        for name in ("cross_entropy", "dice"):
            weights[sums[1][:, 1] == 0, LossTerms._fields.index(name)] = 0
    return ((terms * weights).sum(dim=0) / weights.sum(dim=0).clamp_min(1)).cpu()


def _sums(model: nn.Module, loss_function: nn.Module, part: Part, accelerator: Accelerator) -> LossSums:
    batch = to_batch(*part, accelerator.device)
    return loss_function.sums(model(batch.lightness), batch.ab, batch.semantic_map)


def add_over_processes(parts: Sequence[LossSums], accelerator: Accelerator) -> LossSums:
    """The sums of several parts on each of several processes, added up; without a gradient, in float32."""
    own = [None if s[0] is None else torch.stack(s).detach().float().sum(dim=0) for s in zip(*parts, strict=True)]
    return LossSums(*(total if total is None else accelerator.reduce(total, "sum") for total in own))


def _join(own: LossSums, total: LossSums) -> LossSums:
    return LossSums(*(None if t is None else t + (o - o.detach()) for o, t in zip(own, total, strict=True)))


@contextmanager
def _running_means_at_rest(model: nn.Module) -> Iterator[None]:
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    momentum = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, value in zip(layers, momentum, strict=True):
            layer.momentum = value
