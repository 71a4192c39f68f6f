"""The k best of every row: of scores that are given, and of similarities that are made on the way.

A list is kept as a heap with its worst entry at the root: the lowest score and, of equal ones, the highest code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Csr = tuple[Ints, Ints, Floats]  # indptr, indices, data

BLOCK = 64  # scores compared with the worst of the list at once; a block with none above it is skipped


def top_k(
    scores: Floats, indptr: Longs, seen: Ints, allowed: NDArray[np.bool_], codes: Ints, best: Floats
) -> NDArray[np.bool_]:
    """Fill ``codes`` and ``best`` (rows, k), all (-1, -inf), with the best of ``scores`` (rows, n), best first.

    ``scores`` is overwritten with -inf at the codes ``seen[indptr[row]:indptr[row + 1]]`` and where ``allowed`` (n,)
    is false (of length 0: everything is allowed). -inf is never listed. Returns which rows are without NaN.
    """
    sound = np.zeros(len(scores), np.bool_)
    spread(lambda start, stop: _top_k(scores, indptr, seen, allowed, codes, best, sound, start, stop), len(scores))
    return sound


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
    rows, columns = ((m.indptr, m.indices, m.data) for m in (asked, others))
    own = np.full(n, -1, np.int32) if own is None else own
    least = np.zeros(n) if least is None else least
    codes, best = np.full((n, k), -1, np.int32), np.zeros((n, k))
    given = (rows, columns, *norms, shrink, union, own, least, codes, best)
    spread(lambda start, stop: _nearest(*given, start, stop), n)
    return codes, best


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
def _replace(codes: Ints, scores: Floats, size: int, code: int, score: float) -> None:
    """Put an entry in the place of the worst, at the root, and let it sink."""
    at = 0
    while True:
        child, other = 2 * at + 1, 2 * at + 2
        if other < size and _worse(scores[other], codes[other], scores[child], codes[child]):
            child = other
        if child >= size or _worse(score, code, scores[child], codes[child]):
            break
        codes[at], scores[at] = codes[child], scores[child]
        at = child
    codes[at], scores[at] = code, score


@part
def _worse(score: float, code: int, than_score: float, than_code: int) -> bool:
    return score < than_score or (score == than_score and code > than_code)


@part
def _sort(codes: Ints, scores: Floats) -> None:
    """Turn a heap into a list, best first."""
    for last in range(len(codes) - 1, 0, -1):
        code, score = codes[last], scores[last]
        codes[last], scores[last] = codes[0], scores[0]
        _replace(codes, scores, last, code, score)


@part
def _scan(row: Floats, codes: Ints, best: Floats) -> bool:
    """The best of ``row`` into the heap of ``codes`` and ``best``, all (-1, -inf). False where there is a NaN."""
    worst = best[0]
    for start in range(0, len(row), BLOCK):
        block = row[start : start + BLOCK]
        above = np.int32(0)
        for score in block:
            above += np.int32(not score <= worst)  # NaN counts too
        if above == 0:
            continue
        for at in range(len(block)):
            if not block[at] <= worst:
                if block[at] != block[at]:
                    return False
                _replace(codes, best, len(codes), start + at, block[at])
                worst = best[0]
    return True


@kernel
def _top_k(
    scores: Floats,
    indptr: Longs,
    seen: Ints,
    allowed: NDArray[np.bool_],
    codes: Ints,
    best: Floats,
    sound: NDArray[np.bool_],
    start: int,
    stop: int,
) -> None:
    n = scores.shape[1]
    for r in range(start, stop):
        row = scores[r]
        for code in seen[indptr[r] : indptr[r + 1]]:
            if 0 <= code < n:
                row[code] = -np.inf
        for code in range(len(allowed)):
            if not allowed[code]:
                row[code] = -np.inf
        sound[r] = _scan(row, codes[r], best[r])
        _sort(codes[r], best[r])


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
        span = slice(row_ptr[rows[at]], row_ptr[rows[at] + 1])
        theirs, shares = columns[span], values[span]
        if work >= len(total):
            for entry in range(len(theirs)):
                total[theirs[entry]] += weights[at] * shares[entry]
        else:
            for entry in range(len(theirs)):
                other = theirs[entry]
                met[count] = other
                count += total[other] == 0  # no branch: whether it is new cannot be foreseen
                total[other] += weights[at] * shares[entry]
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
    n, k = len(their_norm), codes.shape[1]
    total, met = np.zeros(n, np.float32), np.empty(n, np.int32)
    for q in range(start, stop):
        mine, similarity, own_norm, itself, floor = codes[q], best[q], norm[q], own[q], least[q]
        count = _add_products(q, asked, others, total, met)
        for at in range(n if count < 0 else count):
            i = at if count < 0 else met[at]
            product = total[i]
            together = own_norm + their_norm[i] - product if union else own_norm * their_norm[i]
            value = product / (together + shrink)
            total[i] = 0
            if value > 0 and product >= floor and i != itself and _worse(similarity[0], mine[0], value, i):
                _replace(mine, similarity, k, i, value)
