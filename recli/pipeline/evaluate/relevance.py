"""Which held-out rows are relevant, and what each is worth: ``--relevant 'rating>=4'`` and ``--gain``."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.metrics.gains import GAINS
from recli.schema import LABEL, RATING

GAIN: Final = "_gain"

_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM: Final = re.compile(r"\s*([^<>=!]+?)\s*(>=|<=|==|!=|=|>|<)\s*([^\s=].*?)\s*")
_HINT: Final = "such as 'rating>=4', in quotes, because the shell takes > for itself"


@dataclass(frozen=True)
class Condition:
    """A column, a comparison and a value."""

    column: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """As given to ``--relevant``.

        Raises:
            RecliError: it has another form (exit 2).
        """
        match = _FORM.fullmatch(text)
        if not match:
            message = f"--relevant takes a column, a comparison and a value, not {text!r}"
            raise RecliError(Exit.USAGE, message, hint=_HINT)
        return cls(*match.groups())

    def holds(self, rows: pl.DataFrame, where: Path) -> pl.Series:
        """Whether it holds, for every row; for an empty value it does not.

        Raises:
            RecliError: the rows have no such column, or the comparison does not suit it (exit 2).
        """
        if self.column not in rows.columns:
            hint = nearest(self.column, rows.columns)
            raise RecliError(Exit.USAGE, f"--relevant: no column {self.column}", where=where, hint=hint)
        column = rows[self.column]
        value: Any = self.value
        if column.dtype.is_nested():
            raise RecliError(Exit.USAGE, f"--relevant: {self.column} holds several values a row", where=where)
        if column.dtype.is_numeric():
            try:
                value = float(self.value)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise RecliError(
                    Exit.USAGE, f"--relevant: {self.value!r} is no number, as {self.column} is", hint=_HINT
                )
        elif self.sign not in ("==", "=", "!="):
            hint = f"--types {self.column}=float reads numbers; == and != compare text"
            raise RecliError(Exit.USAGE, f"--relevant: {self.column} is text, which {self} cannot order", hint=hint)
        holds: pl.Series = _COMPARE[self.sign](column, value)
        if not column.dtype.is_numeric():
            holds &= column != ""
        return holds.fill_null(False)

    def __str__(self) -> str:
        return f"{self.column}{self.sign}{self.value}"


@dataclass(frozen=True, kw_only=True)
class Relevance:
    """What makes a row relevant, all are without a condition, and which of `GAINS` says what it is worth."""

    condition: Condition | None = None
    gain: str = "binary"

    def of_task(self, task: str | None) -> "Relevance":
        """The same; of a model of clicks, where nothing else was said, a row counts whose label is above 0."""
        return replace(self, condition=Condition(LABEL, ">", "0")) if task == "ctr" and not self.condition else self

    def params(self) -> dict[str, str]:
        """What of it is not the default: part of a step's parameters."""
        chosen = {} if self.condition is None else {"relevant": str(self.condition)}
        return chosen | ({} if self.gain == "binary" else {"gain": self.gain})

    def facts(self) -> dict[str, str]:
        """What is said of it beside a value."""
        return {"relevant": "all rows" if self.condition is None else str(self.condition), "gain": self.gain}

    def select(self, rows: pl.DataFrame, where: Path) -> pl.DataFrame:
        """The relevant rows; where gains are graded, with a column `GAIN` above 0.

        Raises:
            RecliError: there is no column to grade by (exit 2), or no row is relevant (exit 3).
        """
        if self.condition is not None:
            rows = rows.filter(self.condition.holds(rows, where))
            if rows.is_empty():
                raise RecliError(Exit.DATA, f"no held-out row is relevant: --relevant {self.condition}", where=where)
        return rows if self.gain == "binary" else self._graded(rows, where)

    def _graded(self, rows: pl.DataFrame, where: Path) -> pl.DataFrame:
        column = next((name for name in (RATING, LABEL) if name in rows.columns), None)
        if column is None:
            message = f"--gain {self.gain} grades by rating or label, and there is neither"
            raise RecliError(Exit.USAGE, message, where=where, hint="--rating-col names the column")
        with np.errstate(over="ignore"):
            gains = GAINS[self.gain](rows[column].to_numpy())
        if not np.isfinite(gains[gains > 0].sum()):
            message = f"--gain {self.gain}: {column} goes up to {rows[column].to_numpy().max():g}, too much for it"
            raise RecliError(Exit.USAGE, message, where=where, hint="--gain linear")
        graded = rows.with_columns(pl.Series(GAIN, gains)).filter(pl.col(GAIN) > 0)
        if graded.is_empty():
            raise RecliError(Exit.DATA, f"--gain {self.gain}: no {column} is above 0", where=where)
        return graded
