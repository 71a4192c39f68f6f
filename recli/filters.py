"""Fewer rows: pure functions from events to events. The rows that stay keep their order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.interactions import encode
from recli.schema import ITEM, POSITION, RATING, TIME, USER

Keep = Literal["first", "last", "error"]


class Range(NamedTuple):
    """The values of a column that stay: from ``lo`` to ``hi``, both included."""

    column: str
    lo: float
    hi: float


def parse_range(text: str) -> Range:
    """``column=lo,hi`` as given to ``--range``; an end that is empty or ``inf`` is open.

    >>> parse_range("rating=3,")
    Range(column='rating', lo=3.0, hi=inf)

    Raises:
        RecliError: another form, an end that is no number, or ends the wrong way round (exit 2).
    """
    column, equals, ends = text.partition("=")
    lo, comma, hi = ends.partition(",")
    hint = "such as rating=0.5,5 or rating=3,"
    if not (equals and comma and column.strip()):
        raise RecliError(Exit.USAGE, f"a range is column=lo,hi, not {text!r}", hint=hint)
    try:
        low, high = float(lo.strip() or -math.inf), float(hi.strip() or math.inf)
    except ValueError:
        raise RecliError(Exit.USAGE, f"the ends of a range are numbers, not {ends!r}", hint=hint) from None
    if not low <= high:
        raise RecliError(Exit.USAGE, f"nothing lies in {text!r}", hint=hint)
    return Range(column.strip(), low, high)


def min_rating(events: pl.DataFrame, least: float) -> pl.DataFrame:
    """The rows with ``rating >= least``; a row without a rating goes.

    Raises:
        RecliError: no column rating (exit 3).
    """
    if RATING not in events.columns:
        raise RecliError(Exit.DATA, "the table has no rating", hint=f"it has {', '.join(events.columns)}")
    return value_range(events, RATING, least, math.inf)


def value_range(events: pl.DataFrame, column: str, lo: float, hi: float) -> pl.DataFrame:
    """The rows with ``lo <= column <= hi``; a row without a value goes.

    Raises:
        RecliError: the table has no such column, or it is not a column of numbers (exit 2).
    """
    check_numbers(events, column)
    # polars orders NaN above infinity, so an open end would let it in.
    return events.filter(pl.col(column).is_between(lo, hi) & pl.col(column).is_not_nan())


def check_numbers(events: pl.DataFrame, column: str) -> None:
    """Refuse a column that is not there, or that does not hold numbers (exit 2)."""
    if column not in events.columns:
        raise RecliError(Exit.USAGE, f"the table has no column {column!r}", hint=nearest(column, events.columns))
    if not events.schema[column].is_numeric():
        numbers = [name for name, dtype in events.schema.items() if dtype.is_numeric()]
        hint = f"numbers are in {', '.join(numbers)}" if numbers else None
        raise RecliError(Exit.USAGE, f"{column} is not a column of numbers", hint=hint)


def dedup(events: pl.DataFrame, keep: Keep) -> pl.DataFrame:
    """One row a pair of user and item: the first or the last by timestamp, else position, else row; ties by row.

    ``error`` removes nothing: it refuses a table in which a pair repeats.

    Raises:
        RecliError: ``keep="error"`` and a pair repeats (exit 3); an unknown ``keep`` (exit 2).
    """
    if keep not in get_args(Keep):
        raise RecliError(Exit.USAGE, f"dedup cannot be {keep!r}", hint=nearest(keep, get_args(Keep)))
    clock = [name for name in (TIME, POSITION) if name in events.columns][:1]
    rows = events.select(USER, ITEM, *clock).with_row_index("row")
    if clock:
        rows = rows.sort(clock, maintain_order=True)
    kept = rows.unique([USER, ITEM], keep="last" if keep == "last" else "first", maintain_order=True)["row"].sort()
    if keep == "error" and len(kept) < len(events):
        user, item = events.filter(events.select(USER, ITEM).is_duplicated()).select(USER, ITEM).row(0)
        message = f"{len(events) - len(kept)} rows repeat a pair, such as user {user!r}, item {item!r}"
        raise RecliError(Exit.DATA, message, hint="--dedup first or --dedup last")
    return events[kept]


def kcore(events: pl.DataFrame, *, user: int = 1, item: int = 1) -> pl.DataFrame:
    """The largest set of rows in which every user has ``user`` rows or more and every item ``item`` or more.

    Users and items below are removed together, again and again, until none is. Rows are counted, repeated ones too.

    Source: RecBole 1.2.1, `user_inter_num_interval` and `item_inter_num_interval`; Seidman 1983 for the k-core.
    """
    wanted = [(column, least) for column, least in ((USER, user), (ITEM, item)) if least > 1]
    codes = [encode(events[column], events.select(column).unique()[column]) for column, _ in wanted]
    rows = np.arange(len(events))
    while True:
        stays = np.ones(len(rows), bool)
        for code, (_, least) in zip(codes, wanted, strict=True):
            stays &= (np.bincount(code) >= least)[code]
        if stays.all():
            return events[rows]
        rows, codes = rows[stays], [code[stays] for code in codes]


class Filtered(NamedTuple):
    """The rows that stay, and how many each step removed, in the order of the steps."""

    events: pl.DataFrame
    removed: dict[str, int]


def apply(
    events: pl.DataFrame,
    *,
    keep: Keep | None = None,
    ranges: Sequence[Range] = (),
    least: float | None = None,
    user: int = 1,
    item: int = 1,
) -> Filtered:
    """All filters that are asked for, in RecBole's order: duplicates, ranges, the lowest rating, the k-core.

    Raises:
        RecliError: what the single filters raise; nothing is left (exit 3).
    """
    steps: list[tuple[str, Callable[[pl.DataFrame], pl.DataFrame]]] = []
    if keep is not None:
        steps.append(("dedup", partial(dedup, keep=keep)))
    steps += [(f"range {one.column}", partial(value_range, **one._asdict())) for one in ranges]
    if least is not None:
        steps.append(("min-rating", partial(min_rating, least=least)))
    if user > 1 or item > 1:
        steps.append(("k-core", partial(kcore, user=user, item=item)))
    removed: dict[str, int] = {}
    for name, step in steps:
        before, events = len(events), step(events)
        removed[name] = removed.get(name, 0) + before - len(events)
        if not len(events):
            shown = ", ".join(f"{done} {count}" for done, count in removed.items())
            raise RecliError(Exit.DATA, f"no row is left after {name}", hint=f"rows removed: {shown}")
    return Filtered(events, removed)
