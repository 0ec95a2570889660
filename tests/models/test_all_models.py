"""One class of tests that every model of `MODELS` passes."""

import copy
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ucolnet_lib.common import UcolnetError, seed_everything
from ucolnet_lib.models import MODELS, Output, create_model, load_model

IMAGE_CLASSES = {"iizuka"}  # logits for each image
PIXEL_CLASSES = {"ucolnet_v1", "ucolnet_v2", "ucolnet_v3"}  # logits for each pixel
LIMIT = {name: 100 if name.startswith("iizuka") else 110 for name in MODELS}
LOCAL = [name for name in MODELS if name not in ("iizuka", "iizuka_no_classes")]  # without a global path


def random_lightness(*shape: int) -> torch.Tensor:
    return 100 * torch.rand(shape, generator=torch.Generator().manual_seed(1))


def loss_of(output: Output) -> torch.Tensor:
    """Any loss that needs both outputs."""
    loss = (output.ab - 20).square().mean()
    if output.logits is not None:
        target = torch.arange(output.logits[:, 0].numel()).reshape(output.logits[:, 0].shape) % output.logits.shape[1]
        loss = loss + F.cross_entropy(output.logits, target)
    return loss


@pytest.mark.parametrize("name", MODELS)
class TestEveryModel:
    @pytest.mark.parametrize("size", [(32, 48), (16, 16), (17, 23), (1, 1), (1, 64), (50, 2)])
    def test_output_has_the_size_of_the_input(self, tiny, name, size):
        output = tiny(name)(random_lightness(2, 1, *size))
        assert isinstance(output, Output)
        assert output.ab.shape == (2, 2, *size)
        if name in IMAGE_CLASSES:
            assert output.logits.shape == (2, 7)
        elif name in PIXEL_CLASSES:
            assert output.logits.shape == (2, 7, *size)
        else:
            assert output.logits is None
        assert all(torch.isfinite(x).all() for x in output if x is not None)

    def test_default_is_81_classes(self, name):
        output = create_model(name, width=1 / 16)(random_lightness(2, 1, 16, 16))
        assert output.logits is None or output.logits.shape[1] == 81

    def test_a_size_that_fits_is_not_padded(self, tiny, name):
        model = tiny(name)
        lightness = random_lightness(2, 1, 2 * model.stride, model.stride)
        assert torch.equal(model.prepare(lightness), lightness / 50 - 1)

    def test_padding_is_the_least_that_fits_and_repeats_the_border(self, tiny, name):
        model = tiny(name)
        lightness = random_lightness(1, 1, model.stride + 1, 2 * model.stride - 1)
        padded = np.pad(lightness.numpy(), ((0, 0), (0, 0), (0, model.stride - 1), (0, 1)), mode="edge")
        np.testing.assert_allclose(model.prepare(lightness).numpy(), padded / 50 - 1, atol=1e-6)

    def test_lightness_is_brought_to_minus_one_to_one(self, tiny, name):
        model = tiny(name)
        prepared = model.prepare(torch.tensor([0.0, 50.0, 100.0])[:, None, None, None])
        assert prepared[:, 0, 0, 0].tolist() == [-1, 0, 1]

    @pytest.mark.parametrize("shape", [(16, 16), (1, 16, 16), (2, 3, 16, 16), (0, 1, 16, 16), (1, 1, 0, 16)])
    def test_input_of_a_wrong_shape_is_named(self, tiny, name, shape):
        with pytest.raises(UcolnetError, match=r"takes lightness of shape \(N, 1, H, W\), got"):
            tiny(name)(torch.zeros(shape))

    def test_gradients_reach_every_parameter(self, tiny, name):
        model = tiny(name)
        loss_of(model(random_lightness(4, 1, 64, 64))).backward()
        without = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()]
        assert without == []
        assert all(torch.isfinite(p.grad).all() for p in model.parameters())

    def test_training_lowers_the_loss(self, tiny, name):
        model = tiny(name, lively=False)
        lightness = random_lightness(2, 1, 32, 32)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        losses = []
        for _ in range(10):
            loss = loss_of(model(lightness))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.9 * losses[0]

    @pytest.mark.parametrize("size", [(1, 1), (16, 16)])
    def test_a_batch_of_one_small_image_can_be_trained_on(self, tiny, name, size):
        model = tiny(name)
        loss_of(model(random_lightness(1, 1, *size))).backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)

    def test_training_starts_near_gray_and_undecided(self, name):
        seed_everything(0)
        output = create_model(name, width=0.25)(random_lightness(2, 1, 32, 32))
        assert 0 < output.ab.abs().max() < 5
        if output.logits is not None:
            assert output.logits.softmax(dim=1).max() < 2 / 81

    def test_ab_stays_within_its_range_and_uses_it(self, tiny, name):
        model = tiny(name).eval()
        state = {key: value * 100 if value.shape[:1] == (2,) else value for key, value in model.state_dict().items()}
        model.load_state_dict(state)
        ab = model(random_lightness(2, 1, 32, 32)).ab
        assert ab.max() <= LIMIT[name] and ab.min() >= -LIMIT[name]
        assert ab.abs().max() > 0.99 * LIMIT[name]

    def test_evaluation_treats_each_image_alone_and_changes_nothing(self, tiny, name):
        model = tiny(name).eval()
        before = copy.deepcopy(model.state_dict())
        lightness = random_lightness(3, 1, 32, 32)
        together, alone = model(lightness), model(lightness[1:2])
        torch.testing.assert_close(together.ab[1:2], alone.ab, atol=1e-3, rtol=1e-4)
        if alone.logits is not None:
            torch.testing.assert_close(together.logits[1:2], alone.logits, atol=1e-4, rtol=1e-4)
        assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())

    def test_training_follows_the_statistics_of_the_batch(self, tiny, name):
        model = tiny(name).train()
        before = copy.deepcopy(model.state_dict())
        lightness = random_lightness(3, 1, 64, 64)
        training = model(lightness).ab
        after = model.state_dict()
        still = [k for k in after if k.endswith(("running_mean", "running_var")) and torch.equal(before[k], after[k])]
        assert still == []
        assert not torch.allclose(training, model.eval()(lightness).ab, atol=0.1)

    def test_equal_seeds_give_equal_models(self, tiny, name):
        lightness = random_lightness(1, 1, 32, 32)
        first, second = tiny(name).eval()(lightness), tiny(name).eval()(lightness)
        assert torch.equal(first.ab, second.ab)
        assert first.logits is None or torch.equal(first.logits, second.logits)
        seed_everything(5)
        a = create_model(name, width=1 / 16).state_dict()
        b = create_model(name, width=1 / 16).state_dict()
        assert any(not torch.equal(a[key], b[key]) for key in a)

    def test_save_and_load_give_equal_outputs(self, tiny, name, tmp_path):
        model = tiny(name)
        lightness = random_lightness(2, 1, 40, 40)
        model(lightness)  # moves the running statistics: buffers must be saved too
        expected = model.eval()(lightness)
        model.save_pretrained(tmp_path / "run")
        for loaded in (load_model(tmp_path / "run"), type(model).from_pretrained(tmp_path / "run")):
            assert type(loaded) is type(model) and not loaded.training
            assert loaded.config == model.config
            output = loaded(lightness)
            assert torch.equal(output.ab, expected.ab)
            assert (output.logits is None) == (expected.logits is None)
            assert output.logits is None or torch.equal(output.logits, expected.logits)

    def test_a_copy_keeps_its_config(self, tiny, name):
        model = tiny(name)
        assert copy.deepcopy(model).config == model.config

    def test_bfloat16_autocast_gives_float32_near_the_exact_result(self, tiny, name):
        model = tiny(name).eval()
        lightness = random_lightness(2, 1, 48, 48)
        exact = model(lightness)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model(lightness)
        for a, b in zip(mixed, exact, strict=True):
            if b is not None:
                assert a.dtype == torch.float32
                assert 0 < (a - b).abs().mean() < 0.05 * b.std()

    def test_channels_last_gives_the_same(self, tiny, name):
        model = tiny(name).eval()
        lightness = random_lightness(2, 1, 32, 32)
        expected = model(lightness)
        output = model.to(memory_format=torch.channels_last)(lightness.to(memory_format=torch.channels_last))
        torch.testing.assert_close(output.ab, expected.ab, atol=1e-2, rtol=1e-4)
        assert output.logits is None or torch.allclose(output.logits, expected.logits, atol=1e-3)

    def test_width_multiplies_the_channels(self, name):
        widths = (0.001, 0.1, 0.25, 0.5)
        sizes = [sum(p.numel() for p in create_model(name, width=width).parameters()) for width in widths]
        assert all(small < large for small, large in itertools.pairwise(sizes))
        assert 3.3 < sizes[3] / sizes[2] < 4.1  # parameters grow with the square of the width

    @pytest.mark.parametrize("width", [0, -1, float("nan"), float("inf")])
    def test_width_out_of_range_is_named(self, name, width):
        with pytest.raises(UcolnetError, match="width of a model is a factor above 0"):
            create_model(name, width=width)


