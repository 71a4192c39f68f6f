"""Which rows are for training, for validation and for testing: pure functions from events to one label a row.

A splitter only labels; the writer groups the rows by part. The label is an `Enum` of train, valid and test, null for a
row that is left out. ``dialect="recbole"`` draws the very rows that RecBole 1.2.1 draws from the same file and seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.interactions import MANY, digest64, distinct, order_within
from recli.schema import ITEM, PARTS, POSITION, SPLIT, TIME, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Hashes = NDArray[np.uint64]
    Doubles = NDArray[np.float64]

GroupBy = Literal["user", "none"]
Order = Literal["random", "time"]
Leave = Literal["valid_and_test", "valid_only", "test_only"]
Dialect = Literal["recli", "recbole"]
Unit = Literal["s", "ms", "us", "ns"]

UNITS: Final[dict[Unit, float]] = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}  # how many make a second
LABELS: Final = pl.Enum(PARTS)
BLOCK: Final = 1 << 18  # times that are looked at together


class Ids(NamedTuple):
    """The distinct users and items of a table, and for each row (rows,) the place of its own among them."""

    user: tuple[pl.Series, Ints]
    item: tuple[pl.Series, Ints]

    @classmethod
    def of(cls, events: pl.DataFrame) -> Ids:
        """Both at once."""
        with ThreadPoolExecutor(2) as pool:
            return cls(*pool.map(distinct, (events[USER], events[ITEM])))


def ratio(
    events: pl.DataFrame,
    *,
    ratios: Sequence[float] = (0.8, 0.1, 0.1),
    group_by: GroupBy = "user",
    order: Order = "random",
    seed: int = 2020,
    dialect: Dialect = "recli",
    ids: Ids | None = None,
) -> pl.Series:
    """Every user's rows (or the whole table) in a fixed proportion, in random or in time order.

    ``ratios`` are divided by their sum. Of n rows each part gets int(ratio * n) and train the rest; then test, and
    after it valid, takes one row from train if its share came to less than one row and train keeps at least one:
    for 0.8, 0.1, 0.1, n = 2 gives 1/0/1, n = 3…19 gives n-2/1/1, n = 20 gives 16/2/2. Random order hashes (seed, user,
    item, time), so it does not depend on the order of the rows; only rows equal in all of these are told apart by it.
    Time order breaks ties by row order.

    Source: RecBole 1.2.1, `split_by_ratio`.

    Raises:
        RecliError: not three ratios, one below zero, none for train, an unknown choice (exit 2);
            order by time of a table that has neither timestamp nor position (exit 3).
    """
    _check("group_by", group_by, GroupBy)
    parts, ids = _proportions(ratios), ids or Ids.of(events)
    return _split(ids, group_by, _key(events, ids, order, seed, dialect), lambda n: _ratio_counts(n, parts))


def leave_one_out(
    events: pl.DataFrame,
    *,
    leave: Leave = "valid_and_test",
    order: Order = "time",
    seed: int = 2020,
    dialect: Dialect = "recli",
    ids: Ids | None = None,
) -> pl.Series:
    """Every user's last row for testing and the one before it for validation.

    Train keeps at least one row: of two rows one is left out, for testing, and of one none. ``valid_only`` and
    ``test_only`` leave one row out. With ``order="random"`` the rows left out are random ones.

    Source: RecBole 1.2.1, `leave_one_out`.

    Raises:
        RecliError: an unknown choice (exit 2);
            order by time of a table that has neither timestamp nor position (exit 3).
    """
    _check("leave", leave, Leave)
    ids = ids or Ids.of(events)
    return _split(ids, "user", _key(events, ids, order, seed, dialect), lambda n: _leave_counts(n, leave))


def kfold(
    events: pl.DataFrame, *, folds: int = 5, group_by: GroupBy = "user", seed: int = 2020, ids: Ids | None = None
) -> list[pl.Series]:
    """One label a row for each fold: test in the one fold that a row is drawn for, train in the others.

    The rows of a user, in the order of the hash that `ratio` draws by, are dealt to the folds in turn, and the next
    user's go on where they stopped, users in the order of their first row's hash: the folds are equal in size to within
    one row, both of each user's rows and of all. ``group_by="none"`` deals all rows as one hand.

    Source: Kohavi, A study of cross-validation and bootstrap for accuracy estimation and model selection, IJCAI 1995.

    Raises:
        RecliError: fewer than two folds, an unknown choice (exit 2); fewer rows than folds (exit 3).
    """
    _check("group_by", group_by, GroupBy)
    if folds < 2:
        raise RecliError(Exit.USAGE, f"two folds are the fewest, not {folds}")
    n = len(events)
    if n < folds:
        raise RecliError(Exit.DATA, f"{n:,} rows cannot make {folds} folds")
    ids = ids or Ids.of(events)
    key = _key(events, ids, "random", seed, "recli")
    users, group = ids.user
    n_groups = len(users)
    if group_by == "none":
        group, n_groups = np.zeros(n, np.int32), 1
    indptr, rows = order_within(group, key, n_groups)
    sizes = np.diff(indptr)
    turn = np.argsort(key[rows[indptr[:-1]]], kind="stable")
    start = np.empty(n_groups, np.int64)
    start[turn] = np.cumsum(sizes[turn]) - sizes[turn]
    fold = np.empty(n, np.int64)
    fold[rows] = (np.arange(n) + np.repeat(start - indptr[:-1], sizes)) % folds
    test = np.uint8(PARTS.index("test"))
    return [pl.Series(SPLIT, (fold == number) * test).cat.to(LABELS) for number in range(folds)]


class TimeSplit(NamedTuple):
    """The labels, and the cuts in the table's own clock with the unit that its size betrays."""

    split: pl.Series
    cuts: tuple[float, ...]
    unit: Unit


