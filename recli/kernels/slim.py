"""The elastic net of every column of a binary matrix on all others, by coordinate descent.

Column j's weights w minimise, with w_j = 0 and, where they have to be positive, w >= 0,

    |x_j - X w|^2 / 2 + l1 |w|_1 + l2 |w|^2 / 2.

Where X'X is at hand, a round descends on the weights in play alone, with their part of it; these are those that are not
zero and the zeros that most ask to leave it. Then the gradient of all is renewed. Where X'X would be too large, each
weight's gradient is added up over the column's events: dear where columns are long, cheap where they are short.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recli.kernels import kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csc_matrix, csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Columns = tuple[Longs, Ints, Floats]  # lengths, codes, values

ROOM = 1 << 22  # weights that a thread has room for, or those of one column
ASK = np.float32(0.3)  # of what the best zero would gain, from which on a zero is put into play


class Net(NamedTuple):
    """The diagonal of X'X, the penalties, whether weights have to be positive, and when to end."""

    diagonal: Floats
    l1: np.float32
    l2: np.float32
    positive: bool
    tol: np.float32
    max_iter: int


def solve(
    matrix: csr_matrix,
    gram: Floats | None,
    *,
    l1: float,
    l2: float,
    positive: bool,
    tol: float,
    max_iter: int,
    block: int,
    progress: Callable[[int], None],
) -> csc_matrix:
    """The weights of all columns. ``gram`` is X'X, if at hand; ``progress`` is called after ``block`` columns each."""
    from scipy.sparse import csc_matrix

    n = matrix.shape[1]
    columns = matrix.tocsc()
    by_user, by_item = ((m.indptr, m.indices) for m in (matrix, columns))
    diagonal = np.diff(columns.indptr).astype(np.float32)
    net = Net(diagonal, np.float32(l1), np.float32(l2), positive, np.float32(tol), max_iter)
    lengths = np.zeros(n, np.int64)
    found: dict[int, tuple[Ints, Floats]] = {}

    def work(first: int, start: int, stop: int) -> None:
        at, stop = first + start, first + stop
        while at < stop:
            room = max(n, min(n * (stop - at), ROOM))
            mine = lengths[at:stop], np.empty(room, np.int32), np.empty(room, np.float32)
            if gram is None:
                done, total = _by_events(net, by_user, by_item, at, mine)
            else:
                done, total = _by_gram(net, gram, at, mine)
            found[at] = mine[1][:total].copy(), mine[2][:total].copy()
            at += done

    for first in range(0, n, block):
        size = min(block, n - first)
        spread(partial(work, first), size)
        progress(first + size)
    codes, values = zip(*(found[start] for start in sorted(found)), strict=True)
    indptr = np.append(0, np.cumsum(lengths))
    return csc_matrix((np.concatenate(values), np.concatenate(codes), indptr), shape=(n, n))


@part
def _best(net: Net, slope: np.float32, i: int, old: np.float32) -> np.float32:
    """Where weight i is best, all others fixed."""
    pull = slope + net.diagonal[i] * old
    size = max(abs(pull) - net.l1, np.float32(0)) / (net.diagonal[i] + net.l2)
    if pull < 0:
        size = np.float32(0) if net.positive else -size
    best: np.float32 = size
    return best


@part
def _list_others(net: Net, j: int, slope: Floats, others: Ints) -> int:
    """List whose weight can be anything but zero, by ``slope``, which is x_j'x_i; returns how many."""
    count = 0
    for i in range(len(slope)):
        # A slope only falls where weights are positive, as no two columns have a product below zero.
        others[count] = i
        count += int(i != j and (slope[i] > net.l1 if net.positive else net.diagonal[i] > 0))
    return count


@part
def _list_weights(others: Ints, w: Floats, found: Ints) -> int:
    """List which weights are not zero; returns how many."""
    count = 0
    for i in others:
        found[count] = i
        count += int(w[i] != 0)
    return count


@part
def _choose(net: Net, others: Ints, w: Floats, slope: Floats, gain: Floats, play: Ints) -> int:
    """List what is to be in play; returns how many, 0 where no weight would change by much."""
    best = largest = change = np.float32(0)
    for at in range(len(others)):
        i = others[at]
        step = _best(net, slope[i], i, w[i]) - w[i]
        gain[at] = step * step * (net.diagonal[i] + net.l2)
        change, largest = max(change, abs(step)), max(largest, abs(w[i]))
        if w[i] == 0:
            best = max(best, gain[at])
    if change <= net.tol * largest:
        return 0
    count = 0
    for at in range(len(others)):
        if w[others[at]] != 0 or (gain[at] > 0 and gain[at] >= ASK * best):
            play[count] = others[at]
            count += 1
    return count


@part
def _descend(net: Net, play: Ints, gram: Floats, w: Floats, slope: Floats) -> None:
    """Sweeps over the weights in play, whose part of X'X is ``gram``."""
    for _ in range(net.max_iter):
        change = largest = np.float32(0)
        for a in range(len(play)):
            old = w[a]
            w[a] = _best(net, slope[a], play[a], old)
            if w[a] != old:
                step, row = w[a] - old, gram[a]
                for b in range(len(play)):
                    slope[b] -= step * row[b]
                change = max(change, abs(step))
            largest = max(largest, abs(w[a]))
        if change <= net.tol * largest:
            break


