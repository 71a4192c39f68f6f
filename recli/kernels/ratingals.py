"""Least squares of ratings: the rows of one side, the other side fixed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]


GROUP = 4  # ratings that are taken at a time, as each row of the sum is then read and written once for them


def solve(indptr: Longs, codes: Ints, target: Floats, theirs: Floats, ours: Floats, reg_weight: float) -> None:
    """Minimise over the rows of ``ours``, in place, by Cholesky's factors.

    Row x has the ``target`` t, each with row y of ``theirs``, ``codes``, from ``indptr[row]`` on. Of n of them, it is

        (sum of y y' + n reg_weight I) x = sum of t y;  zeros where there are none.
    """
    args = (indptr, codes, target, theirs, ours, float(reg_weight))
    spread(partial(_solve, *args), len(ours))


@part
def _collect(theirs: Floats, codes: Ints, target: Floats, reg: float, a: Doubles, x: Doubles, some: Doubles) -> None:
    """The lower half of a = sum of y y' + n reg I, and x = sum of t y; ``some`` (GROUP, width) is scratch."""
    n, width = len(codes), len(x)
    a[:], x[:] = 0, 0
    for start in range(0, n, GROUP):
        for k in range(GROUP):  # the last rows of the last group are zeros
            at = min(start + k, n - 1)
            weight, t = np.float64(start + k < n), np.float64(target[at])
            for f in range(width):
                some[k, f] = weight * theirs[codes[at], f]
                x[f] += t * some[k, f]
        for i in range(width):
            p, q, r, s = some[0, i], some[1, i], some[2, i], some[3, i]
            for j in range(i + 1):
                a[i, j] += p * some[0, j] + q * some[1, j] + r * some[2, j] + s * some[3, j]
    for f in range(width):
        a[f, f] += reg * n


@part
def _substitute(a: Doubles, x: Doubles) -> None:
    """x = a^-1 x, by the Cholesky factor of ``a``, which takes its place."""
    width = len(x)
    for i in range(width):  # a = L L', row by row of L, and L z = x
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = np.sqrt(total) if i == j else total / a[j, j]
        for k in range(i):
            x[i] -= a[i, k] * x[k]
        x[i] /= a[i, i]
    for i in range(width - 1, -1, -1):  # L' x = z
        x[i] /= a[i, i]
        for k in range(i):
            x[k] -= a[i, k] * x[i]


@kernel
def _solve(
    indptr: Longs,
    codes: Ints,
    target: Floats,
    theirs: Floats,
    ours: Floats,
    reg: float,
    start: int,
    stop: int,
) -> None:
    """A linear system a row."""
    width = theirs.shape[1]
    a, x, some = np.empty((width, width)), np.empty(width), np.empty((GROUP, width))
    for row in range(start, stop):
        span = slice(indptr[row], indptr[row + 1])
        if span.start == span.stop:
            ours[row] = 0
            continue
        _collect(theirs, codes[span], target[span], reg, a, x, some)
        _substitute(a, x)
        ours[row] = x
