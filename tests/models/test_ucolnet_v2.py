"""UColNet v2: one U-Net, two output convolutions."""

import torch

from ucolnet_lib.models import count_parameters, create_model


def test_the_tasks_part_only_in_the_last_convolution(tiny, outputs_that_need):
    needs = {
        "encoder": {"ab", "logits"},
        "decoder": {"ab", "logits"},
        "color_output": {"ab"},
        "segmentation_output": {"logits"},
    }
    assert [name for name, _ in tiny("ucolnet_v2").named_children()] == list(needs)
    for part, expected in needs.items():
        model = tiny("ucolnet_v2")
        assert outputs_that_need(model, getattr(model, part)) == expected, part


def test_each_task_owns_one_small_convolution():
    model = create_model("ucolnet_v2")
    assert count_parameters(model.color_output) == 32 * 2 + 2
    assert count_parameters(model.segmentation_output) == 32 * 81 + 81


def test_it_is_v3_with_one_decoder_less():
    v2, v3 = create_model("ucolnet_v2"), create_model("ucolnet_v3")
    assert count_parameters(v3) - count_parameters(v2) == count_parameters(v2.decoder)
    assert {k: v.shape for k, v in v2.encoder.state_dict().items()} == {
        k: v.shape for k, v in v3.encoder.state_dict().items()
    }


def test_shapes_at_each_stage(shapes_at_224):
    with torch.device("meta"):
        model = create_model("ucolnet_v2")
    parts = {f"down {i}": model.encoder.levels[i] for i in range(5)}
    parts |= {f"up {i}": model.decoder.levels[i] for i in range(4)}
    assert shapes_at_224(model, parts) == {
        "down 0": (32, 224, 224),
        "down 1": (64, 112, 112),
        "down 2": (128, 56, 56),
        "down 3": (256, 28, 28),
        "down 4": (512, 14, 14),
        "up 0": (256, 28, 28),
        "up 1": (128, 56, 56),
        "up 2": (64, 112, 112),
        "up 3": (32, 224, 224),
        "ab": (2, 224, 224),
        "logits": (81, 224, 224),
    }
