"""Training: learns, is deterministic, and survives being killed."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data import on_device
from ucolnet_lib.data.batches import PhotographCrops, create_loader, split_indices
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.prepare import prepare
from ucolnet_lib.data.prepared import PreparedSplit
from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.losses import LossTerms, create_loss
from ucolnet_lib.models import load_model
from ucolnet_lib.recipes import RECIPES, recipe_for
from ucolnet_lib.training import Run, loop, step, train
from ucolnet_lib.training.loop import learning_rate
from ucolnet_lib.training.run import TIMING_COLUMNS

TINY = RECIPES["smoke"].replace(size=16, epochs=4, batch_size=4, width=0.125, precision="fp32")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "world"
    return draw_toy_world(folder, scenes=20, size=32, progress=False)


def quiet_train(model, recipe, data, out, **kwargs):
    said = []
    return train(model, recipe, data, out, progress=False, say=said.append, **kwargs), said


def untimed(history: pd.DataFrame) -> pd.DataFrame:
    return history.drop(columns=list(TIMING_COLUMNS))


def test_a_run_folder_holds_everything(toy, tmp_path):
    run, _ = quiet_train("ucolnet_v3", TINY, toy, tmp_path / "run")
    files = {p.name for p in run.path.iterdir()}
    assert {"recipe.json", "history.csv", "steps.csv", "config.json", "model.safetensors", "last.safetensors"} <= files
    assert [p.name for p in (run.path / "state").iterdir()] == ["epoch-00004"]
    history = run.history
    assert list(history["epoch"]) == [1, 2, 3, 4]
    terms = ["loss", "color", "cross_entropy", "dice"]
    assert {f"{part}_{term}" for part in ("train", "validation") for term in terms} <= set(history)
    assert {"alpha", "learning_rate", *TIMING_COLUMNS} <= set(history)
    steps = pd.read_csv(run.path / "steps.csv")
    assert len(steps) == history["steps"].iloc[-1] and (steps["alpha"] > 0).all()
    # The loss is what its terms say, at every step.
    parts = steps["color"] + steps["alpha"] * (steps["cross_entropy"] + steps["dice"])
    np.testing.assert_allclose(steps["loss"], parts, rtol=1e-4)


def test_training_learns(toy, tmp_path):
    run, _ = quiet_train("ucolnet_v3", TINY.replace(epochs=25, learning_rate=1e-2), toy, tmp_path / "run")
    color = run.history["train_color"]
    assert color.iloc[-1] < 0.8 * color.iloc[0]


@pytest.mark.parametrize("model", ["iizuka", "ucolnet_v1", "ucolnet_v2", "ucolnet_v3_no_segmentation"])
def test_every_kind_of_model_trains(model, toy, tmp_path):
    run, _ = quiet_train(model, TINY.replace(epochs=1), toy, tmp_path / "run")
    row = run.history.iloc[0]
    assert np.isfinite(row.to_numpy(float)).all()
    assert (row["train_cross_entropy"] > 0) == (model != "ucolnet_v3_no_segmentation")
    assert (row["train_dice"] > 0) == (model in ("ucolnet_v1", "ucolnet_v2"))


def test_two_runs_are_equal_and_another_seed_is_not(toy, tmp_path):
    first, _ = quiet_train("ucolnet_v3", TINY.replace(epochs=2), toy, tmp_path / "a")
    second, _ = quiet_train("ucolnet_v3", TINY.replace(epochs=2), toy, tmp_path / "b")
    other, _ = quiet_train("ucolnet_v3", TINY.replace(epochs=2, seed=1), toy, tmp_path / "c")
    pd.testing.assert_frame_equal(untimed(first.history), untimed(second.history), check_exact=True)
    assert not np.allclose(first.history["train_loss"], other.history["train_loss"])


def test_every_epoch_sees_other_crops(toy, tmp_path, monkeypatch):
    plain, seen = step.to_batch, []

    def watching(rgb, semantic_map, device):
        if torch.is_grad_enabled():
            seen.append(rgb.float().mean().item())
        return plain(rgb, semantic_map, device)

    monkeypatch.setattr(step, "to_batch", watching)
    run, _ = quiet_train("ucolnet_v3", TINY.replace(epochs=3), toy, tmp_path / "run")
    assert len(set(seen)) == len(seen) == run.history["steps"].iloc[-1]


def test_the_best_model_is_kept_not_the_last(toy, tmp_path):
    # A rate far too high at the end of a step schedule: validation gets worse after its best epoch.
    recipe = TINY.replace(epochs=8, optimizer="sgd", schedule="step", learning_rate=2.0)
    run, _ = quiet_train("ucolnet_v3_no_segmentation", recipe, toy, tmp_path / "run")
    history = run.history
    best = history["validation_color"].idxmin()
    assert best < len(history) - 1, "this test needs a run whose last epoch is not its best"
    split = CocoSplit(toy, "train2017")
    _, validation = split_indices(split, recipe.validation_share, recipe.limit)
    loader = create_loader(PhotographCrops(split, validation, recipe.size), recipe.batch_size)
    loss = create_loss("ucolnet_v3_no_segmentation", recipe.alpha, recipe.alpha_value)
    for name, row in (("model.safetensors", best), ("last.safetensors", len(history) - 1)):
        terms = LossTerms(*loop.validate(load_model(run.path / name), loss, loader, Accelerator(cpu=True)))
        assert terms.color.item() == pytest.approx(history["validation_color"][row], rel=1e-4)


CHILD = """
    import os, signal, sys
    import ucolnet_lib.training.loop as loop
    import ucolnet_lib.training.step as step
    from ucolnet_lib.recipes import Recipe
    import json, torch

    data, out, counter, kill_at, recipe = sys.argv[1:6]
    steps = 0
    plain = step.to_batch

    def counting(*batch):
        global steps
        if torch.is_grad_enabled():   # a training step, not validation
            steps += 1
            open(counter, "w").write(str(steps))
            if steps == int(kill_at):
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        return plain(*batch)

    step.to_batch = counting
    loop.train("ucolnet_v3", Recipe(**json.loads(recipe)), data, out, resume=True, progress=False)
