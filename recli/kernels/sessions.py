"""Sessions near to others: overlaps by an inverted index, the nearest of the newest, and their items."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]


def score(
    asked: tuple[Longs, Ints],
    own: Ints,
    sessions: csr_matrix,
    by_item: csr_matrix,
    how: tuple[int, int, bool, bool, bool],
    out: Floats,
) -> None:
    """Add to row q of ``out`` (queries, items) the items of the sessions nearest to ``asked = (indptr, items)``.

    ``sessions`` (sessions, items) are in the order of their age, the newest first; ``by_item`` is its transpose.
    ``own`` is the row of a query itself, which is not taken, -1 for none; ``how`` is (k, sample, cosine, decay,
    score_decay).
    """
    given = (*asked, own, sessions.indptr, sessions.indices, by_item.indptr, by_item.indices, *how, out)
    spread(partial(_score, *given), len(out))


@kernel
def _score(
    indptr: Longs,
    items: Ints,
    own: Ints,
    starts: Ints,
    columns: Ints,
    item_starts: Ints,
    holders: Ints,
    k: int,
    sample: int,
    cosine: bool,
    decay: bool,
    score_decay: bool,
    out: Floats,
    start: int,
    stop: int,
) -> None:
    n_sessions = len(starts) - 1
    overlap, newest = np.zeros(n_sessions, np.float64), np.zeros(n_sessions, np.float32)
    touched, read = np.empty(n_sessions, np.int32), np.full(len(item_starts) - 1, -1, np.int64)
    for q in range(start, stop):
        mine = items[indptr[q] : indptr[q + 1]]
        count, distinct = _meet(mine, q, own[q], item_starts, holders, decay, read, overlap, newest, touched)
        near = np.sort(touched[:count])[:sample]
        likeness = overlap[near]
        if cosine:
            for at in range(len(near)):
                likeness[at] /= np.sqrt(np.float64(starts[near[at] + 1] - starts[near[at]]) * distinct)
        # Rounded, so that what is alike but for the order of a sum is alike; of equal ones the newest are taken.
        for at in np.argsort(-likeness.astype(np.float32), kind="mergesort")[:k]:
            session = near[at]
            vote = np.float32(likeness[at] * (newest[session] if score_decay else 1.0))
            for entry in range(starts[session], starts[session + 1]):
                out[q, columns[entry]] += vote
        overlap[touched[:count]] = 0


@part
def _meet(
    mine: Ints,
    q: int,
    own: int,
    item_starts: Ints,
    holders: Ints,
    decay: bool,
    read: Longs,
    overlap: Doubles,
    newest: Floats,
    touched: Ints,
) -> tuple[int, int]:
    """Fill in what each session has in common, the share of the newest such item, and which sessions have any.

    Returns how many do, and how many items ``mine`` are; of an item that is there twice the newest event counts.
    """
    count, distinct = 0, 0
    for back in range(len(mine)):
        item = mine[len(mine) - 1 - back]
        if read[item] == q:
            continue
        read[item] = q
        distinct += 1
        share = 1 - back / len(mine)
        for at in range(item_starts[item], item_starts[item + 1]):
            session = holders[at]
            if session == own:
                continue
            if overlap[session] == 0:
                touched[count] = session
                newest[session] = share
                count += 1
            overlap[session] += share if decay else 1.0
    return count, distinct
