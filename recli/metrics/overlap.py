"""How alike two sets of lists are, whatever is relevant.

Pure functions of two arrays of lists of the same users, (users, depth) int32 item codes in one vocabulary, -1 where a
list has ended, no item twice in a list. They return float64 (users,), NaN where both lists are empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]

PAIRS = 1 << 20  # places compared at a time


def jaccard(a: Ints, b: Ints, k: int) -> Doubles:
    """|A ∩ B| / |A ∪ B| of the first k: 1 where they hold the same items in any order, 0 where none is shared.

    Source: Jaccard 1901.
    """
    a, b = a[:, :k], b[:, :k]
    shared = common(a, b).sum(axis=1)
    union = (a >= 0).sum(axis=1) + (b >= 0).sum(axis=1) - shared
    return np.where(union > 0, shared / np.maximum(union, 1), np.nan)


def rbo(a: Ints, b: Ints, k: int, persistence: float = 0.9) -> Doubles:
    """(1 − p) Σ_{d ≤ k} p^(d − 1) A_d + p^k A_k, p = 0.9: rank-biased overlap, extrapolated below k.

    A_d = 2 |A_d ∩ B_d| / (|A_d| + |B_d|) is the agreement of the first d places. 1 for equal lists, 0 for lists that
    share nothing; the top weighs most.

    Source: Webber et al., A similarity measure for indefinite rankings, TOIS 2010, equations 28 and 32.
    """
    a, b = a[:, :k], b[:, :k]
    k = max(a.shape[1], b.shape[1])
    sizes = _cumulative(a >= 0, k) + _cumulative(b >= 0, k)
    agreement = 2 * common(a, b).cumsum(axis=1) / np.maximum(sizes, 1)
    weights = (1 - persistence) * persistence ** np.arange(k)
    weights[-1:] += persistence**k
    return np.where(sizes[:, -1] > 0, (agreement * weights).sum(axis=1), np.nan)


def common(a: Ints, b: Ints) -> NDArray[np.int64]:
    """How many items enter what both lists share at each place, (users, the deeper depth)."""
    depth = max(a.shape[1], b.shape[1])
    entered = np.zeros((len(a), depth), np.int64)
    step = PAIRS // max(a.shape[1] * b.shape[1], 1) + 1
    for start in range(0, len(a), step):
        of_a, of_b = a[start : start + step, :, None], b[start : start + step, None, :]
        user, in_a, in_b = np.nonzero((of_a == of_b) & (of_a >= 0))
        # Shared from the lower of the two places on; two items may come to be shared at the same place.
        np.add.at(entered, (user + start, np.maximum(in_a, in_b)), 1)
    return entered


def _cumulative(listed: NDArray[np.bool_], depth: int) -> NDArray[np.int64]:
    return np.pad(listed, ((0, 0), (0, depth - listed.shape[1]))).cumsum(axis=1)
