"""Means of what the nearest raters say, weighted by how similar they are.

A rater whose similarity is not above 0 is none. Of equal similarities the lower code is nearer.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from recli.kernels import kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Csr = tuple[Ints, NDArray[np.uint32], Floats]  # indptr, indices, data

Array = TypeVar("Array", bound="NDArray[Any]")

END = np.uint32(0xFFFFFFFF)  # above the bits of all numbers


def means(similarity: Floats, raters: csr_matrix, x: Ints, y: Ints, k: int, least: int, nothing: float) -> Floats:
    """For each pair, of row ``y`` of ``raters`` the entries of the k columns most similar to ``x``, float32 (pairs,).

    ``nothing`` is the mean of fewer than ``least`` raters, and where x or y is -1. The columns of a row are sorted.
    """
    out = np.full(len(x), nothing, np.float32)
    order = np.argsort(x, kind="stable")  # a row of similarities is read from memory once
    codes = raters.indices.view(np.uint32)  # of an index with a sign numba asks whether it counts from the end
    rows = (_fixed(raters.indptr), _fixed(codes), _fixed(raters.data))
    most = int(np.diff(raters.indptr).max(initial=0))
    given = (_fixed(similarity.view(np.int32)), rows, _fixed(x), _fixed(y), order, most, k, max(least, 1), out)
    spread(partial(_means, *given), len(x))
    return out


def _fixed(array: Array) -> Array:
    """The array, read-only as one from a file is, so that for both there is one kernel to compile."""
    view = array.view()
    view.flags.writeable = False
    return view


@part
def _look(near: Ints) -> tuple[np.int32, np.int32, np.int32]:
    """How many are above 0, a bound that just these are above, and the highest."""
    count, low, high = np.int32(0), END, np.int32(0)
    for at in range(len(near)):
        count += np.int32(near[at] > 0)
        low = np.uint32(min(low, np.uint32(near[at] - np.int32(1))))  # what is not above 0 comes out above all others
        high = np.int32(max(high, near[at]))
    return count, np.int32(low), high


@part
def _above(near: Ints, bound: np.int32) -> np.int32:
    """How many are above the bound."""
    count = np.int32(0)
    for at in range(len(near)):
        count += np.int32(near[at] > bound)
    return count


@part
def _cut(near: Ints, k: int, count: np.int32, low: np.int32, high: np.int32) -> tuple[np.int32, np.int32]:
    """The lowest bound that at most k are above, and how many are: if fewer, then others of the k are equal to it.

    Found by halves, between a bound that ``count`` are above and one that none is. One that k are above will do.
    """
    taken = np.int32(0)
    if count <= k:
        return np.int32(0), count
    while taken < k and high - low > 1:
        middle = np.int32(low + (high - low) // 2)
        above = _above(near, middle)
        if above > k:
            low = middle
        else:
            high, taken = middle, above
    return high, taken


@kernel
def _means(
    bits: Ints,
    raters: Csr,
    x: Ints,
    y: Ints,
    order: Longs,
    most: int,
    k: int,
    least: int,
    out: Floats,
    start: int,
    stop: int,
) -> None:
    """``bits`` (rows, columns) are those of similarities: above 0 they are in the order of the numbers."""
    indptr, codes, values = raters
    nearest = np.empty(most, np.int32)
    for pair in order[start:stop]:
        if x[pair] < 0 or y[pair] < 0:
            continue
        row, first, last = bits[x[pair]], indptr[y[pair]], indptr[y[pair] + 1]
        near, said = nearest[: last - first], values[first:last]
        for at in range(len(near)):
            near[at] = row[codes[first + at]]
        count, low, high = _look(near)
        wanted = min(k, int(count))
        if wanted < least:
            continue
        bound, taken = _cut(near, k, count, low, high)
        weight, total, share, lacking = 0.0, 0.0, near.view(np.float32), wanted - taken
        for at in range(len(near)):
            mine = np.float64(share[at] if near[at] > bound else np.float32(0))
            weight += mine
            total += mine * said[at]
        for at in range(len(near)):
            if lacking <= 0:
                break
            if near[at] == bound:
                weight += share[at]
                total += np.float64(share[at]) * said[at]
                lacking -= 1
        out[pair] = total / weight
