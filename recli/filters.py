"""Fewer rows: pure functions from events to events. The rows that stay keep their order."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.interactions import encode
from recli.schema import ITEM, POSITION, RATING, TIME, USER

Keep = Literal["first", "last", "error"]


Spans = tuple[tuple[float, float], ...]  # (from, to), both included; a number may lie in any of them
Beside = Callable[[str], pl.DataFrame]  # the table of "user" or of "item"
ANY: Final[Spans] = ((-math.inf, math.inf),)
IDS: Final = {"user": USER, "item": ITEM}


class Range(NamedTuple):
    """The values of a column that stay: what lies in one of the spans."""

    column: str
    spans: Spans


class Only(NamedTuple):
    """The values of a column that stay, as text."""

    column: str
    values: tuple[str, ...]


def parse_range(text: str) -> Range:
    """``column=lo,hi`` as given to ``--range``; an end that is empty or ``inf`` is open, and ``;`` begins another span.

    >>> parse_range("rating=3,")
    Range(column='rating', spans=((3.0, inf),))

    Raises:
        RecliError: another form, an end that is no number, or ends the wrong way round (exit 2).
    """
    column, equals, spans = text.partition("=")
    if not (equals and column.strip()):
        raise RecliError(Exit.USAGE, f"a range is column=lo,hi, not {text!r}", hint="such as rating=0.5,5 or rating=3,")
    return Range(column.strip(), parse_spans(spans))


def parse_spans(text: str) -> Spans:
    """``lo,hi;lo,hi`` as numbers.

    Raises:
        RecliError: another form, an end that is no number, or ends the wrong way round (exit 2).
    """
    found = []
    for span in text.split(";"):
        lo, comma, hi = span.partition(",")
        try:
            low, high = float(lo.strip() or -math.inf), float(hi.strip() or math.inf)
        except ValueError:
            low = math.nan
        if not comma or math.isnan(low):
            hint = "such as 0.5,5 or 3, or 1,2;4,5"
            raise RecliError(Exit.USAGE, f"the ends of a range are two numbers, not {span!r}", hint=hint)
        if not low <= high:
            raise RecliError(Exit.USAGE, f"nothing lies in {span!r}", hint="the lower end comes first")
        found.append((low, high))
    return tuple(found)


def parse_only(text: str) -> Only:
    """``column=value,value`` as given to ``--only``; values with a comma in them are a JSON list.

    >>> parse_only("event=view,buy"), parse_only('title=["Alien, 1979"]').values
    (Only(column='event', values=('view', 'buy')), ('Alien, 1979',))

    Raises:
        RecliError: another form (exit 2).
    """
    column, equals, values = text.partition("=")
    listed: Any = values.split(",")
    if values.startswith("["):
        try:
            listed = json.loads(values)
        except ValueError:
            listed = []
    if not (equals and column.strip() and listed and all(isinstance(one, str) for one in listed)):
        hint = """such as event=view,buy or 'title=["Alien, 1979"]'"""
        raise RecliError(Exit.USAGE, f"values to keep are column=value,…, not {text!r}", hint=hint)
    return Only(column.strip(), tuple(listed))


def parse_core(text: str | int) -> Spans:
    """How many rows a user or an item may have: ``5``, at least so many, or ``5,100`` as in a range.

    Raises:
        RecliError: it is neither (exit 2).
    """
    if isinstance(text, int) or text.strip().isdecimal():
        return ((float(text), math.inf),)
    return parse_spans(text)


def min_rating(events: pl.DataFrame, least: float) -> pl.DataFrame:
    """The rows with ``rating >= least``; a row without a rating goes.

    Raises:
        RecliError: no column rating (exit 3).
    """
    if RATING not in events.columns:
        raise RecliError(Exit.DATA, "the table has no rating", hint=f"it has {', '.join(events.columns)}")
    return value_range(events, RATING, ((least, math.inf),))


def value_range(events: pl.DataFrame, column: str, spans: Spans) -> pl.DataFrame:
    """The rows whose value lies in one of the spans; a row without a value goes.

    Raises:
        RecliError: the table has no such column, or it is not a column of numbers (exit 2).
    """
    check_numbers(events, column)
    # polars orders NaN above infinity, so an open end would let it in.
    within = pl.any_horizontal(pl.col(column).is_between(lo, hi) for lo, hi in spans)
    return events.filter(within & pl.col(column).is_not_nan())


def check_numbers(events: pl.DataFrame, column: str) -> None:
    """Refuse a column that is not there, or that does not hold numbers (exit 2)."""
    _check_column(events, column)
    if not events.schema[column].is_numeric():
        numbers = [name for name, dtype in events.schema.items() if dtype.is_numeric()]
        hint = f"numbers are in {', '.join(numbers)}" if numbers else None
        tokens = events[column] if hint is None and events.schema[column] == pl.String else None
        if tokens is not None and tokens.cast(pl.Float64, strict=False).is_not_null().any():
            hint = f"its numbers are tokens: the file has to call it {column}:float"
        raise RecliError(Exit.USAGE, f"{column} is not a column of numbers", hint=hint)


def value_in(events: pl.DataFrame, column: str, values: Sequence[str]) -> pl.DataFrame:
    """The rows that have one of the values; of a column of lists, one of them in the list.

    Raises:
        RecliError: the table has no such column, or it is a column of numbers (exit 2).
    """
    _check_column(events, column)
    dtype = events.schema[column]
    if dtype == pl.String:
        return events.filter(pl.col(column).is_in(list(values)))
    if dtype == pl.List(pl.String):
        return events.filter(pl.col(column).list.eval(pl.element().is_in(list(values))).list.any())
    raise RecliError(Exit.USAGE, f"{column} is a column of numbers", hint=f"--range {column}=LOW,HIGH")


def _check_column(events: pl.DataFrame, column: str) -> None:
    if column not in events.columns:
        raise RecliError(Exit.USAGE, f"the table has no column {column!r}", hint=nearest(column, events.columns))


def through(
    events: pl.DataFrame, column: str, keep: Callable[[pl.DataFrame, str], pl.DataFrame], beside: Beside
) -> pl.DataFrame:
    """What ``keep`` leaves of the rows; by ``user.age``, the rows of the users it leaves of the table of users."""
    role, dot, inner = column.partition(".")
    if not dot or role not in IDS or column in events.columns:
        return keep(events, column)
    ids = keep(beside(role), inner).select(IDS[role]).unique()
    return events.join(ids, on=IDS[role], how="semi", maintain_order="left")


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


def kcore(events: pl.DataFrame, *, user: Spans = ANY, item: Spans = ANY) -> pl.DataFrame:
    """Rows in which the number of every user's rows lies in one of the spans ``user``, of every item's in ``item``.

    Users and items of other numbers are removed together, again and again, until there is none; with lower ends alone
    that leaves the largest such set of rows. Rows are counted, repeated ones too.

    Source: RecBole 1.2.1, `user_inter_num_interval` and `item_inter_num_interval`; Seidman 1983 for the k-core.
    """
    wanted = [(column, spans) for column, spans in ((USER, user), (ITEM, item)) if _is_asked(spans)]
    codes = [encode(events[column], events.select(column).unique()[column]) for column, _ in wanted]
    rows = np.arange(len(events))
    while True:
        stays = np.ones(len(rows), bool)
        for code, (_, spans) in zip(codes, wanted, strict=True):
            count = np.bincount(code)
            stays &= np.any([(low <= count) & (count <= high) for low, high in spans], axis=0)[code]
        if stays.all():
            return events[rows]
        rows, codes = rows[stays], [code[stays] for code in codes]


def _is_asked(spans: Spans) -> bool:
    return not any(low <= 1 and high == math.inf for low, high in spans)


class Filtered(NamedTuple):
    """The rows that stay, and how many each step removed, in the order of the steps."""

    events: pl.DataFrame
    removed: dict[str, int]


def apply(
    events: pl.DataFrame,
    *,
    keep: Keep | None = None,
    ranges: Sequence[Range] = (),
    only: Sequence[Only] = (),
    least: float | None = None,
    user: Spans = ANY,
    item: Spans = ANY,
    beside: Beside | None = None,
) -> Filtered:
    """All filters that are asked for, in RecBole's order: duplicates, ranges and values, the lowest rating, the k-core.

    Raises:
        RecliError: what the single filters raise; nothing is left (exit 3).
    """
    tables = beside or _no_table
    steps: list[tuple[str, Callable[[pl.DataFrame], pl.DataFrame]]] = []
    if keep is not None:
        steps.append(("dedup", partial(dedup, keep=keep)))
    for one in ranges:
        within = partial(value_range, spans=one.spans)
        steps.append((f"range {one.column}", partial(through, column=one.column, keep=within, beside=tables)))
    for some in only:
        among = partial(value_in, values=some.values)
        steps.append((f"only {some.column}", partial(through, column=some.column, keep=among, beside=tables)))
    if least is not None:
        steps.append(("min-rating", partial(min_rating, least=least)))
    if _is_asked(user) or _is_asked(item):
        steps.append(("k-core", partial(kcore, user=user, item=item)))
    removed: dict[str, int] = {}
    for name, step in steps:
        before, events = len(events), step(events)
        removed[name] = removed.get(name, 0) + before - len(events)
        if not len(events):
            shown = ", ".join(f"{done} {count}" for done, count in removed.items())
            raise RecliError(Exit.DATA, f"no row is left after {name}", hint=f"rows removed: {shown}")
    return Filtered(events, removed)


def _no_table(role: str) -> pl.DataFrame:
    hint = f"NAME.{role} beside the interactions is it"
    raise RecliError(Exit.DATA, f"there is no table of {role}s to filter by", hint=hint)
