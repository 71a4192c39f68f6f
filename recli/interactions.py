"""What a model is fitted on (`Interactions`) and what it is asked (`Queries`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from recli.coding import Coding
from recli.errors import Exit, RecliError
from recli.features import Features, aligned
from recli.fields import Coded, Encoder, Held, of_words
from recli.schema import ITEM, KEYS, LABEL, POSITION, QUERY, RATING, SPLIT, TIME, USER

WEIGHT: Final = "\x1fweight"  # what an event weighs: a column that no file has

# What no field is made of: ids have fields of their own, and the others are what is to be told.
NO_FIELDS: Final = (USER, ITEM, RATING, LABEL, POSITION, QUERY, SPLIT, WEIGHT)

MANY: Final = 500_000  # rows from which on kernels pay for their loading

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]


def digest64(text: str) -> int:
    """blake2b-64 of the id's UTF-8: a fixed pseudo-random number for every id."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def vocabulary(ids: pl.Series) -> pl.Series:
    """The distinct ids in code order: by blake2b-64 of their UTF-8, so that neither file order nor popularity shows.

    "The lowest code first" is thereby a tie-break that no model can profit from.
    """
    return coded(ids)[0]


def _by_digest(ids: pl.Series) -> Longs:
    """The places of distinct ids in the order of their digests; of equal digests the lower text is first."""
    digests = np.fromiter((digest64(text) for text in ids), np.uint64, len(ids))
    order = np.argsort(digests, kind="stable")
    if (digests[order[1:]] == digests[order[:-1]]).any():
        order = np.lexsort((np.argsort(ids.arg_sort().to_numpy()), digests))
    return order


def coded(ids: pl.Series) -> tuple[pl.Series, Ints]:
    """The `vocabulary` of the ids, and their codes in it, int32 of the same length."""
    found, places = distinct(ids)
    order = _by_digest(found)
    codes = np.empty(len(found), np.int32)
    codes[order] = np.arange(len(found), dtype=np.int32)
    return found.gather(order).rename(ids.name), codes[places]


def distinct(ids: pl.Series) -> tuple[pl.Series, Ints]:
    """The distinct ids, in no order that can be relied on, and for each id its place among them."""
    if len(ids) >= MANY:
        from recli.kernels import distinct as table

        found = table.distinct([_views(chunk) for chunk in ids.get_chunks()])
        if found is not None:
            return ids.gather(found[0]), found[1]
    unique = ids.to_frame().unique().to_series()  # a frame's unique takes an eighth of a series' time
    return unique, encode(ids, unique)


def _views(chunk: pl.Series) -> NDArray[np.uint64]:
    """Arrow's views of the texts of a chunk, (rows, 2)."""
    views = chunk.to_arrow(compat_level=pl.CompatLevel.newest())
    return np.frombuffer(views.buffers()[1], np.uint64).reshape(-1, 2)[views.offset : views.offset + len(chunk)]


def encode(ids: pl.Series, vocab: pl.Series) -> Ints:
    """Codes of ``ids``, int32 of the same length; -1 where an id is not in ``vocab``."""
    if isinstance(ids.dtype, pl.Enum):  # each of its words once
        return of_words(ids, encode(ids.dtype.categories, vocab), -1)
    codes = ids.cast(pl.Enum(vocab), strict=False).to_physical().cast(pl.Int32).fill_null(-1)
    return codes.to_numpy()


def order_within(group: Ints, key: NDArray[Any] | None, n_groups: int) -> tuple[Longs, Longs]:
    """Rows grouped by ``group`` and, within a group, in the order of ``key``; ties (and no key) keep the row order.

    Returns ``(indptr (n_groups + 1,), rows (n,))``.
    """

    if key is None and (group[1:] >= group[:-1]).all():  # they stand together already
        return np.append(0, np.cumsum(np.bincount(group, minlength=n_groups))), np.arange(len(group))
    if len(group) >= MANY:
        from recli.kernels.grouping import grouped

        return grouped(group, key, n_groups)
    rows = np.argsort(group, kind="stable") if key is None else np.lexsort((key, group))
    return np.append(0, np.cumsum(np.bincount(group, minlength=n_groups))), rows