def by_time(events: pl.DataFrame, *, at: Sequence[str | float]) -> TimeSplit:
    """One or two cuts through the time of the whole table: train t < cut 1 <= valid < cut 2 <= test.

    A cut is a quantile of the rows (0.8) or a date or datetime in ISO form, in UTC where it names no zone. One cut
    leaves no valid part. Rows of the same time are never parted. The unit of the timestamps is told by their size.

    Source: Ji et al., A critical study on data leakage in recommender system offline evaluation, TOIS 2023, whose
    remedy is a global timeline.

    Raises:
        RecliError: not one or two cuts, one that is neither quantile nor date, or the later one first (exit 2);
            no timestamp, or a part that gets no row (exit 3).
    """
    if len(at) not in (1, 2):
        raise RecliError(Exit.USAGE, f"a split by time takes one or two cuts, not {len(at)}", hint="--at 0.8,0.9")
    times = _clock(events, (TIME,), "by time there is nothing to cut: --strategy leave-one-out or ratio")
    if not len(times):
        raise RecliError(Exit.DATA, "there are no rows to split")
    unit = time_unit(times)
    cuts = tuple(_cut(text, times, unit) for text in at)
    if cuts[0] > cuts[-1]:
        raise RecliError(Exit.USAGE, f"the cuts must come in the order of time, not {at[0]}, {at[1]}")
    # The part of the rows that are at or past none of the cuts, one, two.
    parts = np.array([0, 1, 2] if len(cuts) == 2 else [0, 2], np.uint8)
    codes = parts[np.searchsorted(cuts, times, side="right")]
    empty = [PARTS[part] for part in parts if not (codes == part).any()]
    if empty:
        shown = ", ".join(f"{text} is {moment(cut, unit)}" for text, cut in zip(at, cuts, strict=True))
        hint = f"the rows run from {moment(times.min(), unit)} to {moment(times.max(), unit)}"
        raise RecliError(Exit.DATA, f"no row is left for {' and '.join(empty)}: {shown}", hint=hint)
    return TimeSplit(pl.Series(SPLIT, codes).cat.to(LABELS), cuts, unit)


def time_unit(times: Doubles) -> Unit:
    """The unit of Unix times by their size: 1e9 is 2001 in seconds, 1e12 in ms, 1e15 in us, 1e18 in ns."""
    largest = np.abs(times).max(initial=0.0)
    return "s" if largest < 1e11 else "ms" if largest < 1e14 else "us" if largest < 1e17 else "ns"


