"""A trained model as a small folder: weights in half precision, its configuration, its recipe, a checksum."""

from __future__ import annotations

import copy
import hashlib
import shutil
from pathlib import Path

from ucolnet_lib.common import UcolnetError, write_beside
from ucolnet_lib.models import ColorizationModel, create_model, load_model
from ucolnet_lib.recipes import RunDescription
from ucolnet_lib.training.run import Run

CARD = "README.md"
"""The model card; an export into the same folder leaves it as it is."""

def export_run(
    run: str | Path, out: str | Path, temperature: float | None = None, gain: float | None = None
) -> Path:
    """Write the best model of a run as a folder for `load_model` and `Colorizer.load`.

    Args:
        run: a run folder.
        out: a new folder, or one of an earlier export, which is replaced.
        temperature, gain: of a model beyond the paper, see `models.ucolnet_v3_half`; None leaves what the model has.
    Raises:
        UcolnetError: the run is missing or broken, `out` holds something else, or the model has no temperature.
    """
    out = Path(out)
    if out.exists() and not (out / "model.safetensors.sha256").is_file():
        raise UcolnetError(f"{out} exists and is no exported model. Name another folder.")
    model = load_model(run)
    changes = {key: value for key, value in (("temperature", temperature), ("gain", gain)) if value is not None}
    if changes:
        config = model.config
        if not changes.keys() <= config.keys():
            raise UcolnetError(f"{model.name} has no {' and no '.join(changes)}. Leave that out.")
        changed = create_model(config.pop("model"), **config | changes)
        changed.load_state_dict(model.state_dict())
        model = changed.eval()
    description = Run(run).description
    # Only the last part of the path: where the data lay on one machine says nothing on another.
    return write_half(model, description._replace(data=Path(description.data).name), out)


def write_half(model: ColorizationModel, description: RunDescription, out: Path) -> Path:
    """Write the folder; see `export_run`."""
    half = copy.deepcopy(model)
    # Not the statistics of batch norm: a variance may be larger than the 65,504 that half precision can hold.
    for parameter in half.parameters():
        parameter.data = parameter.data.half()
    with write_beside(out) as folder:
        kept = Run(folder)
        kept.describe(*description)
        kept.write_config(model.config)
        weights = folder / "model.safetensors"
        half.save_weights(weights)
        checksum = hashlib.sha256(weights.read_bytes()).hexdigest()
        (folder / f"{weights.name}.sha256").write_text(f"{checksum}  {weights.name}\n", encoding="utf-8")
        if (out / CARD).is_file():
            shutil.copy(out / CARD, folder / CARD)
    return out