@pytest.mark.parametrize("name", LOCAL)
class TestEveryModelWithoutGlobalFeatures:
    """What a convolutional network can promise, and one with global features cannot."""

    def test_an_odd_size_gives_the_crop_of_the_padded_image(self, tiny, name):
        model = tiny(name).eval()
        lightness = random_lightness(1, 1, 17, 23)
        rows, columns = {16: (15, 9), 8: (7, 1)}[model.stride]
        padded = torch.from_numpy(np.pad(lightness.numpy(), ((0, 0), (0, 0), (0, rows), (0, columns)), mode="edge"))
        small, large = model(lightness), model(padded)
        assert torch.equal(small.ab, large.ab[..., :17, :23])
        if small.logits is not None:
            assert torch.equal(small.logits, large.logits[..., :17, :23])

    @torch.no_grad()
    def test_moving_the_image_moves_the_output(self, tiny, name):
        """By a multiple of the stride, and far enough from the borders, where zeros are seen."""
        model = tiny(name).eval()
        scene = random_lightness(1, 1, 304, 304)
        here, moved = model(scene[..., :288, :288]), model(scene[..., 16:, 16:])
        middle, same = slice(136, 168), slice(120, 152)
        assert here.ab[..., middle, middle].std() > 0.1
        torch.testing.assert_close(here.ab[..., middle, middle], moved.ab[..., same, same], atol=1e-3, rtol=1e-4)
        if here.logits is not None:
            torch.testing.assert_close(
                here.logits[..., middle, middle], moved.logits[..., same, same], atol=1e-4, rtol=1e-4
            )
