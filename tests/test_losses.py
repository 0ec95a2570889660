"""The losses against NumPy, torch and another library; the balance of the two tasks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.losses import DiceLoss

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.losses import (
    IGNORE_INDEX,
    BalancedAlpha,
    FixedAlpha,
    IizukaLoss,
    UColNetLoss,
    color_loss,
    create_loss,
    cross_entropy_loss,
    dice_loss,
    main_class,
)
from ucolnet_lib.models import Output

CLASSES = 6


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def numbers(seed=0, ignored=0.3, size=(3, 9, 7)) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, 6, H, W) and a target (N, H, W) in which class 4 does not occur and some pixels are ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(size[0], CLASSES, *size[1:], generator=generator)
    target = torch.tensor([0, 1, 2, 3, 5])[torch.randint(5, size, generator=generator)]
    target[torch.rand(size, generator=generator) < ignored] = IGNORE_INDEX
    return logits, target


def close(a, b, tolerance=1e-6) -> None:
    np.testing.assert_allclose(torch.as_tensor(a).detach(), torch.as_tensor(b).detach(), rtol=tolerance, atol=tolerance)


# Colour.


def test_color_loss_is_the_mean_square_in_units_of_110():
    random = np.random.default_rng(0)
    predicted, true = random.uniform(-110, 110, (2, 3, 2, 5, 4)).astype(np.float32)
    close(color_loss(torch.from_numpy(predicted), torch.from_numpy(true)), np.mean((predicted - true) ** 2) / 110**2)
    assert color_loss(torch.full((1, 2, 1, 1), 110.0), torch.full((1, 2, 1, 1), -110.0)) == 4


# Cross-entropy.


@pytest.mark.parametrize("ignored", [0, 0.3, 0.95])
def test_cross_entropy_equals_torchs(ignored):
    logits, target = numbers(ignored=ignored)
    close(cross_entropy_loss(logits, target), F.cross_entropy(logits, target, ignore_index=255))


def test_cross_entropy_by_hand():
    logits, target = numbers()
    probability = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    n, y, x = np.nonzero(target.numpy() != 255)
    close(cross_entropy_loss(logits, target), -np.log(probability[n, target.numpy()[n, y, x], y, x]).mean())


def test_cross_entropy_of_one_class_an_image():
    logits, target = torch.randn(4, CLASSES), torch.tensor([2, 255, 0, 5])
    close(cross_entropy_loss(logits, target), F.cross_entropy(logits[[0, 2, 3]], target[[0, 2, 3]]))


@pytest.mark.parametrize("loss", [cross_entropy_loss, dice_loss])
def test_nothing_labelled_is_a_loss_of_zero_with_a_gradient_of_zero(loss):
    logits, target = numbers(ignored=1)
    logits.requires_grad_()
    value = loss(logits, target)
    value.backward()
    assert value == 0 and (logits.grad == 0).all()


@pytest.mark.parametrize("loss", [cross_entropy_loss, dice_loss])
def test_ignored_pixels_do_not_count(loss):
    logits, target = numbers()
    logits.requires_grad_()
    value = loss(logits, target)
    value.backward()
    ignored = (target == 255)[:, None].expand_as(logits)
    assert (logits.grad[ignored] == 0).all() and (logits.grad[~ignored] != 0).any()
    other = torch.where(ignored, 100 * torch.randn(logits.shape), logits.detach())
    close(loss(other, target), value)


@pytest.mark.parametrize("loss", [cross_entropy_loss, dice_loss])
def test_huge_logits_give_finite_losses_and_gradients(loss):
    logits, target = numbers()
    logits = (1e4 * logits).requires_grad_()
    value = loss(logits, target)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


# Dice.


@pytest.mark.parametrize("ignored", [0, 0.3, 0.95])
def test_dice_equals_segmentation_models_pytorch(ignored):
    logits, target = numbers(ignored=ignored, size=(3, 20, 20))
    present = sorted(set(target.unique().tolist()) - {255})
    assert 4 not in present  # a class that does not occur is left out of the mean
    theirs = DiceLoss("multiclass", classes=present, ignore_index=255)(logits, target)
    close(dice_loss(logits, target), theirs)


def dice_by_hand(logits: np.ndarray, target: np.ndarray) -> float:
    """Class by class, pixel by pixel."""
    losses = []
    for label in set(target.ravel().tolist()) - {255}:
        overlap = predicted = true = 0.0
        for n, y, x in np.ndindex(target.shape):
            if target[n, y, x] == 255:
                continue
            p = np.exp(logits[n, label, y, x]) / np.exp(logits[n, :, y, x]).sum()
            t = float(target[n, y, x] == label)
            overlap, predicted, true = overlap + p * t, predicted + p, true + t
        losses.append(1 - 2 * overlap / (predicted + true))
    return float(np.mean(losses))


def test_dice_by_hand():
    logits, target = numbers()
    close(dice_loss(logits, target), dice_by_hand(logits.double().numpy(), target.numpy()), 1e-5)


def test_dice_of_a_perfect_and_of_a_wrong_answer():
    _, target = numbers()
    labels = torch.where(target == 255, 0, target)
    perfect = 50 * F.one_hot(labels, CLASSES).permute(0, 3, 1, 2).float()
    close(dice_loss(perfect, target), 0)
    wrong = 50 * F.one_hot((labels + 4) % CLASSES, CLASSES).permute(0, 3, 1, 2).float()
    assert dice_loss(wrong, target) > 0.9


def test_dice_sums_over_the_batch_not_image_by_image():
    """A class that one image has alone is measured over both: the second image's wrong guesses count."""
    logits, target = torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.int64)
    target[0] = 1
    logits[:, 1] = 50  # everything is called class 1
    close(dice_loss(logits, target), (1 - 2 * 16 / (32 + 16) + 1) / 2)