def moment(time: float, unit: Unit) -> str:
    """A time as a UTC date for people to read; the number itself where no calendar reaches it.

    >>> moment(1577836800000.0, "ms")
    '2020-01-01T00:00:00'
    """
    try:
        return datetime.fromtimestamp(time / UNITS[unit], UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{time:g}"


@dataclass(frozen=True, kw_only=True)
class Leaks:
    """What a split gives away, and what it asks for that train has never seen.

    ``rows`` and ``users`` count by part. ``late`` is the share of test rows that are older than some train row of any
    user (None without times). Cold users and items occur in test and not in train; their shares are of test's users
    and items.
    """

    rows: dict[str, int]
    users: dict[str, int]
    late: float | None
    cold_users: int
    cold_user_share: float
    cold_items: int
    cold_item_share: float


def leaks(events: pl.DataFrame, split: pl.Series, ids: Ids | None = None) -> Leaks:
    """Count what `Leaks` says, for the labels ``split`` (rows,) of ``events``.

    Source: Ji et al., TOIS 2023 (test rows that the model's own training data postdate).
    """
    label = split.cast(LABELS).to_physical().fill_null(len(PARTS)).to_numpy()
    train, test = (label == PARTS.index(name) for name in ("train", "test"))
    late = None
    if TIME in events.columns and train.any() and test.any():
        times = events[TIME].to_numpy()
        newest = np.fmax.reduce(times, where=train, initial=-np.inf)  # a time that is missing is NaN
        late = float((times[test] < newest).mean())
    users_of, items_of = (_occurring(*coded, label) for coded in ids or Ids.of(events))
    users, cold_users = _absent(users_of)
    items, cold_items = _absent(items_of)
    return Leaks(
        rows=dict(zip(PARTS, np.bincount(label, minlength=len(PARTS)).tolist(), strict=False)),
        users={name: int(np.count_nonzero(found)) for name, found in users_of.items()},
        late=late,
        cold_users=cold_users,
        cold_user_share=cold_users / max(users, 1),
        cold_items=cold_items,
        cold_item_share=cold_items / max(items, 1),
    )


def _occurring(ids: pl.Series, codes: Ints, label: NDArray[np.uint8]) -> dict[str, Bools]:
    """Which of the distinct ids occur in each part."""
    found = np.zeros((len(PARTS) + 1, len(ids)), np.bool_)
    found.reshape(-1)[label.astype(np.int64) * len(ids) + codes] = True
    return dict(zip(PARTS, found, strict=False))


def _absent(occurring: Mapping[str, Bools]) -> tuple[int, int]:
    """How many distinct values test has, and how many of them train has not."""
    test = occurring["test"]
    return int(np.count_nonzero(test)), int(np.count_nonzero(test & ~occurring["train"]))


def _split(
    ids: Ids, group_by: GroupBy, key: NDArray[Any], counts_of: Callable[[int], tuple[int, int, int]]
) -> pl.Series:
    """Cut each group, in the order of ``key``, into consecutive slices of ``counts_of(its size)`` rows a part."""
    users, group = ids.user
    n_groups = len(users)
    if group_by == "none":
        group, n_groups = np.zeros(len(group), np.int32), 1
    indptr, rows = order_within(group, key, n_groups)
    sizes, which = np.unique(np.diff(indptr), return_inverse=True)
    counts = np.array([counts_of(int(size)) for size in sizes], np.int64).reshape(-1, len(PARTS))[which]
    codes = np.empty(len(group), np.uint8)
    codes[rows] = np.repeat(np.tile(np.arange(len(PARTS), dtype=np.uint8), n_groups), counts.ravel())
    return pl.Series(SPLIT, codes).cat.to(LABELS)


def _proportions(ratios: Sequence[float]) -> tuple[float, float, float]:
    if len(ratios) != 3:
        raise RecliError(Exit.USAGE, f"three ratios are needed, not {len(ratios)}", hint="such as 0.8,0.1,0.1")
    train, valid, test = ratios
    # Added one by one, not with sum(), which rounds differently from Python 3.12 on and would move a row.
    total = train + valid + test
    if not (train > 0 and valid >= 0 and test >= 0 and np.isfinite(total)):
        shown = ",".join(f"{value:g}" for value in ratios)
        raise RecliError(Exit.USAGE, f"ratios must be at least 0, and above 0 for train, not {shown}")
    return train / total, valid / total, test / total


def _ratio_counts(n: int, parts: tuple[float, float, float]) -> tuple[int, int, int]:
    valid, test = int(parts[1] * n), int(parts[2] * n)
    train = n - valid - test
    if train > 1 and 0 < parts[2] * n < 1:
        train, test = train - 1, test + 1
    if train > 1 and 0 < parts[1] * n < 1:
        train, valid = train - 1, valid + 1
    return train, valid, test


def _leave_counts(n: int, leave: Leave) -> tuple[int, int, int]:
    out = max(min(2 if leave == "valid_and_test" else 1, n - 1), 0)
    test = 0 if leave == "valid_only" else min(out, 1)
    return n - out, out - test, test


def _key(events: pl.DataFrame, ids: Ids, order: Order, seed: int, dialect: Dialect) -> NDArray[Any]:
    """What to sort the rows by, (rows,)."""
    _check("order", order, Order)
    _check("dialect", dialect, Dialect)
    if order == "time":
        times = _clock(events, (TIME, POSITION), "--order random needs no times")
        # RecBole keeps times as float32, in which neighbouring Unix seconds are equal, and then sorts stably. Where its
        # normalize_all is on it scales them to [0, 1] before that: the caller does the same.
        return times.astype(np.float32) if dialect == "recbole" else times
    return _places(len(events), seed) if dialect == "recbole" else _hashes(events, ids, seed)


def _places(n: int, seed: int) -> Longs:
    """The place of each row in RecBole's one shuffle of the whole table, which is torch's first draw."""
    try:
        import torch
    except ImportError as error:
        hint = "pip install 'recli[torch]'"
        raise RecliError(Exit.USAGE, "RecBole's draw is torch's, which is not installed", hint=hint) from error

    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).numpy()
    places = np.empty(n, np.int64)
    places[shuffled] = np.arange(n)
    return places


