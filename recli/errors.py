"""The one exception that is meant for the user, and the exit codes of the program."""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum


class Exit(IntEnum):
    """What the process returns. Signals add 128 + n (129, 130, 141, 143)."""

    OK = 0
    VERDICT = 1  # the work was done and the answer is no: an assertion failed, a check found a fault
    USAGE = 2  # a wrong option, parameter or configuration
    DATA = 3  # the input is malformed, empty or not what it says it is
    IO = 4  # cannot read, cannot write, disk full
    MEMORY = 5
    DIVERGED = 6  # training produced NaN or infinity
    BUG = 70


class RecliError(Exception):
    """An error with a message for the user.

    ``where`` is what the message is about, such as ``ratings.inter:17``; ``hint`` is what to do about it.
    """

    def __init__(self, code: Exit, message: str, *, hint: str | None = None, where: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.where = None if where is None else str(where)

    def __str__(self) -> str:
        """``where: message``, on one line."""
        return self.message if self.where is None else f"{self.where}: {self.message}"


class Interrupted(BaseException):
    """A signal that arrived while something had to be cleaned up; not an ``Exception``, so nothing swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def nearest(word: str, choices: Iterable[str]) -> str:
    """A hint that offers the nearest of ``choices``, or all of them where none is near.

    >>> nearest("esae", ["ease", "pop"])
    'did you mean ease?'
    >>> nearest("zzz", ["ease", "pop"])
    'one of: ease, pop'
    """
    known = sorted(choices)
    close = get_close_matches(word.lower(), known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"one of: {', '.join(known)}"
