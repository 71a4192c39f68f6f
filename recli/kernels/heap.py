"""A list of the best as a heap: at its root is the worst, of the lowest score and, of equal ones, the highest code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recli.kernels import part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.floating]
    Ints = NDArray[np.int32]


@part
def replace(codes: Ints, scores: Scores, size: int, code: int, score: float) -> None:
    """Put an entry in the place of the worst, at the root, and let it sink."""
    at = 0
    while True:
        child, other = 2 * at + 1, 2 * at + 2
        if other < size and worse(scores[other], codes[other], scores[child], codes[child]):
            child = other
        if child >= size or worse(score, code, scores[child], codes[child]):
            break
        codes[at], scores[at] = codes[child], scores[child]
        at = child
    codes[at], scores[at] = code, score


@part
def worse(score: float, code: int, than_score: float, than_code: int) -> bool:
    """Whether an entry comes after another in a list."""
    return score < than_score or (score == than_score and code > than_code)


@part
def sort(codes: Ints, scores: Scores) -> None:
    """Turn a heap into a list, best first."""
    for last in range(len(codes) - 1, 0, -1):
        code, score = codes[last], scores[last]
        codes[last], scores[last] = codes[0], scores[0]
        replace(codes, scores, last, code, score)
