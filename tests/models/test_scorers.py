"""The shared scorers against numpy."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recli.interactions import Queries
from recli.scorers import Factors, ItemWeights, dimensions

RNG = np.random.default_rng(0)
HISTORY = Queries(
    user=np.array([2, -1, 0, 1], np.int32),
    indptr=np.array([0, 3, 5, 5, 6]),
    item=np.array([1, 4, 1, 0, 2, 3], np.int32),  # the first has item 1 twice
)


@pytest.mark.parametrize("kind", [np.asarray, csr_matrix], ids=["dense", "csr"])
def test_item_weights(kind: type) -> None:
    weights = RNG.standard_normal((5, 5)).astype(np.float32)
    scores = ItemWeights(weights=kind(weights)).score(HISTORY)
    expected = np.array([weights[1] + weights[4], weights[0] + weights[2], np.full(5, -np.inf), weights[3]])
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    pairs = ItemWeights(weights=kind(weights)).score_pairs(HISTORY, np.array([0, 1, 2, 3], np.int32))
    np.testing.assert_allclose(pairs, expected[np.arange(4), np.arange(4)], rtol=1e-5)


def test_factors() -> None:
    user, item = RNG.standard_normal((3, 4)).astype(np.float32), RNG.standard_normal((5, 4)).astype(np.float32)
    bias = RNG.standard_normal(5).astype(np.float32)
    scores = Factors(user=user, item=item, bias=bias).score(HISTORY)
    expected = user[[2, 2, 0, 1]] @ item.T + bias
    expected[1] = -np.inf  # unknown, and there is no way to fold in
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    pairs = Factors(user=user, item=item, bias=bias).score_pairs(HISTORY, np.array([4, 1, 2, 3], np.int32))
    np.testing.assert_allclose(pairs, expected[np.arange(4), [4, 1, 2, 3]], rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 40])
def test_a_row_does_not_depend_on_the_others(n: int) -> None:
    user, item = RNG.standard_normal((40, 64)).astype(np.float32), RNG.standard_normal((3000, 64)).astype(np.float32)
    queries = Queries(user=np.arange(40, dtype=np.int32), indptr=np.zeros(41, np.int64), item=np.empty(0, np.int32))
    scorer = Factors(user=user, item=item)
    blocks = [scorer.score(queries[start : start + n]) for start in range(0, 40, n)]
    np.testing.assert_allclose(np.concatenate(blocks), scorer.score(queries), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (Factors(user=np.zeros((3, 4), np.float32), item=np.zeros((5, 3), np.float32)), "item has 3 width, not 4"),
        (Factors(user=np.zeros((3, 4)), item=np.zeros((5, 4), np.float32)), r"user must be float32 \(users, width\)"),
        (ItemWeights(weights=csr_matrix((3, 4), dtype=np.float32)), "weights has 4 items, not 3"),
    ],
)
def test_arrays_that_do_not_fit(scorer: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dimensions(scorer)
