"""Iizuka's model against the published table of layers."""

import pytest
import torch

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models import count_parameters, create_model

# (inputs, outputs) of the 3x3 convolutions, as published
LOW = [(1, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512)]
MID = [(512, 512), (512, 256)]
GLOBAL = [(512, 512)] * 4
COLOR = [(256, 128), (128, 64), (64, 64), (64, 32), (32, 2)]
GLOBAL_LINEAR = [(7 * 7 * 512, 1024), (1024, 512), (512, 256)]
CLASSIFIER = [(512, 256), (256, 205)]


def convolutions(layers):
    return sum(9 * inputs * outputs + outputs for inputs, outputs in layers)


def linears(layers):
    return sum(inputs * outputs + outputs for inputs, outputs in layers)


def published(**kwargs):
    with torch.device("meta"):  # counts need no values
        return count_parameters(create_model("iizuka", num_classes=205, batch_norm=False, **kwargs))


def test_parameters_as_published():
    local = convolutions(LOW + MID + COLOR)
    fusion = 512 * 256 + 256
    by_hand = local + convolutions(GLOBAL) + linears(GLOBAL_LINEAR + CLASSIFIER) + fusion
    assert by_hand == 42_353_839
    assert published() == 42_353_839


def test_ablations_lack_exactly_their_part():
    fusion_weights_of_global = 256 * 256
    assert published() - published(classify=False) == linears(CLASSIFIER)
    assert published(classify=False) - published(classify=False, global_features=False) == (
        convolutions(GLOBAL) + linears(GLOBAL_LINEAR) + fusion_weights_of_global
    )
    assert published(global_features=False) == published(classify=False, global_features=False)


def test_ablations_hold_no_such_parameters(tiny):
    def parts(name):
        return {key.split(".")[0] for key in tiny(name).state_dict()}

    local = {"low_level", "mid_level", "fusion", "color"}
    assert parts("iizuka") == local | {"global_maps", "global_512", "global_256", "classifier"}
    assert parts("iizuka_no_classes") == local | {"global_maps", "global_512", "global_256"}
    assert parts("iizuka_no_global") == local


def test_batch_norm_replaces_the_bias_of_all_but_the_output_layers(tiny):
    biases = [key for key, _ in tiny("iizuka").named_parameters() if key.endswith("0.bias")]
    assert biases == []
    assert not any("running_mean" in key for key in tiny("iizuka", batch_norm=False).state_dict())


def test_shapes_at_each_stage(shapes_at_224):
    with torch.device("meta"):
        model = create_model("iizuka")
    low, color, maps = model.low_level, model.color, model.global_maps
    parts = {f"low {i}": low[i] for i in range(6)} | {f"color {i}": color[i] for i in range(7)}
    parts |= {"mid 0": model.mid_level[0], "mid 1": model.mid_level[1], "fusion": model.fusion}
    parts |= {f"global {i}": maps[i] for i in range(5)}
    parts |= {"1024": model.global_512[0], "512": model.global_512[1], "256": model.global_256}
    assert shapes_at_224(model, parts) == {
        "low 0": (64, 112, 112),
        "low 1": (128, 112, 112),
        "low 2": (128, 56, 56),
        "low 3": (256, 56, 56),
        "low 4": (256, 28, 28),
        "low 5": (512, 28, 28),
        "mid 0": (512, 28, 28),
        "mid 1": (256, 28, 28),
        "global 0": (512, 14, 14),
        "global 1": (512, 14, 14),
        "global 2": (512, 7, 7),
        "global 3": (512, 7, 7),
        "global 4": (25088,),
        "1024": (1024,),
        "512": (512,),
        "256": (256,),
        "fusion": (256, 28, 28),
        "color 0": (128, 28, 28),
        "color 1": (128, 56, 56),
        "color 2": (64, 56, 56),
        "color 3": (64, 56, 56),
        "color 4": (64, 112, 112),
        "color 5": (32, 112, 112),
        "color 6": (2, 112, 112),
        "ab": (2, 224, 224),
        "logits": (81,),
    }


def test_each_output_needs_its_branches(tiny, outputs_that_need):
    needs = {
        "low_level": {"ab", "logits"},
        "mid_level": {"ab"},
        "global_maps": {"ab", "logits"},
        "global_512": {"ab", "logits"},
        "global_256": {"ab"},
        "classifier": {"logits"},
        "fusion": {"ab"},
        "color": {"ab"},
    }
    for part, expected in needs.items():
        model = tiny("iizuka")
        assert outputs_that_need(model, getattr(model, part)) == expected, part


def test_fusion_gets_local_features_first_then_the_global_ones_at_every_place(tiny):
    model = tiny("iizuka").eval()
    seen = {}
    model.mid_level.register_forward_hook(lambda _, __, output: seen.update(mid=output))
    model.global_256.register_forward_hook(lambda _, __, output: seen.update(global_256=output))
    model.fusion.register_forward_hook(lambda _, inputs, __: seen.update(fusion=inputs[0]))
    model(100 * torch.rand(2, 1, 40, 24))
    assert seen["fusion"].shape == (2, 32, 5, 3)
    assert torch.equal(seen["fusion"][:, :16], seen["mid"])
    for row in range(5):
        for column in range(3):
            assert torch.equal(seen["fusion"][:, 16:, row, column], seen["global_256"])


@pytest.mark.parametrize(("name", "far_is_seen"), [("iizuka", True), ("iizuka_no_global", False)])
def test_only_global_features_see_the_whole_image(tiny, name, far_is_seen):
    model = tiny(name).eval()
    lightness = 100 * torch.rand(1, 1, 160, 160)
    other = lightness.clone()
    other[..., :32, :32] = 0
    far = (..., slice(120, 160), slice(120, 160))
    assert torch.equal(model(lightness).ab[far], model(other).ab[far]) is not far_is_seen


def test_global_path_sees_the_image_at_its_own_size(tiny):
    model = tiny("iizuka", global_size=64)
    sizes = []
    model.low_level.register_forward_hook(lambda _, inputs, __: sizes.append(tuple(inputs[0].shape[2:])))
    model(100 * torch.rand(2, 1, 17, 40))
    assert sizes == [(24, 40), (64, 64)]


def test_an_image_of_the_global_size_goes_through_the_low_level_once_with_the_same_result(tiny):
    model = tiny("iizuka", global_size=32).eval()
    lightness = 100 * torch.rand(2, 1, 32, 32)
    calls = []
    model.low_level.register_forward_hook(lambda *_: calls.append(1))
    output = model(lightness)
    assert len(calls) == 1
    features = model.global_512(model.global_maps(model.low_level(lightness / 50 - 1)))
    torch.testing.assert_close(output.logits, model.classifier(features))


def test_resizing_for_the_global_path_does_not_alias(tiny):
    """Fine stripes are an even gray from afar, and so are the classes; picking single pixels would see a pattern."""
    model = tiny("iizuka").eval()
    stripes = torch.zeros(1, 1, 256, 256)
    stripes[..., ::3] = 99
    torch.testing.assert_close(model(stripes).logits, model(torch.full_like(stripes, 33)).logits, atol=0.02, rtol=0)


@pytest.mark.parametrize("size", [0, 16, 100, -32])
def test_global_size_must_fit_the_strides(size):
    with pytest.raises(UcolnetError, match="global_size must be a multiple of 32"):
        create_model("iizuka", global_size=size)
