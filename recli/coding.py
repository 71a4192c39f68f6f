"""Which columns become fields, and how: as it is asked for, and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from recli.errors import Exit, RecliError, nearest

HOW: Final = {  # what a column can become, and whether a number has to be said with it (None: it may)
    "token": None,
    "number": False,
    "bucket": True,
    "quantile": True,
    "log": False,
    "first": True,
}


@dataclass(frozen=True, kw_only=True)
class Coding:
    """Which columns become fields, and how, as RecBole's keys and `train` say it.

    ``columns`` are those that do; without any, all that hold tokens and those that the others name. ``how`` has by
    column ``token`` (``token:5``: in 5 train rows at least), ``number``, ``bucket:N`` (of equal width), ``quantile:N``
    (of equally many rows), ``log``, or, for sequences, ``first:N`` of their parts. ``numerical`` are numbers that
    become a value times a row; ``normalize`` those that are brought to 0 … 1; "all" names every one. A token in fewer
    than ``min_count`` train rows counts as unknown.
    """

    columns: tuple[str, ...] | None = None
    how: Mapping[str, str] = field(default_factory=dict)
    numerical: tuple[str, ...] = ()
    normalize: tuple[str, ...] = ()
    min_count: int = 1

    def __post_init__(self) -> None:
        """Check what was said.

        Raises:
            RecliError: a way that there is not, or without its number (exit 2).
        """
        for column, text in self.how.items():
            name, colon, number = text.partition(":")
            if name not in HOW:
                raise RecliError(Exit.USAGE, f"{column} cannot become {name!r}", hint=nearest(name, HOW))
            sound = number.isascii() and number.isdigit() and int(number) > 0
            if (HOW[name] and not colon) or (HOW[name] is False and colon) or (colon and not sound):
                hint = f"such as {column}={name}:10" if HOW[name] is not False else f"{column}={name}"
                raise RecliError(Exit.USAGE, f"{column} cannot become {text!r}", hint=hint)

    def params(self) -> dict[str, Any]:
        """What of it is not the default: part of a step's parameters."""
        given = {name: value for name, value in vars(self).items() if value != getattr(Coding(), name)}
        return {name: dict(v) if isinstance(v, Mapping) else list(v) if isinstance(v, tuple) else v
                for name, v in given.items()}  # fmt: skip

    def named(self) -> set[str]:
        """The columns that were named."""
        return {*(self.columns or ()), *self.how, *self.numerical, *self.normalize} - {"all"}

    def of(self, column: str, dtype: pl.DataType) -> str | None:
        """How a column becomes a field; None: it does not."""
        if column in self.how:
            return self.how[column]
        inner: Any = dtype.inner if isinstance(dtype, pl.List) else dtype
        wanted = column in self.numerical
        if self.columns is None:
            wanted |= not inner.is_numeric() or "all" in self.numerical
        else:
            wanted |= column in self.columns
        return None if not wanted else "number" if inner.is_numeric() else "token"


def coding_of(
    columns: str | None, how: Sequence[str], numerical: str | None, normalize: str | None, min_count: int
) -> Coding:
    """What the options of `train` say: names with commas, and ``COLUMN=HOW``.

    Raises:
        RecliError: one of them says something else (exit 2).
    """
    chosen = {}
    for assignment in how:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise RecliError(Exit.USAGE, f"--field takes COLUMN=HOW, not {assignment!r}", hint="such as age=bucket:10")
        chosen[name] = text
    names = [None if text is None else tuple(name for name in text.split(",") if name)
             for text in (columns, numerical, normalize)]  # fmt: skip
    return Coding(columns=names[0], how=chosen, numerical=names[1] or (), normalize=names[2] or (), min_count=min_count)
