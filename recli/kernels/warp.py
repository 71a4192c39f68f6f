"""One epoch of AdaGrad on the WARP loss, in the strata of `recli.kernels.strata`.

The negatives of a pair come from the item block of the positive, a random share of all items. The share of those that
score too high is the same there as among all items but for chance, so that the number of draws until one is found tells
the positive's rank among all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recli.kernels import aligned, fixed, kernel, part, strata
from recli.kernels.splitmix import STEP, below

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Fixed = NDArray[np.void]


class Weights(NamedTuple):
    """What is learned, and of each number 1 and the sum of its squared gradients."""

    user: Floats
    item: Floats
    bias: Floats
    user_squares: Floats
    item_squares: Floats
    bias_squares: Floats

    @classmethod
    def of(cls, users: int, items: int, width: int) -> Weights:
        """Zeros, and ones."""
        made = cls(*(aligned(*shape) for shape in ((users, width), (items, width), (1, items)) * 2))
        for squares in made[3:]:
            squares[:] = 1
        return made._replace(bias=made.bias[0], bias_squares=made.bias_squares[0])


def epoch(
    events: csr_matrix,
    bounds: Longs,
    weights: Weights,
    losses: Floats,
    dealt: Ints,
    *,
    seed: int,
    rate: float,
    reg: float,
) -> float:
    """A step for each entry of ``events``, in place on ``weights``; blocks are as in `strata.epoch`.

    Negatives are drawn until one scores above the positive less 1, at most ``len(losses)`` times; ``losses[n - 1]``
    weighs the step when it was the n-th. Returns the share of the events for which there was one.
    """
    width, how = fixed(weights.user.shape[1]), (np.float32(rate), np.float32(reg))

    def meet(pairs: Ints, places: slice, state: np.uint64) -> float:
        return _meet(pairs, dealt[places], places.start, weights, losses, state, *how, width)

    return strata.epoch(events, bounds, dealt, seed, meet) / len(events.indices)


@part
def _width(fixed: Fixed) -> int:
    """Known to the compiler, and with it the length of the loops over a row."""
    return len(fixed[0].row)


@part
def _score(weights: Weights, u: int, i: int, fixed: Fixed) -> np.float32:
    product = np.float32(0)
    for f in range(_width(fixed)):
        product += weights.user[u, f] * weights.item[i, f]
    return np.float32(weights.bias[i] + product)


@part
def _descend(x: Floats, squares: Floats, at: int, gradient: np.float32, rate: np.float32) -> None:
    """AdaGrad (Duchi, Hazan & Singer 2011) on one number."""
    squares[at] += gradient * gradient
    x[at] -= rate * gradient / np.sqrt(squares[at])


@part
def _step(
    weights: Weights, u: int, i: int, j: int, loss: np.float32, rate: np.float32, reg: np.float32, fixed: Fixed
) -> None:
    """Down the gradient of loss (1 - u'i + u'j) + reg/2 (|u|^2 + |i|^2 + |j|^2)."""
    x, y, z = weights.user[u], weights.item[i], weights.item[j]
    xs, ys, zs = weights.user_squares[u], weights.item_squares[i], weights.item_squares[j]
    for f in range(_width(fixed)):
        xf, yf, zf = x[f], y[f], z[f]
        _descend(x, xs, f, loss * (zf - yf) + reg * xf, rate)
        _descend(y, ys, f, reg * yf - loss * xf, rate)
        _descend(z, zs, f, reg * zf + loss * xf, rate)
    _descend(weights.bias, weights.bias_squares, i, -loss, rate)
    _descend(weights.bias, weights.bias_squares, j, loss, rate)


@kernel
def _meet(
    pairs: Ints,
    theirs: Ints,
    low: int,
    weights: Weights,
    losses: Floats,
    state: np.uint64,
    rate: np.float32,
    reg: np.float32,
    fixed: Fixed,
) -> float:
    """A step for each pair for which a negative is found among ``theirs``, the places from ``low`` on; their number."""
    owner = np.full(len(theirs), -1, np.int32)  # who has the item at a place, of the users so far
    steps, ahead = 0, 0
    for at in range(len(pairs)):
        u, mine = pairs[at, 0], theirs[pairs[at, 1] - low]
        while ahead < len(pairs) and pairs[ahead, 0] == u:
            owner[pairs[ahead, 1] - low] = u
            ahead += 1
        least = _score(weights, u, mine, fixed) - np.float32(1)
        for loss in losses:
            state += STEP
            drawn = below(len(theirs), state)
            if _score(weights, u, theirs[drawn], fixed) > least and owner[drawn] != u:
                _step(weights, u, mine, theirs[drawn], loss, rate, reg, fixed)
                steps += 1
                break
    return float(steps)