def test_81_classes_as_in_coco():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 81, 16, 16, generator=generator)
    target = torch.randint(0, 81, (2, 16, 16), generator=generator)
    target[:, :3] = 255
    theirs = DiceLoss("multiclass", classes=sorted(set(target.unique().tolist()) - {255}), ignore_index=255)
    close(dice_loss(logits, target), theirs(logits, target))


# Alpha.


def test_balanced_alpha_makes_both_losses_equal_in_size():
    generator = torch.Generator().manual_seed(0)
    alpha = BalancedAlpha(momentum=0.9)
    colors = 0.02 * (1 + torch.rand(500, generator=generator))
    segmentations = 3 * (1 + torch.rand(500, generator=generator))
    products = torch.stack([alpha(c, s) * s for c, s in zip(colors, segmentations, strict=True)])
    close(products[100:].mean(), colors[100:].mean(), 0.03)


def test_balanced_alpha_is_the_ratio_from_the_first_step():
    alpha = BalancedAlpha()
    close(alpha(torch.tensor(0.02), torch.tensor(4.0)), 0.005)
    close(alpha(torch.tensor(0.02), torch.tensor(4.0)), 0.005)


def test_balanced_alpha_is_a_ratio_of_exponential_means():
    random = np.random.default_rng(0)
    alpha, momentum = BalancedAlpha(), 0.99
    color = segmentation = 0.0
    for step, (c, s) in enumerate(random.uniform(0.1, 2, (300, 2)), 1):
        color, segmentation = momentum * color + (1 - momentum) * c, momentum * segmentation + (1 - momentum) * s
        found = alpha(torch.tensor(c), torch.tensor(s))
        start = 1 - momentum**step
        close(found, (color / start) / (segmentation / start), 1e-4)


