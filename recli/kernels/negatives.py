"""Items that users have not, drawn uniformly by rejection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

STEP, ROW, FIRST, SECOND = (
    np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xD1342543DE82EF95, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
THIRTY, TWENTY_SEVEN, THIRTY_ONE, HALF = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)


def draw(user: Ints, indptr: Longs, pairs: Longs, n_items: int, seed: int, out: Ints) -> None:
    """Fill row r of ``out`` (n, number) with items that ``user[r]`` has not, maybe one of them twice.

    What user u has are ``pairs[indptr[u]:indptr[u + 1]]``, ascending, less u * n_items. Who has all items gets any.
    """
    given = user, indptr, pairs, np.uint64(n_items), np.uint64(seed), out
    spread(lambda start, stop: _draw(*given, start, stop), len(out), even=True)


@part
def _lot(state: np.uint64, n: np.uint64) -> np.int64:
    """A number below n, by splitmix64 (Steele, Lea & Flood 2014, OOPSLA)."""
    z = (state ^ (state >> THIRTY)) * FIRST
    z = (z ^ (z >> TWENTY_SEVEN)) * SECOND
    z ^= z >> THIRTY_ONE
    return np.int64(((z >> HALF) * n) >> HALF)


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
    n_items: np.uint64,
    seed: np.uint64,
    out: Ints,
    start: int,
    stop: int,
) -> None:
    number, size, marked = out.shape[1], np.int64(n_items), np.int64(-1)
    owner = np.full(size if number > 1 else 0, -1, np.int32)  # of an item that the user has, that user
    for r in range(start, stop):
        u, state = np.int64(user[r]), seed + np.uint64(r) * ROW
        first, last, base = indptr[u], indptr[u + 1], u * size
        looked_up = number == 1 or number * 4 < last - first  # rather than noted down, for so few
        if not looked_up and marked != u:
            marked = u
            for at in range(first, last):
                owner[pairs[at] - base] = u
        for k in range(number):
            while True:
                state += STEP
                item = _lot(state, n_items)
                if last - first >= size:
                    break
                if not (_holds(pairs, first, last, base + item) if looked_up else owner[item] == u):
                    break
            out[r, k] = item
