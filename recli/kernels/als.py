"""Implicit-feedback alternating least squares: the rows of one side, the other side fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import aligned, fixed, kernel, part, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Fixed = NDArray[np.void]

TINY = 1e-20  # a squared residual that is as good as none


def solve(
    events: csr_matrix,
    theirs: Floats,
    ours: Floats,
    *,
    reg_weight: float,
    more: Floats | None = None,
    steps: int | None,
) -> None:
    """Minimise over the rows of ``ours``, in place; ``theirs`` has a row y for each column of ``events``.

    The data of ``events`` are e = c - 1: how much more an event counts than its absence. Row x minimises

        x'(theirs' theirs + reg I) x + sum over its events of (1 + e) (1 - x'y)^2 - (x'y)^2;  that is, it solves

        (theirs' theirs + reg I + sum of e y y') x = sum of (1 + e) y,

    reg being ``reg_weight``, and for row r ``more[r]`` besides. By ``steps`` of conjugate gradients from where it
    stands, or exactly where that is None.
    """
    width = theirs.shape[1]
    gram = np.matmul(theirs.T, theirs, out=aligned(width, width))
    gram[np.diag_indices(width)] += reg_weight
    more = np.zeros(len(ours), np.float32) if more is None else more
    given = (events.indptr, events.indices, events.data, theirs, gram, more, ours, fixed(width))
    if steps is None:
        spread(lambda start, stop: _cholesky(*given, start, stop), len(ours))
    else:
        spread(lambda start, stop: _conjugate_gradient(*given, steps, start, stop), len(ours))


@part
def _width(fixed: Fixed) -> int:
    """Known to the compiler, and with it the length of the loops over a row."""
    return len(fixed[0].row)


@part
def _multiply(
    gram: Floats,
    more: np.float32,
    theirs: Floats,
    codes: Ints,
    extra: Floats,
    target: bool,
    x: Floats,
    out: Floats,
    fixed: Fixed,
) -> None:
    """out = (gram + more I + sum of e y y') x over the rows y at ``codes``; with ``target`` less sum of (1 + e) y.

    Four rows are taken at a time, to hide latency; the last four are filled up with copies of weight zero.
    """
    width, n, zero = _width(fixed), len(codes), np.float32(0)
    for f in range(_width(fixed)):
        out[f] = more * x[f]
    for p in range(0, width, 4):
        q, r, s = min(p + 1, width - 1), min(p + 2, width - 1), min(p + 3, width - 1)
        a = x[p]
        b = x[q] if p + 1 < width else zero
        c = x[r] if p + 2 < width else zero
        d = x[s] if p + 3 < width else zero
        for f in range(_width(fixed)):
            out[f] += a * gram[p, f] + b * gram[q, f] + c * gram[r, f] + d * gram[s, f]
    for at in range(0, n, 4):
        second, third, fourth = min(at + 1, n - 1), min(at + 2, n - 1), min(at + 3, n - 1)
        p, q, r, s = codes[at], codes[second], codes[third], codes[fourth]
        a = b = c = d = zero
        for f in range(_width(fixed)):
            a += theirs[p, f] * x[f]
            b += theirs[q, f] * x[f]
            c += theirs[r, f] * x[f]
            d += theirs[s, f] * x[f]
        a = _pull(a, extra[at], target)
        b = _pull(b, extra[second], target) if at + 1 < n else zero
        c = _pull(c, extra[third], target) if at + 2 < n else zero
        d = _pull(d, extra[fourth], target) if at + 3 < n else zero
        for f in range(_width(fixed)):
            out[f] += a * theirs[p, f] + b * theirs[q, f] + c * theirs[r, f] + d * theirs[s, f]


@part
def _pull(score: np.float32, extra: np.float32, target: bool) -> np.float32:
    return extra * score - (np.float32(1) + extra if target else np.float32(0))


@part
def _descend(
    gram: Floats,
    more: np.float32,
    theirs: Floats,
    codes: Ints,
    extra: Floats,
    steps: int,
    x: Floats,
    work: Floats,
    fixed: Fixed,
) -> None:
    """``steps`` of the method of conjugate gradients from where ``x`` stands."""
    residual, direction, image = work[0], work[1], work[2]
    _multiply(gram, more, theirs, codes, extra, True, x, image, fixed)
    size = np.float32(0)
    for f in range(_width(fixed)):
        residual[f] = direction[f] = -image[f]
        size += image[f] * image[f]
    for _ in range(steps):
        if size < TINY:
            break
        _multiply(gram, more, theirs, codes, extra, False, direction, image, fixed)
        curvature = np.float32(0)
        for f in range(_width(fixed)):
            curvature += direction[f] * image[f]
        step, before, size = size / curvature, size, np.float32(0)
        for f in range(_width(fixed)):
            x[f] += step * direction[f]
            residual[f] -= step * image[f]
            size += residual[f] * residual[f]
        for f in range(_width(fixed)):
            direction[f] = residual[f] + size / before * direction[f]


@kernel
def _conjugate_gradient(
    indptr: Ints,
    codes: Ints,
    extra: Floats,
    theirs: Floats,
    gram: Floats,
    more: Floats,
    ours: Floats,
    fixed: Fixed,
    steps: int,
    start: int,
    stop: int,
) -> None:
    """Takács, Pilászy & Tikk 2011."""
    work = np.empty((3, _width(fixed)), np.float32)
    for row in range(start, stop):
        span = slice(indptr[row], indptr[row + 1])
        _descend(gram, more[row], theirs, codes[span], extra[span], steps, ours[row], work, fixed)


@part
def _collect(
    gram: Floats, more: np.float32, theirs: Floats, codes: Ints, extra: Floats, a: Doubles, x: Doubles, fixed: Fixed
) -> None:
    """The lower half of a = gram + more I + sum of e y y', and x = sum of (1 + e) y."""
    for i in range(_width(fixed)):
        x[i] = 0
        for j in range(i + 1):
            a[i, j] = gram[i, j]
        a[i, i] += more
    for at in range(len(codes)):
        y, e = theirs[codes[at]], np.float64(extra[at])
        for i in range(_width(fixed)):
            x[i] += (1 + e) * y[i]
            weight = e * y[i]
            for j in range(i + 1):
                a[i, j] += weight * y[j]


@part
def _substitute(a: Doubles, x: Doubles, fixed: Fixed) -> None:
    """x = a^-1 x, by the Cholesky factor of ``a``, which takes its place."""
    width = _width(fixed)
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
def _cholesky(
    indptr: Ints,
    codes: Ints,
    extra: Floats,
    theirs: Floats,
    gram: Floats,
    more: Floats,
    ours: Floats,
    fixed: Fixed,
    start: int,
    stop: int,
) -> None:
    """Hu, Koren & Volinsky 2008."""
    a, x = np.empty((_width(fixed), _width(fixed))), np.empty(_width(fixed))
    for row in range(start, stop):
        span = slice(indptr[row], indptr[row + 1])
        _collect(gram, more[row], theirs, codes[span], extra[span], a, x, fixed)
        _substitute(a, x, fixed)
        ours[row] = x
