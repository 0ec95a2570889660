"""Every check is held to the same: right answers pass, plausible wrong ones do not, and nothing makes it raise."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch

from ucolnet_lib.notebook.checks.base import EXERCISES


def _raises(*_, **__):
    raise KeyError("planted")


# What no exercise may accept: nothing, untouched stubs, and things of the wrong kind.
NO_ANSWERS = [
    None, ..., "", "soup", float("nan"), [], {}, object(), np.zeros(0), torch.zeros(0), lambda *_, **__: None,
    lambda *_, **__: ..., _raises, lambda *_, **__: "soup", type("Stub", (), {}),
]  # fmt: skip


@pytest.fixture
def judge() -> Callable:
    """A function (module, right, wrong) that puts all checks of one file to the test.

    right: check -> list of tuples of answers that it must accept.
    wrong: check -> list of at least two tuples of plausible wrong answers.
    """

    def run(module: ModuleType, right: dict, wrong: dict) -> None:
        module = importlib.import_module(module.__name__)
        checks = {check for check in EXERCISES if check.__module__ == module.__name__}
        assert len(checks) >= 4, "4 to 6 exercises a notebook"
        assert set(right) == set(wrong) == checks, "every check needs right and wrong answers"
        for check in checks:
            name = check.__name__
            assert right[check] and len(wrong[check]) >= 2, f"{name}: at least two plausible wrong answers"
            for answers in right[check]:
                assert check(*answers) is True, f"{name} rejects a right answer {answers}"
            for answers in wrong[check]:
                assert check(*answers) is False, f"{name} accepts {answers}"
            number = len(right[check][0])
            for nothing in NO_ANSWERS:
                assert check(*[nothing] * number) is False, f"{name} accepts {nothing!r}"
                for place in range(number if number > 1 else 0):
                    mixed = [nothing if i == place else a for i, a in enumerate(right[check][0])]
                    assert check(*mixed) is False, f"{name} accepts {nothing!r} at place {place}"

    return run
