"""Conditions and gains against Python's own comparisons."""

import operator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recli.pipeline.evaluate.relevance import GAIN, Condition, Relevance

SIGNS = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
HERE = Path("here")
numbers = st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float)
space = st.sampled_from(["", " ", "  "])


@given(st.sampled_from(list(SIGNS)), numbers, st.lists(numbers | st.none()), space, space)
def test_numbers(sign: str, bound: float, values: list[float | None], before: str, after: str) -> None:
    condition = Condition.parse(f"{before}n{after}{sign}{before}{bound!r}{after}")
    rows = pl.DataFrame({"n": values}, schema={"n": pl.Float64})
    expected = [value is not None and SIGNS[sign](value, bound) for value in values]
    assert condition.holds(rows, HERE).to_list() == expected


@given(st.sampled_from(["==", "=", "!="]), st.lists(st.sampled_from(["a", "A", "a b", "a=b", "", "é"])))
def test_text(sign: str, values: list[str]) -> None:
    rows = pl.DataFrame({"t": values}, schema={"t": pl.String})
    for value in ("a", "a b", "a=b", "é"):
        expected = [one != "" and SIGNS[sign](one, value) for one in values]
        assert Condition.parse(f"t{sign}{value}").holds(rows, HERE).to_list() == expected


@given(st.text(st.characters(exclude_characters="<>=!"), min_size=1).filter(str.strip), st.sampled_from(list(SIGNS)))
def test_a_condition_says_what_it_was_told(column: str, sign: str) -> None:
    condition = Condition.parse(f"{column}{sign}4")
    assert Condition.parse(str(condition)) == condition
    assert (condition.column, condition.sign, condition.value) == (column.strip(), sign, "4")


@pytest.mark.parametrize(("gain", "worth"), [("linear", lambda n: n), ("exponential", lambda n: 2.0**n - 1)])
@given(values=st.lists(st.integers(-2, 9).map(float)).filter(lambda values: max(values, default=0) > 0))
def test_gains(gain: str, worth: object, values: list[float]) -> None:
    rows = pl.DataFrame({"rating": values, "row": list(range(len(values)))})
    found = Relevance(gain=gain).select(rows, HERE)
    expected = [(row, worth(value)) for row, value in enumerate(values) if worth(value) > 0]  # type: ignore[operator]
    assert found.select("row", GAIN).rows() == expected
