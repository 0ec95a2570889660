"""v3 at half resolution, with and without bins."""

import numpy as np
import pytest
import torch

from ucolnet_lib.ab_bins import bin_centres
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models import BEYOND_THE_PAPER, MODELS, count_parameters, create_model, load_model
from ucolnet_lib.models.ucolnet_v3_half import BinsOutput

BINS = len(bin_centres())


@pytest.mark.parametrize("name", BEYOND_THE_PAPER)
class TestEach:
    @pytest.mark.parametrize("size", [(32, 64), (17, 23), (1, 1), (1, 64)])
    def test_output_has_the_size_of_the_input(self, tiny, name, size):
        output = tiny(name).eval()(100 * torch.rand(2, 1, *size))
        assert output.ab.shape == (2, 2, *size) and output.ab.isfinite().all()
        assert (output.logits is None) == name.endswith("no_segmentation")
        assert output.logits is None or output.logits.shape == (2, 7, *size)
        assert output.ab.abs().max() <= 132, "the outermost bins"

    def test_gradients_reach_every_parameter(self, tiny, name):
        model = tiny(name)
        output = model(100 * torch.rand(4, 1, 64, 64))
        sum(x.float().square().sum() for x in output if x is not None).backward()
        assert [k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []

    def test_saved_and_loaded_again_it_gives_the_same(self, tiny, name, tmp_path):
        model = tiny(name, temperature=0.5).eval()
        model.save_pretrained(tmp_path / "run")
        again, lightness = load_model(tmp_path / "run"), 100 * torch.rand(1, 1, 40, 33)
        assert again.config == model.config and again.config["model"] == name.removesuffix("_no_segmentation")
        assert torch.equal(model(lightness).ab, again(lightness).ab)

    def test_training_starts_undecided(self, name):
        torch.manual_seed(0)
        model = create_model(name, width=0.25)
        output = model(100 * torch.rand(2, 1, 32, 32))
        if "bins" in name:
            assert output.ab_logits.softmax(dim=1).max() < 2 / BINS
        else:
            assert output.ab.abs().max() < 5


def test_it_is_v3_with_four_channels_at_the_top():
    """The same parts as v3; the first convolution alone has more weights (four channels in place of one)."""
    ours, v3 = create_model("ucolnet_v3_half").state_dict(), create_model("ucolnet_v3").state_dict()
    assert list(ours) == list(v3)
    differ = {key for key in ours if ours[key].shape != v3[key].shape}
    assert differ == {"encoder.levels.0.0.0.weight"}
    extra = 32 * 3 * 9
    assert count_parameters(create_model("ucolnet_v3_half")) == count_parameters(create_model("ucolnet_v3")) + extra


def test_the_papers_models_are_apart():
    assert not set(BEYOND_THE_PAPER) & set(MODELS)


def scores(height=3, width=5):
    return torch.randn(2, BINS, height, width, generator=torch.Generator().manual_seed(0))


def test_the_annealed_mean_by_hand(tiny):
    model, ab_logits = tiny("ucolnet_v3_bins", temperature=0.38), scores()
    p = np.exp(ab_logits.double().numpy())
    p = p / p.sum(axis=1, keepdims=True)
    annealed = np.exp(np.log(p) / 0.38)  # Zhang et al. 2016, equation 5
    annealed = annealed / annealed.sum(axis=1, keepdims=True)
    expected = np.einsum("nbhw,bc->nchw", annealed, bin_centres())
    np.testing.assert_allclose(model.annealed_mean(ab_logits), expected, atol=1e-3)


def test_temperature_goes_from_the_mean_to_the_likeliest_colour(tiny):
    model, ab_logits = tiny("ucolnet_v3_bins", temperature=1.0), scores()
    centres = torch.from_numpy(bin_centres())
    mean = torch.einsum("nbhw,bc->nchw", ab_logits.softmax(dim=1), centres)
    torch.testing.assert_close(model.annealed_mean(ab_logits), mean, atol=1e-3, rtol=1e-4)
    model.temperature = 0.001
    likeliest = centres[ab_logits.argmax(dim=1)].movedim(-1, 1)
    torch.testing.assert_close(model.annealed_mean(10 * ab_logits), likeliest, atol=1e-2, rtol=0)


@pytest.mark.parametrize("temperature", [0, -1, 1.5])
def test_a_temperature_out_of_range(temperature):
    with pytest.raises(UcolnetError, match="temperature"):
        create_model("ucolnet_v3_bins", width=1 / 16, temperature=temperature)


@pytest.mark.parametrize("name", ["ucolnet_v3_half", "ucolnet_v3_bins"])
def test_gain_makes_the_same_colours_more_vivid(tiny, name):
    lightness = 100 * torch.rand(1, 1, 32, 32)
    plain, vivid = tiny(name).eval(), tiny(name, gain=1.5).eval()
    torch.testing.assert_close(vivid(lightness).ab, 1.5 * plain(lightness).ab)


def test_bins_come_with_their_scores_and_the_centres_are_not_saved(tiny):
    model, lightness = tiny("ucolnet_v3_bins"), 100 * torch.rand(1, 1, 64, 32)
    output = model.eval()(lightness)
    assert isinstance(output, BinsOutput) and output.ab_logits.shape == (1, BINS, 32, 16)
    assert "centres" not in model.state_dict()
    assert model.train()(lightness).ab is None, "a training step has no use for the mean of the colours"


def test_dropout_works_in_training_alone(tiny):
    model, lightness = tiny("ucolnet_v3_half", dropout=0.5), 100 * torch.rand(2, 1, 64, 64)
    assert not torch.equal(model(lightness).ab, model(lightness).ab)
    model.eval()
    assert torch.equal(model(lightness).ab, model(lightness).ab)
