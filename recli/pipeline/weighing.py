"""What each event weighs: a number of its own, or what its kind is worth; and less, the longer it is ago."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.interactions import WEIGHT
from recli.schema import ITEM, TIME, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """The weight of an event: that of ``column``, or what ``values`` say of the column's word, and the half-life.

    ``column`` may be missing where there are ``values``: it is then the one column of words that has them all. An event
    that is ``half_life`` seconds older than the newest weighs half. Both multiply.
    """

    column: str | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    half_life: float | None = None

    @classmethod
    def parse(cls, weight: str | None, half_life: str | None) -> "Weighing":
        """From ``COL``, ``COL:VALUE=X,…`` or ``VALUE=X,…``, and a time such as ``30d``.

        Raises:
            RecliError: another form, a weight below 0, or a time of nothing (exit 2).
        """
        column, values = (None, {}) if weight is None else _parse(weight)
        lasting = None if half_life is None else seconds("--half-life", half_life)
        return cls(column=column, values=values, half_life=lasting)

    @property
    def of_columns(self) -> bool:
        """Whether a column says what an event weighs."""
        return self.column is not None or bool(self.values)

    def params(self) -> dict[str, Any]:
        """What was asked: part of a step's parameters."""
        asked: dict[str, Any] = {}
        if self.of_columns:
            asked["weight"] = {"column": self.column, "values": dict(self.values)}
        return asked | ({} if self.half_life is None else {"half_life": self.half_life})

    def within(self, events: pl.DataFrame) -> "Weighing":
        """The same, with the name of the column.

        Raises:
            RecliError: there is no such column, or it cannot weigh (exit 2).
        """
        if not self.of_columns:
            return self
        column: str = self.column or _column_of(self.values, events)
        usable = [name for name in events.columns if name not in (USER, ITEM)]
        if column not in usable:
            raise RecliError(Exit.USAGE, f"--weight: no column {column!r}", hint=nearest(column, usable))
        if events.schema[column].is_nested():
            raise RecliError(Exit.USAGE, f"--weight: {column} holds sequences", hint="a number, or a word, weighs")
        return replace(self, column=column)

    def weigh(self, events: pl.DataFrame) -> pl.DataFrame:
        """The events with their weights; for a weighing whose column is known.

        Raises:
            RecliError: a weight that is missing, no number or below 0; a value that none is given for; no time to tell
                the age by; or all weigh nothing (exit 3).
        """
        weights = np.ones(events.height)
        if self.column is not None:
            weights = self._read(events)
            if not sound(weights).all():
                raise self._bad(events.row(int(sound(weights).argmin()), named=True))
        if self.half_life is not None:
            weights = weights * np.exp2(-_age(events) / self.half_life)
        weights = weights.astype(np.float32)
        if not weights.any():
            raise RecliError(Exit.DATA, "all events weigh 0", hint="what is to be learned from has to weigh more")
        return events.with_columns(pl.Series(WEIGHT, weights))

    def serve(self, history: pl.DataFrame) -> pl.DataFrame:
        """A history with its weights where it has the column; what says nothing there weighs 1. Nothing is aged."""
        if self.column is None or self.column not in history.columns or history.schema[self.column].is_nested():
            return history
        weights = self._read(history)
        return history.with_columns(pl.Series(WEIGHT, np.where(sound(weights), weights, 1).astype(np.float32)))

    def _read(self, events: pl.DataFrame) -> "Doubles":
        """The weights that the column says; NaN where it says none."""
        assert self.column is not None
        column = events[self.column]
        if self.values and column.dtype.is_numeric():
            known = {_number(name): weight for name, weight in self.values.items()}
            column = column.cast(pl.Float64).replace_strict(known, default=None, return_dtype=pl.Float64)
        elif self.values:
            column = column.cast(pl.String).replace_strict(self.values, default=None, return_dtype=pl.Float64)
        return column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()

    def _bad(self, row: Mapping[str, Any]) -> RecliError:
        value, whose = row[str(self.column)], f"of user {row[USER]} and item {row[ITEM]}"
        if self.values:
            none = f"--weight gives none for {self.column} {value!r}, {whose}"
            return RecliError(Exit.DATA, none, hint=f"{value}=0 leaves such events out")
        hint = f"--weight {self.column}:{value}=1,… says what words weigh" if isinstance(value, str) else None
        return RecliError(Exit.DATA, f"{self.column} {value!r} is no weight, {whose}", hint=hint)


UNWEIGHED: Final = Weighing()


def _parse(text: str) -> tuple[str | None, dict[str, float]]:
    """The column, where it is named, and the weights of its values."""
    form = "COL, COL:VALUE=X,VALUE=X or VALUE=X,VALUE=X"
    if "=" not in text:
        if not text:
            raise RecliError(Exit.USAGE, "--weight names no column", hint=form)
        return text, {}
    head, colon, rest = text.partition(":")
    column, pairs = (head, rest) if head and colon and "=" not in head else (None, text)
    values: dict[str, float] = {}
    for pair in pairs.split(","):
        value, equals, number = pair.rpartition("=")
        weight = _number(number)
        if not (equals and isfinite(weight) and weight >= 0):
            raise RecliError(Exit.USAGE, f"--weight: {pair!r} gives no weight of 0 or more", hint=form)
        if value in values:
            raise RecliError(Exit.USAGE, f"--weight: {value!r} is there twice")
        values[value] = weight
    return column, values


def _number(text: str) -> float:
    """The number that a text is, else NaN."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def seconds(option: str, text: str) -> float:
    """A time such as ``30d``, in seconds.

    Raises:
        RecliError: another form, or a time of nothing (exit 2).
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    value = float(found[1]) * SECONDS[found[2]] if found else 0.0
    if not (found and 0 < value < float("inf")):
        hint = "a number and s, m, h, d or w, such as 30d"
        raise RecliError(Exit.USAGE, f"{option} takes a time above 0, not {text!r}", hint=hint)
    return value


def _column_of(values: Mapping[str, float], events: pl.DataFrame) -> str:
    """The one column of words that has all the ``values``."""
    words = [name for name, kind in events.schema.items() if kind == pl.String and name not in (USER, ITEM)]
    having = [name for name in words if set(values) <= set(events[name].unique())]
    if len(having) == 1:
        return having[0]
    told = f"{' and '.join(having)} have" if having else "no column of words has"
    given = ",".join(f"{value}={weight:g}" for value, weight in values.items())
    hint = f"name the column: --weight {(having or words or ['COL'])[0]}:{given}"
    raise RecliError(Exit.USAGE, f"--weight: {told} all of {', '.join(values)}", hint=hint)


def _age(events: pl.DataFrame) -> "Doubles":
    """Seconds from each event to the newest."""
    if TIME not in events.columns:
        hint = "--time-col says which column holds it, where the source is read"
        raise RecliError(Exit.DATA, "the table has no timestamp for --half-life", hint=hint)
    times = events[TIME].cast(pl.Float64).fill_null(np.nan).to_numpy()
    if not np.isfinite(times).all():
        row = events.row(int((~np.isfinite(times)).argmax()), named=True)
        raise RecliError(Exit.DATA, f"the event of user {row[USER]} and item {row[ITEM]} has no timestamp")
    age: Doubles = times.max() - times
    return age


def sound(weights: "Doubles") -> "NDArray[np.bool_]":
    """Which numbers can be weights; NaN cannot."""
    return (weights >= 0) & (weights <= np.finfo(np.float32).max)


def located(error: RecliError, path: Path) -> RecliError:
    """The error, with the file that it is about."""
    return error if error.where is not None else RecliError(error.code, error.message, hint=error.hint, where=path)
