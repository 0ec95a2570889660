"""A batch in several parts, or on several processes, has the losses and the gradient of the whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from tests.training import one_step
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data.batches import to_batch
from ucolnet_lib.losses import LossTerms, create_loss
from ucolnet_lib.models import MODELS
from ucolnet_lib.training.step import backward, backward_within_memory, validate

SCRIPT = Path(one_step.__file__)


def plain_step(name: str) -> dict[str, torch.Tensor]:
    """The whole batch by the loss function itself and torch's own backward."""
    model, loss_function = one_step.tiny(name), one_step.loss_of(name)
    data = to_batch(*one_step.batch())
    losses = loss_function(model(data.lightness), data.ab, data.semantic_map)
    losses.loss.backward()
    gradient = {key: p.grad for key, p in model.named_parameters()}
    return gradient | {f"loss {key}": value.detach() for key, value in losses._asdict().items()}


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    largest = max(t.abs().max() for key, t in expected.items() if not key.startswith("loss"))
    assert largest > 1e-3
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=2e-6 * float(largest) + 1e-7, msg=key)


@pytest.mark.parametrize("name", [*MODELS, "ucolnet_v3_bins"])
@pytest.mark.parametrize("parts", [1, 2, 4, 6])
def test_parts_add_up_to_the_whole_batch(name, parts):
    assert_equal(one_step.step(name, parts), plain_step(name))


@pytest.mark.parametrize(("name", "parts"), [("ucolnet_v3", 1), ("iizuka", 2), ("ucolnet_v3_bins", 1)])
def test_two_processes_add_up_to_the_whole_batch(name, parts, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(SCRIPT), name, str(tmp_path / "found"), "--parts", str(parts)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert_equal(torch.load(tmp_path / "found"), plain_step(name))


def test_the_mean_of_the_parts_losses_would_be_another_number():
    """What gradient accumulation does elsewhere: the check above must be able to tell."""
    rgb, semantic_map = one_step.batch()
    model, loss_function = one_step.tiny("ucolnet_v3"), create_loss("ucolnet_v3", "balanced", 1.0)
    values = []
    for part in (slice(0, 3), slice(3, 6)):
        data = to_batch(rgb[part], semantic_map[part])
        values.append(loss_function(model(data.lightness), data.ab, data.semantic_map).dice.item())
    expected = plain_step("ucolnet_v3")["loss dice"].item()
    assert abs(sum(values) / 2 - expected) > 0.01


def test_alpha_takes_a_batch_in_once_however_many_parts_it_has():
    accelerator = Accelerator(cpu=True)
    states = []
    for parts in (1, 3):
        model, loss_function = one_step.tiny("ucolnet_v3"), create_loss("ucolnet_v3", "balanced", 1.0)
        for _ in range(2):
            pieces = list(zip(*(t.tensor_split(parts) for t in one_step.batch()), strict=True))
            backward(model, loss_function, pieces, accelerator)
        assert loss_function.training
        states.append({key: value.item() for key, value in loss_function.state_dict().items()})
    assert states[0] == pytest.approx(states[1], rel=1e-5) and states[0]["alpha.color"] > 0


def test_the_pass_for_the_totals_leaves_the_running_means_of_batch_norm_alone():
    """They move once for each part, as if the parts were batches, and not twice."""

    def means(parts: int) -> torch.Tensor:
        torch.manual_seed(0)
        model = nn.Sequential(nn.BatchNorm2d(1), one_step.tiny("ucolnet_v3"))
        pieces = list(zip(*(t.tensor_split(parts) for t in one_step.batch()), strict=True))
        backward(model, create_loss("ucolnet_v3", "balanced", 1.0), pieces, Accelerator(cpu=True))
        assert model[0].momentum == 0.1
        return model[0].running_mean

    by_hand = nn.BatchNorm2d(1)
    for piece in zip(*(t.tensor_split(2) for t in one_step.batch()), strict=True):
        by_hand(to_batch(*piece).lightness)
    torch.testing.assert_close(means(2), by_hand.running_mean)


# A device whose memory is too small.


class Small(nn.Module):
    """Runs out of memory above `largest` pictures, as a graphics card does: in the middle of a step."""

    def __init__(self, model: nn.Module, largest: int):
        super().__init__()
        self.model, self.largest = model, largest

    def forward(self, lightness: torch.Tensor):
        output = self.model(lightness)
        if len(lightness) > self.largest:
            raise torch.OutOfMemoryError("Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 14.74 GiB")
        return output


@pytest.mark.parametrize(("largest", "needed"), [(6, 1), (3, 2), (2, 4), (1, 6)])
def test_a_batch_too_large_is_done_in_parts(largest, needed):
    model = Small(one_step.tiny("ucolnet_v3"), largest)
    loss_function, accelerator = create_loss("ucolnet_v3", "balanced", 1.0), Accelerator(cpu=True)
    losses, parts = backward_within_memory(model, loss_function, one_step.batch(), 1, accelerator)
    assert parts == needed and loss_function.training
    found = {key.removeprefix("model."): p.grad for key, p in model.named_parameters()}
    found |= {f"loss {key}": value.detach() for key, value in losses._asdict().items()}
    assert_equal(found, plain_step("ucolnet_v3"))


def test_one_picture_too_large_is_one_sentence():
    model = Small(one_step.tiny("ucolnet_v3"), 0)
    with pytest.raises(UcolnetError, match="memory does not hold.*Tried to allocate 20.*--set batch_size"):
        backward_within_memory(
            model, create_loss("ucolnet_v3", "balanced", 1.0), one_step.batch(), 1, Accelerator(cpu=True)
        )


# Validation.


def test_validation_is_the_mean_over_pictures():
    """In batches of 4 and 2: each counts as its pictures do."""
    rgb, semantic_map = one_step.batch()
    loader = [(rgb[:4], semantic_map[:4]), (rgb[4:], semantic_map[4:])]
    model, loss_function = one_step.tiny("ucolnet_v3").eval(), create_loss("ucolnet_v3", "balanced", 1.0)
    found = LossTerms(*validate(model, loss_function, loader, Accelerator(cpu=True)))
    by_hand = []
    for part in loader:
        data = to_batch(*part)
        with torch.no_grad():
            by_hand.append(torch.stack(loss_function.eval()(model(data.lightness), data.ab, data.semantic_map)))
    expected = LossTerms(*(4 * by_hand[0] + 2 * by_hand[1]) / 6)
    for name in ("color", "cross_entropy", "dice"):
        assert getattr(found, name).item() == pytest.approx(getattr(expected, name).item(), rel=1e-5)
    assert loss_function.state_dict()["alpha.color"] == 0  # validation leaves alpha as it is


def test_batches_without_a_label_do_not_lower_the_segmentation_losses_of_validation():
    rgb, semantic_map = one_step.batch()
    nothing = torch.full_like(semantic_map, 255)
    model, loss_function = one_step.tiny("ucolnet_v3").eval(), create_loss("ucolnet_v3", "balanced", 1.0)

    def of(*loader) -> LossTerms:
        return LossTerms(*validate(model, loss_function, loader, Accelerator(cpu=True)))

    labelled, both, none = of((rgb, semantic_map)), of((rgb, semantic_map), (rgb, nothing)), of((rgb, nothing))
    assert both.color == pytest.approx(labelled.color.item(), rel=1e-5)
    assert both.cross_entropy == pytest.approx(labelled.cross_entropy.item(), rel=1e-5)
    assert both.dice == pytest.approx(labelled.dice.item(), rel=1e-5)
    assert none.cross_entropy == none.dice == 0 and none.color > 0
