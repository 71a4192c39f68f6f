"""Overlap of lists against golden values, naive computations and their own laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recli.metrics import overlap
from recli.metrics.overlap import jaccard, rbo
from tests.metrics.lists import codes, cuts, matrix

two = st.lists(
    st.tuples(st.lists(codes, unique=True, max_size=8), st.lists(codes, unique=True, max_size=8)),
    min_size=1,
    max_size=8,
)


def arrays(pairs):
    return matrix([a for a, _ in pairs]), matrix([b for _, b in pairs])


def test_golden_values():
    a, b = matrix([[0, 1, 2], [0, 1, 2], [0, 1, 2], [], [0]], 3), matrix([[0, 1, 2], [2, 1, 0], [3, 4, 5], [], []], 3)
    np.testing.assert_allclose(jaccard(a, b, 3), [1, 1, 0, np.nan, 0])
    np.testing.assert_allclose(jaccard(a, b, 2), [1, 1 / 3, 0, np.nan, 0])
    # Agreement 0, 1/2, 1 of the reversed list: 0.1 (0 + 0.9 / 2 + 0.81) + 0.729.
    np.testing.assert_allclose(rbo(a, b, 3), [1, 0.855, 0, np.nan, 0])


def naive_rbo(a, b, k, p):
    agreement = [0.0] * k
    for depth in range(1, k + 1):
        size = len(a[:depth]) + len(b[:depth])
        agreement[depth - 1] = 2 * len(set(a[:depth]) & set(b[:depth])) / size if size else 0.0
    return (1 - p) * sum(p**d * agreed for d, agreed in enumerate(agreement)) + p**k * agreement[-1]


@given(two, cuts, st.sampled_from([0.5, 0.9]))
def test_both_equal_their_definitions(pairs, k, p):
    a, b = arrays(pairs)
    for (left, right), one, other in zip(pairs, jaccard(a, b, k), rbo(a, b, k, p), strict=True):
        union = set(left[:k]) | set(right[:k])
        if union:
            assert one == pytest.approx(len(set(left[:k]) & set(right[:k])) / len(union))
            assert other == pytest.approx(naive_rbo(left, right, k, p))
        else:
            assert np.isnan([one, other]).all()


@given(two, cuts)
def test_laws(pairs, k):
    a, b = arrays(pairs)
    for function in (jaccard, rbo):
        values = function(a, b, k)
        known = values[~np.isnan(values)]
        assert ((known >= 0) & (known <= 1 + 1e-12)).all()
        np.testing.assert_allclose(function(b, a, k), values)
        np.testing.assert_array_equal(function(a[::-1], b[::-1], k)[::-1], values)
        same = function(a, a, k)
        np.testing.assert_allclose(same[~np.isnan(same)], 1)


def test_lists_of_different_depth():
    wide, narrow = matrix([[0, 1, 2]], 3), matrix([[0, 1]], 2)
    np.testing.assert_allclose(jaccard(wide, narrow, 3), [2 / 3])
    np.testing.assert_allclose(rbo(wide, narrow, 3), rbo(wide, matrix([[0, 1]], 3), 3))


def test_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = (np.stack([rng.permutation(20)[:5] for _ in range(50)]).astype(np.int32) for _ in range(2))
    whole = rbo(a, b, 5)
    monkeypatch.setattr(overlap, "PAIRS", 30)
    np.testing.assert_array_equal(rbo(a, b, 5), whole)
