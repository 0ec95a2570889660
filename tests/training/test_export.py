"""A run folder made small: the same colours, the same configuration, a checksum that holds."""

import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ucolnet_lib.colorizer import Colorizer
from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models import create_model
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training.export import export_run
from ucolnet_lib.training.run import Run


def finished(folder, name="ucolnet_v3_bins"):
    torch.manual_seed(0)
    model = create_model(name, width=1 / 16)
    torch.nn.init.normal_(model.color_output.weight, std=0.5)
    run = Run(folder)
    run.describe(name, RECIPES["smoke"].replace(size=32), "/some/where/photographs")
    run.write_config(model.config)
    model.save_weights(folder / "model.safetensors")
    return folder


def test_half_the_size_and_the_same_colours(tmp_path):
    run, out = finished(tmp_path / "run"), tmp_path / "small"
    export_run(run, out)
    weights = out / "model.safetensors"
    assert weights.stat().st_size < 0.6 * (run / "model.safetensors").stat().st_size
    expected = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (out / "model.safetensors.sha256").read_text() == f"{expected}  model.safetensors\n"
    gray = np.linspace(0, 255, 48 * 40).reshape(48, 40).astype(np.uint8)
    ours, theirs = (np.asarray(Colorizer.load(folder)(gray)).astype(int) for folder in (out, run))
    assert np.abs(ours - theirs).max() <= 1 and ours.std(axis=-1).max() > 0
    assert load_file(weights)["color_output.weight"].dtype == torch.float16
    assert load_file(weights)["encoder.levels.0.0.1.running_var"].dtype == torch.float32


def test_no_path_of_the_machine_and_the_card_is_kept(tmp_path):
    run, out = finished(tmp_path / "run"), tmp_path / "small"
    export_run(run, out)
    (out / "README.md").write_text("a card")
    export_run(run, out, temperature=0.6, gain=1.25)
    assert (out / "README.md").read_text() == "a card"
    assert Run(out).description.data == "photographs"
    model = Colorizer.load(out).model
    assert (model.temperature, model.gain) == (0.6, 1.25) and not model.training


def test_what_cannot_be_exported(tmp_path):
    run = finished(tmp_path / "run", "ucolnet_v3")
    with pytest.raises(UcolnetError, match="ucolnet_v3 has no temperature"):
        export_run(run, tmp_path / "small", temperature=0.5)
    with pytest.raises(UcolnetError, match="no exported model"):
        export_run(run, run)
    with pytest.raises(UcolnetError, match="There is no model"):
        export_run(tmp_path / "nothing", tmp_path / "small")
    assert not (tmp_path / "small").exists()
