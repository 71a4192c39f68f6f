"""One epoch of stochastic gradient descent on the BPR loss: any number of threads, one result.

Users and items are dealt into blocks. In round s, user block t meets item block (t + s) mod blocks, so that no two
threads touch the same row (the strata of Gemulla et al. 2011), and each meeting has random numbers of its own. A pair's
negative item comes from the block of its positive one; the items are dealt anew for every epoch, so that in time any
item can be the negative of any other.
"""

from __future__ import annotations

from functools import partial
from math import exp
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import fixed, kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Fixed = NDArray[np.void]

TRIES = 32  # to draw an item that the user does not have, before the pair is passed over
STEP = np.uint64(0x9E3779B97F4A7C15)  # splitmix64 (Steele, Lea & Flood 2014): a counter, and a mix of its bits


def epoch(
    events: csr_matrix, bounds: Longs, dealt: Ints, user: Floats, item: Floats, *, seed: int, rate: float, reg: float
) -> float:
    """A step for each entry of ``events``, in place on ``user`` and ``item``.

    User block t is from ``bounds[t]`` to ``bounds[t + 1]``; ``dealt`` is a permutation of the items, and their blocks
    are runs of it. Returns the mean over the events of the probability of the wrong order.
    """
    indptr, codes = events.indptr, events.indices
    blocks, size = len(bounds) - 1, -(-len(dealt) // (len(bounds) - 1))
    place_of = np.empty(len(dealt), np.int32)
    place_of[dealt] = np.arange(len(dealt), dtype=np.int32)
    pairs = [np.empty((indptr[bounds[t + 1]] - indptr[bounds[t]], 2), np.int32) for t in range(blocks)]
    starts = np.empty((blocks, blocks + 1), np.int64)
    states = np.random.SeedSequence(seed).generate_state(blocks * (blocks + 1), np.uint64).reshape(blocks, blocks + 1)
    wrong, width = np.zeros((blocks, blocks)), fixed(user.shape[1])

    def sort(start: int, stop: int) -> None:
        for t in range(start, stop):
            users = np.arange(bounds[t], bounds[t + 1])
            _sort(indptr, codes, place_of, users, size, states[t, blocks], pairs[t], starts[t])

    def meet(s: int, start: int, stop: int) -> None:
        for t in range(start, stop):
            b = (t + s) % blocks
            mine, theirs = pairs[t][starts[t, b] : starts[t, b + 1]], dealt[b * size : (b + 1) * size]
            wrong[t, b] = _meet(mine, theirs, b * size, user, item, states[t, b], rate, reg, width)

    spread(sort, blocks)
    for s in range(blocks):
        spread(partial(meet, s), blocks)
    return float(wrong.sum()) / len(codes)


@part
def _width(fixed: Fixed) -> int:
    """Known to the compiler, and with it the length of the loops over a row."""
    return len(fixed[0].row)


@part
def _below(bound: int, state: np.uint64) -> np.int64:
    """A number from 0 to bound - 1 for each state."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(((z >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@kernel
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


@part
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


@kernel
def _meet(
    pairs: Ints,
    theirs: Ints,
    low: int,
    user: Floats,
    item: Floats,
    state: np.uint64,
    rate: float,
    reg: float,
    fixed: Fixed,
) -> float:
    """A step for each pair, its negative one of ``theirs``, the places from ``low`` on; returns the sum of s(-x)."""
    owner = np.full(len(theirs), -1, np.int32)  # who has the item at a place, of the users so far
    total, ahead = np.float64(0), 0
    for at in range(len(pairs)):
        u, mine = pairs[at, 0], theirs[pairs[at, 1] - low]
        while ahead < len(pairs) and pairs[ahead, 0] == u:
            owner[pairs[ahead, 1] - low] = u
            ahead += 1
        for _ in range(TRIES):
            state += STEP
            other = _below(len(theirs), state)
            if owner[other] != u:
                total += _step(user, item, u, mine, theirs[other], np.float32(rate), np.float32(reg), fixed)
                break
    return total
