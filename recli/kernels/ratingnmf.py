"""Non-negative factors of ratings: what an epoch of multiplicative updates asks for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recli.kernels import fixed, kernel, part, spread
from recli.kernels.vector import dot, load, plus, store, times, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Fixed = NDArray[np.void]


class Given(NamedTuple):
    """The ratings by row of one side: row r has those from ``indptr[r]`` on, of the other side's rows ``codes``."""

    indptr: Longs
    codes: Ints
    rating: Floats


def predict(given: Given, theirs: Floats, ours: Floats, out: Floats) -> None:
    """The product of the two rows of each rating, into ``out`` (n,)."""
    width = fixed(ours.shape[1])
    spread(partial(_predict, given, theirs, ours, out, width), len(ours))


def multiply(given: Given, predicted: Floats, theirs: Floats, ours: Floats, reg_weight: float) -> Floats:
    """New rows for ``ours``: each number times what the ratings ask of it over what was ``predicted`` (n,) for them.

    Row x of n ratings becomes, number by number,

        x (sum of r y) / (sum of p y + n reg_weight x),

    over its ratings r, of the row y of ``theirs`` and predicted as p; a number whose divisor is not above 0 stays.
    """
    fresh, width = ours.copy(), fixed(ours.shape[1])
    args = (given, predicted, theirs, fresh, np.float32(reg_weight), width)
    spread(partial(_multiply, *args), len(ours))
    return fresh


@part
def _width(fixed: Fixed) -> int:
    """Known to the compiler, and with it the length of the loops over a row."""
    return len(fixed[0].row)


@kernel
def _predict(given: Given, theirs: Floats, ours: Floats, out: Floats, fixed: Fixed, start: int, stop: int) -> None:
    """A dot product a rating."""
    for row in range(start, stop):
        x = load(ours, row, fixed)
        for at in range(given.indptr[row], given.indptr[row + 1]):
            out[at] = dot(x, load(theirs, given.codes[at], fixed))


@kernel
def _multiply(
    given: Given, predicted: Floats, theirs: Floats, ours: Floats, reg: np.float32, fixed: Fixed, start: int, stop: int
) -> None:
    """Two sums of rows a row, and their quotients."""
    sums = np.empty((2, _width(fixed)), np.float32)
    for row in range(start, stop):
        low, high = given.indptr[row], given.indptr[row + 1]
        above, below = zeros(fixed), times(np.float32(high - low) * reg, load(ours, row, fixed))
        for at in range(low, high):
            y = load(theirs, given.codes[at], fixed)
            above, below = plus(above, given.rating[at], y), plus(below, predicted[at], y)
        store(sums, 0, above)
        store(sums, 1, below)
        for f in range(_width(fixed)):
            if sums[1, f] > 0:
                ours[row, f] *= sums[0, f] / sums[1, f]


@kernel
def step(given: Given, predicted: Floats, mean: float, user: Doubles, item: Doubles, rate: float, reg: float) -> None:
    """A step of the biases for each rating, user by user, in place on ``user`` and ``item``.

    ``predicted`` (n,) comes as the product of the rows; the mean and the biases, as they are before the rating's step,
    are added to it.
    """
    for u in range(len(user)):
        for at in range(given.indptr[u], given.indptr[u + 1]):
            i = given.codes[at]
            predicted[at] += mean + user[u] + item[i]
            error = given.rating[at] - predicted[at]
            user[u] += rate * (error - reg * user[u])
            item[i] += rate * (error - reg * item[i])
