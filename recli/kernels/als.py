"""Implicit-feedback alternating least squares: the rows of one side, the other side fixed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recli.kernels import aligned, axes, fixed, kernel, part, spread
from recli.kernels.vector import WIDE, dot, each, fetch, load, plus, store, times

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from recli.kernels.instructions import Vector

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Places = NDArray[np.uint64]
    Fixed = NDArray[np.void]

GROUP = 4  # events that are taken at a time
SOME = 32  # events whose y the first cache holds beside the rest
AHEAD = 256  # events of the next row that are fetched while a row is worked on
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

    reg being ``reg_weight``, and for row r ``more[r]`` besides. Exactly, where ``steps`` is None. Otherwise by so many
    of conjugate gradients from where it stands; to these it is all the same how the space is turned, and so both sides
    are first turned, in place, to the axes of theirs' theirs: it is then a diagonal, whose product with x is nothing
    beside that of a matrix. No product of a row and a row is changed by that.
    """
    width = theirs.shape[1]
    gram = axes.gram(theirs)
    more = np.zeros(len(ours), np.float32) if more is None else more
    if steps is None:
        gram[np.diag_indices(width)] += reg_weight
        given = (events.indptr, events.indices, events.data, theirs, gram, more, ours, fixed(width))
        spread(partial(_cholesky, *given), len(ours))
        return
    values, basis = axes.of(gram)
    axes.turn(theirs, basis)
    axes.turn(ours, basis)
    diagonal = aligned(2, width)
    diagonal[:] = values + reg_weight, np.ones(width)
    system = (events.indptr, events.indices, events.data, theirs, diagonal, more, ours, fixed(width))
    spread(partial(_conjugate_gradient, *system, steps), len(ours))


@part
def _width(fixed: Fixed) -> int:
    """Known to the compiler, and with it the length of the loops over a row."""
    return len(fixed[0].row)


class _System(NamedTuple):
    """What the row x is solved from; the events' arrays are filled up to whole groups with some of weight zero."""

    diagonal: Vector
    theirs: Floats
    places: Places  # of the events' y
    extra: Floats  # their e
    target: Floats  # their 1 + e
    weight: Floats  # (SOME,), to be written on


@part
def _fill(codes: Ints, events: Floats, places: Places, extra: Floats, target: Floats) -> int:
    """The events of a row, in whole groups; returns how many that makes."""
    n = len(codes)
    filled = (n + GROUP - 1) // GROUP * GROUP
    for at in range(n):
        places[at], extra[at], target[at] = codes[at], events[at], np.float32(1) + events[at]
    for at in range(n, filled):
        places[at], extra[at], target[at] = places[n - 1], np.float32(0), np.float32(0)
    return filled


@part
def _image(system: _System, x: Vector, less: np.float32, fixed: Fixed) -> Vector:
    """(diagonal + sum of e y y') x - less × sum of (1 + e) y; four y at a time, to hide latency."""
    diagonal, theirs, places, extra, target, _ = system
    out: Vector = each(diagonal, x)
    for at in range(0, len(places), GROUP):
        p, q = load(theirs, places[at], fixed), load(theirs, places[at + 1], fixed)
        r, s = load(theirs, places[at + 2], fixed), load(theirs, places[at + 3], fixed)
        a = extra[at] * dot(p, x) - less * target[at]
        b = extra[at + 1] * dot(q, x) - less * target[at + 1]
        c = extra[at + 2] * dot(r, x) - less * target[at + 2]
        d = extra[at + 3] * dot(s, x) - less * target[at + 3]
        out = plus(plus(plus(plus(out, a, p), b, q), c, r), d, s)
    return out


@part
def _image_narrow(system: _System, x: Vector, less: np.float32, fixed: Fixed) -> Vector:
    """The same where registers hold no four y: the products of some of them first, and then their sum."""
    diagonal, theirs, places, extra, target, weight = system
    out: Vector = each(diagonal, x)
    for start in range(0, len(places), SOME):
        stop = min(start + SOME, len(places))
        for at in range(start, stop):
            weight[at - start] = extra[at] * dot(load(theirs, places[at], fixed), x) - less * target[at]
        for at in range(start, stop):
            out = plus(out, weight[at - start], load(theirs, places[at], fixed))
    return out


@part
def _times(system: _System, x: Vector, less: np.float32, fixed: Fixed) -> Vector:
    return _image(system, x, less, fixed) if WIDE else _image_narrow(system, x, less, fixed)


@part
def _descend(system: _System, x: Vector, steps: int, fixed: Fixed) -> Vector:
    """``steps`` of the method of conjugate gradients from ``x``."""
    residual = times(np.float32(-1), _times(system, x, np.float32(1), fixed))
    direction, size = residual, dot(residual, residual)
    for _ in range(steps):
        if size < TINY:
            break
        image = _times(system, direction, np.float32(0), fixed)
        step, before = size / dot(direction, image), size
        x, residual = plus(x, step, direction), plus(residual, -step, image)
        size = dot(residual, residual)
        direction = plus(residual, size / before, direction)
    return x


@kernel
def _conjugate_gradient(
    indptr: Ints,
    codes: Ints,
    events: Floats,
    theirs: Floats,
    diagonal: Floats,
    more: Floats,
    ours: Floats,
    fixed: Fixed,
    steps: int,
    start: int,
    stop: int,
) -> None:
    """Takács, Pilászy & Tikk 2011."""
    longest = 0
    for row in range(start, stop):
        longest = max(longest, indptr[row + 1] - indptr[row])
    places = np.empty(longest + GROUP, np.uint64)
    extra, target = np.empty(longest + GROUP, np.float32), np.empty(longest + GROUP, np.float32)
    weight = np.empty(SOME, np.float32)
    for row in range(start, stop):
        low, high = indptr[row], indptr[row + 1]
        if row + 1 < stop:
            for at in range(high, min(indptr[row + 2], high + AHEAD)):
                fetch(theirs, codes[at], fixed)
        n = _fill(codes[low:high], events[low:high], places, extra, target)
        own = plus(load(diagonal, 0, fixed), more[row], load(diagonal, 1, fixed))
        system = _System(own, theirs, places[:n], extra[:n], target[:n], weight)
        store(ours, row, _descend(system, load(ours, row, fixed), steps, fixed))


@part
def _collect(
    gram: Doubles, more: np.float32, theirs: Floats, codes: Ints, extra: Floats, a: Doubles, x: Doubles, fixed: Fixed
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
    gram: Doubles,
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
