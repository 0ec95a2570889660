"""What a machine can do for a training, on machines that are only imagined here."""

import pytest
import torch

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training.machine import mixed_precision, other_processes, peak_memory, share_of_batch
from ucolnet_lib.training.run import Run


@pytest.fixture
def machine(monkeypatch):
    """A function that sets what torch says of the machine: a card, one with bf16, a processor with bf16."""

    def become(card=False, card_has_bf16=False, processor_has_bf16=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: card)
        # A T4 emulates bf16, slowly: only what is native counts.
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or card_has_bf16
        )
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: processor_has_bf16)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)

    return become


@pytest.mark.parametrize(
    ("machine_has", "wanted", "found"),
    [
        ({"card": True, "card_has_bf16": True}, "bf16", "bf16"),
        ({"card": True, "card_has_bf16": True}, "fp16", "fp16"),
        ({"card": True}, "bf16", "fp16"),
        ({"card": True, "card_has_bf16": True}, "fp32", "no"),
        ({"processor_has_bf16": True}, "bf16", "bf16"),
        ({}, "bf16", "no"),
        ({"processor_has_bf16": True}, "fp16", "no"),
    ],
)
def test_the_precision_that_the_machine_has(machine, machine_has, wanted, found):
    machine(**machine_has)
    said = []
    assert mixed_precision(RECIPES["smoke"].replace(precision=wanted), said.append) == found
    # Where a processor trains in another precision than the recipe says, the reader is told.
    assert bool(said) == (not machine_has.get("card") and found == "no")


def test_a_batch_is_shared_evenly_or_not_at_all():
    assert share_of_batch(64, 1) == 64 and share_of_batch(64, 4) == 16
    with pytest.raises(UcolnetError, match="batch of 16 cannot be shared by 3 processes.*batch_size=18"):
        share_of_batch(16, 3)


def test_a_broken_line_to_another_process_is_one_sentence(tmp_path):
    with (
        pytest.raises(UcolnetError, match="Another process.*Connection closed.*--resume"),
        other_processes(Run(tmp_path), 2),
    ):
        raise RuntimeError("[gloo] Connection closed by peer\nException raised from ...")


@pytest.mark.parametrize(
    ("processes", "error"),
    [(1, RuntimeError("a fault of ours")), (2, torch.OutOfMemoryError("full")), (2, UcolnetError("one sentence"))],
)
def test_other_errors_stay_what_they_are(tmp_path, processes, error):
    with pytest.raises(type(error)) as raised, other_processes(Run(tmp_path), processes):
        raise error
    assert raised.value is error


def test_a_processor_has_no_memory_of_a_card():
    assert peak_memory(torch.device("cpu")) == {}
