"""The label of a row, 1 or 0, from a column of numbers and a threshold: a pure function from events to events."""

from __future__ import annotations

import math
from typing import NamedTuple

import polars as pl

from recli.errors import Exit, RecliError
from recli.filters import check_numbers
from recli.schema import LABEL


class Threshold(NamedTuple):
    """A row's label is 1 where ``column`` is ``least`` or more."""

    column: str
    least: float

    def __str__(self) -> str:
        return f"{self.column}={self.least!r}".removesuffix(".0")


def parse_threshold(text: str) -> Threshold:
    """``column=number`` as given to ``--threshold``.

    >>> parse_threshold("rating=4")
    Threshold(column='rating', least=4.0)

    Raises:
        RecliError: another form, or no finite number (exit 2).
    """
    column, equals, number = text.partition("=")
    try:
        least = float(number) if equals and column.strip() else math.nan
    except ValueError:
        least = math.nan
    if not math.isfinite(least):
        hint = "such as rating=4: the label is 1 from there up"
        raise RecliError(Exit.USAGE, f"a threshold is column=number, not {text!r}", hint=hint)
    return Threshold(column.strip(), least)


def label(events: pl.DataFrame, threshold: Threshold) -> pl.DataFrame:
    """The events with a last column ``label``, 1.0 or 0.0, in place of the column that it is made from.

    That column goes, as a model that read it would be told the answer. A label that is there already is replaced.

    Source: RecBole 1.2.1, `threshold`.

    Raises:
        RecliError: the table has no such column, or it is not a column of numbers (exit 2); a row has none (exit 3).
    """
    column, least = threshold
    check_numbers(events, column)
    empty = events[column].null_count()
    if empty:
        raise RecliError(Exit.DATA, f"{column} is empty in {empty:,} rows, which so have no label")
    values = (events[column] >= least).cast(pl.Float64).alias(LABEL)
    return events.drop(column, LABEL, strict=False).with_columns(values)
