"""Metrics of ranked lists: each is a pure function that returns one value a user.

The arguments are the same for all, so that a metric uses what it needs: those of `gains.Judged`, whose ``gains`` and
``ideal`` are at least k deep, and ``k``, the cut-off. They return float64 (users,), NaN where a user has nothing
relevant. A missing list is a row of zeros: it counts. Larger is better, for all.

Below, g_i is the gain of the item at place i, h_i is 1 where g_i is above 0, R is how many items are relevant, and
every sum runs over the places i = 1…k. The universe is whatever the lists were made from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recli.metrics.gains import gains_of as gains_of
from recli.metrics.gains import ideal_of as ideal_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Doubles = NDArray[np.float64]
    Longs = NDArray[np.int64]


def hit(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """1 where a relevant item is among the first k, else 0.

    Source: RecBole 1.2.1, `Hit`.
    """
    return defined(hits(gains, k).any(axis=1), relevant)


def recall(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ h_i / R: the share of the relevant items that is among the first k. Divided by R even where R > k.

    Source: RecBole 1.2.1, `Recall`; Manning et al., Introduction to Information Retrieval, 2008, section 8.3.
    """
    return defined(hits(gains, k).sum(axis=1) / np.maximum(relevant, 1), relevant)


def precision(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ h_i / k: the share of the first k places that a relevant item takes. Divided by k even for shorter lists.

    Source: RecBole 1.2.1, `Precision`; Manning et al., 2008, section 8.3.
    """
    return defined(hits(gains, k).sum(axis=1) / k, relevant)


def f1(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """2 Σ h_i / (k + R): the harmonic mean of precision and recall, by user (not of their means).

    Source: van Rijsbergen, Information Retrieval, 1979, chapter 7; ranx 0.3, `f1`.
    """
    return defined(2 * hits(gains, k).sum(axis=1) / (k + relevant), relevant)


def r_precision(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ h_i / min(k, R), the sum over the places i = 1…min(k, R): precision where a best list would end.

    trec_eval divides by R, which a list of k < R items cannot reach.

    Source: Manning et al., 2008, section 8.4.
    """
    reach = np.minimum(relevant, k)
    within = hits(gains, k) & (np.arange(k) < reach[:, None])
    return defined(within.sum(axis=1) / np.maximum(reach, 1), relevant)


def mrr(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """1 / the place of the first relevant item, 0 where none is among the first k.

    Source: Voorhees, The TREC-8 Question Answering Track Report, 1999; RecBole 1.2.1, `MRR`.
    """
    hit = hits(gains, k)
    first = hit.argmax(axis=1)
    return defined(hit[np.arange(len(hit)), first] / (first + 1), relevant)


def average_precision(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ h_i · precision@i / min(k, R): the mean precision at the places of the relevant items.

    Its mean over users is MAP. ranx and others divide by R instead, which a list of k < R items cannot reach.

    Source: RecBole 1.2.1, `MAP`; Manning et al., 2008, section 8.4.
    """
    return defined(precisions(gains, k) / np.clip(relevant, 1, k), relevant)


def dcg(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ g_i / log2(i + 1). Without an upper bound; unlike NDCG it gives every user the weight of what they want.

    Source: Järvelin and Kekäläinen, TOIS 2002, with the discount of Burges et al., ICML 2005; for leaving it
    unnormalised Jeunen et al., KDD 2024.
    """
    return defined(discounted(gains, k), relevant)


def ndcg(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ g_i / log2(i + 1), divided by the same sum of the ideal list, which has min(k, R) items.

    Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002, with the discount of
    Burges et al., ICML 2005; RecBole 1.2.1, `NDCG`.
    """
    best = discounted(ideal, k)
    return defined(discounted(gains, k) / np.where(best > 0, best, 1.0), relevant)


def rbp(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int, persistence: float = 0.8) -> Doubles:
    """(1 − p) Σ h_i p^(i − 1), p = 0.8: what a reader finds who goes on to the next item with probability p.

    Below 1 even for the best list, by p^min(k, R).

    Source: Moffat and Zobel, Rank-biased precision for measurement of retrieval effectiveness, TOIS 2008.
    """
    return defined((1 - persistence) * weighed(hits(gains, k), persistence ** np.arange(k, dtype=np.float64)), relevant)


def hits(gains: Doubles, k: int) -> NDArray[np.bool_]:
    """h_i of the first k places, (users, k)."""
    assert gains.shape[1] >= k >= 1, f"lists {gains.shape[1]} deep cannot be cut at {k}: pad them"
    return gains[:, :k] > 0


def precisions(gains: Doubles, k: int) -> Doubles:
    """Σ h_i · precision@i, (users,): what every average precision divides, each by something else."""
    hit = hits(gains, k)
    user, place = np.divmod(np.flatnonzero(hit), k)
    counts = hit.sum(axis=1)
    # The hits lie user by user, so their number so far follows from where the user's begin.
    so_far = np.arange(1, len(user) + 1) - (np.cumsum(counts) - counts)[user]
    # asarray: numpy's stubs take every bincount for integers.
    return np.asarray(np.bincount(user, so_far / (place + 1), minlength=len(hit)), np.float64)


def discounted(gains: Doubles, k: int) -> Doubles:
    """Σ g_i / log2(i + 1), (users,)."""
    assert gains.shape[1] >= k >= 1, f"lists {gains.shape[1]} deep cannot be cut at {k}: pad them"
    return weighed(gains[:, :k], discounts(k))


def discounts(k: int) -> Doubles:
    """1 / log2(i + 1) of the places i = 1…k."""
    return 1 / np.log2(np.arange(2, k + 2))


def weighed(places: NDArray[np.bool_] | Doubles, weights: Doubles) -> Doubles:
    """The weighted sum over the places of every user, (users,)."""
    # Not a matrix product: BLAS would let a value depend on the number of users in the block.
    total: Doubles = np.einsum("ui,i->u", places, weights)
    return total


def defined(values: ArrayLike, relevant: Longs) -> Doubles:
    """The values, NaN where a user has nothing relevant."""
    return np.where(relevant > 0, values, np.nan)
