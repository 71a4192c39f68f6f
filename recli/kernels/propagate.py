"""A sparse matrix times rows of a fixed width: a step of a graph network."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.kernels import fixed, kernel, spread
from recli.kernels.vector import load, plus, store, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]


REGISTERS: Final = 128  # numbers of a row that two sums can be kept of
BLOCK: Final = 1 << 18  # numbers of rows that lie in the second cache


def propagate(matrix: csr_matrix, rows: Floats, out: Floats, total: Floats) -> None:
    """Put ``matrix @ rows`` into ``out`` (rows of the matrix, width), and add it to ``total``: both row by row."""
    assert out.flags.c_contiguous and total.flags.c_contiguous
    m, width, rows = matrix, fixed(rows.shape[1]), np.ascontiguousarray(rows)
    if rows.shape[1] > REGISTERS:
        out[:] = 0
        add_product(matrix, rows, out)
        total += out
        return
    given = (m.indptr, m.indices, m.data, rows, out, total, width)
    spread(partial(_in_registers, *given), len(out), m.indptr)


def add_product(matrix: csr_matrix, rows: Floats, total: Floats) -> None:
    """Add ``matrix @ rows`` to ``total``, both row by row: best where rows are wide and codes in order."""
    assert total.flags.c_contiguous
    given = matrix.indptr, matrix.indices, matrix.data, np.ascontiguousarray(rows), total, fixed(rows.shape[1])
    spread(partial(_by_blocks, *given), len(total), matrix.indptr)


@kernel
def _in_registers(
    indptr: Ints,
    codes: Ints,
    values: Floats,
    rows: Floats,
    out: Floats,
    total: Floats,
    fixed: NDArray[np.void],
    start: int,
    stop: int,
) -> None:
    one = np.float32(1)
    for r in range(start, stop):
        first, last = indptr[r], indptr[r + 1]
        whole = first + (last - first) // 4 * 4
        even, odd = zeros(fixed), zeros(fixed)  # two sums, as a number has to wait for the one before it
        for at in range(first, whole, 4):
            a, b = load(rows, codes[at], fixed), load(rows, codes[at + 1], fixed)
            c, d = load(rows, codes[at + 2], fixed), load(rows, codes[at + 3], fixed)
            even = plus(plus(even, values[at], a), values[at + 2], c)
            odd = plus(plus(odd, values[at + 1], b), values[at + 3], d)
        for at in range(whole, last):
            even = plus(even, values[at], load(rows, codes[at], fixed))
        row = plus(even, one, odd)
        store(out, r, row)
        store(total, r, plus(load(total, r, fixed), one, row))


@kernel
def _by_blocks(
    indptr: Ints,
    codes: Ints,
    values: Floats,
    rows: Floats,
    total: Floats,
    fixed: NDArray[np.void],
    start: int,
    stop: int,
) -> None:
    """Take as many ``rows`` at a time as the cache holds, and of every row of the matrix the entries that want them."""
    width, places = len(fixed[0].row), indptr[start:stop].copy()
    for low in range(0, len(rows), max(1, BLOCK // width)):
        high = low + max(1, BLOCK // width)
        for r in range(start, stop):
            at, last, row = places[r - start], indptr[r + 1], total[r]
            while at + 4 <= last and max(max(codes[at], codes[at + 1]), max(codes[at + 2], codes[at + 3])) < high:
                a, b, c, d = rows[codes[at]], rows[codes[at + 1]], rows[codes[at + 2]], rows[codes[at + 3]]
                p, q, s, t = values[at], values[at + 1], values[at + 2], values[at + 3]
                for j in range(width):  # four at a time, as the row has to be read and written for each
                    row[j] += p * a[j] + q * b[j] + s * c[j] + t * d[j]
                at += 4
            while at < last and codes[at] < high:
                a, p = rows[codes[at]], values[at]
                for j in range(width):
                    row[j] += p * a[j]
                at += 1
            places[r - start] = at
