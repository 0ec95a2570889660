"""What all checks share: the verdict, and what counts as no answer yet."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

EXERCISES: list[Callable[..., bool]] = []
"""Every check of the course, in the order of definition: the tests go through them."""


class Unanswered(Exception):
    """The reader has not written an answer yet."""


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
        except Exception as error:  # noqa: BLE001 - an answer may do anything
            hint = f"Your answer ended in {type(error).__name__}: {error}"
        print("Right." if hint is None else f"Not yet. {hint}")
        return hint is None

    EXERCISES.append(judged)
    return judged


def result_of(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the reader's function returns. Raises Unanswered where its body is still empty."""
    if not callable(function):
        raise TypeError(f"this exercise wants a function or a class, not {type(function).__name__}")
    found = function(*arguments)
    if _is_missing(found):
        raise Unanswered
    return found


def _is_missing(answer: Any) -> bool:
    return answer is None or answer is ...