def test_balanced_alpha_is_detached():
    color, segmentation = torch.tensor(0.5, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    alpha = BalancedAlpha()
    value = alpha(color, segmentation)
    assert not value.requires_grad
    (color + value * segmentation).backward()
    assert color.grad == 1 and segmentation.grad == 0.25
    # A later step does not change what an earlier one returned.
    alpha(torch.tensor(100.0), torch.tensor(1.0))
    assert value == 0.25


def test_balanced_alpha_survives_saving():
    alpha = BalancedAlpha()
    alpha(torch.tensor(0.5), torch.tensor(2.0))
    copy = BalancedAlpha()
    copy.load_state_dict(alpha.state_dict())
    assert copy(torch.tensor(0.1), torch.tensor(1.0)) == alpha(torch.tensor(0.1), torch.tensor(1.0)) != 0.1


def test_a_batch_without_labels_leaves_alpha_as_it_is():
    alpha = BalancedAlpha()
    assert alpha(torch.tensor(0.5), torch.tensor(0.0)) == 1
    before = alpha(torch.tensor(0.5), torch.tensor(2.0))
    assert alpha(torch.tensor(9.0), torch.tensor(0.0)) == before == alpha.eval()(torch.tensor(9.0), torch.tensor(0.0))


def test_validation_leaves_alpha_as_it_is():
    alpha = BalancedAlpha()
    alpha(torch.tensor(0.5), torch.tensor(2.0))
    assert alpha.eval()(torch.tensor(9.0), torch.tensor(1.0)) == 0.25
    assert alpha.train()(torch.tensor(0.5), torch.tensor(2.0)) == 0.25


def test_fixed_alpha():
    alpha = FixedAlpha(0.3)
    assert alpha(torch.tensor(5.0), torch.tensor(1.0)) == alpha(torch.tensor(0.0), torch.tensor(9.0))
    close(alpha(torch.tensor(5.0), torch.tensor(1.0)), 0.3)


# Photographs that nobody annotated: all their pixels are 255.


@pytest.mark.parametrize("rule", [BalancedAlpha, lambda: FixedAlpha(0.25)], ids=["balanced", "fixed"])
@pytest.mark.parametrize("labelled_before", [False, True])
def test_a_batch_without_annotations_teaches_colour_alone(rule, labelled_before):
    loss, (logits, target) = UColNetLoss(rule()), numbers()
    if labelled_before:
        loss(Output(torch.ones(3, 2, 9, 7), logits), torch.zeros(3, 2, 9, 7), target)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    logits.requires_grad_()
    predicted, ab = 100 * torch.randn(2, 3, 2, 9, 7)
    predicted.requires_grad_()
    terms = loss(Output(predicted, logits), ab, torch.full_like(target, 255))
    assert torch.stack(terms).isfinite().all() and terms.cross_entropy == terms.dice == 0
    close(terms.loss, color_loss(predicted, ab))
    terms.loss.backward()
    (expected,) = torch.autograd.grad(color_loss(predicted, ab), predicted)
    close(predicted.grad, expected)
    assert (logits.grad == 0).all()
    assert all(torch.equal(value, before[name]) for name, value in loss.state_dict().items())


def test_a_photograph_without_annotations_does_not_count_in_the_segmentation_of_its_batch():
    logits, target = numbers()
    joined = torch.cat([logits, torch.randn(5, CLASSES, 9, 7)]).requires_grad_()
    unlabelled = torch.full((5, 9, 7), 255)
    for loss in (cross_entropy_loss, dice_loss):
        value = loss(joined, torch.cat([target, unlabelled]))
        close(value, loss(logits, target))
        (gradient,) = torch.autograd.grad(value, joined)
        assert (gradient[:3] != 0).any() and (gradient[3:] == 0).all()


def test_alpha_comes_out_the_same_with_batches_without_annotations_between():
    logits, target = numbers()
    alone, among = UColNetLoss(BalancedAlpha()), UColNetLoss(BalancedAlpha())
    for step in range(4):
        output, ab = Output(torch.full((3, 2, 9, 7), 10.0 * step + 5), (step + 1) * logits), torch.zeros(3, 2, 9, 7)
        among(Output(1000 * torch.randn(3, 2, 9, 7), logits), ab, torch.full_like(target, 255))
        close(among(output, ab, target).alpha, alone(output, ab, target).alpha)


# The losses of the models.


def test_ucolnet_loss_joins_its_terms():
    logits, target = numbers()
    output = Output(100 * torch.randn(3, 2, 9, 7), logits)
    ab = 100 * torch.randn(3, 2, 9, 7)
    terms = UColNetLoss(FixedAlpha(0.25))(output, ab, target)
    close(terms.color, color_loss(output.ab, ab))
    close(terms.cross_entropy, cross_entropy_loss(logits, target))
    close(terms.dice, dice_loss(logits, target))
    close(terms.loss, terms.color + 0.25 * (terms.cross_entropy + terms.dice))
    balanced = UColNetLoss(BalancedAlpha())(output, ab, target)
    close(balanced.loss, 2 * balanced.color)
    close(balanced.alpha, balanced.color / (balanced.cross_entropy + balanced.dice))


@pytest.mark.parametrize("loss", [UColNetLoss(BalancedAlpha()), IizukaLoss()], ids=["ucolnet", "iizuka"])
def test_a_model_without_a_second_task_has_its_colour_loss_alone(loss):
    ab = torch.randn(2, 2, 4, 4)
    terms = loss(Output(torch.zeros(2, 2, 4, 4), None), ab, torch.zeros(2, 4, 4, dtype=torch.int64))
    assert terms.loss == terms.color > 0
    assert terms.cross_entropy == terms.dice == terms.alpha == 0


def test_main_class_is_the_largest_object():
    maps = torch.zeros(6, 4, 4, dtype=torch.int64)
    maps[0, 0, :3], maps[0, 1, :2] = 5, 2  # 3 pixels of 5, 2 of 2, the rest background
    maps[1] = 255  # a crowd alone
    maps[1, 0, 0] = 3
    maps[2] = 255  # nothing but a crowd
    # maps[3]: nothing but background
    maps[4, :2] = 1
    maps[4, 2:] = 255
    maps[5, 0, :2], maps[5, 3, :2] = 4, 4  # in two parts
    maps[5, 1, :3] = 2
    assert main_class(maps, CLASSES).tolist() == [5, 3, 255, 255, 1, 4]


def test_iizuka_loss_is_theirs_up_to_a_factor():
    """Theirs: MSE of ab scaled from -100..100 to 0..1, plus 1/300 of the cross-entropy of the image's class."""
    maps = torch.zeros(3, 4, 4, dtype=torch.int64)
    maps[0, :2], maps[1, 0] = 3, 5
    maps[2] = 255
    logits = torch.randn(3, CLASSES)
    predicted, ab = 100 * torch.randn(2, 3, 2, 4, 4)
    terms = IizukaLoss()(Output(predicted, logits), ab, maps)
    mse = F.mse_loss((predicted + 100) / 200, (ab + 100) / 200)
    cross_entropy = F.cross_entropy(logits[:2], torch.tensor([3, 5]))
    close(terms.loss * (110 / 200) ** 2, mse + cross_entropy / 300)
    close(terms.cross_entropy, cross_entropy)
    assert terms.dice == 0


def test_iizuka_loss_without_an_object_is_the_colour_loss():
    logits = torch.randn(2, CLASSES, requires_grad=True)
    output = Output(torch.zeros(2, 2, 4, 4, requires_grad=True), logits)
    for label in (0, 255):
        terms = IizukaLoss()(output, torch.ones(2, 2, 4, 4), torch.full((2, 4, 4), label))
        assert terms.loss == terms.color > 0 and terms.cross_entropy == 0
    terms.loss.backward()
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", ["ucolnet_v1", "ucolnet_v3", "ucolnet_v3_no_segmentation"])
def test_which_loss_a_model_gets(name):
    assert isinstance(create_loss(name, "balanced", 1.0).alpha, BalancedAlpha)
    fixed = create_loss(name, "fixed", 0.125).alpha
    assert isinstance(fixed, FixedAlpha) and fixed.value == 0.125
    with pytest.raises(UcolnetError, match="There is no alpha rule 'magic'. Choose balanced or fixed"):
        create_loss(name, "magic", 1.0)


@pytest.mark.parametrize("name", ["iizuka", "iizuka_no_classes", "iizuka_no_global"])
def test_iizukas_models_get_their_own_loss(name):
    assert isinstance(create_loss(name, "balanced", 1.0), IizukaLoss)
