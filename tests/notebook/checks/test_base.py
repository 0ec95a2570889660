"""The verdict: right, not yet with a hint, not answered; and never an exception."""

import numpy as np
import pytest
import torch

from ucolnet_lib.notebook.checks.base import EXERCISES, WrongKind, exercise, number, result_of, whole_number


@pytest.fixture
def double():
    @exercise
    def double_it(function):
        """Doubles."""
        return None if result_of(function, 3) == 6 else "Try it with 3: what do you expect?"

    yield double_it
    EXERCISES.remove(double_it)


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        (lambda x: 2 * x, True, "Right."),
        (lambda x: x + 2, False, "Not yet. Try it with 3"),
        (lambda x: None, False, "Not answered yet."),
        (lambda x: ..., False, "Not answered yet."),
        (None, False, "Not answered yet."),
        (..., False, "Not answered yet."),
        (6, False, "Not yet. Give a function or a class."),
        (lambda: 6, False, "Not yet. Your answer ended in TypeError"),
        (lambda x: 1 / 0, False, "Not yet. Your answer ended in ZeroDivisionError"),
    ],
)
def test_verdicts(double, capsys, answer, verdict, words):
    assert double(answer) is verdict
    assert capsys.readouterr().out.startswith(words)


@pytest.fixture
def forty():
    @exercise
    def forty_it(answer):
        return None if whole_number(answer) == 40 else f"{answer[0]} is not it."

    yield forty_it
    EXERCISES.remove(forty_it)


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        (40, True, "Right."),
        ("40", False, "Not yet. Give a whole number."),
        ([40], False, "Not yet. Give a whole number."),
        (40.5, False, "Not yet. Give a whole number."),
        (41, False, "Not yet. Your answer is not of the kind that is asked: 'int' object"),  # the check itself raises
    ],
)
def test_a_value_of_another_kind_is_told_in_a_plain_sentence(forty, capsys, answer, verdict, words):
    assert forty(answer) is verdict
    assert capsys.readouterr().out.startswith(words)


@pytest.mark.parametrize(
    "answer", [40, 40.0, np.int64(40), np.float32(40), np.array(40), torch.tensor(40), torch.tensor(40.0)]
)
def test_numbers_of_all_libraries_are_numbers(answer):
    assert number(answer) == 40.0 and type(number(answer)) is float
    assert whole_number(answer) == 40 and type(whole_number(answer)) is int


@pytest.mark.parametrize(
    "answer",
    ["40", b"40", True, np.True_, torch.tensor(True), [40], (40,), np.array([40]), torch.tensor([40]), float("nan"),
     float("inf"), 10**400, 1j, {}, object(), float],
)  # fmt: skip
def test_what_is_no_number(answer):
    for convert in (number, whole_number):
        with pytest.raises(WrongKind, match="^Give a (whole )?number.$"):
            convert(answer)


def test_a_broken_number_is_not_whole():
    assert number(40.5) == 40.5
    with pytest.raises(WrongKind):
        whole_number(40.5)


def test_a_check_keeps_its_name_and_is_listed(double):
    assert double.__name__ == "double_it" and double.__doc__ == "Doubles." and double in EXERCISES
