"""Histories times an item-item matrix: for every row of a csr matrix, the sum of other rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import prange

from recli.kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]


@kernel(parallel=True)
def times_dense(indptr: Ints, codes: Ints, weights: Floats, out: Floats) -> None:
    """Add to row q of ``out`` the rows ``codes[indptr[q]:indptr[q + 1]]`` of ``weights``, four at a time."""
    for q in prange(len(out)):
        mine, row = codes[indptr[q] : indptr[q + 1]], out[q]
        whole = len(mine) // 4 * 4
        for at in range(0, whole, 4):
            a, b, c, d = weights[mine[at]], weights[mine[at + 1]], weights[mine[at + 2]], weights[mine[at + 3]]
            for j in range(len(row)):
                row[j] += a[j] + b[j] + c[j] + d[j]
        for code in mine[whole:]:
            a = weights[code]
            for j in range(len(row)):
                row[j] += a[j]


@kernel(parallel=True)
def times_sparse(indptr: Ints, codes: Ints, starts: Ints, columns: Ints, weights: Floats, out: Floats) -> None:
    """The same with the matrix in csr form: (``starts``, ``columns``, ``weights``)."""
    for q in prange(len(out)):
        row = out[q]
        for code in codes[indptr[q] : indptr[q + 1]]:
            span = slice(starts[code], starts[code + 1])
            to, what = columns[span], weights[span]
            for at in range(len(to)):
                row[to[at]] += what[at]
