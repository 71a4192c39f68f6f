"""Items that users have not, drawn uniformly by rejection."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, part, spread
from recli.kernels.splitmix import STEP, below

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

ROW = np.uint64(0xD1342543DE82EF95)  # from the stream of one row to that of the next


def draw(user: Ints, indptr: Longs, pairs: Longs, n_items: int, seed: int, out: Ints) -> None:
    """Fill row r of ``out`` (n, number) with items that ``user[r]`` has not, maybe one of them twice.

    What user u has are ``pairs[indptr[u]:indptr[u + 1]]``, ascending, less u * n_items. Who has all items gets any.
    """
    given = user, indptr, pairs, n_items, np.uint64(seed), out
    spread(partial(_draw, *given), len(out), even=True)


@part
def _holds(pairs: Longs, low: int, high: int, pair: np.int64) -> bool:
    """Whether a pair is among those from ``low`` to ``high``."""
    while low < high:
        middle = (low + high) >> 1
        if pairs[middle] < pair:
            low = middle + 1
        elif pairs[middle] > pair:
            high = middle
        else:
            return True
    return False


@kernel
def _draw(
    user: Ints,
    indptr: Longs,
    pairs: Longs,
    n_items: int,
    seed: np.uint64,
    out: Ints,
    start: int,
    stop: int,
) -> None:
    number, marked = out.shape[1], np.int64(-1)
    owner = np.full(n_items if number > 1 else 0, -1, np.int32)  # of an item that the user has, that user
    for r in range(start, stop):
        u, state = np.int64(user[r]), seed + np.uint64(r) * ROW
        first, last, base = indptr[u], indptr[u + 1], u * n_items
        looked_up = number == 1 or number * 4 < last - first  # rather than noted down, for so few
        if not looked_up and marked != u:
            marked = u
            for at in range(first, last):
                owner[pairs[at] - base] = u
        for k in range(number):
            while True:
                state += STEP
                item = below(n_items, state)
                if last - first >= n_items:
                    break
                if not (_holds(pairs, first, last, base + item) if looked_up else owner[item] == u):
                    break
            out[r, k] = item
