"""Rows by their group, and within a group by a key."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from recli.kernels import kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Keys = NDArray[Any]

RUN = 16  # rows that are put into order one by one, before runs of them are merged


def grouped(group: Ints, key: Keys | None, n_groups: int) -> tuple[Longs, Longs]:
    """``(indptr (n_groups + 1,), rows (n,))``; where keys are equal, or there are none, rows stand as they stood."""
    indptr = np.zeros(n_groups + 1, np.int64)
    _count(group, indptr[1:])
    indptr.cumsum(out=indptr)
    rows = np.empty(len(group), np.int64)
    _group(group, indptr[:-1].copy(), rows)
    if key is not None and not (key[1:] >= key[:-1]).all():
        spread(partial(_sort, key, indptr, rows), n_groups)
    return indptr, rows


@kernel
def _count(group: Ints, counts: Longs) -> None:
    """What numpy's bincount does without a copy."""
    for row in range(len(group)):
        counts[group[row]] += 1


@kernel
def _group(group: Ints, free: Longs, rows: Longs) -> None:
    for row in range(len(group)):
        rows[free[group[row]]] = row
        free[group[row]] += 1


@part
def _insert(keys: Keys, rows: Longs, start: int, stop: int) -> None:
    for at in range(start + 1, stop):
        key, row, to = keys[at], rows[at], at
        while to > start and keys[to - 1] > key:
            keys[to], rows[to] = keys[to - 1], rows[to - 1]
            to -= 1
        keys[to], rows[to] = key, row


@part
def _merge(keys: Keys, rows: Longs, into_keys: Keys, into_rows: Longs, size: int) -> None:
    """Two runs of ``size`` after the other into one; of equal keys the one of the first run is first."""
    n = len(keys)
    for start in range(0, n, 2 * size):
        middle, stop = min(start + size, n), min(start + 2 * size, n)
        left, right = start, middle
        for at in range(start, stop):
            if left < middle and (right >= stop or keys[left] <= keys[right]):
                into_keys[at], into_rows[at] = keys[left], rows[left]
                left += 1
            else:
                into_keys[at], into_rows[at] = keys[right], rows[right]
                right += 1


@kernel
def _sort(key: Keys, indptr: Longs, rows: Longs, start: int, stop: int) -> None:
    """Each group's rows, by a merge sort, which is stable."""
    longest = 0
    for group in range(start, stop):
        longest = max(longest, indptr[group + 1] - indptr[group])
    keys, of = np.empty((2, longest), key.dtype), np.empty((2, longest), np.int64)
    for group in range(start, stop):
        first, n = indptr[group], indptr[group + 1] - indptr[group]
        for at in range(n):
            of[0, at] = rows[first + at]
            keys[0, at] = key[rows[first + at]]
        for at in range(0, n, RUN):
            _insert(keys[0], of[0], at, min(at + RUN, n))
        size, here = RUN, 0
        while size < n:
            _merge(keys[here, :n], of[here, :n], keys[1 - here, :n], of[1 - here, :n], size)
            size, here = 2 * size, 1 - here
        rows[first : first + n] = of[here, :n]
