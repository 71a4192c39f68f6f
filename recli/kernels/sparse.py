"""Entries of sparse rows: those of some rows, those that are not 0, and those of the columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recli.kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]


class Sparse(NamedTuple):
    """Row r has ``data[indptr[r]:indptr[r + 1]]`` in the columns ``indices`` there, as a csr matrix of scipy's does."""

    indptr: Longs
    indices: Ints
    data: Floats


def of_rows(indptr: Longs, entries: NDArray[Any], rows: Longs) -> tuple[Longs, NDArray[Any]]:
    """The ``indptr`` and entries of any rows, one after the other."""
    begins = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(indptr[rows + 1] - indptr[rows], out=begins[1:])
    out = np.empty(begins[-1], entries.dtype)
    _of_rows(indptr, entries, rows, begins, out)
    return begins, out


def without_zeros(indptr: Longs, indices: Ints, data: Floats) -> Sparse:
    """The rows of what is not 0."""
    out = Sparse(np.zeros(len(indptr), np.int64), np.empty(len(indices), np.int32), np.empty(len(data), np.float32))
    _without_zeros(indptr, indices, data, *out)
    return Sparse(out.indptr, out.indices[: out.indptr[-1]], out.data[: out.indptr[-1]])


def turned(rows: Sparse, columns: int) -> Sparse:
    """The columns as rows, each in the order of the rows."""
    n = len(rows.indices)
    out = Sparse(np.zeros(columns + 1, np.int64), np.empty(n, np.int32), np.empty(n, np.float32))
    _turned(*rows, *out)
    return out


@kernel
def _of_rows(indptr: Longs, entries: NDArray[Any], rows: Longs, begins: Longs, out: NDArray[Any]) -> None:
    for to in range(len(rows)):
        first, n = indptr[rows[to]], begins[to + 1] - begins[to]
        mine, its = out[begins[to] :][:n], entries[first:][:n]
        for at in range(n):
            mine[at] = its[at]


@kernel
def _without_zeros(
    indptr: Longs, indices: Ints, data: Floats, to_indptr: Longs, to_indices: Ints, to_data: Floats
) -> None:
    to = 0
    for r in range(len(indptr) - 1):
        for at in range(indptr[r], indptr[r + 1]):
            to_indices[to], to_data[to] = indices[at], data[at]
            to += data[at] != 0
        to_indptr[r + 1] = to


@kernel
def _turned(indptr: Longs, indices: Ints, data: Floats, to_indptr: Longs, to_indices: Ints, to_data: Floats) -> None:
    for column in indices:
        to_indptr[column + 1] += 1
    for column in range(len(to_indptr) - 1):
        to_indptr[column + 1] += to_indptr[column]
    free = to_indptr[:-1].copy()
    for r in range(len(indptr) - 1):
        for at in range(indptr[r], indptr[r + 1]):
            to = free[indices[at]]
            to_indices[to], to_data[to] = r, data[at]
            free[indices[at]] = to + 1
