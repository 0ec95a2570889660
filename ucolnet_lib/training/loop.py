"""The training loop. Read it from top to bottom: prepare, then epochs of training, validation, saving."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from ucolnet_lib.common import UcolnetError, seed_everything, write_beside
from ucolnet_lib.data.batches import PhotographCrops, create_loader, split_indices, vary_exposure
from ucolnet_lib.data.on_device import OnDevice, check_memory
from ucolnet_lib.data.prepared import open_split
from ucolnet_lib.losses import LossTerms, create_loss
from ucolnet_lib.models import BEYOND_THE_PAPER, create_model
from ucolnet_lib.recipes import Recipe
from ucolnet_lib.training.filmstrip import draw_samples
from ucolnet_lib.training.machine import mixed_precision, other_processes, peak_memory, share_of_batch
from ucolnet_lib.training.run import Run
from ucolnet_lib.training.step import backward_within_memory, validate

WARM_UP = 0.1
"""The cosine schedule rises over this share of the steps before it falls."""

CHECK_EVERY = 100
"""After so many steps the losses are looked at: a look at each would let the device wait for the CPU."""


def train(
    model_name: str,
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    resume: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
    on_epoch: Callable[[Run], None] | None = None,
    on_step: Callable[[], None] | None = None,
) -> Run:
    """Train one model on `train2017` of the data (90% training, 10% validation) and fill a run folder.

    On the CPU a run that was interrupted and resumed ends equal to one that was not, timings aside.

    Args:
        model_name: a name of `models.MODELS`.
        recipe: the numbers of the run.
        data: a COCO folder or a prepared set.
        out: the run folder.
        resume: go on from the last whole epoch in `out`; without one, start anew and say so.
        progress: show a bar with rate and remaining time.
        say: receives the sentences for the reader.
        on_epoch: called in the first process after each epoch, when it is saved.
        on_step: called in each process after each training step.
    Returns:
        the finished run.
    Raises:
        UcolnetError: the model cannot be trained by this recipe, `out` holds another run, the data are missing or
            broken or do not fit on the device, or the loss stopped being finite.
    """
    run = Run(out)
    # First what a recipe may have wrong: then no folder is left.
    model = build_model(model_name, recipe)
    loss_function = create_loss(model_name, recipe.alpha, recipe.alpha_value, recipe.color_loss, recipe.rebalance)
    # Accelerate finds the device, and the other processes where there are any (see README, "Several GPUs").
    AcceleratorState._reset_state()  # an earlier run of this process may have had another precision
    # On a machine without a graphics card it must be told so, or it would not see the other processes.
    cpu = not torch.accelerator.is_available()
    is_first = PartialState(cpu=cpu).is_main_process
    say, progress = say if is_first else _be_silent, progress and is_first
    accelerator = Accelerator(mixed_precision=mixed_precision(recipe, say), cpu=cpu)
    split = open_split(data, "train2017")
    training, validation = split_indices(split, recipe.validation_share, recipe.limit, recipe.leave_out_gray)
    training = PhotographCrops(split, training, recipe.size, recipe.crop_area, recipe.seed)
    validation = PhotographCrops(split, validation, recipe.size)
    if recipe.data_on_device:
        check_memory([training, validation], accelerator.device)
    share = share_of_batch(recipe.batch_size, accelerator.num_processes)
    done = _find_start(run, model_name, recipe, str(Path(data)), resume, say, accelerator)
    if run.finished:
        say(f"{run.path} is finished: nothing to do.")
        return run

    # Prepare. Each process loads its own share of the photographs; Accelerate moves the model to the device.
    def load(crops: PhotographCrops):
        which = {"rank": accelerator.process_index, "world_size": accelerator.num_processes}
        if recipe.data_on_device:
            return OnDevice(crops, share, accelerator.device, progress=progress, **which)
        return create_loader(crops, share, **which)

    train_loader, validation_loader = load(training), load(validation)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    average = _create_average(model, recipe, accelerator.device)
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        # The statistics of the whole batch. On CPUs torch has no such layer: there each process has its own.
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    if recipe.compile:
        model.compile()
    optimizer = _create_optimizer(model, recipe)
    loss_function.to(accelerator.device)
    model, optimizer = accelerator.prepare(model, optimizer)
    plain = accelerator.unwrap_model(model)
    # What is validated and saved: the running mean of the weights, where the recipe keeps one.
    kept = average.module if average else model
    accelerator.register_for_checkpointing(loss_function)
    if average:
        accelerator.register_for_checkpointing(average)
    if accelerator.is_main_process:
        run.write_config(plain.config)

    rows: list[dict] = []
    if done:
        _, folder = run.state()
        accelerator.load_state(str(folder))
        rows = json.loads((folder / "history.json").read_text(encoding="utf-8"))
        if accelerator.is_main_process:
            run.write_history(rows)
            run.forget_steps_after(done)
        say(f"Going on after epoch {done} of {recipe.epochs}.")

    steps_per_epoch, parts = len(train_loader), 1
    bar = tqdm(
        total=recipe.epochs * steps_per_epoch, initial=done * steps_per_epoch, unit="step",
        desc=model_name, disable=not progress,
    )  # fmt: skip
    with bar, other_processes(run, accelerator.num_processes):
        for epoch in range(done + 1, recipe.epochs + 1):
            # Asked before an epoch, not after: so a run that was killed just then stops at the same epoch.
            if recipe.patience and rows and epoch - 1 - _best_epoch(rows) >= recipe.patience:
                say(f"No better validation colour loss for {recipe.patience} epochs: stopping after epoch {epoch - 1}.")
                break
            # Every epoch has its own seed, so an epoch that is done again after a kill comes out the same.
            seed_everything(recipe.seed * 100_003 + epoch)
            train_loader.sampler.epoch = epoch
            started, terms, norms, images = time.perf_counter(), [], [], 0

            model.train(), loss_function.train()
            for step, batch in enumerate(train_loader):
                rate = learning_rate(recipe, (epoch - 1) * steps_per_epoch + step, steps_per_epoch)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                if recipe.exposure:
                    key = (recipe.seed, epoch, step, accelerator.process_index)
                    batch = vary_exposure(batch, recipe.exposure, key, accelerator.device)
                optimizer.zero_grad(set_to_none=True)
                losses, needed = backward_within_memory(model, loss_function, batch, parts, accelerator)
                if needed > parts:
                    parts = needed
                    say(f"The memory of {accelerator.device} is small: each batch is done in {parts} parts.")
                norms.append(_gradient_norm(model, optimizer, accelerator))
                optimizer.step()
                if average:
                    average.update_parameters(plain)
                terms.append(torch.stack(losses).detach())
                images += len(batch[0]) * accelerator.num_processes
                bar.update()
                if (step + 1) % CHECK_EVERY == 0:
                    _check_finite(torch.stack(terms[-CHECK_EVERY:]), epoch, run)
                if on_step:
                    on_step()
            terms, norms = torch.stack(terms).cpu(), torch.stack(norms).cpu()
            seconds = time.perf_counter() - started

            validation_terms = validate(kept, loss_function, validation_loader, accelerator)
            _check_finite(torch.cat([terms, validation_terms[None]]), epoch, run)
            rows.append(
                _history_row(epoch, terms, validation_terms, steps_per_epoch)
                | {"learning_rate": rate, "gradient_norm": norms[norms.isfinite()].mean().item()}
                | {"seconds": round(seconds, 3), "images_per_second": round(images / seconds, 1)}
                | peak_memory(accelerator.device)
            )
            bar.set_postfix(validation_color=f"{rows[-1]['validation_color']:.4f}")
            if accelerator.is_main_process:
                kept_plain = accelerator.unwrap_model(kept)
                draw_samples(run.path / "samples", kept_plain, validation, epoch, accelerator.device)
                _save(run, accelerator, kept_plain, epoch, terms, rows, is_best=_best_epoch(rows) == epoch)
                if on_epoch:
                    on_epoch(run)
            accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            run.finish()
    return run


def build_model(name: str, recipe: Recipe) -> nn.Module:
    """The model with the recipe's seed and widths."""
    seed_everything(recipe.seed)
    extra = {"global_size": recipe.global_size} if name.startswith("iizuka") else {}
    if name in BEYOND_THE_PAPER:
        extra = {"dropout": recipe.dropout}
    elif recipe.dropout:
        raise UcolnetError(
            f"{name} has no dropout, as the paper's models have none. Leave dropout at 0, or take one of: "
            f"{', '.join(BEYOND_THE_PAPER)}."
        )
    return create_model(name, width=recipe.width, **extra)