"""


def run_child(toy, out, counter, kill_at):
    command = [sys.executable, "-c", textwrap.dedent(CHILD), toy, out, counter, kill_at, json.dumps(TINY.to_dict())]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300)
    return done, int(counter.read_text())


def test_killed_in_mid_epoch_and_resumed_equals_uninterrupted(toy, tmp_path):
    whole, _ = quiet_train("ucolnet_v3", TINY, toy, tmp_path / "whole")
    total = int(whole.history["steps"].iloc[-1])
    per_epoch = total // TINY.epochs
    kill_at = 2 * per_epoch + 2  # in the middle of the third epoch

    done, first = run_child(toy, tmp_path / "killed", tmp_path / "count", kill_at)
    assert done.returncode != 0 and first == kill_at
    killed = Run(tmp_path / "killed")
    assert len(killed.history) == 2
    # A line of a step that was being written when the kill came.
    with (killed.path / "steps.csv").open("a", encoding="utf-8") as file:
        file.write("3,0,0.1,0.")

    done, second = run_child(toy, tmp_path / "killed", tmp_path / "count", 0)
    assert done.returncode == 0, done.stderr
    assert "Going on after epoch 2 of 4" in done.stdout
    # The interrupted epoch is done again, and nothing else.
    assert first - 1 + second <= total + per_epoch

    pd.testing.assert_frame_equal(untimed(whole.history), untimed(killed.history), check_exact=True)
    assert (whole.path / "steps.csv").read_bytes() == (killed.path / "steps.csv").read_bytes()
    for name in ("model.safetensors", "last.safetensors"):
        one, two = load_file(whole.path / name), load_file(killed.path / name)
        assert all(torch.equal(one[key], two[key]) for key in one)


BEYOND = TINY.replace(color_loss="bins", ema=0.9, exposure=0.3, dropout=0.1)


def test_beyond_the_paper_interrupted_and_resumed_equals_uninterrupted(toy, tmp_path, monkeypatch):
    """The mean of the weights, the shares of the bins and the exposures go on where they were."""
    whole, _ = quiet_train("ucolnet_v3_bins", BEYOND, toy, tmp_path / "whole")

    class Cut(Exception):
        pass

    def after_two(run):
        if len(run.history) == 2:
            raise Cut

    with pytest.raises(Cut):
        quiet_train("ucolnet_v3_bins", BEYOND, toy, tmp_path / "cut", on_epoch=after_two)
    cut, said = quiet_train("ucolnet_v3_bins", BEYOND, toy, tmp_path / "cut", resume=True)
    assert "Going on after epoch 2" in said[0]
    pd.testing.assert_frame_equal(untimed(whole.history), untimed(cut.history), check_exact=True)
    one, two = load_file(whole.path / "last.safetensors"), load_file(cut.path / "last.safetensors")
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(("changes", "words"), [({"dropout": 0.1}, "dropout"), ({"color_loss": "bins"}, "bins")])
def test_what_a_model_cannot_be_trained_with_leaves_no_folder(changes, words, toy, tmp_path):
    with pytest.raises(UcolnetError, match=words):
        quiet_train("ucolnet_v3", TINY.replace(**changes), toy, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_mean_of_the_weights_is_what_is_saved(toy, tmp_path):
    """By hand: mean = decay * mean + (1 - decay) * weights after every step, from the weights after the first."""
    recipe = TINY.replace(epochs=2, ema=0.8)
    seen = []

    def remember(*arguments):
        seen.append({k: v.detach().clone() for k, v in models[0].state_dict().items()})

    models, plain = [], loop.build_model

    def building(*arguments):
        models.append(plain(*arguments))
        return models[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "build_model", building)
        run, _ = quiet_train("ucolnet_v3", recipe, toy, tmp_path / "run", on_step=remember)
    mean = seen[0]
    for weights in seen[1:]:
        mean = {k: 0.8 * mean[k] + 0.2 * weights[k] if mean[k].is_floating_point() else weights[k] for k in mean}
    saved = load_file(run.path / "last.safetensors")
    for key, value in mean.items():
        if value.is_floating_point():
            torch.testing.assert_close(saved[key], value, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(saved["color_output.weight"], seen[-1]["color_output.weight"])


def test_resume_without_a_run_starts_anew_and_says_so(toy, tmp_path):
    run, said = quiet_train("ucolnet_v3", TINY.replace(epochs=1), toy, tmp_path / "run", resume=True)
    assert "starting anew" in said[0] and len(run.history) == 1


def test_resume_of_a_finished_run_changes_nothing(toy, tmp_path):
    run, _ = quiet_train("ucolnet_v3", TINY.replace(epochs=1), toy, tmp_path / "run")
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in run.path.rglob("*") if p.is_file()}
    _, said = quiet_train("ucolnet_v3", TINY.replace(epochs=1), toy, tmp_path / "run", resume=True)
    assert "nothing to do" in said[-1]
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in run.path.rglob("*") if p.is_file()}


def test_an_existing_run_is_not_overwritten(toy, tmp_path):
    quiet_train("ucolnet_v3", TINY.replace(epochs=1), toy, tmp_path / "run")
    with pytest.raises(UcolnetError, match="--resume"):
        quiet_train("ucolnet_v3", TINY.replace(epochs=1), toy, tmp_path / "run")
    with pytest.raises(UcolnetError, match="learning_rate"):
        quiet_train("ucolnet_v3", TINY.replace(epochs=1, learning_rate=0.5), toy, tmp_path / "run", resume=True)
    with pytest.raises(UcolnetError, match="model"):
        quiet_train("ucolnet_v2", TINY.replace(epochs=1), toy, tmp_path / "run", resume=True)


def test_early_stopping(toy, tmp_path):
    # A learning rate of almost nothing: the first epoch stays the best, or nearly so.
    recipe = TINY.replace(epochs=40, patience=2, learning_rate=0.5, optimizer="sgd", schedule="step")
    run, said = quiet_train("ucolnet_v3", recipe, toy, tmp_path / "run")
    history = run.history
    assert len(history) < 40 and "stopping after epoch" in said[-1]
    assert history["validation_color"].idxmin() == len(history) - 1 - 2


def test_a_loss_that_is_no_number_is_one_sentence(toy, tmp_path, monkeypatch):
    plain, steps = step.to_batch, [0]

    def poisoned(*batch):
        steps[0] += torch.is_grad_enabled()
        batch = plain(*batch)
        return batch._replace(ab=batch.ab * float("nan")) if steps[0] == 6 else batch

    monkeypatch.setattr(step, "to_batch", poisoned)
    with pytest.raises(UcolnetError, match="smaller learning rate"):
        quiet_train("ucolnet_v3", TINY, toy, tmp_path / "run")
    # The epoch before is kept, whole.
    run = Run(tmp_path / "run")
    assert len(run.history) == 1 and run.state()[0] == 1


def test_the_papers_learning_rate():
    recipe = recipe_for("paper", "ucolnet_v1")
    rates = [learning_rate(recipe, epoch * 10, steps_per_epoch=10) for epoch in (0, 4, 5, 9, 10, 25)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.09, 0.09, 0.081, 0.1 * 0.9**5])


def test_the_cosine_rises_and_falls_to_nothing():
    recipe = RECIPES["toy"]
    rates = [learning_rate(recipe, step, 10) for step in range(recipe.epochs * 10)]
    assert max(rates) == pytest.approx(recipe.learning_rate)
    assert rates[0] < rates[5] and rates[-1] < 0.01 * recipe.learning_rate


def test_missing_data_leave_no_run_folder(tmp_path):
    with pytest.raises(UcolnetError, match="does not exist"):
        quiet_train("ucolnet_v3", TINY, tmp_path / "nothing", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_interrupt_by_hand_keeps_the_epochs_done(toy, tmp_path, monkeypatch):
    # Ctrl-C raises KeyboardInterrupt inside the loop; the state of the last epoch must be whole.
    plain, steps = step.to_batch, [0]

    def interrupting(*batch):
        steps[0] += torch.is_grad_enabled()
        if steps[0] == 6:
            raise KeyboardInterrupt
        return plain(*batch)

    monkeypatch.setattr(step, "to_batch", interrupting)
    with pytest.raises(KeyboardInterrupt):
        quiet_train("ucolnet_v3", TINY, toy, tmp_path / "run")
    monkeypatch.undo()
    run, said = quiet_train("ucolnet_v3", TINY, toy, tmp_path / "run", resume=True)
    assert "Going on after epoch 1" in said[0] and len(run.history) == 4


# Prepared data.


@pytest.fixture(scope="module")
def prepared(toy, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "set"
    prepare([toy], out, size=24, workers=1, progress=False)
    return out


def test_a_prepared_set_trains_by_the_same_code(toy, prepared, tmp_path):
    """The same photographs, but for the JPEG between: nearly the same losses."""
    plain, _ = quiet_train("ucolnet_v3", TINY.replace(epochs=2), toy, tmp_path / "plain")
    run, _ = quiet_train("ucolnet_v3", TINY.replace(epochs=2), prepared, tmp_path / "run")
    np.testing.assert_allclose(run.history["train_loss"], plain.history["train_loss"], rtol=0.1)


def test_data_on_the_device_train_as_from_the_disk(prepared, tmp_path):
    recipe = TINY.replace(epochs=2)
    disk, _ = quiet_train("ucolnet_v3", recipe, prepared, tmp_path / "disk")
    device, _ = quiet_train("ucolnet_v3", recipe.replace(data_on_device=True), prepared, tmp_path / "device")
    np.testing.assert_allclose(device.history["train_loss"], disk.history["train_loss"], rtol=1e-2)
    np.testing.assert_allclose(device.history["validation_color"], disk.history["validation_color"], rtol=1e-2)
    # Goes on as any other run.
    _, said = quiet_train("ucolnet_v3", recipe.replace(data_on_device=True), prepared, device.path, resume=True)
    assert "nothing to do" in said[-1]
    with pytest.raises(UcolnetError, match=r"begun with another data_on_device \(True, now False\)"):
        quiet_train("ucolnet_v3", recipe, prepared, device.path, resume=True)


def test_data_that_do_not_fit_on_the_device_leave_no_run_folder(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(on_device, "free_memory", lambda device: 1000)
    with pytest.raises(UcolnetError, match=r"photographs need .* GB on cpu, which has .* GB free"):
        quiet_train("ucolnet_v3", TINY.replace(data_on_device=True), prepared, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_gray_photographs_are_left_out_where_the_recipe_says_so(prepared, toy, tmp_path, monkeypatch):
    seen = []

    class Watched(PhotographCrops):
        def __init__(self, split, indices, *rest):
            super().__init__(split, indices, *rest)
            seen.append(set(indices))

    original = PreparedSplit.__init__

    def with_gray(self, *where):
        original(self, *where)
        self.gray = np.arange(len(self)) % 2 == 0

    monkeypatch.setattr(loop, "PhotographCrops", Watched)
    monkeypatch.setattr(PreparedSplit, "__init__", with_gray)
    for gray in (False, True):
        recipe = TINY.replace(epochs=1, leave_out_gray=gray)
        quiet_train("ucolnet_v3", recipe, prepared, tmp_path / f"run-{gray}")
    training, validation, colourful, same = seen
    assert colourful == {i for i in training if i % 2} and same == validation
    with pytest.raises(UcolnetError, match="leave_out_gray needs a prepared data set"):
        quiet_train("ucolnet_v3", TINY.replace(leave_out_gray=True), toy, tmp_path / "toy")
    assert not (tmp_path / "toy").exists()


def test_a_run_of_an_older_version_goes_on(toy, tmp_path):
    """Its recipe.json does not name the fields that came later."""
    run, _ = quiet_train("ucolnet_v3", TINY.replace(epochs=1), toy, tmp_path / "run")
    assert "data_on_device" not in (run.path / "recipe.json").read_text()
    _, said = quiet_train("ucolnet_v3", TINY.replace(epochs=1), toy, tmp_path / "run", resume=True)
    assert "nothing to do" in said[-1]
    with pytest.raises(UcolnetError, match=r"leave_out_gray \(False, now True\)"):
        prepared = tmp_path / "set"
        prepare([toy], prepared, size=24, workers=1, progress=False)
        quiet_train("ucolnet_v3", TINY.replace(epochs=1, leave_out_gray=True), prepared, run.path, resume=True)


# Watching.


def test_after_each_epoch_the_reader_is_called_when_it_is_saved(toy, tmp_path):
    seen = []
    run, _ = quiet_train(
        "ucolnet_v3", TINY, toy, tmp_path / "run", on_epoch=lambda run: seen.append((len(run.history), run.state()[0]))
    )
    assert seen == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_after_each_step_the_reader_is_called(toy, tmp_path):
    steps = []
    run, _ = quiet_train("ucolnet_v3", TINY, toy, tmp_path / "run", on_step=lambda: steps.append(None))
    assert len(steps) == run.history["steps"].iloc[-1]


@pytest.mark.parametrize(("poisoned_step", "stops_at"), [(1, 3), (3, 3), (4, 6), (6, 6)])
def test_a_run_that_diverges_stops_within_the_epoch(toy, tmp_path, monkeypatch, poisoned_step, stops_at):
    plain, steps = step.to_batch, [0]
    recipe = TINY.replace(batch_size=2)  # 7 steps an epoch

    def poisoned(*batch):
        steps[0] += torch.is_grad_enabled()
        batch = plain(*batch)
        return batch._replace(ab=batch.ab * float("inf")) if steps[0] == 7 + poisoned_step else batch

    monkeypatch.setattr(step, "to_batch", poisoned)
    monkeypatch.setattr(loop, "CHECK_EVERY", 3)
    with pytest.raises(UcolnetError, match="no longer a finite number in epoch 2.*keeps the epochs before") as error:
        quiet_train("ucolnet_v3", recipe, toy, tmp_path / "run")
    assert steps[0] == 7 + stops_at and "\n" not in str(error.value)
    run = Run(tmp_path / "run")
    assert len(run.history) == 1 and run.state()[0] == 1
    assert all(torch.isfinite(p).all() for p in load_model(run.path / "last.safetensors").parameters())


def test_the_history_says_how_it_was_trained(toy, tmp_path, monkeypatch):
    """Against what is seen from outside: the optimiser's rate and the gradients of each step, and the clock."""
    rates, norms, plain = [], [], torch.optim.AdamW.step

    def watching(optimizer, *args, **kwargs):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        rates.append(optimizer.param_groups[0]["lr"])
        norms.append(sum(p.grad.double().square().sum() for p in parameters if p.grad is not None).sqrt().item())
        return plain(optimizer, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", watching)
    run, _ = quiet_train("ucolnet_v3", TINY, toy, tmp_path / "run")
    history, steps = run.history, pd.read_csv(run.path / "steps.csv")
    per_epoch = len(rates) // TINY.epochs
    np.testing.assert_allclose(history["learning_rate"], rates[per_epoch - 1 :: per_epoch])
    np.testing.assert_allclose(history["gradient_norm"], np.reshape(norms, (TINY.epochs, per_epoch)).mean(1), rtol=1e-5)
    np.testing.assert_allclose(history["alpha"], steps.groupby("epoch")["alpha"].last(), rtol=1e-6)
    images = per_epoch * TINY.batch_size
    np.testing.assert_allclose(history["images_per_second"], images / history["seconds"], rtol=0.05)
    assert "gpu_memory_gb" not in history or torch.cuda.is_available()
