"""One epoch of stochastic gradient descent on the BPR loss, in the strata of `recli.kernels.strata`."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import fixed, kernel, part, spread, strata
from recli.kernels.splitmix import STEP, stirred

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Fixed = NDArray[np.void]

TRIES = 32  # to draw an item that the user does not have, before the pair is passed over


def epoch(
    events: csr_matrix,
    bounds: Longs,
    user: Floats,
    item: Floats,
    weight: Doubles | None,
    dealt: Ints,
    *,
    candidates: int,
    seed: int,
    rate: float,
    reg: float,
) -> float:
    """A step for each entry of ``events``, in place on ``user`` and ``item``; blocks are as in `strata.epoch`.

    The negative item of a pair comes from the item block of the positive one, each as likely as its ``weight`` says, or
    all alike; of as many ``candidates`` it is the one that scores highest. Returns the mean over the events of the
    probability of the wrong order.
    """
    width = fixed(user.shape[1])
    own, other = _table(weight, dealt, len(bounds) - 1)

    def meet(pairs: Ints, places: slice, state: np.uint64) -> float:
        block = (dealt[places], own[places], other[places], places.start)
        return _meet(pairs, *block, user, item, candidates, state, rate, reg, width)

    return strata.epoch(events, bounds, dealt, seed, meet) / len(events.indices)


def _table(weight: Doubles | None, dealt: Ints, blocks: int) -> tuple[Floats, Ints]:
    """Vose's alias table of each block: how likely a place stays what was drawn, and the place it else becomes."""
    if weight is None:
        return np.empty(0, np.float32), np.empty(0, np.int32)
    own, other = np.empty(len(dealt), np.float32), np.empty(len(dealt), np.int32)
    places = strata.item_blocks(len(dealt), blocks)

    def build(start: int, stop: int) -> None:
        for block in places[start:stop]:
            _alias(weight[dealt[block]], own[block], other[block])

    spread(build, blocks)
    return own, other


@kernel
def _alias(weight: Doubles, own: Floats, other: Ints) -> None:
    """Vose 1991, "A linear algorithm for generating random numbers with a given distribution"."""
    n, total = len(weight), weight.sum()
    left = weight * (n / total)  # of each place: 1 on average
    order = np.empty(n, np.int32)  # places short of 1 from the front, the others from the back
    short, long = 0, n
    for place in range(n):
        other[place] = place
        if left[place] < 1:
            order[short] = place
            short += 1
        else:
            long -= 1
            order[long] = place
    while short > 0 and long < n:
        short -= 1
        poor, rich = order[short], order[long]
        own[poor], other[poor] = left[poor], rich
        left[rich] -= 1 - left[poor]
        if left[rich] < 1:
            long += 1
            order[short] = rich
            short += 1
    for at in range(short):  # what rounding has left over
        own[order[at]] = 1
    for at in range(long, n):
        own[order[at]] = 1


@part
def _width(fixed: Fixed) -> int:
    """Known to the compiler, and with it the length of the loops over a row."""
    return len(fixed[0].row)


@part
def _draw(n: int, own: Floats, other: Ints, state: np.uint64) -> np.int64:
    """A number from 0 to n - 1 for each state: by the table, where there is one."""
    z = stirred(state)
    place = np.int64(((z >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))
    if len(own) > 0 and np.float32(z & np.uint64(0xFFFFFF)) * np.float32(2**-24) >= own[place]:
        return np.int64(other[place])
    return place


@part
def _score(user: Floats, item: Floats, u: int, i: int, fixed: Fixed) -> np.float32:
    x = np.float32(0)
    for f in range(_width(fixed)):
        x += user[u, f] * item[i, f]
    return x


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


@part
def _free(u: int, owner: Ints, own: Floats, other: Ints, state: np.uint64) -> tuple[np.int64, np.uint64]:
    """A place whose item the user has not, -1 if after TRIES there is none; and the state then."""
    for _ in range(TRIES):
        state += STEP
        place = _draw(len(owner), own, other, state)
        if owner[place] != u:
            return place, state
    return np.int64(-1), state


@kernel
def _meet(
    pairs: Ints,
    theirs: Ints,
    own: Floats,
    other: Ints,
    low: int,
    user: Floats,
    item: Floats,
    candidates: int,
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
        hardest, highest = np.int64(-1), np.float32(-np.inf)
        for _ in range(candidates):
            place, state = _free(u, owner, own, other, state)
            if place < 0:
                break
            score = _score(user, item, u, theirs[place], fixed) if candidates > 1 else np.float32(0)
            if score > highest:
                hardest, highest = place, score
        if hardest >= 0:
            total += _step(user, item, u, mine, theirs[hardest], np.float32(rate), np.float32(reg), fixed)
    return total
