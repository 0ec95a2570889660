"""How long it will take: measured for real, projected by arithmetic, told in one sentence."""

import time

import pytest

from ucolnet_lib.data.batches import split_indices
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training import estimate as module
from ucolnet_lib.training import step
from ucolnet_lib.training.estimate import Estimate, estimate

TINY = RECIPES["smoke"].replace(size=16, epochs=4, batch_size=4, width=0.125, precision="fp32")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return draw_toy_world(tmp_path_factory.mktemp("toy") / "world", scenes=40, size=32, progress=False)


@pytest.mark.parametrize(
    ("minutes", "epochs", "says"),
    [
        (
            38,
            20,
            "About 38 minutes an epoch, 20 epochs: 12.7 hours. Since a session lasts up to 12 hours, plan for 2; ",
        ),
        (38, 18, "About 38 minutes an epoch, 18 epochs: 11.4 hours. It fits: a session lasts up to 12 hours."),
        (0.5, 4, "About 30 seconds an epoch, 4 epochs: 2 minutes. It fits: a session lasts up to 12 hours."),
        # Only whole epochs count: three of 3.5 hours fit into 12, not three and a half.
        (210, 4, "4 epochs: 14.0 hours. Since a session lasts up to 12 hours, plan for 2; run the same cell again"),
        (210, 7, "plan for 3; "),
        (721, 2, "But a session lasts up to 12 hours, and only whole epochs are kept: it would never get on."),
        (720, 2, "plan for 2; "),
    ],
)
def test_the_sentence(minutes, epochs, says):
    sentence = Estimate(100.0, minutes * 60).sentence(epochs, 12)
    assert says in sentence and "\n" not in sentence


def test_what_is_measured_is_what_was_slow(toy, monkeypatch):
    """Each step is made to take 0.1 seconds at least; the clock is not asked for more than that."""
    plain, calls = step.to_batch, []

    def slow(*batch):
        calls.append(time.perf_counter())
        time.sleep(0.1)
        return plain(*batch)

    monkeypatch.setattr(step, "to_batch", slow)
    split = CocoSplit(toy, "train2017")
    training, validation = split_indices(split)
    found = estimate("ucolnet_v3", TINY, toy, seconds=1)
    assert 1 < found.images_per_second < 4 / 0.1
    assert found.epoch_seconds == pytest.approx((len(training) + len(validation)) / found.images_per_second)
    # A few steps to warm up, and the time that was asked for.
    assert 1 < calls[-1] - calls[0] < 30


def test_the_first_steps_do_not_count(toy, monkeypatch):
    watch = module._Stopwatch(10)
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    with pytest.raises(module._Enough):
        for i in range(100):
            clock[0] += 100 if i < module._WARM_UP else 2
            watch()
    assert watch.steps_per_second == pytest.approx(1 / 2) and watch.steps == module._WARM_UP + 5


def test_nothing_is_left_behind(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    before = sorted(toy.rglob("*"))
    estimate("ucolnet_v2", TINY.replace(patience=1), toy, seconds=0.1)
    assert list(tmp_path.iterdir()) == [] and sorted(toy.rglob("*")) == before


def test_a_data_set_smaller_than_a_batch(toy):
    found = estimate("ucolnet_v3", TINY.replace(batch_size=64), toy, seconds=0.1)
    assert 0 < found.epoch_seconds < 60
