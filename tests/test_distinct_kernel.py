"""The distinct texts of a column, against polars."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recli import interactions
from recli.interactions import coded, distinct, order_within, vocabulary

SHORT = st.text(st.characters(exclude_categories=("Cs",)), max_size=4).filter(lambda text: len(text.encode()) <= 12)


@pytest.fixture(autouse=True)
def _from_the_first_row_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactions, "MANY", 1)


@settings(deadline=None)
@given(st.lists(SHORT, min_size=1, max_size=60))
def test_short_texts(texts: list[str]) -> None:
    found, places = distinct(pl.Series("id", texts))
    assert found.gather(places).to_list() == texts
    assert found.to_list() == list(dict.fromkeys(texts))


def test_a_table_that_grows() -> None:
    texts = pl.Series("id", [f"u{n * 7919 % 40_000}" for n in range(100_000)])
    found, places = distinct(texts)
    assert len(found) == 40_000
    assert found.gather(places).equals(texts)


@pytest.mark.parametrize("longest", ["exactly-12-by", "a text that is longer than a view can hold", "eü" * 7])
def test_long_texts_take_the_other_way(longest: str) -> None:
    texts = pl.Series("id", ["a", longest, "b", "a", longest])
    found, places = distinct(texts)
    assert sorted(found.to_list()) == sorted({"a", "b", longest})
    assert found.gather(places).equals(texts)


def test_slices_and_chunks() -> None:
    texts = pl.concat([pl.Series("id", ["a", "b", "c"]), pl.Series("id", ["c", "d", "a"])], rechunk=False)[1:5]
    found, places = distinct(texts)
    assert found.to_list() == ["b", "c", "d"]
    assert places.tolist() == [0, 1, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=40), st.booleans())
def test_rows_are_grouped_alike(rows: list[tuple[int, int]], ordered: bool) -> None:
    group = np.array([g for g, _ in rows], np.int32)
    key = np.array([k for _, k in rows], np.float64) if ordered else None
    indptr, found = order_within(group, key, 6)
    expected = sorted(range(len(rows)), key=lambda row: (group[row], 0 if key is None else key[row], row))
    assert found.tolist() == expected
    assert indptr.tolist() == [int((group < g).sum()) for g in range(7)]


@pytest.mark.parametrize("groups", [1, 3, 500])
@pytest.mark.parametrize("kind", [np.float64, np.uint64])
def test_many_rows_are_put_into_order(groups: int, kind: type) -> None:
    """Long groups are merged from runs; of equal keys the first row stays first."""
    rng = np.random.default_rng(0)
    group, key = rng.integers(groups, size=5000).astype(np.int32), rng.integers(900, size=5000).astype(kind)
    indptr, found = order_within(group, key, groups)
    assert found.tolist() == np.lexsort((key, group)).tolist()
    assert indptr.tolist() == [int((group < g).sum()) for g in range(groups + 1)]


def test_codes_are_the_same_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pl.Series("id", [f"i{n * n % 1009}" for n in range(5000)])
    by_table = coded(texts)
    monkeypatch.setattr(interactions, "MANY", 1 << 40)
    otherwise = coded(texts)
    assert by_table[0].equals(otherwise[0])
    assert by_table[0].equals(vocabulary(texts))
    assert by_table[1].tolist() == otherwise[1].tolist()
    assert by_table[0].gather(by_table[1]).equals(texts)
