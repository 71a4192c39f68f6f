"""Popularity, of all time, of late, and fading, by hand."""

from dataclasses import replace

import polars as pl
import pytest

from recli.errors import Exit, RecliError
from recli.interactions import Interactions
from recli.model import Run
from recli.models.baseline.pop import DAY, Pop
from tests.checks import model as preset

# Three users of x, one of whom took it twice; the last event is of day 100.
ROWS = [("a", "x", 0), ("a", "x", 80), ("b", "x", 0), ("c", "x", 95), ("a", "y", 90), ("b", "y", 100), ("c", "z", 70)]


def events() -> Interactions:
    frame = pl.DataFrame(ROWS, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Interactions.of(frame.with_columns(pl.col("timestamp").cast(pl.Float64) * DAY))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Pop(), {"x": 3, "y": 2, "z": 1}),
        (Pop(days=10), {"x": 1, "y": 2, "z": 0}),
        (Pop(share=0.2), {"x": 2, "y": 2, "z": 0}),
        (Pop(share=0.2, days=15), {"x": 1, "y": 2, "z": 0}),
        (Pop(days=1000), {"x": 3, "y": 2, "z": 1}),
        (Pop(half_life=10), {"x": 2**-2 + 2**-10 + 2**-0.5, "y": 2**-1 + 1, "z": 2**-3}),
        (Pop(half_life=10, days=20), {"x": 2**-2 + 2**-0.5, "y": 2**-1 + 1, "z": 0}),
        (preset("recentpop"), {"x": 1, "y": 2, "z": 0}),
        (preset("decaypop"), {"x": 2 ** (-2 / 3) + 2 ** (-10 / 3) + 2 ** (-1 / 6), "y": 2 ** (-1 / 3) + 1, "z": 0.5}),
    ],
    ids=str,
)
def test_by_hand(model: Pop, expected: dict[str, float]) -> None:
    data = events()
    assert dict(zip(data.items, model.fit(data, Run()).item.tolist(), strict=True)) == pytest.approx(expected)


def test_recent_events_need_a_time() -> None:
    data = replace(events(), time=None)
    assert Pop().fit(data, Run()).item.sum() == 6
    with pytest.raises(RecliError, match="no timestamp to tell recent events by") as caught:
        Pop(days=1).fit(data, Run())
    assert caught.value.code == Exit.DATA
