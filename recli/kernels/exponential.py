"""exp of float32 as a loop over numbers can have it, many at a time; and the softmax of rows with it."""

from __future__ import annotations

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


def softmax_loss(scores: Floats, target: Ints, losses: Floats) -> None:
    """Turn scores (rows, n) in place into the gradient of -ln softmax(scores)[target], which fills ``losses`` (rows,).

    That is the softmax less 1 at the target.
    """
    spread(lambda start, stop: _softmax_loss(scores, target, losses, start, stop), len(scores), even=True)


def multinomial(scores: Floats, indptr: Longs, items: Ints, out: Floats, losses: Floats) -> None:
    """Fill ``out`` (rows, n) with the gradient of each row's sum of -ln softmax(scores) over its items, and the sums.

    Those of row r are ``items[indptr[r]:indptr[r + 1]]``.
    """
    given = scores, indptr, items, out, losses
    spread(lambda start, stop: _multinomial(*given, start, stop), len(scores), even=True)


@part
def _shares(row: Floats, out: Floats, scale: np.float32) -> np.float32:
    """Fill ``out`` with the softmax of a row times a scale; returns the logarithm of the sum of exp."""
    highest, total = np.float32(-np.inf), np.float32(0)
    for j in range(len(row)):
        highest = maximum(highest, row[j])
    for j in range(len(row)):
        out[j] = exp(row[j] - highest)
        total += out[j]
    share = scale / total
    for j in range(len(row)):
        out[j] *= share
    logarithm: np.float32 = highest + np.log(total)
    return logarithm


@kernel
def _softmax_loss(scores: Floats, target: Ints, losses: Floats, start: int, stop: int) -> None:
    for r in range(start, stop):
        own = scores[r, target[r]]
        losses[r] = _shares(scores[r], scores[r], ONE) - own
        scores[r, target[r]] -= ONE


@kernel
def _multinomial(
    scores: Floats, indptr: Longs, items: Ints, out: Floats, losses: Floats, start: int, stop: int
) -> None:
    for r in range(start, stop):
        own, number = np.float32(0), np.float32(indptr[r + 1] - indptr[r])
        logarithm = _shares(scores[r], out[r], number)
        for item in items[indptr[r] : indptr[r + 1]]:
            own += scores[r, item]
            out[r, item] -= ONE
        losses[r] = number * logarithm - own
