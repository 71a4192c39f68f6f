"""The quotes of a CSV text, for a whole block at once.

A block begins outside quotes. Then every other quote opens a quoted stretch, and ``""`` inside a field closes one and
opens the next at the same place, so that what lies outside quotes is a matter of parity.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recli.sources.streams import BLOCK, Block

QUOTE: Final = ord('"')
NEWLINE: Final = ord("\n")
RETURN: Final = ord("\r")


def cut(data: bytes) -> int:
    """Where the last whole record ends; 0 if more has to be read to tell.

    In a text whose quotes are irregular it may be the end of any line.
    """
    end = data.rfind(b"\n") + 1
    if b'"' not in data[:end]:
        return end
    newlines = np.flatnonzero((_bytes(data) == NEWLINE) & _outside(data))
    if len(newlines):
        return int(newlines[-1]) + 1
    return end if len(data) > 4 * BLOCK else 0


def is_regular(data: bytes, sep: int) -> bool:
    """Whether every quote stands around a whole field, or doubled inside one, and none is open at the end."""
    text = _bytes(data)
    places = np.flatnonzero(text == QUOTE)
    if len(places) % 2:
        return False
    opening, closing = places[::2], places[1::2]
    before = text[opening[opening > 0] - 1]
    after = text[closing[closing < len(text) - 1] + 1]
    return bool(np.isin(before, (sep, NEWLINE, QUOTE)).all() and np.isin(after, (sep, NEWLINE, RETURN, QUOTE)).all())


def separators(data: bytes, sep: int) -> int:
    """How many separators there are outside quotes."""
    return int(np.count_nonzero((_bytes(data) == sep) & _outside(data)))


def record_lines(block: Block) -> Sequence[int]:
    """The number of the line at which each record begins."""
    text = _bytes(block.data)
    ends = _outside(block.data)[text == NEWLINE]  # of every line, whether it ends a record
    following = (np.flatnonzero(ends) + 1 + block.line).tolist()
    return [block.line, *(following[:-1] if block.data.endswith(b"\n") else following)]


def _bytes(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def _outside(data: bytes) -> NDArray[np.bool_]:
    # The count wraps around at 256, which leaves its parity as it is.
    quotes: NDArray[np.uint8] = np.cumsum(_bytes(data) == QUOTE, dtype=np.uint8)
    return np.asarray(np.bitwise_and(quotes, 1) == 0, dtype=np.bool_)
