"""Events in strata, so that stochastic gradient descent on them runs on any number of threads to one result.

Users and items are dealt into blocks. In round s, user block t meets item block (t + s) mod blocks, so that no two
threads touch the same row (the strata of Gemulla et al. 2011), and each meeting has random numbers of its own. What a
pair is compared with comes from the item block of the pair; the items are dealt anew for every epoch, so that in time
any item can be compared with any other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, spread
from recli.kernels.splitmix import STEP, below

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Meet = Callable[[Ints, slice, np.uint64], float]

BLOCKS = 8  # of users and of items; as many threads can work, and the result does not depend on how many do
LEAST = 32  # items in a block, so that there are some to compare with


def user_blocks(events: csr_matrix) -> Longs:
    """Where the blocks of users begin and end, (blocks + 1,): each has about as many events."""
    blocks = max(1, min(BLOCKS, events.shape[1] // LEAST))
    return np.searchsorted(events.indptr, np.linspace(0, events.nnz, blocks + 1)).astype(np.int64)


def item_blocks(n_items: int, blocks: int) -> list[slice]:
    """The places of each block of items, in the order in which they were dealt."""
    size = -(-n_items // blocks)
    return [slice(b * size, min((b + 1) * size, n_items)) for b in range(blocks)]


def epoch(events: csr_matrix, bounds: Longs, dealt: Ints, seed: int, meet: Meet) -> float:
    """Call ``meet(pairs, places, state)`` for every user block with every item block; returns the sum of its results.

    User block t is from ``bounds[t]`` to ``bounds[t + 1]``; ``dealt`` is a permutation of the items, and ``places`` the
    slice of it that is the item block. ``pairs`` (n, 2) holds the events of the two, the user and the place of the
    item: the users in random order, the pairs of a user together. ``state`` starts the random numbers of the meeting.
    """
    indptr, codes = events.indptr, events.indices
    blocks, size = len(bounds) - 1, -(-len(dealt) // (len(bounds) - 1))
    place_of = np.empty(len(dealt), np.int32)
    place_of[dealt] = np.arange(len(dealt), dtype=np.int32)
    pairs = [np.empty((indptr[bounds[t + 1]] - indptr[bounds[t]], 2), np.int32) for t in range(blocks)]
    starts = np.empty((blocks, blocks + 1), np.int64)
    states = np.random.SeedSequence(seed).generate_state(blocks * (blocks + 1), np.uint64).reshape(blocks, blocks + 1)
    places, result = item_blocks(len(dealt), blocks), np.zeros((blocks, blocks))

    def sort(start: int, stop: int) -> None:
        for t in range(start, stop):
            users = np.arange(bounds[t], bounds[t + 1])
            _sort(indptr, codes, place_of, users, size, states[t, blocks], pairs[t], starts[t])

    def met(s: int, start: int, stop: int) -> None:
        for t in range(start, stop):
            b = (t + s) % blocks
            result[t, b] = meet(pairs[t][starts[t, b] : starts[t, b + 1]], places[b], states[t, b])

    spread(sort, blocks)
    for s in range(blocks):
        spread(partial(met, s), blocks)
    return float(result.sum())


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
        other = below(last + 1, state)
        u, users[other] = users[other], users[last]
        for at in range(indptr[u], indptr[u + 1]):
            place = place_of[codes[at]]
            pairs[free[place // size], 0] = u
            pairs[free[place // size], 1] = place
            free[place // size] += 1
