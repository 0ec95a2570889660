"""The training loop. Read it from top to bottom: prepare, then epochs of training, validation, saving."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn
from tqdm.auto import tqdm

from ucolnet_lib.common import UcolnetError, seed_everything, write_beside
from ucolnet_lib.data.batches import PhotographCrops, create_loader, split_indices, to_batch
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.losses import LossTerms, create_loss
from ucolnet_lib.models import create_model
from ucolnet_lib.recipes import Recipe
from ucolnet_lib.training.run import Run

WARM_UP = 0.1
"""The cosine schedule rises over this share of the steps before it falls."""


def train(
    model_name: str,
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    resume: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Run:
    """Train one model on `train2017` of a COCO folder (90% training, 10% validation) and fill a run folder.

    On the CPU a run that was interrupted and resumed ends equal to one that was not, timings aside.

    Args:
        model_name: a name of `models.MODELS`.
        recipe: the numbers of the run.
        data: a COCO folder.
        out: the run folder.
        resume: go on from the last whole epoch in `out`; without one, start anew and say so.
        progress: show a bar with rate and remaining time.
        say: receives the sentences for the reader.
    Returns:
        the finished run.
    Raises:
        UcolnetError: `out` holds another run, the data are missing or broken, or the loss stopped being finite.
    """
    run = Run(out)
    model = build_model(model_name, recipe)
    split = CocoSplit(data, "train2017")
    done = _find_start(run, model_name, recipe, str(Path(data)), resume, say)
    if run.finished:
        say(f"{run.path} is finished: nothing to do.")
        return run

    run.write_config(model.config)

    # Prepare. Accelerate finds the device, and moves model and batches to it.
    AcceleratorState._reset_state()  # an earlier run of this process may have had another precision
    accelerator = Accelerator(mixed_precision="bf16" if _use_bf16(recipe, say) else "no")
    training, validation = split_indices(split, recipe.validation_share, recipe.limit)
    train_loader = create_loader(
        PhotographCrops(split, training, recipe.size, recipe.crop_area, recipe.seed), recipe.batch_size
    )
    validation_loader = create_loader(PhotographCrops(split, validation, recipe.size), recipe.batch_size)
    sampler = train_loader.sampler
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = _create_optimizer(model, recipe)
    loss_function = create_loss(model_name, recipe.alpha, recipe.alpha_value).to(accelerator.device)
    model, optimizer, train_loader, validation_loader = accelerator.prepare(
        model, optimizer, train_loader, validation_loader
    )
    accelerator.register_for_checkpointing(loss_function)

    rows: list[dict] = []
    if done:
        _, folder = run.state()
        accelerator.load_state(str(folder))
        rows = json.loads((folder / "history.json").read_text(encoding="utf-8"))
        run.write_history(rows)
        run.forget_steps_after(done)
        say(f"Going on after epoch {done} of {recipe.epochs}.")

    steps_per_epoch = len(train_loader)
    bar = tqdm(
        total=recipe.epochs * steps_per_epoch, initial=done * steps_per_epoch, unit="step",
        desc=model_name, disable=not progress,
    )  # fmt: skip
    with bar:
        for epoch in range(done + 1, recipe.epochs + 1):
            # Asked before an epoch, not after: so a run that was killed just then stops at the same epoch.
            if recipe.patience and rows and epoch - 1 - _best_epoch(rows) >= recipe.patience:
                say(f"No better validation colour loss for {recipe.patience} epochs: stopping after epoch {epoch - 1}.")
                break
            # Every epoch has its own seed, so an epoch that is done again after a kill comes out the same.
            seed_everything(recipe.seed * 100_003 + epoch)
            sampler.epoch = epoch
            started, terms, images = time.perf_counter(), [], 0

            model.train(), loss_function.train()
            for step, (rgb, semantic_map) in enumerate(train_loader):
                rate = learning_rate(recipe, (epoch - 1) * steps_per_epoch + step, steps_per_epoch)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                batch = to_batch(rgb, semantic_map)
                output = model(batch.lightness)
                losses = loss_function(output, batch.ab, batch.semantic_map)
                optimizer.zero_grad(set_to_none=True)
                accelerator.backward(losses.loss)
                optimizer.step()
                terms.append(torch.stack(losses).detach())
                images += len(rgb)
                bar.update()
            terms = torch.stack(terms).cpu()
            seconds = time.perf_counter() - started

            validation_terms = validate(model, loss_function, validation_loader)
            if not (terms.isfinite().all() and validation_terms.isfinite().all()):
                raise UcolnetError(
                    f"The loss is no longer a finite number in epoch {epoch}; {run.path} keeps the epochs before. "
                    "Train again with a smaller learning rate: --set learning_rate=..."
                )
            rows.append(_history_row(epoch, terms, validation_terms, rate, steps_per_epoch, seconds, images))
            bar.set_postfix(validation_color=f"{rows[-1]['validation_color']:.4f}")
            _save(run, accelerator, model, epoch, terms, rows, is_best=_best_epoch(rows) == epoch)
    run.finish()
    return run


def build_model(name: str, recipe: Recipe) -> nn.Module:
    """The model with the recipe's seed and widths."""
    seed_everything(recipe.seed)
    extra = {"global_size": recipe.global_size} if name.startswith("iizuka") else {}
    return create_model(name, width=recipe.width, **extra)


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate at a step, counted from 0 over the whole run."""
    if recipe.schedule == "step":
        return recipe.learning_rate * recipe.decay ** (step // steps_per_epoch // recipe.decay_epochs)
    total = recipe.epochs * steps_per_epoch
    warm_up = max(1, round(WARM_UP * total))
    if step < warm_up:
        return recipe.learning_rate * (step + 1) / warm_up
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))


@torch.no_grad()
def validate(model: nn.Module, loss_function: nn.Module, loader) -> torch.Tensor:
    """The loss terms on the validation photographs: a tensor in the order of `LossTerms`, mean over photographs."""
    model.eval(), loss_function.eval()
    total, images = 0, 0
    for rgb, semantic_map in loader:
        batch = to_batch(rgb, semantic_map)
        terms = torch.stack(loss_function(model(batch.lightness), batch.ab, batch.semantic_map))
        total, images = total + terms * len(rgb), images + len(rgb)
    return (total / images).cpu()


def _find_start(run: Run, model_name: str, recipe: Recipe, data: str, resume: bool, say: Callable[[str], None]) -> int:
    """The number of epochs that are done already; writes recipe.json for a new run."""
    if not (run.path / "recipe.json").exists():
        if resume:
            say(f"{run.path} holds no run yet: starting anew.")
        run.describe(model_name, recipe, data)
        return 0
    if not resume:
        raise UcolnetError(f"{run.path} holds a run already. Go on with --resume, or choose another --out.")
    wanted = {"model": model_name, **recipe.to_dict()}
    found = {"model": run.description.model, **run.description.recipe.to_dict()}
    changed = [f"{key} ({found[key]}, now {wanted[key]})" for key in wanted if wanted[key] != found[key]]
    if changed:
        raise UcolnetError(f"{run.path} was begun with another {', '.join(changed)}. Choose another --out.")
    state = run.state()
    if state is None and not run.finished:
        say(f"{run.path} has no whole epoch to go on from: starting anew.")
    return state[0] if state else 0


def _best_epoch(rows: list[dict]) -> int:
    return min(rows, key=lambda row: row["validation_color"])["epoch"]


def _use_bf16(recipe: Recipe, say: Callable[[str], None]) -> bool:
    if recipe.precision != "bf16":
        return False
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return True
    say("This processor has no bf16 instructions: training in fp32, which is slower here but as good.")
    return False


def _create_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    common = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=recipe.momentum, **common)
    if recipe.optimizer == "adadelta":
        return torch.optim.Adadelta(model.parameters(), **common)
    return torch.optim.AdamW(model.parameters(), fused=True, **common)


def _history_row(epoch, terms, validation_terms, rate, steps, seconds, images) -> dict:
    row: dict = {"epoch": epoch, "steps": epoch * steps}
    for name, value in zip(LossTerms._fields, terms.mean(dim=0).tolist(), strict=True):
        row[f"train_{name}"] = value
    for name, value in zip(LossTerms._fields, validation_terms.tolist(), strict=True):
        row[f"validation_{name}"] = value
    # One alpha serves both: its value after the epoch's last step.
    row["alpha"] = terms[-1, LossTerms._fields.index("alpha")].item()
    del row["train_alpha"], row["validation_alpha"]
    return row | {"learning_rate": rate, "seconds": round(seconds, 3), "images_per_second": round(images / seconds, 1)}


def _save(
    run: Run, accelerator: Accelerator, model, epoch: int, terms: torch.Tensor, rows: list[dict], is_best: bool
) -> None:
    """Weights and tables first, the state last: whatever a kill interrupts is done again from the state before."""
    plain = accelerator.unwrap_model(model)
    if is_best:
        plain.save_weights(run.path / "model.safetensors")
    plain.save_weights(run.path / "last.safetensors")
    run.append_steps(
        [
            dict(epoch=epoch, step=i, **dict(zip(LossTerms._fields, t, strict=True)))
            for i, t in enumerate(terms.tolist())
        ],
        first=epoch == 1,
    )
    run.write_history(rows)
    with write_beside(run.path / "state" / f"epoch-{epoch:05d}") as folder:
        accelerator.save_state(str(folder))
        (folder / "history.json").write_text(json.dumps(rows), encoding="utf-8")
    run.keep_only_state(epoch)
