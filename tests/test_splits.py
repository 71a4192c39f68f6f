"""Splitters: counts, orders, independence of the row order, and RecBole's very rows."""

import math
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recli import splits
from recli.errors import Exit, RecliError
from recli.interactions import digest64
from recli.splits import Leaks, by_time, kfold, leaks, leave_one_out, moment, ratio, time_unit

SCHEMA = {"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Float64}
row = st.tuples(st.sampled_from("abc"), st.integers(0, 30).map(str), st.integers(0, 9).map(float))
tables = st.lists(row, max_size=60).map(lambda rows: pl.DataFrame(rows, SCHEMA, orient="row"))


def table(**users):
    """Each user with so many rows, all users' rows in turn; times fall as the rows go on."""
    rows = [(user, f"{user}{n}") for n in range(max(users.values())) for user in users if n < users[user]]
    return pl.DataFrame(rows, ["user_id", "item_id"], orient="row").with_columns(
        timestamp=pl.Series(range(len(rows), 0, -1), dtype=pl.Float64)
    )


def counts(events, split):
    """Train/valid/test rows of each user."""
    return {
        user: tuple(
            split.filter(events["user_id"] == user).to_list().count(part) for part in ("train", "valid", "test")
        )
        for user in events["user_id"].unique()
    }


@pytest.mark.parametrize(
    ("ratios", "n", "expected"),
    [
        ((0.8, 0.1, 0.1), 1, (1, 0, 0)),
        ((0.8, 0.1, 0.1), 2, (1, 0, 1)),
        *(((0.8, 0.1, 0.1), n, (n - 2, 1, 1)) for n in range(3, 20)),
        ((0.8, 0.1, 0.1), 20, (16, 2, 2)),
        ((0.8, 0.1, 0.1), 30, (24, 3, 3)),
        ((8, 0, 2), 2, (1, 0, 1)),
        ((8, 0, 2), 10, (8, 0, 2)),
        ((8, 0, 2), 19, (16, 0, 3)),
        ((7, 2, 1), 10, (7, 2, 1)),
        ((7, 2, 1), 19, (15, 3, 1)),
        ((1, 0, 0), 5, (5, 0, 0)),
    ],
)
@pytest.mark.parametrize("dialect", ["recli", "recbole"])
def test_ratio_counts_as_recbole_does(ratios, n, expected, dialect):
    events = table(other=7, user=n)
    assert counts(events, ratio(events, ratios=ratios, dialect=dialect))["user"] == expected
    alone = table(user=n)
    assert counts(alone, ratio(alone, ratios=ratios, group_by="none", dialect=dialect))["user"] == expected


@pytest.mark.parametrize(
    ("leave", "expected"),
    [
        ("valid_and_test", {1: (1, 0, 0), 2: (1, 0, 1), 3: (1, 1, 1), 9: (7, 1, 1)}),
        ("valid_only", {1: (1, 0, 0), 2: (1, 1, 0), 3: (2, 1, 0), 9: (8, 1, 0)}),
        ("test_only", {1: (1, 0, 0), 2: (1, 0, 1), 3: (2, 0, 1), 9: (8, 0, 1)}),
    ],
)
@pytest.mark.parametrize("order", ["time", "random"])
def test_leave_one_out_leaves_out_as_recbole_does(leave, expected, order):
    events = table(a=1, b=2, c=3, d=9)
    assert counts(events, leave_one_out(events, leave=leave, order=order)) == dict(
        zip("abcd", expected.values(), strict=True)
    )


def test_time_order_takes_the_last_and_breaks_ties_by_row():
    events = pl.DataFrame([("u", i, t) for i, t in zip("abcde", (5, 2, 2, 2, 1), strict=True)], SCHEMA, orient="row")
    assert leave_one_out(events).to_list() == ["test", "train", "train", "valid", "train"]
    split = ratio(events, ratios=(3, 1, 1), order="time")
    assert split.to_list() == ["test", "train", "train", "valid", "train"]


def test_position_orders_where_there_is_no_clock():
    events = table(u=4).rename({"timestamp": "position"})
    assert leave_one_out(events).to_list() == ["test", "valid", "train", "train"]


def naive_recbole(events, cut, *, order, seed, by_user):
    """RecBole's rule in its own words: order the whole table, group it, cut each group into consecutive slices."""
    import torch

    if order == "random":
        torch.manual_seed(seed)
        rows = torch.randperm(len(events)).tolist()
    else:
        times = events["timestamp"].to_numpy().astype(np.float32)
        rows = sorted(range(len(events)), key=lambda row: times[row])
    groups = {}
    for row in rows:
        groups.setdefault(events["user_id"][row] if by_user else None, []).append(row)
    labels = [None] * len(events)
    for group in groups.values():
        bounds = np.cumsum([0, *cut(len(group))])
        for part, start, end in zip(("train", "valid", "test"), bounds, bounds[1:], strict=False):
            for row in group[start:end]:
                labels[row] = part
    return labels


def naive_ratio(n, ratios):
    shares = [value / (ratios[0] + ratios[1] + ratios[2]) for value in ratios]
    cut = [int(share * n) for share in shares]
    cut[0] = n - sum(cut[1:])
    for i in range(1, len(shares)):
        if cut[0] <= 1:
            break
        if 0 < shares[-i] * n < 1:
            cut[-i] += 1
            cut[0] -= 1
    return cut


def naive_leave(n):
    return [n - 2, 1, 1] if n >= 3 else [1, 0, n - 1]


@given(
    tables,
    st.sampled_from(["random", "time"]),
    st.integers(0, 2**32),
    st.sampled_from([(0.8, 0.1, 0.1), (7, 2, 1), (8, 0, 2)]),
)
def test_the_recbole_dialect_draws_recboles_rows(events, order, seed, ratios):
    for group_by in ("user", "none"):
        ours = ratio(events, ratios=ratios, group_by=group_by, order=order, seed=seed, dialect="recbole")
        cut = naive_recbole(
            events, lambda n: naive_ratio(n, ratios), order=order, seed=seed, by_user=group_by == "user"
        )
        assert ours.to_list() == cut
    ours = leave_one_out(events, order=order, seed=seed, dialect="recbole")
    assert ours.to_list() == naive_recbole(events, naive_leave, order=order, seed=seed, by_user=True)


def test_the_recbole_dialect_sees_times_as_float32():
    # 64 seconds are one float32 near 9.8e8: the first row is older, and yet comes last.
    events = pl.DataFrame([("u", "a", 978300001.0), ("u", "b", 978300000.0)], SCHEMA, orient="row")
    assert leave_one_out(events).to_list() == ["test", "train"]
    assert leave_one_out(events, dialect="recbole").to_list() == ["train", "test"]


@given(tables, st.randoms(), st.integers(-5, 2**70))
def test_random_order_does_not_depend_on_the_order_of_the_rows(events, random, seed):
    order = list(range(len(events)))
    random.shuffle(order)
    for splitter in (ratio, leave_one_out):
        there = events.with_columns(splitter(events, order="random", seed=seed))
        shuffled = events[order]
        back = shuffled.with_columns(splitter(shuffled, order="random", seed=seed))
        assert there.sort(pl.all()).equals(back.sort(pl.all()))


def test_random_order_of_a_user_does_not_depend_on_other_users():
    events = table(a=20, b=30)
    alone = events.filter(pl.col("user_id") == "a")
    assert ratio(alone).to_list() == ratio(events).filter(events["user_id"] == "a").to_list()


def naive_hash(seed, *words):
    """splitmix64 over the words, in whole numbers."""
    state = seed % 2**64
    for word in words:
        state = ((state ^ word) + 0x9E3779B97F4A7C15) % 2**64
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
        state ^= state >> 31
    return state


def test_random_order_is_the_documented_hash():
    events = table(u=12)
    bits = events["timestamp"].to_numpy().view(np.uint64)
    keys = [
        naive_hash(2020, digest64("u"), digest64(item), int(time))
        for item, time in zip(events["item_id"], bits, strict=True)
    ]
    last, second = sorted(range(12), key=keys.__getitem__)[:-3:-1]
    split = leave_one_out(events, order="random").to_list()
    # Rows 1 and 4, in every release and on every machine.
    assert (split.index("test"), split.index("valid")) == (last, second) == (1, 4)


def dealt_to(events, **options):
    """The fold in which each row is test, from 0, after making sure that there is just one."""
    split = kfold(events, **options)
    tests = np.array([labels.to_numpy() == "test" for labels in split])
    trains = np.array([labels.to_numpy() == "train" for labels in split])
    assert (tests.sum(axis=0) == 1).all() and (tests != trains).all()
    return tests.argmax(axis=0)


def within_one(counts):
    return max(counts) - min(counts) <= 1


@given(tables, st.integers(2, 7), st.sampled_from(["user", "none"]), st.integers(0, 2**32))
def test_folds_part_the_rows_and_are_of_one_size(events, folds, group_by, seed):
    if len(events) < folds:
        with pytest.raises(RecliError, match=f"rows cannot make {folds} folds") as error:
            kfold(events, folds=folds)
        assert error.value.code == Exit.DATA
        return
    fold = dealt_to(events, folds=folds, group_by=group_by, seed=seed)
    assert within_one(np.bincount(fold, minlength=folds))
    if group_by == "user":
        for user in events["user_id"].unique():
            assert within_one(np.bincount(fold[(events["user_id"] == user).to_numpy()], minlength=folds))


@given(tables, st.randoms(), st.sampled_from(["user", "none"]), st.integers(-5, 2**70))
def test_folds_do_not_depend_on_the_order_of_the_rows(events, random, group_by, seed):
    order = list(range(len(events)))
    random.shuffle(order)
    if len(events) < 2:
        return
    there = events.with_columns(fold=dealt_to(events, folds=2, group_by=group_by, seed=seed))
    shuffled = events[order]
    back = shuffled.with_columns(fold=dealt_to(shuffled, folds=2, group_by=group_by, seed=seed))
    assert there.sort(pl.all()).equals(back.sort(pl.all()))


def naive_folds(events, folds, seed):
    """Every user's rows in the order of the documented hash, dealt in turn; users by the least hash of their rows."""
    bits = events["timestamp"].to_numpy().view(np.uint64)
    words = zip(events["user_id"], events["item_id"], bits, strict=True)
    keys = [naive_hash(seed, digest64(user), digest64(item), int(time)) for user, item, time in words]
    hands = {}
    for row in sorted(range(len(events)), key=keys.__getitem__):
        hands.setdefault(events["user_id"][row], []).append(row)
    dealt = [row for hand in hands.values() for row in hand]
    return [dealt.index(row) % folds for row in range(len(events))]


def test_folds_are_dealt_by_the_documented_hash():
    events = table(a=7, b=1, c=12, d=3)
    assert dealt_to(events, folds=4, seed=7).tolist() == naive_folds(events, 4, 7)


@given(st.integers(0, 9))
def test_folds_of_another_seed_are_others(seed):
    events = table(a=20, b=20)
    first = dealt_to(events, seed=seed)
    assert (first == dealt_to(events, seed=seed)).all()
    assert any((first != dealt_to(events, seed=seed + n)).any() for n in range(1, 9))


@given(st.integers(0, 9))
def test_seeds_differ_and_repeat(seed):
    events = table(a=20, b=20)
    first = ratio(events, seed=seed, group_by="none")
    assert first.equals(ratio(events, seed=seed, group_by="none"))
    assert any(not first.equals(ratio(events, seed=seed + n, group_by="none")) for n in range(1, 9))


def test_every_item_has_the_same_chance():
    events = table(**{f"u{n}": 10 for n in range(400)})
    tested = ratio(events, ratios=(0.5, 0.2, 0.3)).to_numpy() == "test"
    by_place = [tested[events["item_id"].str.ends_with(f"{place}").to_numpy()].mean() for place in range(10)]
    assert np.abs(np.array(by_place) - 0.3).max() < 0.1  # four standard deviations of 400 draws


def test_labels_have_one_type():
    events = table(a=5)
    for split in (ratio(events), leave_one_out(events), by_time(events, at=[0.5]).split, *kfold(events)):
        assert (split.name, split.dtype) == ("split", pl.Enum(["train", "valid", "test"]))


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        (lambda e: ratio(e, ratios=(0.8, 0.2)), Exit.USAGE, "three ratios are needed, not 2"),
        (lambda e: ratio(e, ratios=(0, 0.5, 0.5)), Exit.USAGE, "above 0 for train, not 0,0.5,0.5"),
        (lambda e: ratio(e, ratios=(1, -1, 1)), Exit.USAGE, "ratios must be at least 0"),
        (lambda e: ratio(e, ratios=(1, math.nan, 1)), Exit.USAGE, "ratios must be at least 0"),
        (lambda e: ratio(e, group_by="item"), Exit.USAGE, "group_by cannot be 'item'"),
        (lambda e: ratio(e, order="tme"), Exit.USAGE, "order cannot be 'tme'"),
        (lambda e: ratio(e, dialect="elliot"), Exit.USAGE, "dialect cannot be 'elliot'"),
        (lambda e: kfold(e, folds=1), Exit.USAGE, "two folds are the fewest, not 1"),
        (lambda e: kfold(e, group_by="item"), Exit.USAGE, "group_by cannot be 'item'"),
        (lambda e: kfold(e, folds=6), Exit.DATA, "5 rows cannot make 6 folds"),
        (lambda e: leave_one_out(e, leave="none"), Exit.USAGE, "leave cannot be 'none'"),
        (lambda e: leave_one_out(e.drop("timestamp")), Exit.DATA, "the table has no timestamp or position"),
        (lambda e: ratio(e.drop("timestamp"), order="time"), Exit.DATA, "the table has no timestamp or position"),
        (lambda e: by_time(e.rename({"timestamp": "position"}), at=[0.8]), Exit.DATA, "the table has no timestamp"),
        (lambda e: by_time(e.with_columns(timestamp=None), at=[0.8]), Exit.DATA, "5 of 5 rows have no timestamp"),
        (lambda e: by_time(e.clear(), at=[0.8]), Exit.DATA, "no rows"),
        (lambda e: by_time(e, at=[]), Exit.USAGE, "one or two cuts, not 0"),
        (lambda e: by_time(e, at=[0.9, 0.5]), Exit.USAGE, "in the order of time, not 0.9, 0.5"),
        (lambda e: by_time(e, at=["1.5"]), Exit.USAGE, "cannot cut at '1.5'"),
        (lambda e: by_time(e, at=["soon"]), Exit.USAGE, "cannot cut at 'soon'"),
        (lambda e: by_time(e, at=[0.8, 0.8]), Exit.DATA, "no row is left for valid: 0.8 is 1970-01-01T00:00:05"),
        (lambda e: by_time(e, at=["2020-01-31"]), Exit.DATA, "no row is left for test: 2020-01-31 is 2020-01-31T00:00"),
    ],
)
def test_refusals(call, code, message):
    with pytest.raises(RecliError, match=message) as error:
        call(table(a=5).with_columns(pl.col("timestamp").cast(pl.Float64)))
    assert error.value.code == code


