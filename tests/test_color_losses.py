"""Colour losses against their formulas written out, and the running shares of the bins."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ucolnet_lib.ab_bins import bin_centres, encode
from ucolnet_lib.color_losses import (
    CHROMA_SCALE,
    HUBER_DELTA,
    ChromaWeighted,
    Huber,
    MeanSquaredError,
    RebalancedCrossEntropy,
    create_color_loss,
)
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.losses import create_loss
from ucolnet_lib.models.base import Output
from ucolnet_lib.models.ucolnet_v3_half import BinsOutput

BINS = len(bin_centres())


@pytest.fixture
def pair():
    random = torch.Generator().manual_seed(0)
    return 40 * torch.randn(2, 2, 6, 4, generator=random), 40 * torch.randn(2, 2, 6, 4, generator=random)


def value(loss, output, ab) -> float:
    sums = loss(output, ab)
    return (sums[0] / sums[1]).item()


def test_mean_squared_error(pair):
    predicted, ab = pair
    expected = np.mean((predicted.numpy() / 110 - ab.numpy() / 110) ** 2)
    assert value(MeanSquaredError(), Output(predicted, None), ab) == pytest.approx(expected, rel=1e-5)


def test_huber_is_square_for_small_errors_and_linear_for_large_ones(pair):
    predicted, ab = pair
    error = np.abs(predicted.numpy() - ab.numpy()) / 110
    expected = np.where(error <= HUBER_DELTA, error**2 / 2, HUBER_DELTA * (error - HUBER_DELTA / 2)).mean()
    assert value(Huber(), Output(predicted, None), ab) == pytest.approx(expected, rel=1e-5)
    assert (error > HUBER_DELTA).any() and (error < HUBER_DELTA).any()


def test_vivid_pixels_weigh_more(pair):
    predicted, ab = pair
    weight = 1 + np.hypot(*ab.numpy().swapaxes(0, 1)) / CHROMA_SCALE  # (N, H, W)
    squares = ((predicted.numpy() - ab.numpy()) / 110) ** 2
    expected = (squares * weight[:, None]).sum() / (2 * weight.sum())
    assert value(ChromaWeighted(), Output(predicted, None), ab) == pytest.approx(expected, rel=1e-5)


def bins_output(ab: torch.Tensor, seed: int = 0) -> BinsOutput:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(ab), BINS, ab.shape[2] // 2, ab.shape[3] // 2, generator=random)
    return BinsOutput(torch.zeros_like(ab), None, logits.requires_grad_())


def test_without_rebalancing_it_is_torchs_cross_entropy_with_soft_targets(pair):
    _, ab = pair
    output, loss = bins_output(ab), RebalancedCrossEntropy(rebalance=0)
    bins, shares = encode(F.avg_pool2d(ab, 2))
    target = torch.zeros(len(bins), BINS).scatter_add(1, bins, shares)
    expected = F.cross_entropy(output.ab_logits.movedim(1, -1).flatten(0, 2), target).item()
    assert value(loss, output, ab) == pytest.approx(expected, rel=1e-5)
    loss.take_in(loss(output, ab))
    assert value(loss, output, ab) == pytest.approx(expected, rel=1e-5), "the shares play no part"


def test_a_colour_that_is_seen_often_weighs_less():
    loss = RebalancedCrossEntropy(rebalance=0.5)
    torch.testing.assert_close(loss.balance(), torch.ones(BINS))
    ab = torch.zeros(1, 2, 8, 8)  # all gray
    for _ in range(2000):
        loss.take_in(loss(bins_output(ab), ab))
    gray = int((bin_centres() == 0).all(axis=1).argmax())
    assert loss.frequency[gray] == pytest.approx(1, abs=1e-3)
    weights = loss.balance()
    # 1 / (p / 2 + 1 / (2 BINS)) at p = 1 and p = 0; the mean over what is seen is 1.
    assert (weights[0] / weights[gray]).item() == pytest.approx(BINS + 1, rel=0.01)
    assert (weights * loss.frequency).sum().item() == pytest.approx(1, rel=1e-4)


def test_training_on_it_finds_the_colour(pair):
    """Gradient descent on the scores alone: the likeliest bins become those around the true colour."""
    ab = torch.tensor([30.0, -50.0])[None, :, None, None].expand(1, 2, 4, 4)
    output, loss = bins_output(ab), RebalancedCrossEntropy(rebalance=0.5)
    optimizer = torch.optim.Adam([output.ab_logits], lr=0.3)
    for _ in range(150):
        sums = loss(output, ab)
        optimizer.zero_grad()
        (sums[0] / sums[1]).backward()
        optimizer.step()
    mean = torch.einsum("nbhw,bc->nchw", output.ab_logits.softmax(dim=1), torch.from_numpy(bin_centres()))
    torch.testing.assert_close(mean, ab[..., :2, :2].expand_as(mean), atol=1.5, rtol=0)


def test_the_losses_of_a_whole_training_take_the_shares_in_only_while_training(pair):
    _, ab = pair
    loss, output = create_loss("ucolnet_v3_bins", "balanced", 1.0, "bins"), bins_output(pair[1])
    maps = torch.full((2, 6, 4), 255)
    loss.eval()(output, ab, maps)
    assert loss.color.frequency.std() == 0
    loss.train()(output, ab, maps)
    assert loss.color.frequency.std() > 0 and loss.color.frequency.sum().item() == pytest.approx(1, abs=1e-4)


def test_names_of_the_recipe():
    kinds = {name: type(create_color_loss(name)).__name__ for name in ("mse", "huber", "chroma_weighted", "bins")}
    assert list(kinds.values()) == ["MeanSquaredError", "Huber", "ChromaWeighted", "RebalancedCrossEntropy"]


@pytest.mark.parametrize(("model", "color_loss"), [("ucolnet_v3", "bins"), ("ucolnet_v3_bins", "mse")])
def test_a_loss_that_does_not_fit_the_model(model, color_loss):
    with pytest.raises(UcolnetError, match="belong together"):
        create_loss(model, "balanced", 1.0, color_loss)


def test_iizukas_models_keep_their_own_loss():
    with pytest.raises(UcolnetError, match="trained with its own loss"):
        create_loss("iizuka", "balanced", 1.0, "huber")


def test_weights_stay_the_same_outside_of_training(pair):
    """A batch in several parts is looked at twice, the second time outside of training, and wants the same weights."""
    _, ab = pair
    loss, output = RebalancedCrossEntropy(rebalance=0.5), bins_output(ab)
    before = loss(output, ab)
    loss.take_in(before)
    torch.testing.assert_close(loss.eval()(output, ab), before)
    assert not torch.allclose(loss.train()(output, ab), before)
