"""UColNet v1: two branches that meet where both are smallest."""

import torch

from ucolnet_lib.models import count_parameters, create_model


def batch_normed(layers, kernel=3):
    """Parameters of convolutions without bias, each followed by a batch norm (scale and shift)."""
    return sum(kernel**2 * inputs * outputs + 2 * outputs for inputs, outputs in layers)


def test_parameters_counted_by_hand():
    low = batch_normed([(1, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512)])
    mid = batch_normed([(512, 512), (512, 256)])
    color = batch_normed([(256, 128), (128, 64), (64, 64), (64, 32)]) + 9 * 32 * 2 + 2
    fusion = batch_normed([(256 + 1024, 256)], kernel=1)
    levels = [64, 128, 256, 512, 1024]
    down = batch_normed([(1, 64), (64, 64)] + [p for c in levels[:-1] for p in ((c, 2 * c), (2 * c, 2 * c))])
    ups = sum(4 * 2 * c * c + c for c in levels[:-1])
    up = batch_normed([p for c in levels[:-1] for p in ((2 * c, c), (c, c))])
    output = 64 * 81 + 81
    by_hand = low + mid + fusion + color + down + ups + up + output
    assert count_parameters(create_model("ucolnet_v1")) == by_hand == 37_624_275


def test_it_is_the_largest_ucolnet_and_v3_its_simplification():
    v1, v2, v3 = (count_parameters(create_model(f"ucolnet_v{i}")) for i in (1, 2, 3))
    assert 36e6 < v1 < 40e6 and 10e6 < v3 < 12e6 and 7e6 < v2 < 9e6


def test_shapes_at_each_stage(shapes_at_224):
    with torch.device("meta"):
        model = create_model("ucolnet_v1")
    parts = {f"low {i}": model.low_level[i] for i in range(6)} | {f"mid {i}": model.mid_level[i] for i in range(2)}
    parts |= {f"down {i}": model.encoder.levels[i] for i in range(5)}
    parts |= {f"up {i}": model.decoder.levels[i] for i in range(4)}
    parts |= {"fusion": model.fusion, "color 0": model.color[0], "color 3": model.color[3]}
    parts |= {"color 5": model.color[5], "color 6": model.color[6]}
    assert shapes_at_224(model, parts) == {
        "low 0": (64, 112, 112),
        "low 1": (128, 112, 112),
        "low 2": (128, 56, 56),
        "low 3": (256, 56, 56),
        "low 4": (256, 28, 28),
        "low 5": (512, 28, 28),
        "mid 0": (512, 14, 14),
        "mid 1": (256, 14, 14),
        "down 0": (64, 224, 224),
        "down 1": (128, 112, 112),
        "down 2": (256, 56, 56),
        "down 3": (512, 28, 28),
        "down 4": (1024, 14, 14),
        "fusion": (256, 14, 14),
        "color 0": (128, 28, 28),
        "color 3": (64, 56, 56),
        "color 5": (32, 112, 112),
        "color 6": (2, 112, 112),
        "up 0": (512, 28, 28),
        "up 1": (256, 56, 56),
        "up 2": (128, 112, 112),
        "up 3": (64, 224, 224),
        "ab": (2, 224, 224),
        "logits": (81, 224, 224),
    }


def test_fusion_joins_the_two_smallest_volumes_colour_first(tiny):
    model = tiny("ucolnet_v1").eval()
    seen = {}
    model.mid_level.register_forward_hook(lambda _, __, output: seen.update(mid=output))
    model.encoder.register_forward_hook(lambda _, __, output: seen.update(bottleneck=output[0]))
    model.fusion.register_forward_hook(lambda _, inputs, __: seen.update(fusion=inputs[0]))
    model(100 * torch.rand(2, 1, 48, 32))
    assert seen["fusion"].shape == (2, 16 + 64, 3, 2)  # H/16 x W/16
    assert torch.equal(seen["fusion"][:, :16], seen["mid"])
    assert torch.equal(seen["fusion"][:, 16:], seen["bottleneck"])


def test_each_output_needs_its_branches(tiny, outputs_that_need):
    needs = {
        "low_level": {"ab"},
        "mid_level": {"ab"},
        "encoder": {"ab", "logits"},
        "fusion": {"ab"},
        "color": {"ab"},
        "decoder": {"logits"},
        "segmentation_output": {"logits"},
    }
    for part, expected in needs.items():
        model = tiny("ucolnet_v1")
        assert outputs_that_need(model, getattr(model, part)) == expected, part
