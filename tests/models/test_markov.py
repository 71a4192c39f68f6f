"""Transitions, counted by hand."""

import numpy as np
import polars as pl
import pytest

from recli.interactions import Interactions, Queries
from recli.model import Run
from tests.checks import cycle, model, next_first

ROWS = [
    ("u", "a", 1.0),
    ("u", "b", 2.0),
    ("u", "c", 3.0),
    ("v", "a", 1.0),
    ("v", "b", 5.0),
    ("w", "a", 0.0),
    ("w", "c", 9.0),
]


def scores(steps: int, *history: str) -> dict[str, float]:
    data = Interactions.of(pl.DataFrame(ROWS[::-1], schema=["user_id", "item_id", "timestamp"], orient="row"))
    code = {item: number for number, item in enumerate(data.items)}
    queries = Queries(
        user=np.array([-1], np.int32),
        indptr=np.array([0, len(history)]),
        item=np.array([code[i] for i in history], "i4"),
    )
    row = model("markov", steps=steps).fit(data, Run()).score(queries)[0]
    return {item: float(row[number]) for item, number in code.items()}


def test_the_share_of_what_came_next_after_the_last_event() -> None:
    assert scores(1, "c", "a") == pytest.approx({"a": 0, "b": 2 / 3, "c": 1 / 3})
    assert scores(1, "b") == pytest.approx({"a": 0, "b": 0, "c": 1})
    assert scores(1, "c") == {"a": 0, "b": 0, "c": 0}


def test_rules_count_what_came_later_over_its_distance() -> None:
    assert scores(2, "a") == pytest.approx({"a": 0, "b": 2 / 3.5, "c": 1.5 / 3.5})


@pytest.mark.parametrize("name", ["markov", "sr"])
def test_the_cycle_is_understood(name: str) -> None:
    assert next_first(model(name).fit(cycle(), Run())) == 1.0
