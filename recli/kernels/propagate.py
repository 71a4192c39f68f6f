"""A sparse matrix times rows of a fixed width: a step of a graph network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recli.kernels import fixed, kernel, spread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]


def propagate(matrix: csr_matrix, rows: Floats, out: Floats, total: Floats) -> None:
    """Put ``matrix @ rows`` into ``out`` (rows of the matrix, width), and add it to ``total``."""
    m, width = matrix, fixed(rows.shape[1])
    given = (m.indptr, m.indices, m.data, rows, out, total, width)
    spread(lambda start, stop: _propagate(*given, start, stop), len(out))


@kernel
def _propagate(
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
    width = len(fixed[0].row)
    for r in range(start, stop):
        row = out[r]
        for j in range(width):
            row[j] = 0
        first, last = indptr[r], indptr[r + 1]
        whole = first + (last - first) // 4 * 4
        for at in range(first, whole, 4):  # four at a time, as the row has to be read and written for each
            a, b, c, d = rows[codes[at]], rows[codes[at + 1]], rows[codes[at + 2]], rows[codes[at + 3]]
            p, q, s, t = values[at], values[at + 1], values[at + 2], values[at + 3]
            for j in range(width):
                row[j] += p * a[j] + q * b[j] + s * c[j] + t * d[j]
        for at in range(whole, last):
            a, p = rows[codes[at]], values[at]
            for j in range(width):
                row[j] += p * a[j]
        for j in range(width):
            total[r, j] += row[j]
