"""What notebook 05 builds equals the library's."""

import torch
import torch.nn.functional as F

from ucolnet_lib.models import count_parameters, create_model


def test_ucolnet_v2(notebook_definitions):
    ours = notebook_definitions("05", "UColNetV2")["UColNetV2"](width=0.25).eval()
    theirs = create_model("ucolnet_v2", width=0.25).eval()
    ours.load_state_dict(theirs.state_dict())
    lightness = torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(0)) * 100
    with torch.no_grad():
        ab, logits = ours(lightness)
        expected = theirs(lightness)
    torch.testing.assert_close(ab, expected.ab)
    torch.testing.assert_close(logits, expected.logits)
    assert count_parameters(ours) == count_parameters(theirs)


def test_the_angle_is_torchs(notebook_definitions):
    angle = notebook_definitions("05", "join", "angle")["angle"]
    first, second = ([torch.randn(3, 2), torch.randn(5)] for _ in range(2))
    expected = F.cosine_similarity(*(torch.cat([t.flatten() for t in ts]) for ts in (first, second)), dim=0)
    assert abs(angle(first, second) - float(expected)) < 1e-6