def _hashes(events: pl.DataFrame, ids: Ids, seed: int) -> Hashes:
    """A fixed pseudo-random number a row, of (seed, user, item, time): numpy's and polars' own hashes may change."""
    stir = _stir
    if len(events) >= MANY:
        from recli.kernels.hashing import stir  # which gives the same
    key = np.full(len(events), seed % 2**64, np.uint64)
    for texts, places in ids:
        digests = np.fromiter((digest64(text) for text in texts), np.uint64, len(texts))
        stir(key, digests, places)
    if TIME in events.columns:
        times = events[TIME].to_numpy()
        for start in range(0, len(times), BLOCK):
            block = slice(start, start + BLOCK)
            stir(key[block], (times[block] + 0.0).view(np.uint64))  # -0.0 and 0.0 are one time, of two bit patterns
    return key


def _stir(key: Hashes, numbers: Hashes, places: Ints | None = None) -> None:
    """Mix the numbers, or those at the ``places``, into the keys."""
    key[:] = _mix(key ^ (numbers if places is None else numbers[places]))


def _mix(key: Hashes) -> Hashes:
    """The next output of splitmix64 from the state ``key`` (Steele et al., OOPSLA 2014); uint64 wraps round."""
    key = key + np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def _clock(events: pl.DataFrame, columns: tuple[str, ...], hint: str) -> Doubles:
    """The first of ``columns`` that the table has, every value of it finite."""
    found = next((name for name in columns if name in events.columns), None)
    if found is None:
        raise RecliError(Exit.DATA, f"the table has no {' or '.join(columns)}", hint=hint)
    times = events[found].to_numpy()
    missing = len(times) - np.count_nonzero(np.isfinite(times))
    if missing:
        raise RecliError(Exit.DATA, f"{missing} of {len(times)} rows have no {found}", hint=hint)
    return times


def _cut(text: str | float, times: Doubles, unit: Unit) -> float:
    """A quantile or a date as a time in the table's clock."""
    try:
        quantile = float(text)
    except ValueError:
        quantile = np.nan
    if 0 < quantile < 1:
        place = min(round(quantile * len(times)), len(times) - 1)
        return float(np.partition(times, place)[place])
    try:
        date = datetime.fromisoformat(str(text).strip())
    except ValueError:
        hint = "a quantile such as 0.8, or a date such as 2020-01-31"
        raise RecliError(Exit.USAGE, f"cannot cut at {str(text)!r}", hint=hint) from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * UNITS[unit]


def _check(name: str, value: str, choices: Any) -> None:
    known = get_args(choices)
    if value not in known:
        raise RecliError(Exit.USAGE, f"{name} cannot be {value!r}", hint=nearest(value, known))
