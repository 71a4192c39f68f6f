"""What was held out, as codes: the relevant items of every user, or of every query."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recli.interactions import encode, vocabulary
from recli.metrics.beyond import Facts
from recli.pipeline.audience import keys
from recli.pipeline.evaluate.relevance import GAIN
from recli.schema import ITEM, QUERY, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Relevant:
    """Which items are relevant to which row, as codes: ``item[indptr[r]:indptr[r + 1]]``, ascending, with their gain.

    Without ``gain`` each is worth 1.
    """

    indptr: "Longs"
    item: "Ints"
    gain: "Doubles | None" = None

    @property
    def counts(self) -> "Longs":
        """How many are relevant to each row."""
        return np.diff(self.indptr)

    def rows(self, mask: "Bools") -> "Relevant":
        """Those of the rows (n,) of a mask."""
        stay = np.repeat(mask, self.counts)
        indptr = np.append(0, np.cumsum(self.counts[mask]))
        return Relevant(indptr=indptr, item=self.item[stay], gain=None if self.gain is None else self.gain[stay])

    def only(self, kept: "Bools") -> "Relevant":
        """Those of the items (n_items,) that are kept."""
        stay = kept[self.item]
        indptr = np.append(0, np.cumsum(stay))[self.indptr]
        return Relevant(indptr=indptr, item=self.item[stay], gain=None if self.gain is None else self.gain[stay])


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The relevant items of ``rows`` (n,), a user each or a user and a query, and of them those that stand in train.

    ``items`` are the ids by code: the first ``n_known`` those that train or the model knows, then those that only the
    truth or the lists hold. ``warm`` is None where train is not at hand; ``facts`` says what train holds.
    ``unjudged`` counts the users that have held-out rows, and none of them relevant.
    """

    rows: pl.DataFrame
    items: pl.Series
    n_known: int
    all: Relevant
    warm: Relevant | None = None
    facts: Facts = field(default_factory=Facts)
    unjudged: int = 0

    @property
    def keys(self) -> pl.Series:
        """What the rows are told apart by."""
        return keys(self.rows)


def truth_of(
    relevant: pl.DataFrame,
    known: pl.Series,
    train: pl.DataFrame | None,
    *,
    everybody: pl.DataFrame | None = None,
    also: pl.Series | None = None,
    judged: bool = False,
    counted: bool = True,
) -> Truth:
    """The relevant rows by user, or by user and query, each item once, with the highest gain.

    Codes are those of ``known``, the items that train or the model knows, and above them those of the other items of
    the rows and of ``also``. ``everybody`` are all held-out rows, relevant or not; with ``judged`` those have a row
    too who have nothing relevant. ``counted``: whether a metric asks how many users of train have an item.
    """
    columns = [name for name in (USER, QUERY) if name in relevant.columns]
    rows = (relevant if everybody is None or not judged else everybody).select(columns).unique(maintain_order=True)
    items = pl.concat([known, _strangers(relevant[ITEM], also, known)])
    everything = _relevant(relevant, keys(rows), items)
    unjudged = 0
    if everybody is not None and everybody.height > relevant.height:
        unjudged = everybody[USER].n_unique() - rows[USER].n_unique()
    if train is None:
        return Truth(rows=rows, items=items, n_known=len(known), all=everything, unjudged=unjudged)
    in_train = items.is_in(train[ITEM].to_frame().unique().to_series().implode()).to_numpy()
    return Truth(
        rows=rows,
        items=items,
        n_known=len(known),
        all=everything,
        warm=everything if in_train[everything.item].all() else everything.only(in_train),
        facts=_counts(train, known) if counted else Facts(),
        unjudged=unjudged,
    )


def _counts(train: pl.DataFrame, known: pl.Series) -> Facts:
    """How many users of train there are, and how many of them have each item."""
    pairs = train.select(USER, ITEM).unique()
    popularity = np.bincount(encode(pairs[ITEM], known) + 1, minlength=len(known) + 1)[1:].astype(np.int64)
    return Facts(popularity=popularity, n_users=pairs[USER].n_unique())


def _relevant(relevant: pl.DataFrame, own: pl.Series, items: pl.Series) -> Relevant:
    """The relevant rows as codes, by row and ascending item, each once; of several gains the highest."""
    row, item = encode(keys(relevant), own).astype(np.int64), encode(relevant[ITEM], items)
    flat = row * max(len(items), 1) + item  # one number a pair: sorting it is the whole of the work
    gain = None
    if GAIN in relevant.columns:
        gain = relevant[GAIN].to_numpy()
        order = np.lexsort((gain, flat))
        last = np.append(np.diff(flat[order]) > 0, True)
        flat, gain = flat[order][last], gain[order][last]
    else:
        flat = np.sort(flat)
        flat = flat[np.append(True, flat[1:] != flat[:-1])[: len(flat)]]
    row, item = np.divmod(flat, max(len(items), 1))
    indptr = np.append(0, np.cumsum(np.bincount(row, minlength=len(own))))
    return Relevant(indptr=indptr, item=item.astype(np.int32), gain=gain)


def _strangers(held_out: pl.Series, also: pl.Series | None, known: pl.Series) -> pl.Series:
    """The items that are not known, in the order of their codes."""
    named = held_out if also is None else pl.concat([held_out, also])
    distinct = named.to_frame(ITEM).unique()
    return vocabulary(distinct.join(known.to_frame(ITEM), on=ITEM, how="anti").to_series())


def fingerprint(truth: Truth) -> str:
    """What tells one truth from another, whatever file it stood in and in whatever order: 16 hexadecimal digits."""
    held = np.unique(truth.all.item)
    total = sha256()
    number = []
    for ids in (truth.keys, truth.items.gather(held)):
        order = ids.arg_sort()
        total.update(ids.gather(order).str.join("\x1e").item().encode())
        place = np.empty(len(ids), np.uint64)
        place[order.to_numpy()] = np.arange(len(ids), dtype=np.uint64)
        number.append(place)
    row = np.repeat(np.arange(truth.rows.height), truth.all.counts)
    pairs = _mix(_mix(number[0][row]) + number[1][np.searchsorted(held, truth.all.item)])
    if truth.all.gain is not None:
        pairs = _mix(pairs + truth.all.gain.view(np.uint64))
    total.update(pairs.sum(dtype=np.uint64).tobytes())  # a sum, which no order changes
    return total.hexdigest()[:16]


def _mix(values: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """The finaliser of splitmix64 (Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
