"""Means of what the nearest raters say, weighted by how similar they are.

A rater whose similarity is not above 0 is none. Of equal similarities the lower code is nearer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Codes = NDArray[np.uint32]


def means(similarity: Floats, raters: csr_matrix, x: Ints, y: Ints, k: int, least: int, nothing: float) -> Floats:
    """For each pair, of row ``y`` of ``raters`` the entries of the k columns most similar to ``x``, float32 (pairs,).

    ``nothing`` is the mean of fewer than ``least`` raters, and where x or y is -1. The columns of a row are sorted.
    """
    out = np.empty(len(x), np.float32)
    order = np.argsort(x, kind="stable")  # a row of similarities is read from memory once
    most = int(np.diff(raters.indptr).max(initial=0))
    bits, codes = similarity.view(np.int32), raters.indices.view(np.uint32)  # an index without a sign is not looked at
    given = (bits, raters.indptr, codes, raters.data, x, y, order, most, k, max(least, 1), np.float32(nothing), out)
    spread(lambda start, stop: _means(*given, start, stop), len(x))
    return out


@part
def _look(near: Ints) -> tuple[np.int32, np.int32, np.int32]:
    """How many are above 0, what all those are above, and the highest."""
    count, low, high = np.int32(0), np.uint32(0xFFFFFFFF), np.int32(0)
    for one in near:
        count += np.int32(one > 0)
        low = np.uint32(min(low, np.uint32(one - np.int32(1))))  # of 0 and below that is more than of any above
        high = np.int32(max(high, one))
    return count, np.int32(low), high


@part
def _above(near: Ints, bound: np.int32) -> np.int32:
    count = np.int32(0)
    for one in near:
        count += np.int32(one > bound)
    return count


@kernel
def _means(
    bits: Ints,
    indptr: Ints,
    codes: Codes,
    values: Floats,
    x: Ints,
    y: Ints,
    order: Longs,
    most: int,
    k: int,
    least: int,
    nothing: np.float32,
    out: Floats,
    start: int,
    stop: int,
) -> None:
    """``bits`` (rows, columns) are those of the similarities: above 0 they are in the order of the numbers.

    The k highest are those above a bound, which is found by halves; it may need some of those that are equal to it.
    """
    nearest = np.empty(most, np.int32)
    shares = nearest.view(np.float32)
    for pair in order[start:stop]:
        out[pair] = nothing
        if x[pair] < 0 or y[pair] < 0:
            continue
        row, first, last = bits[x[pair]], indptr[y[pair]], indptr[y[pair] + 1]
        near, share, said = nearest[: last - first], shares[: last - first], values[first:last]
        for at in range(len(near)):
            near[at] = row[codes[first + at]]
        count, low, high = _look(near)
        if count < least:
            continue
        taken = 0
        if count <= k:
            high, taken = np.int32(0), count
        while taken < min(k, count) and high - low > 1:
            middle = np.int32(low + (high - low) // 2)
            above = _above(near, middle)
            if above > k:
                low = middle
            else:
                high, taken = middle, above
        weight, total = 0.0, 0.0
        for at in range(len(near)):
            mine = np.float64(share[at] if near[at] > high else np.float32(0))
            weight += mine
            total += mine * said[at]
        for at in range(len(near)):
            if taken >= min(k, count):
                break
            if near[at] == high:
                weight += share[at]
                total += np.float64(share[at]) * said[at]
                taken += 1
        out[pair] = total / weight
