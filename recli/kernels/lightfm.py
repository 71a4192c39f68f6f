"""One epoch of AdaGrad on the rows of features, whose sums are the rows of users and items.

The steps follow on each other in one thread: two users without a common event may share a feature, so that there are no
strata in which threads would not meet.
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recli.kernels import aligned, fixed, kernel, part
from recli.kernels.splitmix import STEP, below

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Fixed = NDArray[np.void]


class How(NamedTuple):
    """The size of the first steps, and the regularisation of the rows of users and items."""

    rate: np.float32
    reg: np.float32


class Side(NamedTuple):
    """Users or items: which features each has, from ``indptr`` (n + 1,) into ``held``; what is learned of a feature,
    and of each number 1 and the sum of its squared gradients.
    """

    indptr: Ints
    held: Ints
    rows: Floats
    bias: Floats
    squares: Floats
    bias_squares: Floats

    @classmethod
    def of(cls, features: csr_matrix, width: int) -> Side:
        """Zeros, and ones."""
        n = features.shape[1]
        rows, squares = aligned(n, width), aligned(n, width)
        squares[:] = 1
        return cls(features.indptr, features.indices, rows, np.zeros(n, np.float32), squares, np.ones(n, np.float32))


def epoch(
    events: csr_matrix, pairs: Ints, items: Ints, user: Side, item: Side, losses: Floats, *, seed: int, how: How
) -> float:
    """A step for each of ``pairs`` (n, 2), a user and an item, in their order, in place on ``user`` and ``item``.

    Negatives are drawn from ``items``, all alike, and are no item that the user has in ``events``, whose indices are
    sorted. With WARP they are drawn until one scores above the positive less 1, at most ``len(losses)`` times, and
    ``losses[n - 1]`` weighs the step when it was the n-th; without ``losses`` it is the step of BPR. Returns the mean
    weight.
    """
    state, width = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0], fixed(item.rows.shape[1])
    total = _epoch(events.indptr, events.indices, pairs, items, user, item, losses, state, how, width)
    return float(total) / len(pairs)


@part
def _width(fixed: Fixed) -> int:
    """Known to the compiler, and with it the length of the loops over a row."""
    return len(fixed[0].row)


@part
def _has(indptr: Ints, codes: Ints, u: int, i: int) -> bool:
    low, high = indptr[u], indptr[u + 1]
    while low < high:
        middle = (low + high) // 2
        if codes[middle] < i:
            low = middle + 1
        else:
            high = middle
    return bool(low < indptr[u + 1] and codes[low] == i)


@part
def _gather(side: Side, which: int, out: Floats, fixed: Fixed) -> np.float32:
    """The sum of the rows of the features of ``which`` into ``out``; returns that of their biases."""
    bias = np.float32(0)
    for f in range(_width(fixed)):
        out[f] = 0
    for at in range(side.indptr[which], side.indptr[which + 1]):
        feature = side.held[at]
        bias += side.bias[feature]
        for f in range(_width(fixed)):
            out[f] += side.rows[feature, f]
    return bias


@part
def _dot(x: Floats, y: Floats, fixed: Fixed) -> np.float32:
    product = np.float32(0)
    for f in range(_width(fixed)):
        product += x[f] * y[f]
    return product


@part
def _descend(side: Side, which: int, slope: Floats, bias: np.float32, rate: np.float32, fixed: Fixed) -> None:
    """AdaGrad (Duchi, Hazan & Singer 2011) on each feature of ``which``: the slope is the same for all."""
    for at in range(side.indptr[which], side.indptr[which + 1]):
        feature = side.held[at]
        row, squares = side.rows[feature], side.squares[feature]
        for f in range(_width(fixed)):
            squares[f] += slope[f] * slope[f]
            row[f] -= rate * slope[f] / np.sqrt(squares[f])
        if bias != 0:
            side.bias_squares[feature] += bias * bias
            side.bias[feature] -= rate * bias / np.sqrt(side.bias_squares[feature])


@part
def _step(
    user: Side, item: Side, u: int, i: int, j: int, work: Floats, loss: np.float32, how: How, fixed: Fixed
) -> None:
    """Down the gradient of loss (1 - x'y + x'z) + reg/2 (|x|^2 + |y|^2 + |z|^2); ``work`` holds x, y and z."""
    x, y, z = work[0], work[1], work[2]
    for f in range(_width(fixed)):
        xf, yf, zf = x[f], y[f], z[f]
        x[f] = loss * (zf - yf) + how.reg * xf
        y[f] = how.reg * yf - loss * xf
        z[f] = how.reg * zf + loss * xf
    _descend(user, u, x, np.float32(0), how.rate, fixed)
    _descend(item, i, y, -loss, how.rate, fixed)
    _descend(item, j, z, loss, how.rate, fixed)


@kernel
def _epoch(
    indptr: Ints,
    codes: Ints,
    pairs: Ints,
    items: Ints,
    user: Side,
    item: Side,
    losses: Floats,
    state: np.uint64,
    how: How,
    fixed: Fixed,
) -> float:
    work, total = np.empty((3, _width(fixed)), np.float32), np.float64(0)
    x, y, z = work[0], work[1], work[2]
    for at in range(len(pairs)):
        u, i = pairs[at, 0], pairs[at, 1]
        _gather(user, u, x, fixed)
        score = _gather(item, i, y, fixed) + _dot(x, y, fixed)
        for draw in range(max(len(losses), 1)):
            state += STEP
            j = items[below(len(items), state)]
            if _has(indptr, codes, u, j):
                continue
            other = _gather(item, j, z, fixed) + _dot(x, z, fixed)
            if len(losses) == 0:
                loss = np.float32(1) / (np.float32(1) + np.float32(exp(score - other)))
            elif other > score - np.float32(1):
                loss = losses[draw]
            else:
                continue
            _step(user, item, u, i, j, work, loss, how, fixed)
            total += loss
            break
    return total