def test_no_rows_have_no_labels():
    events = table(a=1).clear()
    for split in (ratio(events), ratio(events, group_by="none"), leave_one_out(events)):
        assert split.to_list() == []


def clock(*times):
    return pl.DataFrame({"user_id": "u", "item_id": "i", "timestamp": [float(time) for time in times]})


def test_quantiles_cut_the_whole_table():
    result = by_time(clock(*range(9, -1, -1)), at=["0.8", 0.9])
    assert result.split.to_list() == ["test", "valid", *["train"] * 8]
    assert (result.cuts, result.unit) == ((8.0, 9.0), "s")


def test_one_cut_has_no_valid_part_and_equal_times_stay_together():
    result = by_time(clock(1, 1, 2, 2, 2), at=[0.6])
    assert result.split.to_list() == ["train", "train", "test", "test", "test"]


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_dates_cut_in_any_unit(unit, factor):
    days = [datetime(2020, 1, day, tzinfo=UTC).timestamp() * factor for day in (1, 2, 3, 4)]
    result = by_time(clock(*days), at=["2020-01-02", "2020-01-04T01:00:00+01:00"])
    assert result.split.to_list() == ["train", "valid", "valid", "test"]
    assert result.unit == unit == time_unit(np.array(days))
    assert [moment(cut, unit) for cut in result.cuts] == ["2020-01-02T00:00:00", "2020-01-04T00:00:00"]