def event_order(events: pl.DataFrame) -> Doubles | None:
    """What orders the events of a user: ``timestamp``, else ``position``, else nothing (the order of the rows)."""
    for name in (TIME, POSITION):
        if name in events.columns:
            return events[name].to_numpy()
    return None


BESIDE: Final = {"rating": (RATING, pl.Float32), "time": (TIME, pl.Float64), "weight": (WEIGHT, pl.Float32)}
COLUMNS: Final = {**BESIDE, "label": (LABEL, pl.Float32)}


def _gathered(events: pl.DataFrame, rows: Longs, name: str) -> NDArray[Any] | None:
    """A field that stands beside the items of some ``rows``; None where the table has no such column."""
    column, dtype = COLUMNS[name]
    return events[column].cast(dtype).to_numpy()[rows] if column in events.columns else None


def beside(events: pl.DataFrame, rows: Longs) -> dict[str, Any]:
    """What stands beside the items of some ``rows``, by the names of the fields; None where the table has none."""
    with ThreadPoolExecutor(len(BESIDE)) as pool:
        return dict(zip(BESIDE, pool.map(partial(_gathered, events, rows), BESIDE), strict=True))


def context_of(events: pl.DataFrame) -> pl.DataFrame:
    """The columns that fields can be made of."""
    return events.drop(*NO_FIELDS, strict=False)


