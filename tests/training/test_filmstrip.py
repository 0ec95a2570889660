"""The samples of each epoch: the right pictures, at the right place, the same after a kill."""

import numpy as np
import pytest
import torch
from PIL import Image

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.colorizer import with_chroma
from ucolnet_lib.data.batches import PhotographCrops, split_indices
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.models import create_model, load_model
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training import filmstrip, step, train
from ucolnet_lib.training.filmstrip import PHOTOGRAPHS, SIDE, draw_samples

TINY = RECIPES["smoke"].replace(size=16, epochs=3, batch_size=4, width=0.125, precision="fp32", validation_share=0.6)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return draw_toy_world(tmp_path_factory.mktemp("toy") / "world", scenes=20, size=32, progress=False)


def quiet_train(recipe, data, out, **kwargs):
    return train("ucolnet_v3", recipe, data, out, progress=False, say=lambda sentence: None, **kwargs)


def strip(run) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (run.path / "samples").iterdir()}


def read(file) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image).copy()


def photographs(toy, size=16, count=10) -> PhotographCrops:
    return PhotographCrops(CocoSplit(toy, "train2017"), list(range(count)), size)


def test_each_epoch_leaves_what_its_weights_make_of_the_validation_photographs(toy, tmp_path):
    seen = {}

    def watch(run):
        # An independent path: the weights as saved, Lab and RGB as the Colorizer makes them, picture by picture.
        model, epoch = load_model(run.path / "last.safetensors"), len(run.history)
        split = CocoSplit(toy, "train2017")
        validation = PhotographCrops(split, split_indices(split, 0.6)[1], 16)
        assert len(validation) == 10  # more than are drawn
        places = [round(i * 9 / 7) for i in range(8)]
        rows, true = [], []
        for place in places:
            rgb, _ = validation[0, place]
            lightness = np.ascontiguousarray(rgb8_to_lab(rgb)[..., 0])
            with torch.no_grad():
                ab = model.eval()(torch.from_numpy(lightness)[None, None]).ab[0].permute(1, 2, 0).numpy()
            rows.append(with_chroma(lightness, ab))
            true.append(rgb)
        found = read(run.path / "samples" / f"epoch-{epoch:05d}.png")
        difference = np.abs(found.astype(int) - np.concatenate(rows))
        assert difference.max() <= 2 and difference.mean() < 0.1
        np.testing.assert_array_equal(read(run.path / "samples" / "truth.png"), np.concatenate(true))
        seen[epoch] = found

    run = quiet_train(TINY, toy, tmp_path / "run", on_epoch=watch)
    assert set(strip(run)) == {"truth.png", "epoch-00001.png", "epoch-00002.png", "epoch-00003.png"}
    assert not np.array_equal(seen[1], seen[2])


def test_an_interrupted_and_resumed_run_has_the_same_strip(toy, tmp_path, monkeypatch):
    whole = strip(quiet_train(TINY, toy, tmp_path / "whole"))
    plain, steps = step.to_batch, [0]

    def interrupting(*batch):
        steps[0] += torch.is_grad_enabled()
        if steps[0] == 2:  # an epoch is one step
            raise KeyboardInterrupt
        return plain(*batch)

    monkeypatch.setattr(step, "to_batch", interrupting)
    with pytest.raises(KeyboardInterrupt):
        quiet_train(TINY, toy, tmp_path / "run")
    monkeypatch.undo()
    assert strip(quiet_train(TINY, toy, tmp_path / "run", resume=True)) == whole


def test_a_kill_between_the_picture_and_the_state_costs_nothing(toy, tmp_path, monkeypatch):
    whole = strip(quiet_train(TINY, toy, tmp_path / "whole"))
    monkeypatch.setattr("ucolnet_lib.training.loop._save", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        quiet_train(TINY, toy, tmp_path / "run")
    monkeypatch.undo()
    assert set(strip(quiet_train(TINY, toy, tmp_path / "run", resume=True))) == set(whole)
    assert strip(quiet_train(TINY, toy, tmp_path / "again")) == whole


def test_drawing_leaves_training_as_it_is(toy, tmp_path, monkeypatch):
    first = quiet_train(TINY, toy, tmp_path / "a").path / "last.safetensors"
    monkeypatch.setattr("ucolnet_lib.training.loop.draw_samples", lambda *_: None)
    second = quiet_train(TINY, toy, tmp_path / "b").path / "last.safetensors"
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("count", [1, 2, PHOTOGRAPHS, PHOTOGRAPHS + 1])
def test_few_photographs_and_many(toy, tmp_path, count):
    draw_samples(tmp_path, create_model("ucolnet_v3", width=0.125), photographs(toy, 16, count), 7, "cpu")
    height = 16 * min(count, PHOTOGRAPHS)
    assert read(tmp_path / "epoch-00007.png").shape == read(tmp_path / "truth.png").shape == (height, 16, 3)


def test_large_pictures_are_made_small(toy, tmp_path):
    draw_samples(tmp_path, create_model("iizuka", width=0.125, global_size=32), photographs(toy, 160, 2), 1, "cpu")
    assert read(tmp_path / "epoch-00001.png").shape == (2 * SIDE, SIDE, 3)


def test_a_compiled_model_is_not_compiled_once_more(toy, tmp_path):
    model = create_model("ucolnet_v3", width=0.125)
    model.compile(backend=lambda *_: pytest.fail("compiled"))
    draw_samples(tmp_path, model, photographs(toy), 1, "cpu")


def test_a_broken_write_leaves_no_half_picture(toy, tmp_path, monkeypatch):
    def full(self, file, **_):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(filmstrip.Image.Image, "save", full)
    with pytest.raises(Exception, match="No space left"):
        draw_samples(tmp_path, create_model("ucolnet_v3", width=0.125), photographs(toy), 1, "cpu")
    assert list(tmp_path.iterdir()) == []