def test_a_time_out_of_the_calendar_is_shown_as_it_is():
    assert moment(1e30, "s") == "1e+30"


@given(tables, st.floats(0.05, 0.5), st.floats(0.5, 0.95))
def test_time_cuts_keep_their_promise(events, first, second):
    try:
        split, (cut, later), _ = by_time(events, at=[first, second])
    except RecliError as error:
        assert error.code == Exit.DATA  # few distinct times
        return
    time = events["timestamp"]
    assert split.to_list() == ["train" if t < cut else "valid" if t < later else "test" for t in time]
    assert leaks(events, split).late == 0


def test_leaks():
    events = pl.DataFrame(
        [("a", "x", 1), ("b", "y", 5), ("a", "y", 2), ("a", "y", 4), ("b", "z", 5), ("c", "x", 9), ("c", "w", 9)],
        SCHEMA,
        orient="row",
    )
    split = pl.Series(
        ["train", "train", "valid", "test", "test", "test", None], dtype=pl.Enum(["train", "valid", "test"])
    )
    assert leaks(events, split) == Leaks(
        rows={"train": 2, "valid": 1, "test": 3},
        users={"train": 2, "valid": 1, "test": 3},
        late=1 / 3,  # a's y at 4; b's z is as old as train's last
        cold_users=1,
        cold_user_share=1 / 3,
        cold_items=1,
        cold_item_share=1 / 3,
    )
    assert leaks(events.drop("timestamp"), split).late is None
    assert leaks(events.clear(), split.clear()).late is None


def test_many_rows_get_the_keys_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = {"user_id": rng.integers(40, size=900).astype(str), "item_id": rng.integers(50, size=900).astype(str)}
    for events in (pl.DataFrame(rows), pl.DataFrame({**rows, "timestamp": rng.standard_normal(900)})):
        few = ratio(events)
        monkeypatch.setattr(splits, "MANY", 1)
        assert ratio(events).equals(few)
        monkeypatch.undo()
