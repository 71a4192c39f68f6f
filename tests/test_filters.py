"""Filters: each against a naive one, and all of them in order."""

import math
from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recli.errors import Exit, RecliError
from recli.filters import (
    ANY,
    Only,
    Range,
    apply,
    dedup,
    kcore,
    min_rating,
    parse_core,
    parse_only,
    parse_range,
    value_in,
    value_range,
)

SCHEMA = {"user_id": pl.String, "item_id": pl.String, "rating": pl.Float64, "timestamp": pl.Float64}
row = st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz"), st.integers(1, 5), st.integers(0, 4))
tables = st.lists(row, max_size=50).map(lambda rows: pl.DataFrame(rows, SCHEMA, orient="row"))


def events(*rows):
    return pl.DataFrame(rows, SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rating=0.5,5", Range("rating", ((0.5, 5),))),
        (" rating = 3 , ", Range("rating", ((3, math.inf),))),
        ("rating=,3", Range("rating", ((-math.inf, 3),))),
        ("rating=-inf,inf", Range("rating", ANY)),
        ("rating=1,2;4,", Range("rating", ((1, 2), (4, math.inf)))),
        ("t=1e9,1e9", Range("t", ((1e9, 1e9),))),
    ],
)
def test_ranges_are_parsed(text, expected):
    assert parse_range(text) == expected


@pytest.mark.parametrize(
    "text", ["rating", "rating=3", "=1,2", "rating=a,b", "rating=5,3", "rating=nan,1", "rating=1,2,3"]
)
def test_ranges_that_are_refused(text):
    with pytest.raises(RecliError) as error:
        parse_range(text)
    assert error.value.code == Exit.USAGE
    assert text.partition("=")[2] in error.value.message
    assert error.value.hint or "nothing" in error.value.message


def test_a_range_holds_its_ends_and_drops_what_has_no_value():
    rated = pl.DataFrame({"rating": [1.0, 2.0, 3.0, 4.0, None, math.nan, math.inf]})
    assert value_range(rated, "rating", ((2, 3),))["rating"].to_list() == [2, 3]
    assert value_range(rated, "rating", ((4, math.inf),))["rating"].to_list() == [4, math.inf]
    assert value_range(rated, "rating", ((-math.inf, 1),))["rating"].to_list() == [1]
    assert min_rating(rated.with_columns(user_id=pl.lit("u")), 3)["rating"].to_list() == [3, 4, math.inf]
    assert value_range(pl.DataFrame({"year": [1999, 2001]}), "year", ((2000, math.inf),))["year"].to_list() == [2001]


def test_a_value_in_either_of_two_spans_stays():
    rated = pl.DataFrame({"rating": [1.0, 2.0, 3.0, 4.0, 5.0]})
    assert value_range(rated, "rating", ((1, 2), (4.5, math.inf)))["rating"].to_list() == [1, 2, 5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event=view,buy", Only("event", ("view", "buy"))),
        ('title=["Alien, 1979", "Aliens"]', Only("title", ("Alien, 1979", "Aliens"))),
        ("event=", Only("event", ("",))),
    ],
)
def test_values_to_keep_are_parsed(text, expected):
    assert parse_only(text) == expected


@pytest.mark.parametrize("text", ["event", "=view", "event=[", "event=[1]", "event=[]"])
def test_values_to_keep_that_are_refused(text):
    with pytest.raises(RecliError, match="values to keep are") as error:
        parse_only(text)
    assert error.value.code == Exit.USAGE


def test_rows_that_have_one_of_the_values_stay():
    table = pl.DataFrame(
        {"event": ["view", "buy", None, "cart"], "tags": [["a"], ["b", "a"], [], None], "n": [1, 2, 3, 4]}
    )
    assert value_in(table, "event", ["buy", "cart"])["n"].to_list() == [2, 4]
    assert value_in(table, "tags", ["b", "c"])["n"].to_list() == [2]
    with pytest.raises(RecliError, match="n is a column of numbers"):
        value_in(table, "n", ["1"])


def test_rows_are_left_out_by_their_users_or_items():
    table = events(("b", "v", 1, 0), ("a", "u", 2, 0), ("c", "u", 3, 0))
    people = pl.DataFrame({"user_id": ["a", "b"], "age": [40.0, 20.0], "sex": ["F", "M"]})
    kept = apply(table, ranges=[parse_range("user.age=30,")], beside={"user": people}.__getitem__)
    assert kept.events.rows() == [table.row(1)] and kept.removed == {"range user.age": 2}
    assert apply(table, only=[parse_only("user.sex=M")], beside={"user": people}.__getitem__).events.rows() == [
        table.row(0)
    ]
    with pytest.raises(RecliError, match="no table of items"):
        apply(table, only=[parse_only("item.genre=x")])


