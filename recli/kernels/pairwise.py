"""What two rows of a matrix say in the columns that both have, for all pairs: similarities, mean differences."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.kernels import kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

SIDE = 64  # of the squares in which a matrix is mirrored: what is read and what is written fit the first cache
NOISE = 1e-12  # a variance so small beside the squares it is the rest of is none
DIFFERENCE, MSD, COSINE, PEARSON = range(4)
MEASURES: Final = {"difference": DIFFERENCE, "msd": MSD, "cosine": COSINE, "pearson": PEARSON}
SUMS: Final = {DIFFERENCE: 2, MSD: 2, COSINE: 4, PEARSON: 6}  # that a measure is made of


def compare(matrix: csr_matrix, measure: str, least: int = 1, shrink: float = 0.0) -> Floats:
    """The measure of all pairs of rows of a float64 matrix, float32 (rows, rows), over the n columns that both have.

    A similarity is 0 where n is below ``least``, and of a row to itself 1; it is multiplied by (n - 1) / (n - 1 +
    shrink) where ``shrink`` is above 0. ``difference`` is the mean of the row less that of the other, NaN where n is 0
    and of a row to itself. Of an entry that is there twice each is taken with each of the other row's.
    """
    from scipy.sparse import csr_matrix

    rows, kind = matrix.shape[0], MEASURES[measure]
    # The entries by column, and for each where it stands there: those after it are of the rows after its own.
    columns = csr_matrix((np.arange(matrix.nnz), matrix.indices, matrix.indptr), matrix.shape).tocsc()
    place = np.empty(matrix.nnz, np.int64)
    place[columns.data] = np.arange(matrix.nnz)
    out = np.empty((rows, rows), np.float32)
    entries = (matrix.indptr, matrix.indices, matrix.data, place)
    others = (columns.indptr, columns.indices, matrix.data[columns.data])
    width, nobody = SUMS[kind], np.nan if kind == DIFFERENCE else 1.0
    spread(partial(_compare, entries, others, kind, width, least, shrink, nobody, out), rows)
    sign = -1.0 if kind == DIFFERENCE else 1.0
    spread(partial(_mirror, out, sign), -(-rows // SIDE))
    return out


@part
def _add(sums: Doubles, rows: Ints, theirs: Doubles, mine: float, kind: int) -> None:
    """Add an entry, with those of other rows in its column, to the sums with these: n, then what `_measure` reads."""
    if kind <= MSD:
        for at in range(len(rows)):
            row, rest = sums[rows[at]], mine - theirs[at]
            row[0] += 1
            row[1] += rest * rest if kind == MSD else rest
    elif kind == COSINE:
        for at in range(len(rows)):
            row, other = sums[rows[at]], theirs[at]
            row[0] += 1
            row[1] += mine * other
            row[2] += mine * mine
            row[3] += other * other
    else:
        for at in range(len(rows)):
            row, other = sums[rows[at]], theirs[at]
            row[0] += 1
            row[1] += mine * other
            row[2] += mine * mine
            row[3] += other * other
            row[4] += mine
            row[5] += other


@part
def _measure(sums: Doubles, kind: int) -> float:
    """The measure of a pair, from its sums; n is above 0."""
    n, first = sums[0], sums[1]
    if kind == DIFFERENCE:
        return float(first / n)
    if kind == MSD:
        return float(1 / (first / n + 1))
    mine, theirs = sums[2], sums[3]
    if kind == PEARSON:
        first = n * first - sums[4] * sums[5]
        squares, mine, theirs = (n * mine, n * theirs), n * mine - sums[4] ** 2, n * theirs - sums[5] ** 2
        if mine <= NOISE * squares[0] or theirs <= NOISE * squares[1]:
            return 0.0
    return float(first / np.sqrt(mine * theirs)) if mine * theirs > 0 else 0.0


@kernel
def _compare(
    entries: tuple[Ints, Ints, Doubles, Longs],
    others: tuple[Ints, Ints, Doubles],
    kind: int,
    width: int,
    least: int,
    shrink: float,
    nobody: float,
    out: Floats,
    start: int,
    stop: int,
) -> None:
    """Fill rows from ``start`` on, to the right of the diagonal."""
    (indptr, codes, values, place), (bounds, rows, theirs) = entries, others
    sums = np.zeros((len(out), width))
    for u in range(start, stop):
        for at in range(indptr[u], indptr[u + 1]):
            later = slice(place[at] + 1, bounds[codes[at] + 1])
            _add(sums, rows[later], theirs[later], values[at], kind)
        out[u, u] = nobody
        for v in range(u + 1, len(out)):
            n = sums[v, 0]
            if n < least or n == 0:
                out[u, v] = np.nan if kind == DIFFERENCE else 0
            else:
                out[u, v] = _measure(sums[v], kind) * ((n - 1) / (n - 1 + shrink) if shrink > 0 else 1)
        sums[u:] = 0


@kernel
def _mirror(out: Floats, sign: float, start: int, stop: int) -> None:
    """Fill squares of rows, to the left of the diagonal, with the other half."""
    for square in range(start, stop):
        rows = range(square * SIDE, min((square + 1) * SIDE, len(out)))
        for left in range(0, rows.stop, SIDE):
            for i in rows:
                for j in range(left, min(left + SIDE, i)):
                    out[i, j] = sign * out[j, i]
