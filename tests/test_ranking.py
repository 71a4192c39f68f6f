"""Top-k against a full sort."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recli import ranking
from recli.errors import Exit, RecliError
from recli.interactions import Queries
from recli.ranking import top_k
from recli.scorers import Factors


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


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_products_equal_a_stable_sort(data: st.DataObject) -> None:
    """Of small whole numbers, whose sums are exact in any order, and tie."""
    rows, n, k = data.draw(st.integers(0, 150)), data.draw(st.integers(1, 150)), data.draw(st.integers(1, 12))
    width = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    user, item = (rng.integers(-2, 3, (m, width)).astype(np.float32) for m in (rows, n))
    bias = rng.integers(-3, 4, n).astype(np.float32) if data.draw(st.booleans()) else None
    share = data.draw(st.sampled_from([0, 0.3, 1]))
    seen = [set(np.flatnonzero(rng.random(n) < share).tolist()) for _ in range(rows)]
    allowed = rng.random(n) < 0.5 if data.draw(st.booleans()) else None
    queries = replace(everybody(rows), user=np.where(rng.random(rows) < 0.1, -1, np.arange(rows)).astype(np.int32))
    indptr, items = packed(seen)
    for row in range(rows):  # in any order
        rng.shuffle(items[indptr[row] : indptr[row + 1]])
    codes, best = top_k(Factors(user=user, item=item, bias=bias), queries, k, seen=(indptr, items), allowed=allowed)
    table = user @ item.T + (0 if bias is None else bias)
    table[queries.user < 0] = -np.inf
    expected_codes, expected_best = by_sorting(table, k, seen, allowed)
    np.testing.assert_array_equal(codes, expected_codes)
    np.testing.assert_array_equal(best, expected_best)


def test_products_are_the_same_in_any_company() -> None:
    rng = np.random.default_rng(1)
    user, item = rng.standard_normal((100, 33), np.float32), rng.standard_normal((500, 33), np.float32)
    scorer = Factors(user=user, item=item)
    codes, best = top_k(scorer, everybody(100), 7)
    for row in (0, 41, 99):
        alone = top_k(scorer, everybody(100)[row : row + 1], 7)
        assert alone[0].tobytes() == codes[row].tobytes()
        assert alone[1].tobytes() == best[row].tobytes()
    np.testing.assert_allclose(best, np.take_along_axis(scorer.score(everybody(100)), codes, 1), rtol=1e-5)


@pytest.mark.parametrize("place", [0, 31, 32, 70])
def test_nan_is_found_in_a_product(place: int) -> None:
    item = np.ones((71, 3), np.float32)
    item[place, 1] = np.nan
    with pytest.raises(RecliError, match="NaN"):
        top_k(Factors(user=np.ones((9, 3), np.float32), item=item), everybody(9), 2)


def test_more_items_than_may_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLI_MAX_MEMORY", "1k")
    with pytest.raises(
        RecliError, match=r"the rows of 71 items would take about 1\.11 KiB, and 1 KiB is allowed"
    ) as caught:
        top_k(Factors(user=np.ones((9, 4), np.float32), item=np.ones((71, 4), np.float32)), everybody(9), 2)
    assert caught.value.code == Exit.MEMORY


def test_more_than_a_million_items() -> None:
    """Exact, whichever way they are scored; the products are of whole numbers, so that none is rounded."""
    rng = np.random.default_rng(0)
    n, users = 1_100_003, 3
    scorer = Factors(
        user=rng.integers(-9, 10, (users, 8)).astype(np.float32), item=rng.integers(-9, 10, (n, 8)).astype(np.float32)
    )
    scores = scorer.score(everybody(users))
    seen = packed([set(np.argsort(-row, kind="stable")[:5].tolist()) for row in scores])
    products, written = (top_k(of, everybody(users), 20, seen=seen) for of in (scorer, Given(scores)))
    for found in (products, written):
        for row, (codes, best) in enumerate(zip(*found, strict=True)):
            order = np.argsort(-scores[row], kind="stable")[5:25]
            assert codes.tolist() == order.tolist()
            assert best.tolist() == scores[row, order].tolist()


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
