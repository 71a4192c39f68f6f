"""Filters: each against a naive one, and all of them in order."""

import math
from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recli.errors import Exit, RecliError
from recli.filters import Range, apply, dedup, kcore, min_rating, parse_range, value_range

SCHEMA = {"user_id": pl.String, "item_id": pl.String, "rating": pl.Float64, "timestamp": pl.Float64}
row = st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz"), st.integers(1, 5), st.integers(0, 4))
tables = st.lists(row, max_size=50).map(lambda rows: pl.DataFrame(rows, SCHEMA, orient="row"))


def events(*rows):
    return pl.DataFrame(rows, SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rating=0.5,5", Range("rating", 0.5, 5)),
        (" rating = 3 , ", Range("rating", 3, math.inf)),
        ("rating=,3", Range("rating", -math.inf, 3)),
        ("rating=-inf,inf", Range("rating", -math.inf, math.inf)),
        ("t=1e9,1e9", Range("t", 1e9, 1e9)),
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
    assert value_range(rated, "rating", 2, 3)["rating"].to_list() == [2, 3]
    assert value_range(rated, "rating", 4, math.inf)["rating"].to_list() == [4, math.inf]
    assert value_range(rated, "rating", -math.inf, 1)["rating"].to_list() == [1]
    assert min_rating(rated.with_columns(user_id=pl.lit("u")), 3)["rating"].to_list() == [3, 4, math.inf]
    assert value_range(pl.DataFrame({"year": [1999, 2001]}), "year", 2000, math.inf)["year"].to_list() == [2001]


@pytest.mark.parametrize(
    ("call", "code", "message", "hint"),
    [
        (
            lambda e: value_range(e, "ratin", 0, 1),
            Exit.USAGE,
            "the table has no column 'ratin'",
            "did you mean rating?",
        ),
        (lambda e: value_range(e, "user_id", 0, 1), Exit.USAGE, "user_id is not a column of numbers", "numbers are in"),
        (lambda e: min_rating(e.drop("rating"), 1), Exit.DATA, "the table has no rating", "it has user_id, item_id"),
        (lambda e: dedup(e, "frist"), Exit.USAGE, "dedup cannot be 'frist'", "did you mean first?"),
        (lambda e: dedup(e, "error"), Exit.DATA, "1 rows repeat a pair, such as user 'a', item 'u'", "--dedup first"),
        (lambda e: apply(e, least=9), Exit.DATA, "no row is left after min-rating", "rows removed: min-rating 3"),
        (lambda e: apply(e, keep="last", user=3), Exit.DATA, "no row is left after k-core", "dedup 1, k-core 2"),
    ],
)
def test_refusals(call, code, message, hint):
    with pytest.raises(RecliError) as error:
        call(events(("b", "v", 1, 0), ("a", "u", 2, 0), ("a", "u", 3, 0)))
    assert (error.value.code, error.value.message) == (code, message)
    assert hint in error.value.hint


@given(tables, st.integers(0, 4), st.integers(0, 4))
def test_the_core_is_a_fixed_point(table, user, item):
    rows = table.rows()
    while True:
        users, items = Counter(row[0] for row in rows), Counter(row[1] for row in rows)
        kept = [row for row in rows if users[row[0]] >= user and items[row[1]] >= item]
        if kept == rows:
            break
        rows = kept
    assert kcore(table, user=user, item=item).rows() == rows


def test_the_core_takes_more_than_one_pass():
    # v has one row; without it a has one; without a, u has one; without u, b has none.
    table = events(("a", "v", 1, 0), ("a", "u", 1, 0), ("b", "u", 1, 0), ("c", "x", 1, 0), ("c", "x", 1, 0))
    assert kcore(table, user=1, item=2).rows() == table.rows()[1:]
    assert kcore(table, user=2, item=2).rows() == table.rows()[3:]


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
    kept, removed = apply(table, keep="last", ranges=[Range("timestamp", 0, 5)], least=2, item=2)
    assert kept.rows() == [table.row(2), table.row(3)]
    assert removed == {"dedup": 1, "range timestamp": 1, "min-rating": 1, "k-core": 1}


def test_nothing_asked_for_changes_nothing():
    table = events(("a", "u", 5, 0))
    assert apply(table) == (table, {})
    two = apply(events(("a", "u", 5, 0), ("b", "u", 1, 0)), ranges=[Range("rating", 0, 9), Range("rating", 2, 9)])
    assert two.removed == {"range rating": 1}
