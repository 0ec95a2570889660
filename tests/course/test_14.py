"""What notebook 14 builds equals the library, or an independent implementation."""

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ucolnet_lib import ab_bins, color_losses
from ucolnet_lib.color import lab_to_rgb8
from ucolnet_lib.colorizer import with_chroma
from ucolnet_lib.data.batches import vary_exposure
from ucolnet_lib.models import Output, create_model

RANDOM = np.random.default_rng(0)
BINS = len(ab_bins.bin_centres())


@pytest.fixture
def ours(notebook_definitions):
    return notebook_definitions(
        "14", "squared", "huber", "cross_entropy", "STEP", "around", "centres", "annealed_mean", "bin_weights",
        "moving_average", "expose", "box_mean", "guided", "hump", "RED", "BLUE",
    )  # fmt: skip


@pytest.mark.parametrize(("name", "loss"), [("squared", "mse"), ("huber", "huber")])
def test_the_losses_of_one_colour(ours, name, loss):
    answer, truth = RANDOM.normal(0, 30, (2, 5, 2)).astype(np.float32)
    answer[0] = truth[0] + 3  # within Huber's border
    tensors = (torch.from_numpy(x.T[None, ..., None]) for x in (answer, truth))
    total, count = color_losses.create_color_loss(loss)(Output(next(tensors), None), next(tensors))
    np.testing.assert_allclose(ours[name](answer, truth).mean(), total / count, rtol=1e-5)


def test_cross_entropy_is_lowest_at_the_share(ours):
    tried = np.linspace(0.01, 0.99, 99)
    for share in (0.2, 0.7):
        assert tried[ours["cross_entropy"](tried, share).argmin()] == pytest.approx(share)


def test_four_bins(ours):
    assert ours["STEP"] == ab_bins.BIN_STEP
    for a, b in [*RANDOM.uniform(-40, 40, (20, 2)), (12.0, -24.0), ours["RED"], ours["BLUE"]]:
        bins, weights = ours["around"](a, b)
        numbers, library = ab_bins.encode(torch.tensor([a, b], dtype=torch.float64).reshape(1, 2, 1, 1))
        np.testing.assert_allclose(weights, library[0], atol=1e-9)
        np.testing.assert_array_equal(bins, ab_bins.bin_centres()[numbers[0]])


@pytest.mark.parametrize("temperature", [1.0, 0.38, 0.1])
def test_the_annealed_mean(ours, temperature):
    scores = torch.randn(1, BINS, 2, 3, generator=torch.Generator().manual_seed(0))
    model = create_model("ucolnet_v3_bins_no_segmentation", width=0.03, temperature=temperature)
    probability = scores.double().softmax(1)[0].flatten(1).T.numpy()
    found = ours["annealed_mean"](probability, temperature)
    np.testing.assert_allclose(found.T.reshape(2, 2, 3), model.annealed_mean(scores)[0], atol=1e-3)


def test_a_hump_is_a_distribution_around_its_colour(ours):
    for colour in (ours["RED"], ours["BLUE"]):
        hump = ours["hump"](colour)
        assert hump.sum() == pytest.approx(1)
        np.testing.assert_allclose(hump @ ours["centres"], colour, atol=0.5)


@pytest.mark.parametrize("rebalance", [0.0, 0.5, 0.9])
def test_weights_of_rare_bins(ours, rebalance):
    loss = color_losses.RebalancedCrossEntropy(rebalance)
    shares = torch.from_numpy(RANDOM.dirichlet(np.full(BINS, 0.1))).float()
    loss.frequency.copy_(shares)
    torch.testing.assert_close(ours["bin_weights"](shares, rebalance), loss.balance())


def test_the_moving_average_is_that_of_the_training(ours):
    model = torch.nn.Linear(1, 1, bias=False)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    values, found = RANDOM.normal(size=20), []
    for value in values:
        torch.nn.init.constant_(model.weight, value)
        average.update_parameters(model)
        found.append(average.module.weight.item())
    np.testing.assert_allclose(ours["moving_average"](values, 0.9), found, atol=1e-6)


def test_exposure(ours):
    rgb = RANDOM.integers(0, 256, (3, 4, 5, 3), np.uint8)
    library, _ = vary_exposure((torch.from_numpy(rgb), torch.zeros(3, 4, 5)), 0.5, key=(1, 2))
    powers = np.exp(np.random.default_rng((1, 2)).uniform(-0.5, 0.5, 3))
    for picture, power, wanted in zip(rgb, powers, library.numpy(), strict=True):
        np.testing.assert_array_equal(ours["expose"](picture, power), wanted)


def test_guided_enlarging(ours):
    """Full L with random edges, and chroma at an odd part of its size."""
    lightness = (30 + 40 * (RANDOM.random((30, 41)) > 0.5)).astype(np.float32)
    guide = RANDOM.uniform(20, 80, (7, 9)).astype(np.float32)
    ab = RANDOM.normal(0, 8, (7, 9, 2)).astype(np.float32)
    tensors = (torch.from_numpy(x) for x in (ab.transpose(2, 0, 1)[None], guide[None, None], lightness[None, None]))
    found = ours["guided"](*tensors)[0].permute(1, 2, 0).numpy()
    picture = lab_to_rgb8(np.concatenate([lightness[..., None], found], axis=-1))
    difference = np.abs(picture.astype(int) - with_chroma(lightness, ab, guide=guide))
    assert difference.max() <= 1
