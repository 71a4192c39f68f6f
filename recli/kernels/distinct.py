"""The distinct ones of many short texts, and which of them each is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, part
from recli.kernels.splitmix import STEP, mixed
from recli.kernels.vector import touch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

AHEAD = 128  # rows that are looked at together
LENGTH, INLINE = np.uint64(0xFFFFFFFF), np.uint64(12)  # where a view has the text's length; up to which it is the text
START = 1 << 12  # slots of the table; it grows, so that at least half of them are empty


def distinct(chunks: Sequence[Words]) -> tuple[Longs, Ints] | None:
    """The row of the first occurrence of each (distinct,), and for each row (rows,) the place of its text among these.

    A chunk (rows, 2) holds Arrow's views of texts: the length, and the bytes themselves. None where one has more than
    12 bytes, which stand elsewhere.
    """
    codes = np.empty(sum(map(len, chunks)), np.int32)
    table = np.full(START, -1, np.int32)
    known, first = np.empty((START // 2, 2), np.uint64), np.empty(START // 2, np.int64)
    found = done = 0
    for texts in chunks:
        row = 0
        while row < len(texts):
            row, found = _look_up(texts, row, codes[done:], done, table, known, first, found)
            if row < 0:
                return None
            if row < len(texts):  # there may be no room for those that come
                known, first = np.concatenate((known, known)), np.concatenate((first, first))
                table = np.full(2 * len(table), -1, np.int32)
                _enter(known[:found], table)
        done += len(texts)
    return first[:found].copy(), codes


def load() -> None:
    """Have the machine code at hand, which takes a moment."""
    distinct([np.frombuffer(bytes(16), np.uint64).reshape(1, 2)])
    _enter(np.empty((0, 2), np.uint64), np.empty(1, np.int32))


@part
def _slot(low: np.uint64, high: np.uint64) -> np.uint64:
    """Where the search for a text begins, in its lowest bits: the finisher of splitmix64."""
    return mixed(low ^ (high * STEP))


@kernel
def _look_up(
    texts: Words, start: int, codes: Ints, before: int, table: Ints, known: Words, first: Longs, found: int
) -> tuple[int, int]:
    """The codes of the texts from row ``start`` on, until there may be no room for what is new.

    Returns the row that is next, or -1 where a text is too long, and how many are known. Open addressing with linear
    probing; a slot holds the place of a text, and the texts stand on their own. The table is small thereby, and lies in
    a nearer cache. What a row will look at is sent for while the rows before it are dealt with, first the slot and then
    the text. No array changes hands in here: numba would count who has it, for every row.
    """
    slots, mask = np.empty(AHEAD, np.uint64), np.uint64(len(table) - 1)
    while start < len(texts) and found + AHEAD <= len(first):
        stop = min(start + AHEAD, len(texts))
        for row in range(start, stop):
            if texts[row, 0] & LENGTH > INLINE:
                return -1, found
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
                known[found, 0], known[found, 1], first[found] = low, high, before + row
                table[at] = place
                found += 1
            codes[row] = place
        start = stop
    return start, found


@kernel
def _enter(known: Words, table: Ints) -> None:
    """Put the texts that are known into a table."""
    mask = np.uint64(len(table) - 1)
    for place in range(len(known)):
        at = _slot(known[place, 0], known[place, 1]) & mask
        while table[at] >= 0:
            at = (at + np.uint64(1)) & mask
        table[at] = place
