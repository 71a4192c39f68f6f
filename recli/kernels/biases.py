"""One epoch of stochastic gradient descent on a bias for each user and item: one step after the other, no chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]


@kernel
def epoch(indptr: Longs, codes: Ints, rest: Doubles, user: Doubles, item: Doubles, rate: float, reg: float) -> float:
    """A step for each rating, user by user, in place on ``user`` and ``item``.

    ``codes`` and ``rest`` (n,) are the item of each rating and what the biases have to explain of it, user u's from
    ``indptr[u]`` on. Returns the sum of the squared errors, each as it was before its step.
    """
    total = np.float64(0)
    for u in range(len(user)):
        for at in range(indptr[u], indptr[u + 1]):
            i = codes[at]
            error = rest[at] - user[u] - item[i]
            user[u] += rate * (error - reg * user[u])
            item[i] += rate * (error - reg * item[i])
            total += error * error
    return total
