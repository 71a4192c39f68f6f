"""The rows of fields: from a table they share, each field's the sum of its slots' rows; and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import fixed, kernel, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]


def gather(table: Floats, codes: Ints, values: Floats | None, bounds: Longs, out: Floats) -> None:
    """Put the rows of each field into ``out`` (n, fields, width).

    ``codes`` (n, slots) are rows of the table (rows, width), each counting as its ``values`` say, or 1; the slots of
    field f are those from ``bounds[f]`` to ``bounds[f + 1]``.
    """
    assert table.flags.c_contiguous and codes.flags.c_contiguous and out.flags.c_contiguous
    width = fixed(table.shape[1])
    if values is None:
        spread(lambda start, stop: _gather(table, codes, bounds, out, width, start, stop), len(out))
    else:
        spread(lambda start, stop: _gather_times(table, codes, values, bounds, out, width, start, stop), len(out))


def scatter(gradient: Floats, codes: Ints, values: Floats | None, bounds: Longs, table: Floats) -> None:
    """Add to the ``table`` what `gather` took from it: ``gradient`` is (n, fields, width).

    No two fields share a row of the table, so threads take fields.
    """
    assert table.flags.c_contiguous and codes.flags.c_contiguous and gradient.flags.c_contiguous
    width = fixed(table.shape[1])
    fields = len(bounds) - 1
    if values is None:
        spread(lambda start, stop: _scatter(gradient, codes, bounds, table, width, start, stop), fields)
    else:
        spread(lambda start, stop: _scatter_times(gradient, codes, values, bounds, table, width, start, stop), fields)


@kernel
def _gather(
    table: Floats, codes: Ints, bounds: Longs, out: Floats, fixed: NDArray[np.void], start: int, stop: int
) -> None:
    width = len(fixed[0].row)
    for n in range(start, stop):
        for f in range(len(bounds) - 1):
            row = out[n, f]
            first = table[codes[n, bounds[f]]]
            for j in range(width):
                row[j] = first[j]
            for slot in range(bounds[f] + 1, bounds[f + 1]):
                other = table[codes[n, slot]]
                for j in range(width):
                    row[j] += other[j]


@kernel
def _gather_times(
    table: Floats,
    codes: Ints,
    values: Floats,
    bounds: Longs,
    out: Floats,
    fixed: NDArray[np.void],
    start: int,
    stop: int,
) -> None:
    width = len(fixed[0].row)
    for n in range(start, stop):
        for f in range(len(bounds) - 1):
            row = out[n, f]
            for j in range(width):
                row[j] = 0
            for slot in range(bounds[f], bounds[f + 1]):
                value = values[n, slot]
                if value != 0:
                    other = table[codes[n, slot]]
                    for j in range(width):
                        row[j] += value * other[j]


@kernel
def _scatter(
    gradient: Floats, codes: Ints, bounds: Longs, table: Floats, fixed: NDArray[np.void], start: int, stop: int
) -> None:
    width = len(fixed[0].row)
    for n in range(len(codes)):
        for f in range(start, stop):
            slope = gradient[n, f]
            for slot in range(bounds[f], bounds[f + 1]):
                row = table[codes[n, slot]]
                for j in range(width):
                    row[j] += slope[j]


@kernel
def _scatter_times(
    gradient: Floats,
    codes: Ints,
    values: Floats,
    bounds: Longs,
    table: Floats,
    fixed: NDArray[np.void],
    start: int,
    stop: int,
) -> None:
    width = len(fixed[0].row)
    for n in range(len(codes)):
        for f in range(start, stop):
            slope = gradient[n, f]
            for slot in range(bounds[f], bounds[f + 1]):
                value = values[n, slot]
                if value != 0:
                    row = table[codes[n, slot]]
                    for j in range(width):
                        row[j] += value * slope[j]
