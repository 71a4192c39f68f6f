"""Items drawn for every query without replacement, in proportion to a weight, as the candidates of an evaluation.

Every pair of a query and an item has the key -ln(1 - v) / weight, and the n lowest keys win (Efraimidis & Spirakis
2006, "Weighted random sampling with a reservoir": there u = 1 - v, and the highest u^(1 / weight)). v in [0, 1) is a
hash of the seed and the two ids, so that what is drawn depends on nothing else: not on the batch, nor on the order of
queries or items.

A key is below some bound where the hash is below some limit, and the limits are the same for all queries: a pass over
the items compares integers, and keys are made of the few that are left.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recli.kernels import kernel, part, spread
from recli.kernels.splitmix import mixed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Digests = NDArray[np.uint64]
    Limits = NDArray[np.uint32]

BLOCK = 16  # hashes compared with their limits at once; a block with none below is skipped
GROWTH = 4  # of the bound, from one that left fewer than n to the next
STEPS = 24  # to find bounds in; after the last everything is within the limits
SLACK = 1 + 1e-9  # of the limits, for the rounding of the keys
LEAST = 1e-300  # of the largest weight, that no key be infinite


def sample(
    user: Digests, item: Digests, weight: Doubles | None, indptr: Longs, excluded: Ints, n: int, seed: int
) -> Ints:
    """For each query n distinct item codes, ascending, int32 (queries, n); -1 at the end where there are fewer.

    ``user`` (queries,) and ``item`` (items,) are the digests of the ids, and ``weight`` (items,) is finite (None: all
    the same). Never drawn are an item of weight 0 and, for query q, the codes ``excluded[indptr[q]:indptr[q + 1]]``.
    """
    drawn = np.full((len(user), n), -1, np.int32)
    weight = np.ones(len(item)) if weight is None else weight
    codes = np.flatnonzero(weight > 0).astype(np.int32)
    if not drawn.size or not len(codes):
        return drawn
    weight = weight[codes]
    weight = np.maximum(np.ldexp(weight, -np.frexp(weight.max())[1]), LEAST)  # a power of two changes no order
    items = Items(codes, item[codes], weight, len(item))
    bounds, limits = _bounds(weight, n)
    # One for each side, lest a user and an item of the same id cancel out.
    masks = np.random.SeedSequence(seed).generate_state(2, np.uint64).view(np.uint64)
    spread(partial(_sample, user, items, bounds, limits, indptr, excluded, masks, drawn), len(drawn))
    return drawn


class Items(NamedTuple):
    """What may be drawn, in the order of the codes, of ``n_items`` in all."""

    codes: Ints
    digests: Digests
    weights: Doubles
    n_items: int


def _bounds(weight: Doubles, n: int) -> tuple[Doubles, Limits]:
    """Rising bounds on the keys, and for each bound the limits that a hash's upper 32 bits are within (bounds, items).

    Below the first there are to be somewhat more keys than n, and the last is infinity. They cost or save time only.
    """
    target = 1.5 * n + 4 * np.sqrt(n) + 8
    bound, bounds, limits = target / weight.sum(), [], []
    for _ in range(STEPS):
        share = -np.expm1(-bound * weight)  # of the hashes
        expected = share.sum()
        if 2 * max(expected, target) > len(weight):
            break
        if expected < 0.9 * target:
            bound *= target / expected  # never too much: the expectation is concave in the bound
        else:
            bounds.append(bound)
            limits.append(np.minimum(share * SLACK * 2.0**32, 2.0**32 - 1).astype(np.uint32))
            bound *= GROWTH
    limits.append(np.full(len(weight), 2**32 - 1, np.uint32))
    return np.array([*bounds, np.inf]), np.stack(limits)


@part
def _within(state: np.uint64, other: np.uint64, limit: np.uint32) -> bool:
    return bool(np.uint32(mixed(state ^ other) >> np.uint64(32)) <= limit)


@part
def _find(state: np.uint64, states: Digests, limits: Limits, found: Ints) -> int:
    """List in ``found`` the places, ascending, whose hash is within its limit; returns how many."""
    count = 0
    for start in range(0, len(states), BLOCK):
        others, mine = states[start : start + BLOCK], limits[start : start + BLOCK]
        within = np.int32(0)
        for at in range(len(others)):
            within += np.int32(_within(state, others[at], mine[at]))
        if within == 0:
            continue
        for at in range(len(others)):
            found[count] = start + at
            count += int(_within(state, others[at], mine[at]))  # no branch: it cannot be foreseen
    return count


@part
def _bar(codes: Ints, barred: Ints, q: int) -> int:
    """Mark the codes of query q that no earlier mark keeps out; returns how many."""
    count = 0
    for code in codes:
        if 0 <= code < len(barred) and barred[code] < q:
            barred[code] = q
            count += 1
    return count


@part
def _after(keys: Doubles, digests: Digests, found: Ints, a: int, b: int) -> bool:
    """Whether the a-th of ``found`` is drawn later than the b-th: of equal keys the lower digest, then code, wins."""
    if keys[a] != keys[b]:
        return bool(keys[a] > keys[b])
    if digests[found[a]] != digests[found[b]]:
        return bool(digests[found[a]] > digests[found[b]])
    return a > b


@part
def _last(order: Ints, keys: Doubles, digests: Digests, found: Ints, n: int) -> int:
    """Which of ``found`` is drawn as the n-th (Hoare 1961, "Algorithm 65: Find"); ``order`` is scratch."""
    for entry in range(len(found)):
        order[entry] = entry
    low, high = 0, len(found) - 1
    while low < high:
        pivot, left, right = order[n - 1], low, high
        while left <= right:
            while _after(keys, digests, found, pivot, order[left]):
                left += 1
            while _after(keys, digests, found, order[right], pivot):
                right -= 1
            if left <= right:
                order[left], order[right] = order[right], order[left]
                left, right = left + 1, right - 1
        if right < n - 1:
            low = left
        if n - 1 < left:
            high = right
    return int(order[n - 1])


@part
def _weigh(items: Items, states: Digests, state: np.uint64, barred: Ints, q: int, found: Ints, keys: Doubles) -> int:
    """Drop from ``found`` what is barred for query q, and fill in the ``keys`` of the others; returns how many."""
    count = 0
    for place in found:
        if barred[items.codes[place]] != q:
            found[count] = place
            v = np.float64(mixed(state ^ states[place]) >> np.uint64(11)) * 2.0**-53
            keys[count] = -np.log1p(-v) / items.weights[place]
            count += 1
    return count


@kernel
def _sample(
    user: Digests,
    items: Items,
    bounds: Doubles,
    limits: Limits,
    indptr: Longs,
    excluded: Ints,
    masks: Digests,
    drawn: Ints,
    start: int,
    stop: int,
) -> None:
    codes, digests = items.codes, items.digests
    states, keys, found, order = np.empty_like(digests), np.empty(len(codes)), np.empty_like(codes), codes.copy()
    for place in range(len(codes)):
        states[place] = mixed(digests[place] ^ masks[1])
    barred = np.full(items.n_items, stop, np.int32)  # by which query last; by one that never comes: of weight 0
    barred[codes] = -1
    for q in range(start, stop):
        n = min(drawn.shape[1], len(codes) - _bar(excluded[indptr[q] : indptr[q + 1]], barred, q))
        if n == 0:
            continue
        state, count, last = mixed(user[q] ^ masks[0]), 0, 0
        for level in range(len(bounds)):
            count = _find(state, states, limits[level], found)
            count = _weigh(items, states, state, barred, q, found[:count], keys)
            if count >= n:
                last = _last(order, keys, digests, found[:count], n)
                if keys[last] <= bounds[level]:  # nothing outside the limits comes before it
                    break
        at = 0
        for entry in range(count):
            if not _after(keys, digests, found, entry, last):
                drawn[q, at] = codes[found[entry]]
                at += 1
