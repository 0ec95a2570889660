"""UColNet v3 against an independent implementation, and its skip connections and branches one by one."""

import pytest
import torch
import torch.nn.functional as F

from ucolnet_lib.models import count_parameters, create_model


def unet_by_hand(weights: dict[str, torch.Tensor], lightness: torch.Tensor, task: str) -> torch.Tensor:
    """v3 in evaluation mode, written with functions and the names of the weights alone: (N, 1, H, W) -> one output."""

    def convolve(x, key):
        x = F.conv2d(x, weights[f"{key}.0.weight"], padding=1)
        mean, var = weights[f"{key}.1.running_mean"], weights[f"{key}.1.running_var"]
        scale = weights[f"{key}.1.weight"] / (var + 1e-5).sqrt()
        x = (x - mean[:, None, None]) * scale[:, None, None] + weights[f"{key}.1.bias"][:, None, None]
        return x.clamp(min=0)

    def twice(x, key):
        return convolve(convolve(x, f"{key}.0"), f"{key}.1")

    top = twice(lightness / 50 - 1, "encoder.levels.0")
    half = twice(F.max_pool2d(top, 2), "encoder.levels.1")
    quarter = twice(F.max_pool2d(half, 2), "encoder.levels.2")
    eighth = twice(F.max_pool2d(quarter, 2), "encoder.levels.3")
    x = twice(F.max_pool2d(eighth, 2), "encoder.levels.4")
    for level, skip in enumerate((eighth, quarter, half, top)):
        up = f"{task}_decoder.ups.{level}"
        x = F.conv_transpose2d(x, weights[f"{up}.weight"], weights[f"{up}.bias"], stride=2)
        x = twice(torch.cat((skip, x), dim=1), f"{task}_decoder.levels.{level}")
    return F.conv2d(x, weights[f"{task}_output.weight"], weights[f"{task}_output.bias"])


def test_equals_an_independent_implementation(tiny):
    model = tiny("ucolnet_v3")
    model(100 * torch.rand(4, 1, 64, 64))  # running statistics that are not 0 and 1
    lightness = 100 * torch.rand(2, 1, 48, 80)
    output = model.eval()(lightness)
    ab = 110 * unet_by_hand(model.state_dict(), lightness, "color").tanh()
    torch.testing.assert_close(output.ab, ab, atol=1e-3, rtol=1e-4)
    logits = unet_by_hand(model.state_dict(), lightness, "segmentation")
    torch.testing.assert_close(output.logits, logits, atol=1e-4, rtol=1e-4)


def test_parameters_counted_by_hand():
    def twice(inputs, outputs):  # two convolutions without bias, each with a batch norm
        return 9 * inputs * outputs + 9 * outputs * outputs + 4 * outputs

    encoder = twice(1, 32) + twice(32, 64) + twice(64, 128) + twice(128, 256) + twice(256, 512)
    decoder = sum(4 * 2 * c * c + c + twice(2 * c, c) for c in (256, 128, 64, 32))
    color, segmentation = 32 * 2 + 2, 32 * 81 + 81
    model = create_model("ucolnet_v3")
    assert count_parameters(model) == encoder + 2 * decoder + color + segmentation == 10_813_971
    assert count_parameters(create_model("ucolnet_v3_no_segmentation")) == encoder + decoder + color
    assert count_parameters(create_model("ucolnet_v3", width=0.5)) == 2_706_483


def test_shapes_at_each_stage(shapes_at_224):
    with torch.device("meta"):
        model = create_model("ucolnet_v3")
    parts = {f"down {i}": model.encoder.levels[i] for i in range(5)}
    parts |= {f"color {i}": model.color_decoder.levels[i] for i in range(4)}
    parts |= {f"segmentation {i}": model.segmentation_decoder.levels[i] for i in range(4)}
    assert shapes_at_224(model, parts) == {
        "down 0": (32, 224, 224),
        "down 1": (64, 112, 112),
        "down 2": (128, 56, 56),
        "down 3": (256, 28, 28),
        "down 4": (512, 14, 14),
        "color 0": (256, 28, 28),
        "color 1": (128, 56, 56),
        "color 2": (64, 112, 112),
        "color 3": (32, 224, 224),
        "segmentation 0": (256, 28, 28),
        "segmentation 1": (128, 56, 56),
        "segmentation 2": (64, 112, 112),
        "segmentation 3": (32, 224, 224),
        "ab": (2, 224, 224),
        "logits": (81, 224, 224),
    }


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_every_skip_connection_reaches_both_decoders(tiny, level):
    model = tiny("ucolnet_v3").eval()
    lightness = 100 * torch.rand(1, 1, 48, 48)
    before = model(lightness)

    def cut(_, __, output):
        bottleneck, skips = output
        return bottleneck, [skip * (i != level) for i, skip in enumerate(skips)]

    model.encoder.register_forward_hook(cut)
    after = model(lightness)
    assert (before.ab - after.ab).abs().max() > 0.1
    assert (before.logits - after.logits).abs().max() > 0.001


def test_the_bottleneck_reaches_both_decoders(tiny):
    model = tiny("ucolnet_v3").eval()
    lightness = 100 * torch.rand(1, 1, 48, 48)
    before = model(lightness)
    model.encoder.register_forward_hook(lambda _, __, output: (0 * output[0], output[1]))
    after = model(lightness)
    assert not torch.equal(before.ab, after.ab) and not torch.equal(before.logits, after.logits)


def test_each_output_needs_its_branches(tiny, outputs_that_need):
    needs = {
        "encoder": {"ab", "logits"},
        "color_decoder": {"ab"},
        "color_output": {"ab"},
        "segmentation_decoder": {"logits"},
        "segmentation_output": {"logits"},
    }
    assert {name for name, _ in tiny("ucolnet_v3").named_children()} == set(needs)
    for part, expected in needs.items():
        model = tiny("ucolnet_v3")
        assert outputs_that_need(model, getattr(model, part)) == expected, part


def test_without_segmentation_no_parameter_of_it_is_left(tiny):
    assert not any("segmentation" in key for key in tiny("ucolnet_v3_no_segmentation").state_dict())


def test_without_segmentation_the_colours_are_computed_the_same(tiny):
    full, half = tiny("ucolnet_v3").eval(), tiny("ucolnet_v3_no_segmentation").eval()
    half.load_state_dict({key: value for key, value in full.state_dict().items() if "segmentation" not in key})
    lightness = 100 * torch.rand(1, 1, 20, 30)
    assert torch.equal(full(lightness).ab, half(lightness).ab)
