"""Mean differences of an item from those that a user has rated."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]


def all_means(difference: Floats, rated: csr_matrix, users: Ints) -> Floats:
    """For each user (of a code 0 or above) and item the mean of ``difference[i, j]``, NaN left out, over the j rated.

    ``difference`` (items, items) has the opposite sign below its diagonal. float32 (users, items), 0 where nothing is.
    """
    out = np.zeros((len(users), len(difference)), np.float32)
    given = (difference, rated.indptr, rated.indices, users, out)
    spread(partial(_all_means, *given), len(users))
    return out


def means(difference: Floats, rated: csr_matrix, users: Ints, items: Ints) -> Floats:
    """The same for pairs, float32 (pairs,); 0 where one is -1."""
    out = np.zeros(len(users), np.float32)
    given = (difference, rated.indptr, rated.indices, users, items, out)
    spread(partial(_means, *given), len(users))
    return out


@kernel
def _all_means(difference: Floats, indptr: Ints, codes: Ints, users: Ints, out: Floats, start: int, stop: int) -> None:
    count = np.empty(len(difference), np.int32)
    for q in range(start, stop):
        row, count[:] = out[q], 0
        for j in codes[indptr[users[q]] : indptr[users[q] + 1]]:
            other = difference[j]
            for i in range(len(row)):
                there = other[i] == other[i]
                row[i] -= other[i] if there else np.float32(0)
                count[i] += np.int32(there)
        for i in range(len(row)):
            row[i] /= np.float32(max(count[i], 1))


@kernel
def _means(
    difference: Floats, indptr: Ints, codes: Ints, users: Ints, items: Ints, out: Floats, start: int, stop: int
) -> None:
    for pair in range(start, stop):
        if users[pair] < 0 or items[pair] < 0:
            continue
        row, total, count = difference[items[pair]], 0.0, 0
        for j in codes[indptr[users[pair]] : indptr[users[pair] + 1]]:
            if row[j] == row[j]:
                total += row[j]
                count += 1
        out[pair] = total / max(count, 1)
