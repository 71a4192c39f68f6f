"""Whom a model is asked about, with which history and with what masked: a query a user, or a query a held-out row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recli.interactions import Queries, beside, encode, event_order, order_within
from recli.schema import ITEM, LABEL, QUERY, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

EVENTS = 1 << 24  # of histories in a block of rolling queries: memory does not grow with the rows
SEPARATOR = "\x1f"


def keys(rows: pl.DataFrame) -> pl.Series:
    """What tells lists apart: the user, and the query where a user has several."""
    if QUERY not in rows.columns:
        return rows[USER]
    return rows.select(pl.concat_str(USER, pl.col(QUERY).cast(pl.String), separator=SEPARATOR)).to_series()


def numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with a column ``query``: 0, 1, … within the user in time order, of equal times as they stand."""
    order = event_order(rows)
    place = np.arange(rows.height) if order is None else np.argsort(order, kind="stable")
    return rows[place].with_columns(pl.int_range(pl.len(), dtype=pl.Int32).over(USER).alias(QUERY))


def clicked(events: pl.DataFrame) -> pl.DataFrame:
    """The events that are a history where they have labels: those whose label is above 0."""
    return events.filter(pl.col(LABEL) > 0) if LABEL in events.columns else events


@dataclass(frozen=True, kw_only=True)
class Block:
    """Queries of some rows of an audience, and what each has seen; None where what was seen may be listed."""

    rows: slice
    queries: Queries
    seen: tuple[Longs, Ints] | None


@dataclass(frozen=True, kw_only=True)
class Audience:
    """``rows``: a user each, or a user and a query.

    The history of row r is ``item[start[r]:stop[r]]``, in time order, and ``beside`` has the rest of its events. Where
    ``mask``, what a row has seen is not to be listed: ``seen``, or, without it, the history.
    """

    rows: pl.DataFrame
    user: Ints
    item: Ints
    beside: Mapping[str, NDArray[Any] | None]
    start: Longs
    stop: Longs
    replaced: bool
    mask: bool
    seen: Queries | None = None

    def __len__(self) -> int:
        return self.rows.height

    def blocks(self) -> Iterator[Block]:
        """All rows, in blocks whose histories fit into memory."""
        ends = np.cumsum(self.stop - self.start)
        first = 0
        while first < len(self):
            before = int(ends[first - 1]) if first else 0
            last = max(int(np.searchsorted(ends, before + EVENTS, side="right")), first + 1)
            rows = slice(first, last)
            queries = self.queries(np.arange(first, last))
            yield Block(rows=rows, queries=queries, seen=self._seen(rows, queries))
            first = last

    def queries(self, rows: Longs) -> Queries:
        """The queries of any rows; a row may be taken several times."""
        start, length = self.start[rows], self.stop[rows] - self.start[rows]
        indptr = np.append(0, np.cumsum(length))
        events = np.arange(indptr[-1]) + np.repeat(start - indptr[:-1], length)
        own = {name: None if values is None else values[events] for name, values in self.beside.items()}
        return Queries(user=self.user[rows], indptr=indptr, item=self.item[events], replaced=self.replaced, **own)

    def _seen(self, rows: slice, queries: Queries) -> tuple[Longs, Ints] | None:
        if not self.mask:
            return None
        seen = queries if self.seen is None else self.seen[rows]
        return seen.indptr, seen.item


def of_users(
    wanted: pl.Series,
    history: pl.DataFrame,
    seen: pl.DataFrame | None,
    users: pl.Series,
    items: pl.Series,
    *,
    replaced: bool = False,
) -> Audience:
    """A query for each of the ids ``wanted``, with their rows of ``history``; ``seen`` is what is masked."""
    queries = Queries.of(wanted, history, users, items)
    return Audience(
        rows=wanted.rename(USER).to_frame(),
        user=queries.user,
        item=queries.item,
        beside={"rating": queries.rating, "time": queries.time, "weight": queries.weight},
        start=queries.indptr[:-1],
        stop=queries.indptr[1:],
        replaced=replaced,
        mask=seen is not None,
        seen=None if seen is None or seen is history else Queries.of(wanted, seen, users, items),
    )


def rolling(
    before: pl.DataFrame, held_out: pl.DataFrame, users: pl.Series, items: pl.Series, *, mask: bool
) -> Audience:
    """A query for each held-out row: its history, and what is masked, are the user's rows before it in time.

    ``before`` are the rows of the parts before; of rows with equal times they come first, then file order decides.
    """
    wanted = held_out[USER].unique(maintain_order=True)
    both = pl.concat([before.select(held_out.columns), held_out])
    order = event_order(both)
    user = encode(both[USER], wanted)
    known = np.flatnonzero(user >= 0)
    indptr, rows = order_within(user[known], None if order is None else order[known], len(wanted))
    rows = known[rows]
    item = encode(both[ITEM], items)[rows]
    # Items that the model does not know leave the histories; positions are counted without them.
    kept = item >= 0
    position = np.append(0, np.cumsum(kept))
    asked = np.flatnonzero(rows >= before.height)
    owner = user[rows[asked]]
    number = np.arange(len(asked)) - np.searchsorted(owner, owner)
    return Audience(
        rows=pl.DataFrame({USER: wanted.gather(owner), QUERY: number.astype(np.int32)}),
        user=encode(wanted, users)[owner],
        item=item[kept],
        beside=beside(both, rows[kept]),
        start=position[indptr[:-1]][owner],
        stop=position[asked],
        replaced=True,
        mask=mask,
    )
