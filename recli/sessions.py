"""Users' events cut into sessions: pure functions from events to events whose user is the session."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.interactions import distinct, event_order, order_within
from recli.schema import SPLIT, TIME, USER
from recli.splits import LABELS, UNITS, time_unit


def by_gap(events: pl.DataFrame, gap: float) -> pl.DataFrame:
    """A user's events without a pause of more than ``gap`` seconds are a session: ``user:0``, ``user:1``, … by time.

    Raises:
        RecliError: the table has no timestamp, or one is missing (exit 3).
    """
    if TIME not in events.columns:
        raise RecliError(
            Exit.DATA, "the table has no timestamp to cut sessions by", hint="--session-col names a column"
        )
    times = events[TIME].to_numpy()
    if not np.isfinite(times).all():
        raise RecliError(Exit.DATA, "a row without a timestamp is in no session")
    users, user = distinct(events[USER])
    indptr, rows = order_within(user, times, len(users))
    starts = np.append(False, np.diff(times[rows]) > gap * UNITS[time_unit(times)])
    starts[indptr[:-1]] = False
    number = np.cumsum(starts)
    number -= np.repeat(number[indptr[:-1]], np.diff(indptr))
    of_row = np.empty(len(events), np.int64)
    of_row[rows] = number
    return _named(events, pl.Series("session", of_row).cast(pl.String))


def by_column(events: pl.DataFrame, column: str) -> pl.DataFrame:
    """A user's events with the same word in a column are a session: ``user:word``.

    Raises:
        RecliError: the table has no such column (exit 2).
    """
    if column not in events.columns or column == USER:
        raise RecliError(Exit.USAGE, f"--session-col {column}: no such column", hint=nearest(column, events.columns))
    return _named(events, events[column].cast(pl.String))


def _named(events: pl.DataFrame, session: pl.Series) -> pl.DataFrame:
    return events.with_columns((events[USER] + ":" + session).alias(USER))


def whole(events: pl.DataFrame, label: Callable[[pl.DataFrame], pl.Series]) -> pl.Series:
    """Labels that do not part a session: every row gets that of the session's last event.

    Ludewig & Jannach 2018, "Evaluation of session-based recommendation algorithms" (UMUAI), §4.2.
    """
    users, user = distinct(events[USER])
    indptr, rows = order_within(user, event_order(events), len(users))
    labels = label(events[rows[indptr[1:] - 1]]).to_physical().to_numpy()
    return pl.Series(SPLIT, labels[user]).cat.to(LABELS)
