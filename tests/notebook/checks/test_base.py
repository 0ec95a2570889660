"""The verdict: right, not yet with a hint, not answered; and never an exception."""

import pytest

from ucolnet_lib.notebook.checks.base import EXERCISES, exercise, result_of


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
        (6, False, "Not yet. Your answer ended in TypeError: this exercise wants a function"),
        (lambda: 6, False, "Not yet. Your answer ended in TypeError"),
        (lambda x: 1 / 0, False, "Not yet. Your answer ended in ZeroDivisionError"),
    ],
)
def test_verdicts(double, capsys, answer, verdict, words):
    assert double(answer) is verdict
    assert capsys.readouterr().out.startswith(words)


def test_a_check_keeps_its_name_and_is_listed(double):
    assert double.__name__ == "double_it" and double.__doc__ == "Doubles." and double in EXERCISES
