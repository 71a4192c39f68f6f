"""Rolling queries against a plain loop: whose they are, what comes before, and that blocks do not show."""

from collections import defaultdict
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recli.pipeline import audience
from recli.pipeline.audience import keys, numbered, rolling

KNOWN = pl.Series("item_id", ["i3", "i0", "i2", "i1"])  # to the model; i4 is not
USERS = pl.Series("user_id", ["u1", "u0"])  # u2 is a stranger

events = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 3)), max_size=25)
SCHEMA = {"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Float64}


def frame(rows: list[tuple[int, int, int]], timed: bool) -> pl.DataFrame:
    made = pl.DataFrame([(f"u{u}", f"i{i}", float(t)) for u, i, t in rows], schema=SCHEMA, orient="row")
    return made if timed else made.drop("timestamp")


def queries(before: list[Any], held_out: list[Any], timed: bool) -> dict[tuple[str, int], tuple[str, list[str]]]:
    """What is asked for, and the items before it: of equal times those before first, then as they stand."""
    own = defaultdict(list)
    for held, rows in ((False, before), (True, held_out)):
        for user, item, time in rows:
            own[f"u{user}"].append((time if timed else 0, held, f"i{item}"))
    found = {}
    for user, rows in own.items():
        rows.sort(key=lambda row: row[0])
        asked = [place for place, row in enumerate(rows) if row[1]]
        for number, place in enumerate(asked):
            found[user, number] = rows[place][2], [row[2] for row in rows[:place]]
    return found


@given(events, events.filter(len), st.booleans(), st.integers(1, 40))
def test_rolling_queries(before: list[Any], held_out: list[Any], timed: bool, events_at_once: int) -> None:
    rows = frame(held_out, timed)
    expected = queries(before, held_out, timed)
    asked = rolling(frame(before, timed), rows, USERS, KNOWN, mask=True)
    usual, audience.EVENTS = audience.EVENTS, events_at_once
    try:
        blocks = list(asked.blocks())
    finally:
        audience.EVENTS = usual
    found = {}
    for block in blocks:
        whose, own = asked.rows[block.rows], block.queries
        assert block.seen is not None
        np.testing.assert_array_equal(block.seen[0], own.indptr)
        np.testing.assert_array_equal(block.seen[1], own.item)
        assert own.replaced and own.item.dtype == np.int32
        for place, key in enumerate(whose.iter_rows()):
            part = slice(own.indptr[place], own.indptr[place + 1])
            found[key] = [KNOWN[int(code)] for code in own.item[part]]
            assert own.user[place] == {"u1": 0, "u0": 1, "u2": -1}[key[0]]
            assert own.time is None or (np.diff(own.time[part]) >= 0).all()
            assert (own.time is not None) == timed
    assert found == {key: [item for item in items if item != "i4"] for key, (_, items) in expected.items()}
    # The held-out rows bear the same numbers.
    named = {(user, number): item for user, item, number in numbered(rows).select("user_id", "item_id", "query").rows()}
    assert named == {key: item for key, (item, _) in expected.items()}


@given(events.filter(len))
def test_any_rows_of_an_audience(held_out: list[Any]) -> None:
    asked = rolling(frame([], True), frame(held_out, True), USERS, KNOWN, mask=False)
    rows = np.arange(len(asked))[::-1].repeat(2)
    together = asked.queries(rows)
    for place, row in enumerate(rows):
        alone = asked.queries(np.array([row]))
        part = slice(together.indptr[place], together.indptr[place + 1])
        np.testing.assert_array_equal(together.item[part], alone.item)
        assert together.user[place] == alone.user[0]
    assert all(block.seen is None for block in asked.blocks())


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 3)), unique=True, min_size=1))
def test_keys_tell_users_and_queries_apart(pairs: list[tuple[str, int]]) -> None:
    schema = {"user_id": pl.String, "query": pl.Int32}
    rows = pl.DataFrame(pairs, schema=schema, orient="row")
    assert keys(rows).n_unique() == len(pairs)
    assert keys(rows.drop("query")).to_list() == [user for user, _ in pairs]