@part
def _renew(gram: Floats, moved: Ints, steps: Floats, slope: Floats) -> None:
    """Take from ``slope`` what the ``steps`` of the weights ``moved`` explain.

    Four are taken at a time, as the slope has to be read and written for each; the last ones are filled up with zeros.
    """
    last, zero = len(moved) - 1, np.float32(0)
    for at in range(0, len(moved), 4):
        p, q, r, s = moved[at], moved[min(at + 1, last)], moved[min(at + 2, last)], moved[min(at + 3, last)]
        a = steps[at]
        b = steps[at + 1] if at + 1 <= last else zero
        c = steps[at + 2] if at + 2 <= last else zero
        d = steps[at + 3] if at + 3 <= last else zero
        for i in range(len(slope)):
            slope[i] -= a * gram[p, i] + b * gram[q, i] + c * gram[r, i] + d * gram[s, i]


@part
def _sweep(net: Net, by_item: tuple[Ints, Ints], play: Ints, w: Floats, rest: Floats) -> bool:
    """A sweep over the weights in play; ``rest`` is x_j - X w. Returns whether next to nothing changed."""
    ptr, users = by_item
    change = largest = np.float32(0)
    for i in play:
        mine, slope, old = users[ptr[i] : ptr[i + 1]], np.float32(0), w[i]
        for user in mine:
            slope += rest[user]
        w[i] = _best(net, slope, i, old)
        if w[i] != old:
            for user in mine:
                rest[user] -= w[i] - old
            change = max(change, abs(w[i] - old))
        largest = max(largest, abs(w[i]))
    return bool(change <= net.tol * largest)


@part
def _take(weights: Ints, w: Floats, codes: Ints, values: Floats) -> int:
    """Write down the ``weights`` of a column, and set ``w`` to zero; returns how many."""
    for at in range(len(weights)):
        codes[at], values[at] = weights[at], w[weights[at]]
        w[weights[at]] = 0
    return len(weights)


@kernel
def _by_gram(net: Net, gram: Floats, start: int, found: Columns) -> tuple[int, int]:
    """Columns from ``start`` on, as many as there is room for; returns how many, and of how many weights."""
    (lengths, codes, values), n, total = found, len(gram), 0
    w, gain, others, play = (
        np.zeros(n, np.float32),
        np.empty(n, np.float32),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
    )
    inner = np.empty((0, 0), np.float32)
    for done in range(len(lengths)):
        if total + n > len(codes):
            return done, total
        j = start + done
        slope = gram[j].copy()
        mine = others[: _list_others(net, j, slope, others)]
        for _ in range(net.max_iter):
            chosen = play[: _choose(net, mine, w, slope, gain, play)]
            if len(chosen) == 0:
                break
            if len(chosen) > len(inner):
                inner = np.empty((len(chosen), len(chosen)), np.float32)
            for a in range(len(chosen)):
                for b in range(len(chosen)):
                    inner[a, b] = gram[chosen[a], chosen[b]]
            before, now, left = w[chosen], w[chosen], slope[chosen]
            _descend(net, chosen, inner, now, left)
            w[chosen] = now
            moved = np.flatnonzero(now - before)
            _renew(gram, chosen[moved], (now - before)[moved], slope)
        weights = play[: _list_weights(mine, w, play)]
        lengths[done] = _take(weights, w, codes[total:], values[total:])
        total += len(weights)
    return len(lengths), total


@kernel
def _by_events(
    net: Net, by_user: tuple[Ints, Ints], by_item: tuple[Ints, Ints], start: int, found: Columns
) -> tuple[int, int]:
    """The same without X'X."""
    (user_ptr, items), (item_ptr, users) = by_user, by_item
    (lengths, codes, values), n, total = found, len(net.diagonal), 0
    w, slope, others, play = (
        np.zeros(n, np.float32),
        np.empty(n, np.float32),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
    )
    rest = np.empty(len(user_ptr) - 1, np.float32)
    for done in range(len(lengths)):
        if total + n > len(codes):
            return done, total
        j = start + done
        slope[:], rest[:] = 0, 0
        for user in users[item_ptr[j] : item_ptr[j + 1]]:
            rest[user] = 1
            for item in items[user_ptr[user] : user_ptr[user + 1]]:
                slope[item] += np.float32(1)
        mine = others[: _list_others(net, j, slope, others)]
        for _ in range(net.max_iter):
            if _sweep(net, by_item, mine, w, rest):
                break
            chosen = play[: _list_weights(mine, w, play)]
            for _ in range(net.max_iter):
                if _sweep(net, by_item, chosen, w, rest):
                    break
        weights = play[: _list_weights(mine, w, play)]
        lengths[done] = _take(weights, w, codes[total:], values[total:])
        total += len(weights)
    return len(lengths), total
