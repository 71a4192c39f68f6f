"""Top-k against a full sort."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recli import ranking
from recli.errors import Exit, RecliError
from recli.interactions import Queries
from recli.ranking import top_k


@dataclass(frozen=True)
class Given:
    """Scores by user code."""

    table: NDArray[np.float32]

    def score(self, queries: Queries) -> NDArray[np.float32]:
        return self.table[queries.user]

    def score_pairs(self, queries: Queries, items: NDArray[np.int32]) -> NDArray[np.float32]:
        return self.table[queries.user, items]


def everybody(n: int) -> Queries:
    return Queries(user=np.arange(n, dtype=np.int32), indptr=np.zeros(n + 1, np.int64), item=np.empty(0, np.int32))


def by_sorting(
    table: NDArray[np.float32], k: int, seen: list[set[int]], allowed: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    scores = table.copy()
    for row, items in enumerate(seen):
        scores[row, sorted(items)] = -np.inf
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    codes = np.full((len(table), k), -1, np.int32)
    best = np.full((len(table), k), -np.inf, np.float32)
    for row, values in enumerate(scores):
        order = [code for code in np.argsort(-values, kind="stable") if values[code] > -np.inf][:k]
        codes[row, : len(order)], best[row, : len(order)] = order, values[order]
    return codes, best


def packed(seen: list[set[int]]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    return np.cumsum([0, *map(len, seen)]), np.array([i for row in seen for i in sorted(row)], np.int32)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_equals_a_stable_sort(data: st.DataObject) -> None:
    rows, n, k = data.draw(st.integers(0, 6)), data.draw(st.integers(1, 150)), data.draw(st.integers(1, 12))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    values = np.array([-np.inf, -2.5, -0.0, 0.0, 1e-40, 1, 1, 3, np.inf], np.float32)  # ties in plenty
    few = data.draw(st.booleans())
    table = rng.choice(values, (rows, n)) if few else rng.standard_normal((rows, n)).astype(np.float32)
    seen = [set(np.flatnonzero(rng.random(n) < data.draw(st.sampled_from([0, 0.3, 1]))).tolist()) for _ in range(rows)]
    allowed = rng.random(n) < 0.5 if data.draw(st.booleans()) else None
    codes, best = top_k(Given(table), everybody(rows), k, seen=packed(seen), allowed=allowed)
    expected_codes, expected_best = by_sorting(table, k, seen, allowed)
    assert (codes.dtype, best.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(codes, expected_codes)
    np.testing.assert_array_equal(best, expected_best)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(0).integers(0, 9, (70, 300)).astype(np.float32)
    seen = packed([{row, row + 1} for row in range(70)])
    whole = top_k(Given(table), everybody(70), 10, seen=seen)
    monkeypatch.setattr(ranking, "BYTES", 1)
    for ours, theirs in zip(whole, top_k(Given(table), everybody(70), 10, seen=seen), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_nothing_is_asked() -> None:
    codes, best = top_k(Given(np.zeros((1, 3), np.float32)), everybody(0), 4)
    assert codes.shape == best.shape == (0, 4)


def test_more_than_there_is() -> None:
    codes, best = top_k(Given(np.array([[1, 2]], np.float32)), everybody(1), 4)
    assert codes.tolist() == [[1, 0, -1, -1]]
    assert best.tolist() == [[2, 1, -np.inf, -np.inf]]


def test_an_item_that_the_model_does_not_know_was_seen() -> None:
    seen = (np.array([0, 3]), np.array([-1, 7, 1], np.int32))
    codes, _ = top_k(Given(np.array([[1, 2]], np.float32)), everybody(1), 2, seen=seen)
    assert codes.tolist() == [[0, -1]]


@pytest.mark.parametrize("place", [0, 63, 64, 199])
def test_nan_is_found(place: int) -> None:
    table = np.ones((3, 200), np.float32)
    table[1, place] = np.nan
    with pytest.raises(RecliError, match="NaN") as caught:
        top_k(Given(table), everybody(3), 2)
    assert caught.value.code == Exit.DATA


def test_no_place() -> None:
    with pytest.raises(RecliError, match="at least 1"):
        top_k(Given(np.ones((1, 2), np.float32)), everybody(1), 0)
