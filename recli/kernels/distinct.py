"""The distinct ones of many short texts, and which of them each is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

START = 1 << 12  # slots of the table; it grows, so that at least half of them are empty


def distinct(texts: Words) -> tuple[Longs, Ints]:
    """The row of the first occurrence of each (distinct,), and for each row (rows,) the place of its text among these.

    ``texts`` (rows, 2) are Arrow's views of texts of at most 12 bytes: the length, and the bytes themselves.
    """
    codes = np.empty(len(texts), np.int32)
    return _distinct(texts, codes), codes


@part
def _slot(low: np.uint64, high: np.uint64, mask: np.uint64) -> np.uint64:
    """Where the search for a text begins: the finisher of splitmix64."""
    z = low ^ (high * np.uint64(0x9E3779B97F4A7C15))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) & mask


@kernel
def _distinct(texts: Words, codes: Ints) -> Longs:
    """Open addressing with linear probing; a slot holds the place of a text, and the texts stand on their own.

    The table is small thereby, and lies in a nearer cache.
    """
    table, mask = np.full(START, -1, np.int32), np.uint64(START - 1)
    known, first = np.empty((START // 2, 2), np.uint64), np.empty(START // 2, np.int64)
    found = 0
    for row in range(len(texts)):
        low, high = texts[row, 0], texts[row, 1]
        at = _slot(low, high, mask)
        place = table[at]
        while place >= 0 and (known[place, 0] != low or known[place, 1] != high):
            at = (at + np.uint64(1)) & mask
            place = table[at]
        if place < 0:
            place = np.int32(found)
            known[found, 0], known[found, 1], first[found] = low, high, row
            table[at] = place
            found += 1
            if found == len(first):
                table, mask = _rehash(known, 4 * found)
                known, first = np.concatenate((known, known)), np.concatenate((first, first))
        codes[row] = place
    return first[:found].copy()


@part
def _rehash(known: Words, slots: int) -> tuple[Ints, np.uint64]:
    """A table of so many slots for the texts that are known."""
    table, mask = np.full(slots, -1, np.int32), np.uint64(slots - 1)
    for place in range(len(known)):
        at = _slot(known[place, 0], known[place, 1], mask)
        while table[at] >= 0:
            at = (at + np.uint64(1)) & mask
        table[at] = place
    return table, mask


def grouped(group: Ints, order: Longs | None, n_groups: int) -> tuple[Longs, Longs]:
    """The rows by their group, and within a group as in ``order``, or as they stand; and where each group begins."""
    indptr = np.append(0, np.cumsum(np.bincount(group, minlength=n_groups)))
    rows = np.empty(len(group), np.int64)
    _group(group, np.empty(0, np.int64) if order is None else order, indptr[:-1].copy(), rows)
    return indptr, rows


@kernel
def _group(group: Ints, order: Longs, free: Longs, rows: Longs) -> None:
    for at in range(len(group)):
        row = order[at] if len(order) > 0 else at
        rows[free[group[row]]] = row
        free[group[row]] += 1