def _create_average(model: nn.Module, recipe: Recipe, device: torch.device) -> AveragedModel | None:
    """The running mean of the weights and of the statistics of batch norm, if the recipe asks for one."""
    if not recipe.ema:
        return None
    return AveragedModel(model, device, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate at a step, counted from 0 over the whole run."""
    if recipe.schedule == "step":
        return recipe.learning_rate * recipe.decay ** (step // steps_per_epoch // recipe.decay_epochs)
    total = recipe.epochs * steps_per_epoch
    warm_up = max(1, round(WARM_UP * total))
    if step < warm_up:
        return recipe.learning_rate * (step + 1) / warm_up
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))


def _find_start(
    run: Run, model_name: str, recipe: Recipe, data: str, resume: bool, say: Callable[[str], None],
    accelerator: Accelerator,
) -> int:  # fmt: skip
    """The number of epochs that are done already; writes recipe.json for a new run.

    The first process looks, and tells the others: so they cannot find what it has just written.
    """
    answer: list[int | str] = [0]
    if accelerator.is_main_process:
        try:
            answer = [_look_for_start(run, model_name, recipe, data, resume, say)]
        except UcolnetError as error:
            answer = [str(error)]
    (found,) = broadcast_object_list(answer)
    if isinstance(found, str):
        raise UcolnetError(found)
    return found


def _look_for_start(
    run: Run, model_name: str, recipe: Recipe, data: str, resume: bool, say: Callable[[str], None]
) -> int:
    if not (run.path / "recipe.json").exists():
        if resume:
            say(f"{run.path} holds no run yet: starting anew.")
        run.describe(model_name, recipe, data)
        return 0
    if not resume:
        raise UcolnetError(f"{run.path} holds a run already. Go on with --resume, or choose another --out.")
    wanted = {"model": model_name, **asdict(recipe)}
    found = {"model": run.description.model, **asdict(run.description.recipe)}
    changed = [f"{key} ({found[key]}, now {wanted[key]})" for key in wanted if wanted[key] != found[key]]
    if changed:
        raise UcolnetError(f"{run.path} was begun with another {', '.join(changed)}. Choose another --out.")
    state = run.state()
    if state is None and not run.finished:
        say(f"{run.path} has no whole epoch to go on from: starting anew.")
    return state[0] if state else 0


def _best_epoch(rows: list[dict]) -> int:
    return min(rows, key=lambda row: row["validation_color"])["epoch"]


def _create_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    common = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    # Fused: one kernel updates all weights. Adadelta has none.
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=recipe.momentum, fused=True, **common)
    if recipe.optimizer == "adadelta":
        return torch.optim.Adadelta(model.parameters(), **common)
    return torch.optim.AdamW(model.parameters(), fused=True, **common)


def _gradient_norm(model: nn.Module, optimizer: torch.optim.Optimizer, accelerator: Accelerator) -> torch.Tensor:
    """The length of the gradient over all weights. In fp16 it may be infinite: then Accelerate leaves the step out."""
    accelerator.unscale_gradients(optimizer)
    return nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])


def _check_finite(terms: torch.Tensor, epoch: int, run: Run) -> None:
    if not terms.isfinite().all():
        raise UcolnetError(
            f"The loss is no longer a finite number in epoch {epoch}; {run.path} keeps the epochs before. "
            "Train again into another folder with a smaller learning rate: --out ... --set learning_rate=..."
        )


def _be_silent(sentence: str) -> None:
    """The first process speaks for all."""


def _history_row(epoch: int, terms: torch.Tensor, validation_terms: torch.Tensor, steps: int) -> dict:
    row: dict = {"epoch": epoch, "steps": epoch * steps}
    for name, values in zip(LossTerms._fields, terms.T, strict=True):
        # A batch without a labelled pixel has no segmentation loss: its 0 says nothing.
        counted = values[values != 0] if name in ("cross_entropy", "dice") else values
        row[f"train_{name}"] = counted.mean().item() if len(counted) else 0.0
    for name, value in zip(LossTerms._fields, validation_terms.tolist(), strict=True):
        row[f"validation_{name}"] = value
    # One alpha serves both: its value after the epoch's last step.
    row["alpha"] = terms[-1, LossTerms._fields.index("alpha")].item()
    del row["train_alpha"], row["validation_alpha"]
    return row


def _save(
    run: Run, accelerator: Accelerator, model, epoch: int, terms: torch.Tensor, rows: list[dict], is_best: bool
) -> None:
    """Weights and tables first, the state last: whatever a kill interrupts is done again from the state before."""
    if is_best:
        model.save_weights(run.path / "model.safetensors")
    model.save_weights(run.path / "last.safetensors")
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
