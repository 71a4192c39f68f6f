"""Lists beside the truth: what the item at each place is worth, and what the best list would hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

BLOCK = 1 << 18  # places compared at a time: they stay in the processor's cache


class Judged(NamedTuple):
    """What a ranking metric is computed from, but for the cut-off; ``metric.function(*judged, k)`` computes it.

    - ``gains`` (users, depth) float64: what the item at each place is worth, 0 where it is not relevant and where the
      list has ended.
    - ``ideal`` (users, depth) float64: the gains of the user's relevant items, the highest first: the best list.
    - ``listed`` (users,): how many items the list holds.
    - ``relevant`` (users,): R, how many items are relevant, those out of the list's reach included.
    """

    gains: Doubles
    ideal: Doubles
    listed: Longs
    relevant: Longs


def linear(relevance: Doubles) -> Doubles:
    """gain = relevance. Source: Järvelin and Kekäläinen, TOIS 2002."""
    return relevance


def exponential(relevance: Doubles) -> Doubles:
    """gain = 2^relevance − 1. Source: Burges et al., Learning to Rank using Gradient Descent, ICML 2005."""
    return np.exp2(relevance) - 1


def binary(relevance: Doubles) -> Doubles:
    """gain = 1 where relevance > 0, else 0."""
    return (relevance > 0).astype(np.float64)


# What --gain makes of the truth's column: an item is relevant where its gain is above 0.
GAINS: Final[dict[str, Callable[[Doubles], Doubles]]] = {
    "binary": binary,
    "linear": linear,
    "exponential": exponential,
}


def judge(
    lists: Ints, truth_indptr: Longs, truth_items: Ints, truth_gains: Doubles | None = None, *, depth: int
) -> Judged:
    """Lists beside the truth, cut or padded to ``depth``, the deepest cut-off: what lies below is never looked at.

    The arguments are those of `gains_of`. Every relevant item needs a code, if only one that is in no list.
    """
    lists = np.ascontiguousarray(lists[:, :depth])
    listed = (lists >= 0).sum(axis=1)
    lists = np.pad(lists, ((0, 0), (0, depth - lists.shape[1])), constant_values=-1)
    relevant = np.diff(truth_indptr)
    ideal = ideal_of(relevant, depth) if truth_gains is None else best_of(truth_indptr, truth_gains, depth)
    return Judged(gains_of(lists, truth_indptr, truth_items, truth_gains), ideal, listed, relevant)


def gains_of(lists: Ints, truth_indptr: Longs, truth_items: Ints, truth_gains: Doubles | None = None) -> Doubles:
    """What the item at each place of a list is worth: its gain where it is relevant to the user, else 0.

    ``lists`` (users, depth) int32 holds item codes, -1 where a list has ended, no item twice in a list. The relevant
    items of user u are ``truth_items[truth_indptr[u]:truth_indptr[u + 1]]``, ascending and distinct, as in a CSR
    matrix; one that has no code, because no list can hold it, is left out here and still counts in ``relevant``.
    ``truth_gains`` stands beside ``truth_items`` and is above 0; without it each is worth 1. Returns float64
    (users, depth). Memory is in proportion to the lists and the truth, not to users × items.
    """
    n, depth = len(truth_items), lists.shape[1]
    user = np.repeat(np.arange(len(lists)), np.diff(truth_indptr))
    assert ((np.diff(truth_items) > 0) | (np.diff(user) > 0)).all(), (
        "relevant items must be ascending and distinct within a user"
    )
    assert truth_items.min(initial=0) >= 0, "a relevant item needs a code"
    assert truth_gains is None or truth_gains.min(initial=1) > 0, "an item that is worth nothing is not relevant"
    gains = np.zeros(lists.shape)
    step = BLOCK // max(depth, 1) + 1
    for start in range(0, n, step):
        # Each relevant item is compared with the whole of its user's list: no order, no search, no table of items.
        rows = slice(start, start + step)
        found = np.flatnonzero(lists.take(user[rows], axis=0) == truth_items[rows, None])
        row, place = np.divmod(found, depth)
        row += start
        gains[user[row], place] = 1.0 if truth_gains is None else truth_gains[row]
    return gains


def ideal_of(relevant: Longs, depth: int) -> Doubles:
    """The best list's binary gains, float64 (users, depth): 1 in the first ``relevant`` places."""
    return (np.arange(depth) < relevant[:, None]).astype(np.float64)


def best_of(truth_indptr: Longs, truth_gains: Doubles, depth: int) -> Doubles:
    """The best list's graded gains, float64 (users, depth): the user's highest first, 0 where there are no more."""
    counts = np.diff(truth_indptr)
    user = np.repeat(np.arange(len(counts)), counts)
    ordered = truth_gains[np.lexsort((-truth_gains, user))]
    place = np.arange(len(user)) - truth_indptr[user]
    kept = place < depth
    ideal = np.zeros((len(counts), depth))
    ideal[user[kept], place[kept]] = ordered[kept]
    return ideal
