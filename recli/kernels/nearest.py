"""The most similar columns of a sparse matrix for every row of another: similarities that are made on the way."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, part, spread
from recli.kernels.heap import replace, worse

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Csr = tuple[Ints, NDArray[np.integer], Floats]  # indptr, indices, data; without data where all of it is 1

SHORT = 1 << 16  # codes that two bytes hold
LEVELS = 256  # of values, eight to a power of two, from the highest one down; the last has all that are lower
SHIFT = 49  # of the bits of a value, for its level


def nearest(
    asked: csr_matrix,
    others: csr_matrix,
    norms: tuple[Doubles, Doubles],
    shrink: float,
    k: int,
    *,
    union: bool = False,
    own: Ints | None = None,
    least: Doubles | None = None,
) -> tuple[Ints, Doubles]:
    """For each row q of ``asked`` the k columns v of ``others`` of the highest similarity above 0: with x = q'v,

        x / (norm_q norm_v + shrink),   or, where ``union``,   x / (norm_q + norm_v - x + shrink).

    Codes (rows, k), in no order and -1 where there are fewer, and values. ``norms`` are of the rows and of the columns;
    row q is not compared with the column ``own[q]``, nor with any where x is below ``least[q]``.
    """
    n = asked.shape[0]
    rows, columns = (asked.indptr, asked.indices, asked.data), _short(others)
    own = np.full(n, -1, np.int32) if own is None else own
    least = np.zeros(n) if least is None else least
    codes, best = np.full((n, k), -1, np.int32), np.zeros((n, k))
    given = (rows, columns, *norms, shrink, union, own, least, codes, best)
    spread(partial(_nearest, *given), n)
    return codes, best


def _short(matrix: csr_matrix) -> Csr:
    """With as few bytes for an entry as will do: the kernel's time is that of reading them again and again."""
    codes = matrix.indices.astype(np.uint16) if matrix.shape[1] <= SHORT else matrix.indices
    return matrix.indptr, codes, np.empty(0, np.float32) if (matrix.data == 1).all() else matrix.data


def neighbours(
    matrix: csr_matrix,
    norm: Doubles,
    shrink: float,
    k: int,
    *,
    theirs: Doubles | None = None,
    union: bool = False,
    least: Doubles | None = None,
) -> tuple[Ints, Doubles]:
    """The same for each column of a matrix among its other columns, whose norms are ``theirs`` where they differ."""
    own = np.arange(matrix.shape[1], dtype=np.int32)
    norms = (norm, norm if theirs is None else theirs)
    return nearest(matrix.tocsc().T, matrix, norms, shrink, k, union=union, own=own, least=least)


@part
def _add_products(q: int, asked: Csr, others: Csr, total: Floats, met: Ints) -> int:
    """Add to ``total``, all 0, the dot products of row q with the columns, and list which are ``met``.

    Returns how many; or -1, with nothing listed, where there is so much to add that all of ``total`` is better looked
    through.
    """
    ptr, rows, weights = asked
    row_ptr, columns, values = others
    mine = range(ptr[q], ptr[q + 1])
    work = 0
    for at in mine:
        work += row_ptr[rows[at] + 1] - row_ptr[rows[at]]
    count = 0
    for at in mine:
        weight, span = weights[at], slice(row_ptr[rows[at]], row_ptr[rows[at] + 1])
        theirs, shares = columns[span], values[span]
        if work < len(total):
            for entry in range(len(theirs)):
                other = theirs[entry]
                met[count] = other
                count += total[other] == 0  # no branch: whether it is new cannot be foreseen
                total[other] += weight * (shares[entry] if len(values) > 0 else np.float32(1))
        elif len(values) > 0:
            for entry in range(len(theirs)):
                total[theirs[entry]] += weight * shares[entry]
        else:
            for entry in range(len(theirs)):
                total[theirs[entry]] += weight
    return -1 if work >= len(total) else count


@kernel
def _nearest(
    asked: Csr,
    others: Csr,
    norm: Doubles,
    their_norm: Doubles,
    shrink: float,
    union: bool,
    own: Ints,
    least: Doubles,
    codes: Ints,
    best: Doubles,
    start: int,
    stop: int,
) -> None:
    n = len(their_norm)
    total, met, values, tally = np.zeros(n, np.float32), np.empty(n, np.int32), np.empty(n), np.empty(LEVELS, np.int32)
    bits = values.view(np.int64)
    for q in range(start, stop):
        own_norm, itself, floor = norm[q], own[q], least[q]
        count, found = _add_products(q, asked, others, total, met), 0
        for at in range(n if count < 0 else count):
            i = at if count < 0 else met[at]
            product = total[i]
            together = own_norm + their_norm[i] - product if union else own_norm * their_norm[i]
            value = product / (together + shrink)
            total[i], met[found], values[found] = 0, i, value
            found += (value > 0) & (product >= floor) & (i != itself)  # no branch, as above
        _select(met[:found], values, bits, tally, codes[q], best[q])


@part
def _select(met: Ints, values: Doubles, bits: Longs, tally: Ints, codes: Ints, best: Doubles) -> None:
    """The best of ``values``, all above 0 and of the codes ``met``, into a list that is empty.

    They are counted by level: those above the level in which the list is full are in it, and only among those of that
    level is compared. ``bits`` are the values' own, which rise with them.
    """
    n, k = len(met), len(codes)
    if n <= k:
        codes[:n], best[:n] = met, values[:n]
        return
    highest = np.int64(0)
    for at in range(n):
        highest = max(highest, bits[at])
    base = (highest >> SHIFT) - (LEVELS - 1)
    tally[:] = 0
    for at in range(n):
        tally[max((bits[at] >> SHIFT) - base, 0)] += 1
    level, higher = LEVELS - 1, 0
    while higher + tally[level] < k:
        higher += tally[level]
        level -= 1
    at_level, listed = k - higher, 0
    for at in range(n):
        its = max((bits[at] >> SHIFT) - base, 0)
        if its > level:
            codes[at_level + listed], best[at_level + listed] = met[at], values[at]
            listed += 1
        elif its == level and worse(best[0], codes[0], values[at], met[at]):
            replace(codes, best, at_level, met[at], values[at])
