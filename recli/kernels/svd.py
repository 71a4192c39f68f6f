"""One epoch of stochastic gradient descent on ratings, by the row and the bias of each user and item.

Users and items are dealt into blocks, as in `recli.kernels.strata`: in round s, user block t meets item block
(t + s) mod blocks, so that no two threads touch the same row, and the result is that of one thread. There is nothing to
draw, so the ratings are put into the order of the meetings once, and not for every epoch.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recli.kernels import fixed, kernel, spread
from recli.kernels.strata import BLOCKS, LEAST
from recli.kernels.vector import dot, load, plus, store, times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Floats = NDArray[np.float32]
    Fixed = NDArray[np.void]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]


class Meetings(NamedTuple):
    """Ratings by block: those of user block t with item block b are ``starts[t, b]`` to ``stops[t, b]`` of the rest.

    ``user``, ``item`` and ``rest`` (n,) are a rating's user and item, and what of it is to be explained. The ratings of
    a user in a meeting are together, in the order in which they were given.
    """

    starts: Longs
    stops: Longs
    user: Ints
    item: Ints
    rest: Floats

    @classmethod
    def of(cls, indptr: Longs, codes: Ints, rest: Floats, n_items: int) -> Meetings:
        """Of the ratings of each user u, from ``indptr[u]`` on: the items ``codes`` and ``rest`` (n,)."""
        blocks = max(1, min(BLOCKS, n_items // LEAST))
        user = np.repeat(np.arange(len(indptr) - 1, dtype=np.int32), np.diff(indptr))
        bounds = np.searchsorted(indptr, np.linspace(0, len(codes), blocks + 1))  # each has about as many ratings
        own = np.repeat(np.arange(blocks), np.diff(indptr[bounds]))
        cell = (own * blocks + codes // -(-n_items // blocks)).astype(np.uint8)
        rows = np.argsort(cell, kind="stable")  # of bytes, and so by counting
        stops = np.cumsum(np.bincount(cell, minlength=blocks**2)).reshape(blocks, blocks)
        starts = np.append(0, stops.ravel()[:-1]).reshape(blocks, blocks)
        return cls(starts, stops, user[rows], codes[rows], rest[rows])


def epoch(
    meetings: Meetings,
    user: Floats,
    item: Floats,
    user_bias: Floats,
    item_bias: Floats,
    *,
    rate: float,
    bias_rate: float,
    reg: float,
) -> float:
    """A step for each rating, in place on the rows (users or items, width) and the biases.

    Returns the sum of the squared errors, each as it was before its step.
    """
    blocks, width = len(meetings.starts), fixed(user.shape[1])
    rows, sizes = (user, item, user_bias, item_bias), (rate, bias_rate, reg)
    result = np.zeros((blocks, blocks))

    def meet(s: int, start: int, stop: int) -> None:
        for t in range(start, stop):
            b = (t + s) % blocks
            span = meetings.starts[t, b], meetings.stops[t, b]
            result[t, b] = _meet(*span, meetings.user, meetings.item, meetings.rest, *rows, *sizes, width)

    for s in range(blocks):
        spread(partial(meet, s), blocks)
    return float(result.sum())


@kernel
def _meet(
    start: int,
    stop: int,
    users: Ints,
    codes: Ints,
    rest: Floats,
    user: Floats,
    item: Floats,
    user_bias: Floats,
    item_bias: Floats,
    rate: float,
    bias_rate: float,
    reg: float,
    fixed: Fixed,
) -> float:
    """A step for each of the ratings, the user's row in registers; returns the sum of the squared errors."""
    step, keep = np.float32(rate), np.float32(1 - rate * reg)
    bias_step, bias_keep = np.float32(bias_rate), np.float32(1 - bias_rate * reg)
    total, at = np.float64(0), start
    while at < stop:
        u = users[at]
        row, bias = load(user, u, fixed), user_bias[u]
        while at < stop and users[at] == u:
            i = codes[at]
            other = load(item, i, fixed)
            error = rest[at] - bias - item_bias[i] - dot(row, other)
            bias = bias_keep * bias + bias_step * error
            item_bias[i] = bias_keep * item_bias[i] + bias_step * error
            store(item, i, plus(times(keep, other), step * error, row))
            row = plus(times(keep, row), step * error, other)
            total += np.float64(error) * np.float64(error)
            at += 1
        store(user, u, row)
        user_bias[u] = bias
    return total
