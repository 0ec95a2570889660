"""What notebook 07 builds equals the library, or an independent implementation."""

import pytest
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.losses import DiceLoss

from ucolnet_lib import losses

GENERATOR = torch.Generator().manual_seed(0)


@pytest.fixture
def ours(notebook_definitions):
    return notebook_definitions(
        "07", "mean_squared_error", "cross_entropy", "dice_of_class", "soft_dice_loss", "RunningAlpha", "LearntAlpha",
        "GradientAlpha",
    )  # fmt: skip


@pytest.fixture
def numbers():
    """Class scores (2, 81, 8, 8) and classes (2, 8, 8) of which a part is not labelled."""
    logits = 3 * torch.randn(2, 81, 8, 8, generator=GENERATOR)
    target = torch.randint(0, 5, (2, 8, 8), generator=GENERATOR)
    target[torch.rand(target.shape, generator=GENERATOR) < 0.3] = 255
    return logits, target


def test_the_colour_loss(ours):
    predicted, true = (100 * torch.randn(3, 2, 5, 7, generator=GENERATOR) for _ in range(2))
    torch.testing.assert_close(ours["mean_squared_error"](predicted, true), losses.color_loss(predicted, true))


def test_cross_entropy(ours, numbers):
    found = ours["cross_entropy"](*numbers)
    torch.testing.assert_close(found, losses.cross_entropy_loss(*numbers))
    torch.testing.assert_close(found, F.cross_entropy(*numbers, ignore_index=255))


def test_dice(ours, numbers):
    logits, target = numbers
    found = ours["soft_dice_loss"](logits, target)
    torch.testing.assert_close(found, losses.dice_loss(logits, target))
    # The peer cannot leave out the unlabelled, nor average over the classes that occur: it gets labelled pixels, and
    # adds the 0 of each class that does not occur.
    labelled = target != 255
    rows, classes = logits.movedim(1, -1)[labelled], target[labelled]
    theirs = DiceLoss("multiclass", from_logits=True)(rows.T[None, :, None], classes[None, None])
    torch.testing.assert_close(found * len(classes.unique()) / 81, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.99, 0.5, 0.0])
def test_running_alpha_is_the_librarys(ours, momentum):
    ours, library = ours["RunningAlpha"](momentum), losses.BalancedAlpha(momentum)
    for color, segmentation in torch.rand(20, 2, generator=GENERATOR).requires_grad_():
        found = ours(color, segmentation)
        torch.testing.assert_close(found, library(color, segmentation))
        assert not found.requires_grad


def test_learnt_weights_settle_where_kendalls_loss_is_lowest(ours):
    rule, pair = ours["LearntAlpha"](), (torch.tensor(0.04, requires_grad=True), torch.tensor(0.8))
    for _ in range(1000):
        alpha = rule(*pair)
    # A scan of both s, with torch's optimiser out of the way.
    grid = torch.linspace(-6, 2, 8001)
    s1, s2 = (grid[(torch.exp(-grid) * loss.detach() + grid).argmin()] for loss in pair)
    torch.testing.assert_close(alpha, torch.exp(s1 - s2), rtol=5e-3, atol=0)
    assert not alpha.requires_grad and pair[0].grad is None


def test_gradient_alpha_makes_the_gradients_equally_large(ours):
    layer, first, second = torch.nn.Linear(4, 3), torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
    shared = layer(torch.randn(6, 4, generator=GENERATOR))
    color, segmentation = first(shared).square().mean(), 7 * second(shared).square().mean()
    alpha = ours["GradientAlpha"](layer.parameters())(color, segmentation)
    sizes = []
    for loss in (color, alpha * segmentation):
        layer.zero_grad()
        loss.backward(retain_graph=True)
        sizes.append(torch.cat([p.grad.flatten() for p in layer.parameters()]).norm())
    torch.testing.assert_close(sizes[0], sizes[1], rtol=1e-4, atol=0)
    assert not alpha.requires_grad
