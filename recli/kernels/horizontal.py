"""Horizontal filters: of every height, over the rows of a history, and what is greatest behind each event.

A filter's product with the rows that it lies on is the sum of one for each row of the filter: that of all filters that
have a k-th row is one product of matrices, of what a window holds, and what it adds to stays in the second cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.kernels import aligned, kernel, part, spread
from recli.kernels.products import Lanes, add_outer, add_panels, lanes, padded, scratch, stacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Longs = NDArray[np.int64]
    Places = NDArray[np.int32]

PIECES: Final = 4  # whose sums of gradients are apart, whatever the number of threads
NOTHING = np.float32(0)


def forward(x: Floats, filters: Sequence[Floats], biases: Sequence[Floats], made: Floats, where: Places) -> None:
    """Fill ``made`` (n, events, heights · some) with the greatest of what some filters of each height give, or 0.

    x are rows (n, events, width) behind as many rows of zeros as the highest filter has, less one. A filter (some,
    width, height) lies within the last so many rows, up to an event, at each place. ``where`` (as ``made``) is the
    place of the greatest, counted from the first row of zeros, or -1 where none is above 0.
    """
    heights, some = len(filters), len(filters[0])
    weights, begin = stacked([each.reshape(-1, x.shape[2]).T for each in _by_row(filters)])
    given = (x, weights, begin, np.concatenate(biases[::-1]), heights, some)
    spread(partial(_forward, *given, made, where, lanes()), len(x), even=True)


def backward(of: Floats, x: Floats, filters: Sequence[Floats], where: Places, to_x: Floats) -> tuple[Floats, Floats]:
    """The way back of `forward`: fills ``to_x``, returns the filters' gradients and their biases'.

    Those of filters are (heights, heights, some, width): by row of the filter, and by height, the greatest one first;
    those of biases (heights, some), likewise. The same numbers come out whatever the number of threads.
    """
    heights, some, width = len(filters), len(filters[0]), x.shape[2]
    weights, begin = stacked([each.reshape(-1, width) for each in _by_row(filters)])
    wide = [padded((heights - k) * some) for k in range(heights)]
    rows = np.cumsum([0, *(width * one for one in wide)])
    sums, of_bias = aligned(PIECES, int(rows[-1])), aligned(PIECES, heights * some)
    given = (of, x, weights, begin, heights, some, where, to_x, sums, rows, of_bias)
    spread(partial(_backward, *given, lanes()), PIECES)
    total, of_filters = sums.sum(0), np.zeros((heights, heights, some, width), np.float32)
    for k in range(heights):
        own = total[rows[k] : rows[k + 1]].reshape(width, -1)[:, : (heights - k) * some]
        of_filters[k, : heights - k] = own.T.reshape(-1, some, width)
    return of_filters, of_bias.sum(0).reshape(heights, some)


def _by_row(filters: Sequence[Floats]) -> list[Floats]:
    """The k-th rows of all filters that have one (filters, some, width), the highest filters first."""
    return [np.stack([each[:, :, k] for each in filters[: k - 1 if k else None : -1]]) for k in range(len(filters))]


@part
def greater(row: Floats, place: int, best: Floats, at: Places) -> None:
    """Take over what is greater than the best so far. What is no number stays none."""
    for c in range(len(row)):
        better = row[c] > best[c] or row[c] != row[c]
        best[c] = row[c] if better else best[c]
        at[c] = np.int32(place) if better else at[c]


@part
def greatest(sums: Floats, events: int, heights: int, some: int, made: Floats, where: Places) -> None:
    """Of the sums of a window (places, filters), the highest filters first, those that stand behind each event.

    The q-th place behind an event is one of all filters but the q highest, which would end behind it.
    """
    best, at, count = np.empty(heights * some, np.float32), np.empty(heights * some, np.int32), heights * some
    for e in range(events):
        best[:] = NOTHING
        at[:] = -1
        for q in range(heights):
            greater(sums[e + q, q * some : count], e + q, best[q * some : count], at[q * some : count])
        for h in range(heights):
            own, to = (heights - 1 - h) * some, h * some
            for f in range(some):
                made[e, to + f], where[e, to + f] = best[own + f], at[own + f]


@kernel
def _forward(
    x: Floats,
    weights: Floats,
    begin: Longs,
    bias: Floats,
    heights: int,
    some: int,
    made: Floats,
    where: Places,
    lanes: Lanes,
    start: int,
    stop: int,
) -> None:
    (_, events, width), unit = x.shape, len(lanes.unit[0].row)
    wide = -(-heights * some // unit) * unit
    sums = scratch(events + heights - 1, wide)
    flat = sums.reshape(-1)
    for n in range(start, stop):
        for p in range(len(sums)):
            sums[p, : len(bias)] = bias
        for k in range(heights):
            own = -(-(heights - k) * some // unit) * unit
            to = (heights - 1 - k) * wide
            add_panels(x[n].reshape(-1), width, events, width, weights, begin[k], flat, to, wide, own, lanes)
        greatest(sums, events, heights, some, made[n], where[n])


@kernel
def _backward(
    of: Floats,
    x: Floats,
    weights: Floats,
    begin: Longs,
    heights: int,
    some: int,
    where: Places,
    to_x: Floats,
    sums: Floats,
    rows: Longs,
    of_bias: Floats,
    lanes: Lanes,
    start: int,
    stop: int,
) -> None:
    (n, events, width), unit = x.shape, len(lanes.unit[0].row)
    wide, across = -(-heights * some // unit) * unit, -(-width // unit) * unit
    slopes, into = scratch(events + heights - 1, wide), scratch(events, across)
    flat, back = slopes.reshape(-1), into.reshape(-1)
    for piece in range(start, stop):
        for window in range(n * piece // PIECES, n * (piece + 1) // PIECES):
            slopes[:] = NOTHING
            into[:] = NOTHING
            for e in range(events):
                for c in range(heights * some):
                    own = (heights - 1 - c // some) * some + c % some
                    if where[window, e, c] >= 0:
                        slopes[where[window, e, c], own] += of[window, e, c]
                        of_bias[piece, own] += of[window, e, c]
            near = x[window].reshape(-1)
            for k in range(heights):
                many, at = (heights - k) * some, (heights - 1 - k) * wide
                add_panels(flat[at:], wide, events, many, weights, begin[k], back, 0, across, across, lanes)
                own_sums, padded_many = sums[piece, rows[k] : rows[k + 1]], -(-many // unit) * unit
                add_outer(near, width, width, events, flat, at, wide, own_sums, 0, padded_many, lanes)
            to_x[window] = into[:, :width]
