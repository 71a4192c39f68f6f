"""One epoch of stochastic gradient descent on the BPR loss: any number of threads, one result.

Users and items are dealt into blocks. In round s, user block t meets item block (t + s) mod blocks, so that no two
threads touch the same row (the strata of Gemulla et al. 2011), and each meeting has random numbers of its own. A pair's
negative item comes from the block of its positive one; the items are dealt anew for every epoch, so that in time any
item can be the negative of any other.
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

import numpy as np
from numba import prange

from recli.kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Fixed = NDArray[np.void]

TRIES = 32  # to draw an item that the user does not have, before the pair is passed over
STEP = np.uint64(0x9E3779B97F4A7C15)  # splitmix64 (Steele, Lea & Flood 2014): a counter, and a mix of its bits


@kernel(inline=True)
def _width(fixed: Fixed) -> int:
    """Known to the compiler, and with it the length of the loops over a row."""
    return len(fixed[0].row)


@kernel(inline=True)
def _below(bound: int, state: np.uint64) -> np.int64:
    """A number from 0 to bound - 1 for each state."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(((z >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@kernel(inline=True)
def _stream(seed: int, number: int) -> np.uint64:
    """Where the states of one of the streams of ``seed`` begin."""
    z = (np.uint64(seed) + np.uint64(number + 1) * STEP) * np.uint64(0xD1342543DE82EF95)
    return z ^ (z >> np.uint64(32))


@kernel()
def _sort(
    indptr: Longs, codes: Ints, place_of: Ints, users: Longs, size: int, state: np.uint64, pairs: Ints, starts: Longs
) -> None:
    """Fill ``pairs`` with the (user, item's place) of ``users``, grouped by item block: block b is from starts[b].

    Within a block the users come in random order, the pairs of a user together.
    """
    first = indptr[users[0]] if len(users) else 0
    starts[:] = 0
    for at in range(len(pairs)):
        starts[place_of[codes[first + at]] // size + 1] += 1
    for b in range(1, len(starts)):
        starts[b] += starts[b - 1]
    free = starts.copy()
    for last in range(len(users) - 1, -1, -1):
        state += STEP
        other = _below(last + 1, state)
        u, users[other] = users[other], users[last]
        for at in range(indptr[u], indptr[u + 1]):
            place = place_of[codes[at]]
            pairs[free[place // size], 0] = u
            pairs[free[place // size], 1] = place
            free[place // size] += 1


@kernel(inline=True)
def _step(
    user: Floats, item: Floats, u: int, i: int, j: int, rate: np.float32, reg: np.float32, fixed: Fixed
) -> np.float32:
    """Move along the gradient of ln s(x), x = u'(i - j) (Rendle et al. 2009, §4.3); returns s(-x)."""
    x = np.float32(0)
    for f in range(_width(fixed)):
        x += user[u, f] * (item[i, f] - item[j, f])
    wrong = np.float32(1) / (np.float32(1) + np.float32(exp(x)))
    move, keep = rate * wrong, np.float32(1) - rate * reg
    for f in range(_width(fixed)):
        uf, jf, kf = user[u, f], item[i, f], item[j, f]
        user[u, f] = keep * uf + move * (jf - kf)
        item[i, f] = keep * jf + move * uf
        item[j, f] = keep * kf - move * uf
    return wrong


@kernel()
def _meet(
    pairs: Ints,
    dealt: Ints,
    low: int,
    high: int,
    user: Floats,
    item: Floats,
    state: np.uint64,
    rate: np.float32,
    reg: np.float32,
    fixed: Fixed,
) -> float:
    """A step for each pair, its negative item from the places ``low`` to ``high``; returns the sum of s(-x)."""
    owner = np.full(high - low, -1, np.int32)  # who has the item at a place, of the users so far
    total, ahead = np.float64(0), 0
    for at in range(len(pairs)):
        u, place = pairs[at, 0], pairs[at, 1]
        while ahead < len(pairs) and pairs[ahead, 0] == u:
            owner[pairs[ahead, 1] - low] = u
            ahead += 1
        for _ in range(TRIES):
            state += STEP
            other = _below(high - low, state)
            if owner[other] != u:
                total += _step(user, item, u, dealt[place], dealt[low + other], rate, reg, fixed)
                break
    return total


@kernel(parallel=True)
def epoch(
    indptr: Longs,
    codes: Ints,
    bounds: Longs,
    dealt: Ints,
    user: Floats,
    item: Floats,
    seed: int,
    rate: float,
    reg: float,
    fixed: Fixed,
) -> Doubles:
    """A step for each pair of the csr matrix (``indptr``, ``codes``), in place on ``user`` and ``item``.

    User block t is from ``bounds[t]`` to ``bounds[t + 1]``; ``dealt`` is a permutation of the items, and their blocks
    are runs of it. Returns, for each meeting, the sum over its pairs of the probability of the wrong order.
    """
    blocks, size = len(bounds) - 1, -(-len(dealt) // (len(bounds) - 1))
    place_of = np.empty(len(dealt), np.int32)
    for place in range(len(dealt)):
        place_of[dealt[place]] = place
    pairs = np.empty((len(codes), 2), np.int32)
    starts = np.empty((blocks, blocks + 1), np.int64)
    wrong = np.zeros((blocks, blocks))
    for t in prange(blocks):
        mine = pairs[indptr[bounds[t]] : indptr[bounds[t + 1]]]
        users = np.arange(bounds[t], bounds[t + 1])
        _sort(indptr, codes, place_of, users, size, _stream(seed, blocks * blocks + t), mine, starts[t])
    for s in range(blocks):
        for t in prange(blocks):
            b = (t + s) % blocks
            mine = pairs[indptr[bounds[t]] + starts[t, b] : indptr[bounds[t]] + starts[t, b + 1]]
            low, high = b * size, min((b + 1) * size, len(dealt))
            state = _stream(seed, t * blocks + b)
            wrong[t, b] = _meet(mine, dealt, low, high, user, item, state, np.float32(rate), np.float32(reg), fixed)
    return wrong
