"""The distinct ones of many short texts, and which of them each is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, part
from recli.kernels.vector import touch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

AHEAD = 128  # rows that are looked at together
LENGTH, INLINE = np.uint64(0xFFFFFFFF), np.uint64(12)  # where a view has the text's length; up to which it is the text
START = 1 << 12  # slots of the table; it grows, so that at least half of them are empty


def distinct(texts: Words) -> tuple[Longs, Ints] | None:
    """The row of the first occurrence of each (distinct,), and for each row (rows,) the place of its text among these.

    ``texts`` (rows, 2) are Arrow's views of texts: the length, and the bytes themselves. None where one has more than
    12 bytes, which stand elsewhere.
    """
    codes = np.empty(len(texts), np.int32)
    first = _distinct(texts, codes)
    return None if len(first) == 0 and len(texts) else (first, codes)


def load() -> None:
    """Have the machine code at hand, which takes a moment."""
    distinct(np.frombuffer(bytes(16), np.uint64).reshape(1, 2))


@part
def _slot(low: np.uint64, high: np.uint64) -> np.uint64:
    """Where the search for a text begins, in its lowest bits: the finisher of splitmix64."""
    z = low ^ (high * np.uint64(0x9E3779B97F4A7C15))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def _distinct(texts: Words, codes: Ints) -> Longs:
    """Open addressing with linear probing; a slot holds the place of a text, and the texts stand on their own.

    The table is small thereby, and lies in a nearer cache. What a row will look at is sent for while the rows
    before it are dealt with, first the slot and then the text.
    """
    table, mask = np.full(START, -1, np.int32), np.uint64(START - 1)
    known, first = np.empty((START // 2, 2), np.uint64), np.empty(START // 2, np.int64)
    slots = np.empty(AHEAD, np.uint64)
    found = 0
    for start in range(0, len(texts), AHEAD):
        stop = min(start + AHEAD, len(texts))
        for row in range(start, stop):
            if texts[row, 0] & LENGTH > INLINE:
                return first[:0].copy()
            slots[row - start] = _slot(texts[row, 0], texts[row, 1])
            touch(table, slots[row - start] & mask)
        for row in range(start, stop):
            place = table[slots[row - start] & mask]
            if place >= 0:
                touch(known, place)
        for row in range(start, stop):
            low, high = texts[row, 0], texts[row, 1]
            at = slots[row - start] & mask
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
        at = _slot(known[place, 0], known[place, 1]) & mask
        while table[at] >= 0:
            at = (at + np.uint64(1)) & mask
        table[at] = place
    return table, mask
