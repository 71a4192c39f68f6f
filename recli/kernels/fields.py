"""The rows of fields: from a table they share, each the sum of its slots' rows; their products; and the way back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from recli.kernels import fixed, kernel, spread
from recli.kernels.vector import each, head, joined, load, plus, store, tail, times, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

ONE = np.float32(1)
_none = np.empty((0, 0), np.float32)  # values where all slots count 1


def gather(table: Floats, codes: Ints, values: Floats | None, bounds: Longs, out: Floats, last: Floats) -> None:
    """Put the rows of each field into ``out`` (n, fields, width), and what follows them in the table into ``last``.

    ``codes`` (n, slots) are rows of the table, each counting as its ``values`` say, or 1; the slots of field f are
    those from ``bounds[f]`` to ``bounds[f + 1]``. The table has ``width`` columns, and ``last`` (n, 0); or one column
    more, and ``last`` (n, fields).
    """
    assert table.flags.c_contiguous and codes.flags.c_contiguous and out.flags.c_contiguous
    out, last = _shaped(table, out, last, len(bounds) - 1)
    given = (table, codes, _none if values is None else values, bounds, out, last)
    widths = fixed(table.shape[1]), fixed(out.shape[1])
    spread(partial(_gather, *given, *widths), len(codes))


def scatter(gradient: Floats, last: Floats, codes: Ints, values: Floats | None, bounds: Longs, table: Floats) -> None:
    """Add to the ``table`` what `gather` took from it: ``gradient`` is (n, fields, width), ``last`` as it is there.

    No two fields share a row of the table, so threads take fields.
    """
    assert table.flags.c_contiguous and codes.flags.c_contiguous and gradient.flags.c_contiguous
    fields = len(bounds) - 1
    gradient, last = _shaped(table, gradient, last, fields)
    given = (gradient, last, codes, _none if values is None else values, bounds, table)
    widths = fixed(gradient.shape[1]), fixed(table.shape[1])
    spread(partial(_scatter, *given, *widths), fields)


def _shaped(table: Floats, rows: Floats, last: Floats, fields: int) -> tuple[Floats, Floats]:
    """The rows of all fields (n * fields, width), and what follows them; where they are that alone, it is the rows."""
    n, more = len(rows), table.shape[1] - rows.shape[2]
    assert rows.shape[1] == fields and last.shape == (n, fields * more)
    if rows.shape[2] == 0:
        return last.reshape(n * fields, 1), last[:, :0]
    return rows.reshape(n * fields, rows.shape[2]), last


def bi_interaction(rows: Floats, out: Floats) -> None:
    """Put the sum over all pairs of fields of their rows' products into ``out`` (n, width), number by number.

    ``rows`` are (n, fields, width); Rendle 2010, "Factorization machines" (ICDM), lemma 3.1.
    """
    assert rows.flags.c_contiguous and out.flags.c_contiguous
    n, fields, width = rows.shape
    given = rows.reshape(n * fields, width), out, fields, fixed(width)
    spread(partial(_bi_interaction, *given), n)


def bi_interaction_gradient(rows: Floats, gradient: Floats, out: Floats) -> None:
    """From the ``gradient`` of what it made (n, width) that of the rows, into ``out``, (n, fields, width) both."""
    assert rows.flags.c_contiguous and gradient.flags.c_contiguous and out.flags.c_contiguous
    n, fields, width = rows.shape
    given = rows.reshape(n * fields, width), gradient, out.reshape(n * fields, width), fields, fixed(width)
    spread(partial(_bi_interaction_gradient, *given), n)


def by_rows(columns: Ints | Floats) -> Any:
    """A C-contiguous copy (n, columns) of columns (columns, n), block by block: numpy goes from line to line."""
    out = np.empty(columns.shape[::-1], columns.dtype)
    _by_rows(np.ascontiguousarray(columns), out)
    return out


@kernel
def _gather(
    table: Floats,
    codes: Ints,
    values: Floats,
    bounds: Longs,
    out: Floats,
    last: Floats,
    whole: NDArray[np.void],
    own: NDArray[np.void],
    start: int,
    stop: int,
) -> None:
    fields, more, counted = len(bounds) - 1, last.shape[1] > 0, len(values) > 0
    for n in range(start, stop):
        for f in range(fields):
            first = bounds[f]
            row = times(values[n, first] if counted else ONE, load(table, codes[n, first], whole))
            for slot in range(first + 1, bounds[f + 1]):
                value = values[n, slot] if counted else ONE
                if value != 0:
                    row = plus(row, value, load(table, codes[n, slot], whole))
            store(out, n * fields + f, head(row, own))
            if more:
                last[n, f] = tail(row, own)


@kernel
def _scatter(
    gradient: Floats,
    last: Floats,
    codes: Ints,
    values: Floats,
    bounds: Longs,
    table: Floats,
    own: NDArray[np.void],
    whole: NDArray[np.void],
    start: int,
    stop: int,
) -> None:
    fields, more, counted = len(bounds) - 1, last.shape[1] > 0, len(values) > 0
    for n in range(len(codes)):
        for f in range(start, stop):
            slope = joined(load(gradient, n * fields + f, own), last[n, f] if more else np.float32(0), whole)
            for slot in range(bounds[f], bounds[f + 1]):
                code, value = codes[n, slot], values[n, slot] if counted else ONE
                if value != 0:
                    store(table, code, plus(load(table, code, whole), value, slope))


@kernel
def _bi_interaction(rows: Floats, out: Floats, fields: int, width: NDArray[np.void], start: int, stop: int) -> None:
    for n in range(start, stop):
        total, squares = zeros(width), zeros(width)
        for f in range(fields):
            row = load(rows, n * fields + f, width)
            total, squares = plus(total, ONE, row), plus(squares, ONE, each(row, row))
        store(out, n, times(np.float32(0.5), plus(each(total, total), np.float32(-1), squares)))


@kernel
def _bi_interaction_gradient(
    rows: Floats, gradient: Floats, out: Floats, fields: int, width: NDArray[np.void], start: int, stop: int
) -> None:
    for n in range(start, stop):
        total, slope = zeros(width), load(gradient, n, width)
        for f in range(fields):
            total = plus(total, ONE, load(rows, n * fields + f, width))
        for f in range(fields):
            at = n * fields + f
            store(out, at, each(slope, plus(total, np.float32(-1), load(rows, at, width))))


@kernel
def _by_rows(columns: Any, out: Any) -> None:
    block = 16  # numbers of four bytes in a line of the cache
    for first in range(0, columns.shape[0], block):
        behind = min(first + block, columns.shape[0])
        for start in range(0, columns.shape[1], block):
            for n in range(start, min(start + block, columns.shape[1])):
                for column in range(first, behind):
                    out[n, column] = columns[column, n]
