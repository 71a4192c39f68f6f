"""exp of float32 as a loop over numbers can have it, many at a time; and the softmax of rows with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, part, spread
from recli.kernels.vector import doubled, maximum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

HALF, ONE, LOWEST, LOG2_E = (np.float32(x) for x in (0.5, 1.0, -87.0, 1.4426950408889634))
LN_2, LN_2_REST = np.float32(0.693359375), np.float32(-2.12194440e-4)  # the first has few bits: n times it is exact
# Of a polynomial near to (exp(r) - 1 - r) / r² for |r| < ln 2 / 2, highest power first.
P = tuple(np.float32(x) for x in (1.9875691e-4, 1.3981999e-3, 8.3334519e-3, 4.1665796e-2, 1.6666665e-1, 5.0000001e-1))


@part
def exp(x: np.float32) -> np.float32:
    """exp(x) for x of at most 0, to two units of the last place; below -87 it stays what it is there, 1.6e-38.

    By the reduction of Cody & Waite 1980, "Software manual for the elementary functions", ch. 6.
    """
    x = maximum(x, LOWEST)
    n = np.floor(x * LOG2_E + HALF)
    r = x - n * LN_2 - n * LN_2_REST
    p = ((((P[0] * r + P[1]) * r + P[2]) * r + P[3]) * r + P[4]) * r + P[5]
    near: np.float32 = doubled(p * r * r + r + ONE, np.int32(n))
    return near


def softmax_loss(scores: Floats, bias: Floats, indptr: Longs, items: Ints, losses: Floats) -> None:
    """Turn scores (rows, n) in place into the gradient of each row's sum of -ln softmax(scores + bias) over its items.

    Those of row r are ``items[indptr[r]:indptr[r + 1]]``. The gradient is the softmax times their number, less 1 at
    each of them; the sums fill ``losses`` (rows,).
    """
    spread(partial(_softmax_loss, scores, bias, indptr, items, losses), len(scores), even=True)


@kernel
def _softmax_loss(
    scores: Floats, bias: Floats, indptr: Longs, items: Ints, losses: Floats, start: int, stop: int
) -> None:
    for r in range(start, stop):
        row, mine = scores[r], items[indptr[r] : indptr[r + 1]]
        highest, total, own, number = np.float32(-np.inf), np.float32(0), np.float32(0), np.float32(len(mine))
        for j in range(len(row)):
            row[j] += bias[j]
            highest = maximum(highest, row[j])
        for item in mine:
            own += row[item]
        for j in range(len(row)):
            row[j] = exp(row[j] - highest)
            total += row[j]
        share = number / total
        for j in range(len(row)):
            row[j] *= share
        for item in mine:
            row[item] -= ONE
        losses[r] = number * (highest + np.log(total)) - own
