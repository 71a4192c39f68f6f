"""Non-negative least squares by coordinate descent: the rows of one side, the other side fixed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import aligned, fixed, kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Fixed = NDArray[np.void]


def descend(events: csr_matrix, theirs: Floats, ours: Floats, *, reg_weight: float, sweeps: int = 1) -> None:
    """Lower over the rows of ``ours``, in place; ``theirs`` has a row y for each column of ``events``.

    Row x >= 0 is to lower  sum over all columns of (r - x'y)^2 + reg_weight |x|^2,  r the data of ``events``: each of
    its numbers in turn is put where that is least, ``sweeps`` times.
    """
    width = theirs.shape[1]
    gram = np.matmul(theirs.T, theirs, out=aligned(width, width))
    gram[np.diag_indices(width)] += reg_weight
    given = (events.indptr, events.indices, events.data, theirs, gram, ours, sweeps, fixed(width))
    spread(partial(_descend, *given), len(ours))


@part
def _width(fixed: Fixed) -> int:
    """Known to the compiler, and with it the length of the loops over a row."""
    return len(fixed[0].row)


@part
def _gradient(theirs: Floats, gram: Floats, codes: Ints, values: Floats, x: Floats, out: Floats, fixed: Fixed) -> None:
    """out = gram x - sum of r y over the events: half the gradient."""
    for f in range(_width(fixed)):
        out[f] = 0
    for t in range(_width(fixed)):
        for f in range(_width(fixed)):
            out[f] += x[t] * gram[t, f]
    for at in range(len(codes)):
        for f in range(_width(fixed)):
            out[f] -= values[at] * theirs[codes[at], f]


@kernel
def _descend(
    indptr: Ints,
    codes: Ints,
    values: Floats,
    theirs: Floats,
    gram: Floats,
    ours: Floats,
    sweeps: int,
    fixed: Fixed,
    start: int,
    stop: int,
) -> None:
    """Cichocki & Phan 2009."""
    gradient = np.empty(_width(fixed), np.float32)
    for row in range(start, stop):
        x, span = ours[row], slice(indptr[row], indptr[row + 1])
        _gradient(theirs, gram, codes[span], values[span], x, gradient, fixed)
        for _ in range(sweeps):
            for t in range(_width(fixed)):
                if gram[t, t] > 0:
                    best = max(x[t] - gradient[t] / gram[t, t], np.float32(0))
                    move, x[t] = best - x[t], best
                    for f in range(_width(fixed)):
                        gradient[f] += move * gram[t, f]
