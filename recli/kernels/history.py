"""Histories times an item-item matrix: for every row of a csr matrix, the sum of other rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from recli.kernels import kernel, spread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]


def times_dense(history: csr_matrix, weights: Floats, out: Floats) -> None:
    """Add to row q of ``out`` the rows of ``weights`` that row q of ``history`` has; its entries are taken as 1."""
    spread(partial(_dense, history.indptr, history.indices, weights, out), len(out))


def times_sparse(history: csr_matrix, weights: csr_matrix, out: Floats) -> None:
    """The same with a sparse matrix, and each row of it times its entry in ``history``."""
    h, w = history, weights
    given = (h.indptr, h.indices, h.data, w.indptr, w.indices, w.data, out)
    spread(partial(_sparse, *given), len(out))


def best_sparse(history: csr_matrix, weights: csr_matrix, out: Floats) -> None:
    """Raise every entry of row q of ``out`` to the highest in its column, among the rows that ``history`` has."""
    h, w = history, weights
    given = (h.indptr, h.indices, w.indptr, w.indices, w.data, out)
    spread(partial(_best_sparse, *given), len(out))


@kernel
def _dense(indptr: Ints, codes: Ints, weights: Floats, out: Floats, start: int, stop: int) -> None:
    for q in range(start, stop):
        mine, row = codes[indptr[q] : indptr[q + 1]], out[q]
        whole = len(mine) // 4 * 4
        for at in range(0, whole, 4):  # four at a time, as the row has to be read and written for each
            a, b, c, d = weights[mine[at]], weights[mine[at + 1]], weights[mine[at + 2]], weights[mine[at + 3]]
            for j in range(len(row)):
                row[j] += a[j] + b[j] + c[j] + d[j]
        for code in mine[whole:]:
            a = weights[code]
            for j in range(len(row)):
                row[j] += a[j]


@kernel
def _sparse(
    indptr: Ints,
    codes: Ints,
    shares: Floats,
    starts: Ints,
    columns: Ints,
    weights: Floats,
    out: Floats,
    start: int,
    stop: int,
) -> None:
    for q in range(start, stop):
        row = out[q]
        for entry in range(indptr[q], indptr[q + 1]):
            span = slice(starts[codes[entry]], starts[codes[entry] + 1])
            to, what, share = columns[span], weights[span], shares[entry]
            for at in range(len(to)):
                row[to[at]] += share * what[at]


@kernel
def _best_sparse(
    indptr: Ints, codes: Ints, starts: Ints, columns: Ints, weights: Floats, out: Floats, start: int, stop: int
) -> None:
    for q in range(start, stop):
        row = out[q]
        for code in codes[indptr[q] : indptr[q + 1]]:
            span = slice(starts[code], starts[code + 1])
            to, what = columns[span], weights[span]
            for at in range(len(to)):
                row[to[at]] = max(row[to[at]], what[at])
