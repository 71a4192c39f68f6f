"""Logistic matrix factorisation: a step of gradient ascent for the rows of one side, the other side fixed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recli.kernels import aligned, fixed, kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Fixed = NDArray[np.void]

ROWS = 4  # at once, so that what is read of the other side serves all of them
TILE = 64  # columns at once
TINY = np.float32(1e-6)  # keeps the first step finite where the gradient is none


class Side(NamedTuple):
    """The rows and biases of the users or of the items, and the sums of their squared gradients."""

    rows: Floats
    bias: Floats
    squares: Floats
    bias_squares: Floats

    @classmethod
    def of(cls, n: int, width: int) -> Side:
        """All zeros."""
        return cls(aligned(n, width), np.zeros(n, np.float32), aligned(n, width), np.zeros(n, np.float32))


class Sample(NamedTuple):
    """Rows that stand for all of a side, as tiles (tiles, TILE, width) and (tiles, width, TILE).

    ``share`` is how much each weighs; the last tile is filled up with rows of none.
    """

    rows: Floats
    across: Floats
    bias: Floats
    share: Floats

    @classmethod
    def of(cls, side: Side, chosen: Longs, weight: float) -> Sample:
        """The rows ``chosen``, of equal share of the ``weight``."""
        n, width, tiles = len(chosen), side.rows.shape[1], -(-len(chosen) // TILE)
        rows, across = aligned(tiles * TILE, width), aligned(tiles * width, TILE).reshape(tiles, width, TILE)
        bias, share = np.zeros((2, tiles * TILE), np.float32)
        rows[:n], bias[:n], share[:n] = side.rows[chosen], side.bias[chosen], weight / n
        tiled = rows.reshape(tiles, TILE, width)
        across[:] = tiled.swapaxes(1, 2)
        return cls(tiled, across, bias, share)


def ascend(
    events: csr_matrix, theirs: Side, ours: Side, *, absence: float, chosen: Longs, rate: float, reg: float
) -> None:
    """A step of AdaGrad up the log-likelihood, in place, for every row of ``ours``; columns are rows of ``theirs``.

    The data of ``events`` are r. Row x, of bias b, is to raise, with z = x'y + b + c for row y, of bias c,

        sum over its events of r (ln s(z) - reg/2 |x|^2)  +  absence * sum over all columns of ln s(-z),

    the second sum by the columns ``chosen``, each of which stands for as many as there are columns to one of them.
    """
    sample = Sample.of(theirs, chosen, absence * len(theirs.rows))
    given = (events.indptr, events.indices, events.data, theirs, sample, ours, np.float32(rate), np.float32(reg))
    width, tile = fixed(theirs.rows.shape[1]), fixed(TILE)
    spread(partial(_ascend, *given, width, tile), len(ours.rows))


@part
def _width(fixed: Fixed) -> int:
    """Known to the compiler, and with it the length of the loops over a row."""
    return len(fixed[0].row)


@part
def _logistic(x: np.float32) -> np.float32:
    """1 / (1 + exp(-x)) to 1e-6, without a branch: 0.5 + 0.5 tanh(x / 2), as the quotient of polynomials of Eigen."""
    half = min(max(np.float32(0.5) * x, np.float32(-7.9)), np.float32(7.9))
    z = half * half
    above = np.float32(-2.76076847742355e-16)
    for c in (2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08, 1.48572235717979e-05,
              6.37261928875436e-04, 4.89352455891786e-03):  # fmt: skip
        above = above * z + np.float32(c)
    below = np.float32(1.19825839466702e-06)
    for c in (1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03):
        below = below * z + np.float32(c)
    return np.float32(0.5) + np.float32(0.5) * half * above / below


@part
def _add_product(x: Floats, matrix: Floats, out: Floats, fixed: Fixed) -> None:
    """out += x matrix, for ROWS rows: four rows of the matrix at a time, the last four filled up with weight zero."""
    n, zero = len(matrix), np.float32(0)
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    o0, o1, o2, o3 = out[0], out[1], out[2], out[3]
    for p in range(0, n, 4):
        q, r, s = min(p + 1, n - 1), min(p + 2, n - 1), min(p + 3, n - 1)
        a0, a1, a2, a3 = x0[p], x1[p], x2[p], x3[p]
        b0, b1, b2, b3 = (x0[q], x1[q], x2[q], x3[q]) if p + 1 < n else (zero, zero, zero, zero)
        c0, c1, c2, c3 = (x0[r], x1[r], x2[r], x3[r]) if p + 2 < n else (zero, zero, zero, zero)
        d0, d1, d2, d3 = (x0[s], x1[s], x2[s], x3[s]) if p + 3 < n else (zero, zero, zero, zero)
        for f in range(_width(fixed)):
            a, b, c, d = matrix[p, f], matrix[q, f], matrix[r, f], matrix[s, f]
            o0[f] += a0 * a + b0 * b + c0 * c + d0 * d
            o1[f] += a1 * a + b1 * b + c1 * c + d1 * d
            o2[f] += a2 * a + b2 * b + c2 * c + d2 * d
            o3[f] += a3 * a + b3 * b + c3 * c + d3 * d


@part
def _absence(
    x: Floats, own: Floats, sample: Sample, scores: Floats, up: Floats, up_bias: Floats, fixed: Fixed, tile: Fixed
) -> None:
    """The gradient of the sum over the sample, for ROWS rows x of bias ``own``; ``scores`` is scratch."""
    up[:] = 0
    up_bias[:] = 0
    for t in range(len(sample.rows)):
        low = t * _width(tile)
        for k in range(ROWS):
            row = scores[k]
            for j in range(_width(tile)):
                row[j] = own[k] + sample.bias[low + j]
        _add_product(x, sample.across[t], scores, tile)
        for k in range(ROWS):
            row, total = scores[k], np.float32(0)
            for j in range(_width(tile)):
                row[j] = -sample.share[low + j] * _logistic(row[j])
                total += row[j]
            up_bias[k] += total
        _add_product(scores, sample.rows[t], up, fixed)


@part
def _presence(
    theirs: Side,
    codes: Ints,
    strength: Floats,
    x: Floats,
    own: np.float32,
    scores: Floats,
    up: Floats,
    fixed: Fixed,
    tile: Fixed,
) -> np.float32:
    """Add the gradient of the sum over the events of row x to ``up``; returns that of its bias."""
    total = np.float32(0)
    for low in range(0, len(codes), _width(tile)):
        mine, n = codes[low : low + _width(tile)], min(_width(tile), len(codes) - low)
        scores[:] = 0
        for at in range(0, n, 4):  # four at a time, to hide latency; the last four are filled up with copies
            p, q, r, s = mine[at], mine[min(at + 1, n - 1)], mine[min(at + 2, n - 1)], mine[min(at + 3, n - 1)]
            a = b = c = d = np.float32(0)
            for f in range(_width(fixed)):
                a += theirs.rows[p, f] * x[f]
                b += theirs.rows[q, f] * x[f]
                c += theirs.rows[r, f] * x[f]
                d += theirs.rows[s, f] * x[f]
            scores[at], scores[at + 1], scores[at + 2], scores[at + 3] = a, b, c, d
        for at in range(n):
            scores[at] += own + theirs.bias[mine[at]]
        for at in range(_width(tile)):
            scores[at] = _logistic(-scores[at])
        for at in range(n):
            scores[at] *= strength[low + at]
            total += scores[at]
        scores[n:] = 0  # what copies weigh
        for at in range(0, n, 4):
            p, q, r, s = mine[at], mine[min(at + 1, n - 1)], mine[min(at + 2, n - 1)], mine[min(at + 3, n - 1)]
            a, b, c, d = scores[at], scores[at + 1], scores[at + 2], scores[at + 3]
            for f in range(_width(fixed)):
                up[f] += a * theirs.rows[p, f] + b * theirs.rows[q, f] + c * theirs.rows[r, f] + d * theirs.rows[s, f]
    return total


@kernel
def _ascend(
    indptr: Ints,
    codes: Ints,
    strength: Floats,
    theirs: Side,
    sample: Sample,
    ours: Side,
    rate: np.float32,
    reg: np.float32,
    fixed: Fixed,
    tile: Fixed,
    start: int,
    stop: int,
) -> None:
    """Johnson 2014."""
    x, up = np.zeros((ROWS, _width(fixed)), np.float32), np.zeros((ROWS, _width(fixed)), np.float32)
    scores = np.zeros((ROWS, _width(tile)), np.float32)
    own, up_bias = np.zeros(ROWS, np.float32), np.zeros(ROWS, np.float32)
    for first in range(start, stop, ROWS):
        n = min(ROWS, stop - first)
        x[:n], own[:n] = ours.rows[first : first + n], ours.bias[first : first + n]
        _absence(x, own, sample, scores, up, up_bias, fixed, tile)
        for k in range(n):
            row, span = first + k, slice(indptr[first + k], indptr[first + k + 1])
            mine, r = codes[span], strength[span]
            gained = up_bias[k] + _presence(theirs, mine, r, x[k], own[k], scores[0], up[k], fixed, tile)
            ours.bias_squares[row] += gained * gained
            ours.bias[row] += rate * gained / np.sqrt(TINY + ours.bias_squares[row])
            shrink = reg * r.sum()
            for f in range(_width(fixed)):
                g = up[k, f] - shrink * x[k, f]
                ours.squares[row, f] += g * g
                ours.rows[row, f] += rate * g / np.sqrt(TINY + ours.squares[row, f])
