"""Metrics of ranked lists: each is a pure function that returns one value a user.

The arguments are the same for all, so that a metric uses what it needs:

- ``gains`` (users, depth) float64: what the item at each place is worth, 0 where it is not relevant and where the list
  has ended; ``depth >= k``.
- ``ideal`` (users, depth): the user's relevant items' gains, the highest first: the best list there could be.
- ``listed`` (users,): how many items the list holds.
- ``relevant`` (users,): R, how many items are relevant, those out of the list's reach included.
- ``k``: the cut-off.

They return float64 (users,), NaN where a user has nothing relevant. A missing list is a row of zeros: it counts.
Below, h_i is 1 where the item at place i has a gain above 0, and every sum runs over the places i = 1…k.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]


def hit(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """1 where a relevant item is among the first k, else 0.

    Source: RecBole 1.2.1, `Hit`.
    """
    return _defined(_hits(gains, k).any(axis=1), relevant)


def recall(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ h_i / R: the share of the relevant items that is among the first k. Divided by R even where R > k.

    Source: RecBole 1.2.1, `Recall`; Manning et al., Introduction to Information Retrieval, 2008, section 8.3.
    """
    return _defined(_hits(gains, k).sum(axis=1) / np.maximum(relevant, 1), relevant)


def precision(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ h_i / k: the share of the first k places that a relevant item takes. Divided by k even for shorter lists.

    Source: RecBole 1.2.1, `Precision`; Manning et al., 2008, section 8.3.
    """
    return _defined(_hits(gains, k).sum(axis=1) / k, relevant)


def mrr(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """1 / the place of the first relevant item, 0 where none is among the first k.

    Source: Voorhees, The TREC-8 Question Answering Track Report, 1999; RecBole 1.2.1, `MRR`.
    """
    hits = _hits(gains, k)
    return _defined(hits.any(axis=1) / (hits.argmax(axis=1) + 1), relevant)


def average_precision(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ h_i · precision@i / min(k, R): the mean precision at the places of the relevant items.

    Its mean over users is MAP. ranx and others divide by R instead, which a list of k < R items cannot reach.

    Source: RecBole 1.2.1, `MAP`; Manning et al., 2008, section 8.4.
    """
    hits = _hits(gains, k)
    precisions = hits.cumsum(axis=1) / np.arange(1, k + 1)
    return _defined((hits * precisions).sum(axis=1) / np.clip(relevant, 1, k), relevant)


def ndcg(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ gains_i / log2(i + 1), divided by the same sum of the ideal list, which has min(k, R) items.

    Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002, with the discount of
    Burges et al., ICML 2005; RecBole 1.2.1, `NDCG`.
    """
    best = _discounted(ideal, k)
    return _defined(_discounted(gains, k) / np.where(best > 0, best, 1.0), relevant)


def gains_of(lists: Ints, truth_indptr: Longs, truth_items: Ints) -> Doubles:
    """Binary gains of lists of item codes: 1 where the item is one of the user's relevant items.

    ``lists`` (users, depth) int32 holds the codes, -1 where a list has ended, no item twice in a list. The relevant
    items of user u are ``truth_items[truth_indptr[u]:truth_indptr[u + 1]]``, ascending and distinct, as in a CSR
    matrix; one that has no code, because no list can hold it, is left out here and still counts in ``relevant``.
    Returns float64 (users, depth). Memory is in proportion to the lists and the truth, not to users × items.
    """
    width = max(int(lists.max(initial=-1)), int(truth_items.max(initial=-1))) + 1
    users = np.arange(len(lists), dtype=np.int64)
    truth = np.repeat(users, np.diff(truth_indptr)) * width + truth_items
    assert (np.diff(truth) > 0).all(), "relevant items must be ascending and distinct within a user"
    if not len(truth):
        return np.zeros(lists.shape)
    wanted = users[:, None] * width + lists
    found: NDArray[np.bool_] = truth[np.searchsorted(truth, wanted).clip(max=len(truth) - 1)] == wanted
    return (found & (lists >= 0)).astype(np.float64)


def ideal_of(relevant: Longs, depth: int) -> Doubles:
    """The best list's binary gains, float64 (users, depth): 1 in the first ``relevant`` places."""
    return (np.arange(depth) < relevant[:, None]).astype(np.float64)


def _hits(gains: Doubles, k: int) -> NDArray[np.bool_]:
    assert gains.shape[1] >= k >= 1, f"lists {gains.shape[1]} deep cannot be cut at {k}: pad them"
    return gains[:, :k] > 0


def _discounted(gains: Doubles, k: int) -> Doubles:
    assert gains.shape[1] >= k >= 1, f"lists {gains.shape[1]} deep cannot be cut at {k}: pad them"
    # Not a matrix product: BLAS would let a value depend on the number of users in the block.
    total: Doubles = (gains[:, :k] / np.log2(np.arange(2, k + 2))).sum(axis=1)
    return total


def _defined(values: ArrayLike, relevant: Longs) -> Doubles:
    return np.where(relevant > 0, values, np.nan)
