"""What all checks share: the verdict, and what counts as no answer yet."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

EXERCISES: list[Callable[..., bool]] = []
"""Every check of the course, in the order of definition: the tests go through them."""


class Unanswered(Exception):
    """The reader has not written an answer yet."""


class WrongKind(TypeError):
    """The answer is of another kind than the exercise asks for. The message is one plain sentence to the reader."""


def exercise(check: Callable[..., str | None]) -> Callable[..., bool]:
    """Make a check: `check(*answers)` returns None where all is right, else one hint.

    The check that the reader calls prints the verdict and returns True or False. Whatever an answer does, it does not
    raise: an untouched stub (None, `...`, or a function that returns one of these) is told as unanswered.
    """

    @functools.wraps(check)
    def judged(*answers: Any) -> bool:
        try:
            if any(_is_missing(answer) for answer in answers):
                raise Unanswered
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                hint = check(*answers)
        except Unanswered:
            print("Not answered yet.")
            return False
        except WrongKind as error:
            hint = str(error)
        except Exception as error:  # noqa: BLE001 - an answer may do anything
            if any(callable(answer) for answer in answers):
                hint = f"Your answer ended in {type(error).__name__}: {error}"
            else:
                hint = f"Your answer is not of the kind that is asked: {error}"
        print("Right." if hint is None else f"Not yet. {hint}")
        return hint is None

    EXERCISES.append(judged)
    return judged


def result_of(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the reader's function returns. Raises Unanswered where its body is still empty."""
    if not callable(function):
        raise WrongKind("Give a function or a class.")
    found = function(*arguments)
    if _is_missing(found):
        raise Unanswered
    return found


def number(answer: Any) -> float:
    """The answer as a float: one finite number, of Python, NumPy or torch. Raises WrongKind for all else."""
    kind = getattr(answer, "dtype", type(answer))
    if not isinstance(answer, str | bytes) and "bool" not in str(kind) and np.ndim(answer) == 0:
        try:
            value = float(answer)
        except (TypeError, ValueError, OverflowError):
            value = np.nan
        if np.isfinite(value):
            return value
    raise WrongKind("Give a number.")


def whole_number(answer: Any) -> int:
    """The answer as an int; 40.0 counts as whole. Raises WrongKind for all else."""
    try:
        value = number(answer)
    except WrongKind:
        value = 0.5
    if not value.is_integer():
        raise WrongKind("Give a whole number.")
    return int(value)


def _is_missing(answer: Any) -> bool:
    return answer is None or answer is ...