@pytest.mark.parametrize(
    ("call", "code", "message", "hint"),
    [
        (
            lambda e: value_range(e, "ratin", ((0, 1),)),
            Exit.USAGE,
            "the table has no column 'ratin'",
            "did you mean rating?",
        ),
        (
            lambda e: value_range(e, "user_id", ((0, 1),)),
            Exit.USAGE,
            "user_id is not a column of numbers",
            "numbers are in",
        ),
        (
            lambda e: value_range(pl.DataFrame({"age": ["18", "x"]}), "age", ((0, 1),)),
            Exit.USAGE,
            "age is not a column of numbers",
            "has to call it age:float",
        ),
        (lambda e: min_rating(e.drop("rating"), 1), Exit.DATA, "the table has no rating", "it has user_id, item_id"),
        (lambda e: dedup(e, "frist"), Exit.USAGE, "dedup cannot be 'frist'", "did you mean first?"),
        (lambda e: dedup(e, "error"), Exit.DATA, "1 rows repeat a pair, such as user 'a', item 'u'", "--dedup first"),
        (lambda e: apply(e, least=9), Exit.DATA, "no row is left after min-rating", "rows removed: min-rating 3"),
        (
            lambda e: apply(e, keep="last", user=parse_core(3)),
            Exit.DATA,
            "no row is left after k-core",
            "dedup 1, k-core 2",
        ),
    ],
)
def test_refusals(call, code, message, hint):
    with pytest.raises(RecliError) as error:
        call(events(("b", "v", 1, 0), ("a", "u", 2, 0), ("a", "u", 3, 0)))
    assert (error.value.code, error.value.message) == (code, message)
    assert hint in error.value.hint


counts = st.one_of(
    st.integers(0, 4),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)).map(sorted), min_size=1, max_size=2),
).map(lambda given: given if isinstance(given, int) else ";".join(f"{low},{high}" for low, high in given))


@given(tables, counts, counts)
def test_the_core_is_a_fixed_point(table, user, item):
    rows = table.rows()
    users_in, items_in = parse_core(user), parse_core(item)
    while True:
        users, items = Counter(row[0] for row in rows), Counter(row[1] for row in rows)
        kept = [
            row
            for row in rows
            if any(low <= users[row[0]] <= high for low, high in users_in)
            and any(low <= items[row[1]] <= high for low, high in items_in)
        ]
        if kept == rows:
            break
        rows = kept
    assert kcore(table, user=users_in, item=items_in).rows() == rows


def test_the_core_takes_more_than_one_pass():
    # v has one row; without it a has one; without a, u has one; without u, b has none.
    table = events(("a", "v", 1, 0), ("a", "u", 1, 0), ("b", "u", 1, 0), ("c", "x", 1, 0), ("c", "x", 1, 0))
    assert kcore(table, item=parse_core(2)).rows() == table.rows()[1:]
    assert kcore(table, user=parse_core(2), item=parse_core(2)).rows() == table.rows()[3:]


@given(tables, st.sampled_from(["first", "last"]), st.booleans())
def test_dedup_keeps_the_first_or_last_by_time_then_row(table, keep, timed):
    table = table if timed else table.drop("timestamp")
    best = {}
    for place, row in enumerate(table.rows()):
        when = row[3] if timed else 0
        old = best.get(row[:2])
        if old is None or (when < old[0] if keep == "first" else when >= old[0]):
            best[row[:2]] = (when, place)
    kept = dedup(table, keep)
    assert kept.rows() == table[sorted(place for _, place in best.values())].rows()
    assert dedup(kept, "error").equals(kept)


def test_dedup_goes_by_position_where_there_is_no_clock():
    table = events(("a", "u", 1, 7), ("a", "u", 2, 3)).rename({"timestamp": "position"})
    assert dedup(table, "last")["rating"].to_list() == [1]


def test_steps_follow_one_another_and_are_counted():
    table = events(
        ("a", "u", 5, 0),
        ("a", "u", 1, 1),  # dedup last keeps this one, and the least rating then drops it
        ("a", "v", 4, 2),
        ("b", "v", 4, 3),
        ("b", "w", 4, 9),  # out of range
        ("c", "x", 4, 4),  # alone
    )
    kept, removed = apply(table, keep="last", ranges=[Range("timestamp", ((0, 5),))], least=2, item=parse_core(2))
    assert kept.rows() == [table.row(2), table.row(3)]
    assert removed == {"dedup": 1, "range timestamp": 1, "min-rating": 1, "k-core": 1}


def test_nothing_asked_for_changes_nothing():
    table = events(("a", "u", 5, 0))
    assert apply(table) == (table, {})
    two = apply(
        events(("a", "u", 5, 0), ("b", "u", 1, 0)), ranges=[Range("rating", ((0, 9),)), Range("rating", ((2, 9),))]
    )
    assert two.removed == {"range rating": 1}