class Late:
    """A field that may be given as a function: it is called when the field is first wanted, which for many is never."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: object | None, kind: type) -> Any:
        if owner is None:
            return None  # the default
        value = vars(owner)[self.name]
        if callable(value):
            value = vars(owner)[self.name] = value()
        return value

    def __set__(self, owner: object, value: Any) -> None:
        vars(owner)[self.name] = value


@dataclass(frozen=True, kw_only=True)
class Interactions:
    """Events as codes, grouped by user and in time order within a user.

    ``users`` (n_users,) and ``items`` (n_items,) hold the ids by code. ``indptr`` (n_users + 1,) int64 bounds the
    events of each user in ``item`` (n,) int32, ``rating`` (n,) float32, ``time`` (n,) float64 and ``weight`` (n,)
    float32, how much each counts (None where the table has none); ``label`` (n,) float32 and ``context``, a frame of n
    rows, are their other columns. ``tables`` are companions by role, ``user`` and ``item``: who stands only there has a
    code, and no events. ``coding`` says how columns become fields.
    """

    users: pl.Series
    items: pl.Series
    indptr: Longs
    item: Ints
    rating: Floats | None = Late()  # type: ignore[assignment]
    time: Doubles | None = Late()  # type: ignore[assignment]
    weight: Floats | None = Late()  # type: ignore[assignment]
    label: Floats | None = Late()  # type: ignore[assignment]
    context: pl.DataFrame | None = Late()  # type: ignore[assignment]
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    coding: Coding = field(default_factory=Coding)

    @classmethod
    def of(
        cls, events: pl.DataFrame, tables: Mapping[str, pl.DataFrame] | None = None, coding: Coding | None = None
    ) -> Interactions:
        """From a table with ``user_id`` and ``item_id``; the universe is the ids that occur in it, or in a companion.

        The companions, ``user`` and ``item``, are given to models that use them, and to no others.
        """
        tables = tables or {}
        ids = [
            pl.concat([frame[key] for frame in (events, tables.get(role)) if frame is not None])
            for role, key in KEYS.items()
        ]
        with ThreadPoolExecutor(len(ids)) as pool:
            (users, user), (items, item) = pool.map(coded, ids)
        indptr, rows = order_within(user[: len(events)], event_order(events), len(users))
        others: dict[str, Any] = {name: partial(_gathered, events, rows, name) for name in (*BESIDE, "label")}
        others["context"] = lambda: context_of(events)[rows]
        coding = coding or Coding()
        return cls(users=users, items=items, indptr=indptr, item=item[rows], tables=tables, coding=coding, **others)

    @property
    def n_users(self) -> int:
        """The number of users."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """The number of items."""
        return len(self.items)

    def __len__(self) -> int:
        return len(self.item)

    @cached_property
    def matrix(self) -> csr_matrix:
        """Users × items, float32: 1 where there is at least one event. Indices sorted, no duplicates."""
        return binary(self.indptr, self.item, self.n_items)

    @cached_property
    def popularity(self) -> Longs:
        """The number of users of each item, int64 (n_items,)."""
        return np.bincount(self.matrix.indices, minlength=self.n_items).astype(np.int64)

    def features(self, role: str, columns: Sequence[str] | None = None) -> Features | None:
        """Those of every user (or item), from the columns of the companion table; None where there is no table."""
        if role not in self.tables:
            return None
        return Features.of(self.tables[role], self.users if role == "user" else self.items, columns)

    def encoded(self) -> tuple[Encoder, dict[str, Coded]]:
        """The fields, learned from the events that are here, and those of every user, item and event, by role.

        Those of users and items have one row more, the last: whoever is not known.
        """
        counts = {"user": np.diff(self.indptr), "item": np.bincount(self.item, minlength=self.n_items)}
        context = pl.DataFrame() if self.context is None else self.context
        events = Held.of(context, np.ones(len(self), np.int64))
        encoder, coded = encoded({"user": self.users, "item": self.items}, self.tables, counts, events, self.coding)
        return encoder, {**coded, "inter": encoder.encode("inter", context, len(self))}

    def queries(self) -> Queries:
        """Every user with the history that is here."""
        user = np.arange(self.n_users, dtype=np.int32)
        return Queries(
            user=user, indptr=self.indptr, item=self.item, rating=self.rating, time=self.time, weight=self.weight
        )


def encoded(
    ids: Mapping[str, pl.Series],
    tables: Mapping[str, pl.DataFrame],
    counts: Mapping[str, Longs],
    events: Held,
    coding: Coding,
) -> tuple[Encoder, dict[str, Coded]]:
    """The fields, and those of every user and item: ``ids`` and, in how many train rows each stands, ``counts``."""
    frames = {role: aligned(tables.get(role), of) for role, of in ids.items()}
    held = {role: Held.of(frame, counts[role]) for role, frame in frames.items()}
    encoder, coded = Encoder.fit({**held, "inter": events}, coding), {}
    for role, frame in frames.items():
        known = np.append(counts[role] >= coding.min_count, False)
        own = np.where(known, np.cumsum(known), 0).astype(np.int32)
        stranger = pl.DataFrame(schema=frame.schema).clear(1)
        coded[role] = encoder.encode(role, pl.concat([frame, stranger]), len(own), own)
    return encoder, coded


@dataclass(frozen=True, kw_only=True)
class Queries:
    """A batch to score: whom (``user`` (n,) int32, -1 for unknown) and with which history.

    The history of query q is ``item[indptr[q]:indptr[q + 1]]``, in time order; ``rating``, ``time`` and ``weight`` are
    those of its events. ``at`` (n,) is the time that a query is asked for, where one is known, and ``context``, a frame
    of n rows, what else is known of the occasion.
    ``replaced`` says that the histories were given by hand, so that what was learned of a known user is out of date.
    """

    user: Ints
    indptr: Longs
    item: Ints
    rating: Floats | None = None
    time: Doubles | None = None
    weight: Floats | None = None
    at: Doubles | None = None
    context: pl.DataFrame | None = None
    replaced: bool = False

    @classmethod
    def of(
        cls, wanted: pl.Series, history: pl.DataFrame, users: pl.Series, items: pl.Series, *, replaced: bool = False
    ) -> Queries:
        """A query for each of the ids ``wanted``, with their rows of ``history``.

        ``users`` and ``items`` are the model's vocabularies; an item that it does not know is left out.
        """
        item = encode(history[ITEM], items)
        query = encode(history[USER], wanted)
        known = np.flatnonzero((item >= 0) & (query >= 0))
        order = event_order(history)
        indptr, rows = order_within(query[known], None if order is None else order[known], len(wanted))
        rows = known[rows]
        user = encode(wanted, users)
        return cls(user=user, indptr=indptr, item=item[rows], replaced=replaced, **beside(history, rows))

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, block: slice) -> Queries:
        """The queries of a block of consecutive rows."""
        start, stop, _ = block.indices(len(self))
        indptr = self.indptr[start : stop + 1]
        events = slice(int(indptr[0]), int(indptr[-1])) if len(indptr) else slice(0, 0)
        return Queries(
            user=self.user[start:stop],
            indptr=indptr - indptr[0] if len(indptr) else indptr,
            item=self.item[events],
            rating=None if self.rating is None else self.rating[events],
            time=None if self.time is None else self.time[events],
            weight=None if self.weight is None else self.weight[events],
            at=None if self.at is None else self.at[start:stop],
            context=None if self.context is None else self.context[start:stop],
            replaced=self.replaced,
        )

    def take(self, rows: Longs) -> Queries:
        """The queries of any rows, in their order; a row may be taken several times."""
        lengths = self.lengths[rows]
        indptr = np.append(0, np.cumsum(lengths))
        events = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        return Queries(
            user=self.user[rows],
            indptr=indptr,
            item=self.item[events],
            rating=None if self.rating is None else self.rating[events],
            time=None if self.time is None else self.time[events],
            weight=None if self.weight is None else self.weight[events],
            at=None if self.at is None else self.at[rows],
            context=None if self.context is None else self.context[rows],
            replaced=self.replaced,
        )

    @cached_property
    def lengths(self) -> Longs:
        """Events in the history of each query."""
        return np.diff(self.indptr)

    def matrix(self, n_items: int) -> csr_matrix:
        """Queries × items, float32: 1 where the item is in the history."""
        return binary(self.indptr, self.item, n_items)


def binary(indptr: Longs, item: Ints, n_items: int) -> csr_matrix:
    """Rows × items, float32, 1 for every distinct item of a row; indices sorted."""
    matrix = _sums(indptr, item, np.ones(len(item), np.float32), n_items)
    matrix.data[:] = 1.0
    return matrix


def weighted(events: Interactions | Queries, n_items: int, weight: str = "none") -> csr_matrix:
    """Rows × items, float32: what a row has of an item. Indices sorted, nothing where that is 0.

    ``weight`` is "none" (1), "count" (the number of events) or "rating" (the sum of their ratings). Where the events
    have weights it is the sum of these, or of their products with the ratings.

    Raises:
        RecliError: there are no ratings, or one is below 0 (exit 3).
    """
    if weight == "none" and events.weight is None:
        return binary(events.indptr, events.item, n_items)
    values = np.ones(len(events.item), np.float32) if weight != "rating" else _ratings(events)
    if events.weight is not None:
        values *= events.weight
    matrix = _sums(events.indptr, events.item, values, n_items)
    matrix.eliminate_zeros()
    return matrix


def _ratings(events: Interactions | Queries) -> Floats:
    """A copy of the ratings, which are to weigh."""
    if events.rating is None:
        hint = "--rating-col says which column holds it, where the source is read; or leave out weight=rating"
        raise RecliError(Exit.DATA, "the table has no rating to weight by", hint=hint)
    if not (events.rating >= 0).all():
        hint = "recli filter --min-rating 0 keeps the others"
        raise RecliError(Exit.DATA, "a rating below 0, or a missing one, is no weight", hint=hint)
    return events.rating.copy()


def _sums(indptr: Longs, item: Ints, values: Floats, n_items: int) -> csr_matrix:
    """Rows × items: the ``values``, which it takes over, of a row and an item added up; indices sorted."""
    from scipy.sparse import csr_matrix

    matrix = csr_matrix((values, item.copy(), indptr.copy()), shape=(len(indptr) - 1, n_items))
    matrix.sum_duplicates()
    return matrix
