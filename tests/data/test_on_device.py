"""Photographs that live on the training device: the same crops as the loader's, memory told beforehand.

The CPU serves as the device; where there is another one, it is tried too.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.data import batches, on_device
from ucolnet_lib.data.batches import PhotographCrops, create_loader, to_batch
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.crops import nearest
from ucolnet_lib.data.on_device import OnDevice, bicubic_weights, check_memory, nearest_rows
from ucolnet_lib.data.prepare import prepare
from ucolnet_lib.data.prepared import PreparedSplit
from ucolnet_lib.data.toy import draw_toy_world

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return draw_toy_world(tmp_path_factory.mktemp("toy") / "world", scenes=30, size=96, progress=False)


@pytest.fixture(scope="module")
def split(toy, tmp_path_factory) -> PreparedSplit:
    out = tmp_path_factory.mktemp("prepared") / "set"
    prepare([toy], out, size=80, workers=1, progress=False)
    return PreparedSplit(out, "train2017")


def crops(split, size=48, crop_area=0.4, count=None, seed=3) -> PhotographCrops:
    return PhotographCrops(split, list(range(count or len(split))), size, crop_area, seed)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("size", "crop_area"), [(48, 0.4), (31, 0.9), (100, 0.5), (40, None), (8, 0.05)])
def test_its_batches_are_those_of_the_loader(split, device, size, crop_area):
    """The same photographs in the same order, the same crops and flips; maps equal, pixels but for rounding."""
    dataset = crops(split, size, crop_area)
    here, there = create_loader(dataset, 5), OnDevice(dataset, 5, device, progress=False)
    assert len(here) == len(there)
    for epoch in (0, 2):
        here.sampler.epoch = there.sampler.epoch = epoch
        for (rgb, semantic_map), (found, found_map) in zip(here, there, strict=True):
            assert found.dtype == found_map.dtype == torch.uint8 and found.shape == rgb.shape
            assert found.device.type == found_map.device.type == torch.device(device).type
            assert torch.equal(found_map.cpu(), semantic_map)
            difference = (found.cpu().int() - rgb.int()).abs().float()
            # torch's kernel for bytes rounds between columns and rows, and there cuts off what lies beyond 0 and 255.
            assert difference.mean() < 0.3 and (difference > 2).float().mean() < 0.005


def test_every_process_sees_its_share(split):
    dataset = crops(split, count=21)
    ranks = [OnDevice(dataset, 5, "cpu", rank, 2, progress=False) for rank in (0, 1)]
    whole = OnDevice(dataset, 10, "cpu", progress=False)
    for part in (*ranks, whole):
        part.sampler.epoch = 4
    for one, two, (rgb, _) in zip(*ranks, whole, strict=True):
        together = torch.stack([one[0], two[0]], dim=1).flatten(0, 1)
        assert (together.int() - rgb.int()).abs().max() <= 1


def test_the_training_takes_its_batches_as_the_loaders(split):
    rgb, semantic_map = next(iter(OnDevice(crops(split), 4, "cpu", progress=False)))
    batch = to_batch(rgb, semantic_map, "cpu")
    assert batch.lightness.shape == (4, 1, 48, 48) and batch.semantic_map.dtype == torch.int64
    assert batch.ab.std() > 5


def test_photographs_decoded_by_workers(split, monkeypatch):
    plain = OnDevice(crops(split), 5, "cpu", progress=False)
    monkeypatch.setattr(batches, "_MEMORY_LIMIT", 0)
    monkeypatch.setattr(on_device, "count_workers", lambda world_size: 2)
    workers = OnDevice(crops(split), 5, "cpu", progress=False)
    assert torch.equal(plain.rgb, workers.rgb) and torch.equal(plain.semantic_map, workers.semantic_map)


def test_no_more_is_kept_than_needed(split):
    """Four bytes a pixel, at the short side that the crops need."""
    device = OnDevice(crops(split, size=20, crop_area=0.25), 5, "cpu", progress=False)
    assert device.rgb.shape == (len(split) * 40 * 40, 3) and device.semantic_map.shape == (len(split) * 40 * 40,)
    assert OnDevice(crops(split, size=300), 5, "cpu", progress=False).rgb.shape == (len(split) * 80 * 80, 3)


# Resizing by matrices.


@pytest.mark.parametrize("size", [1, 7, 32, 100])
def test_weights_are_those_of_torch(size):
    """Each column of the unit matrix, resized, is a column of weights."""
    lengths = [1, 2, 5, 31, 32, 33, 90]
    found = bicubic_weights(torch.tensor(lengths)[:, None], 90, size)
    assert found.dtype == torch.float32 and found.shape == (7, size, 90)
    np.testing.assert_allclose(found.sum(dim=2), 1, atol=1e-6)
    for length, weights in zip(lengths, found, strict=True):
        unit = torch.eye(length, dtype=torch.float64)[None, None]
        expected = F.interpolate(unit, (length, size), mode="bicubic", antialias=True)[0, 0].T
        np.testing.assert_allclose(weights[:, :length], expected, atol=1e-5)
        assert (weights[:, length:] == 0).all()


@pytest.mark.parametrize("size", [1, 7, 32, 224])
def test_nearest_pixels_are_those_of_the_workers(size):
    lengths = [1, 2, 5, 31, 341]
    found = nearest_rows(torch.tensor(lengths)[:, None], size)
    assert np.array_equal(found, [nearest(length, size) for length in lengths])


# What does not fit.


def test_what_does_not_fit_is_told_beforehand(split, monkeypatch):
    training, validation = crops(split, size=48), crops(split, size=48, crop_area=None)
    needed = len(split) * (76 * 76 + 48 * 48) * 4
    monkeypatch.setattr(on_device, "free_memory", lambda device: needed)
    check_memory([training, validation], "cpu")
    monkeypatch.setattr(on_device, "free_memory", lambda device: needed - 1)
    with pytest.raises(UcolnetError, match=r"photographs need .* on cpu, which has .* free.*data_on_device=false"):
        check_memory([training, validation], "cpu")
    monkeypatch.setattr(on_device, "free_memory", lambda device: 1000)
    monkeypatch.setattr(PhotographCrops, "decode", lambda self, i: pytest.fail("decoded before it was known to fit"))
    with pytest.raises(UcolnetError, match=r"need 0\.\d GB"):
        OnDevice(training, 5, "cpu", progress=False)


def test_free_memory_is_plausible():
    free = on_device.free_memory(torch.device("cpu"))
    assert free is None or 1e7 < free < 1e14


def test_a_system_that_does_not_tell_is_believed(split, monkeypatch):
    monkeypatch.delattr(on_device.os, "sysconf", raising=False)
    assert on_device.free_memory(torch.device("cpu")) is None
    check_memory([crops(split)], "cpu")


def test_only_prepared_data_can_live_there(toy):
    with pytest.raises(UcolnetError, match=r"data_on_device needs a prepared data set.*ucolnet data prepare"):
        OnDevice(crops(CocoSplit(toy, "train2017")), 5, "cpu", progress=False)
