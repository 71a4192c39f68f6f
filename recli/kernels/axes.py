"""The axes of a cloud of rows: the basis in which rows' rows is a diagonal.

Written out where numpy has a line for each step, as BLAS keeps its threads spinning after a call, and so takes the
cores from the kernels that come next.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import aligned, fixed, kernel, part, spread
from recli.kernels.vector import WIDE, load, plus, store, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Fixed = NDArray[np.void]

CHUNK, CHUNKS = 4096, 64  # rows that are summed up in single precision, and about how many such sums, at most
BLOCK = 16  # numbers of a row, of which four are half of the registers of a processor without AVX-512
NEAR = 64  # rows that the first cache holds
SWEEPS = 40  # far more than it takes
CLOSE = 1e-9  # the cosine of two rows that are as good as at right angles


def gram(rows: Floats) -> Doubles:
    """rows' rows, float64 (width, width); the same for any number of threads."""
    n, width = rows.shape
    size = max(CHUNK, -(-n // CHUNKS))
    sums = aligned(max(1, -(-n // size)) * width, width)
    if _by_blocks(width):
        spread(partial(_gram_blocks, rows, size, sums, fixed(BLOCK)), len(sums) // width)
    else:
        spread(partial(_gram, rows, size, sums, fixed(width)), len(sums) // width)
    total: Doubles = sums.reshape(-1, width, width).sum(axis=0, dtype=np.float64)
    return np.triu(total) + np.triu(total, 1).T


def _by_blocks(width: int) -> bool:
    """Whether four rows are more than the registers hold, and parts of them are to be taken at a time."""
    return not WIDE and width > BLOCK and width % BLOCK == 0


def of(gram: Doubles) -> tuple[Doubles, Doubles]:
    """Values (width,) and axes (width, width), as columns: axes' gram axes is the diagonal of the values.

    Of a matrix that is symmetric and has no value below zero. Hestenes 1958, "Inversion of matrices by
    biorthogonalization and related results" (SIAM): two rows at a time are turned to right angles, until all are.
    """
    rows, axes = gram.copy(), np.eye(len(gram))
    _sweep(rows, axes)
    return np.einsum("ij,ij->i", rows, axes), axes.T


def turn(rows: Floats, axes: Doubles) -> None:
    """rows axes, in place."""
    table = aligned(*axes.shape)
    table[:] = axes
    if _by_blocks(len(table)):
        spread(partial(_turn_blocks, rows, table, fixed(BLOCK)), len(rows))
    else:
        spread(partial(_turn, rows, table, fixed(len(table))), len(rows))


@part
def _width(fixed: Fixed) -> int:
    return len(fixed[0].row)


@kernel
def _gram(rows: Floats, size: int, sums: Floats, fixed: Fixed, start: int, stop: int) -> None:
    """The sums of chunks ``start`` to ``stop``, each of ``size`` rows; four rows at a time, to store less often."""
    width = _width(fixed)
    for chunk in range(start, stop):
        first, last = chunk * size, min((chunk + 1) * size, len(rows))
        whole = first + (last - first) // 4 * 4
        for row in range(first, whole, 4):
            p, q = load(rows, row, fixed), load(rows, row + 1, fixed)
            r, s = load(rows, row + 2, fixed), load(rows, row + 3, fixed)
            for f in range(width):
                out = plus(load(sums, chunk * width + f, fixed), rows[row, f], p)
                out = plus(plus(out, rows[row + 1, f], q), rows[row + 2, f], r)
                store(sums, chunk * width + f, plus(out, rows[row + 3, f], s))
        for row in range(whole, last):
            p = load(rows, row, fixed)
            for f in range(width):
                store(sums, chunk * width + f, plus(load(sums, chunk * width + f, fixed), rows[row, f], p))


@kernel
def _gram_blocks(rows: Floats, size: int, sums: Floats, fixed: Fixed, start: int, stop: int) -> None:
    """The same by blocks of four numbers and BLOCK others, of which only those on or above the diagonal are summed."""
    width = rows.shape[1]
    blocks = width // BLOCK
    for chunk in range(start, stop):
        last = min((chunk + 1) * size, len(rows))
        for first in range(chunk * size, last, NEAR):
            near = min(first + NEAR, last)
            for f in range(0, width, 4):
                for block in range(f // BLOCK, blocks):
                    at = (chunk * width + f) * blocks + block
                    a, b = load(sums, at, fixed), load(sums, at + blocks, fixed)
                    c, d = load(sums, at + 2 * blocks, fixed), load(sums, at + 3 * blocks, fixed)
                    for row in range(first, near):
                        part = load(rows, row * blocks + block, fixed)
                        a, b = plus(a, rows[row, f], part), plus(b, rows[row, f + 1], part)
                        c, d = plus(c, rows[row, f + 2], part), plus(d, rows[row, f + 3], part)
                    store(sums, at, a)
                    store(sums, at + blocks, b)
                    store(sums, at + 2 * blocks, c)
                    store(sums, at + 3 * blocks, d)


@kernel
def _turn(rows: Floats, table: Floats, fixed: Fixed, start: int, stop: int) -> None:
    """Rows ``start`` to ``stop`` times ``table``; four at a time, to load less often."""
    width = _width(fixed)
    whole = start + (stop - start) // 4 * 4
    for row in range(start, whole, 4):
        p, q, r, s = zeros(fixed), zeros(fixed), zeros(fixed), zeros(fixed)
        for f in range(width):
            axis = load(table, f, fixed)
            p, q = plus(p, rows[row, f], axis), plus(q, rows[row + 1, f], axis)
            r, s = plus(r, rows[row + 2, f], axis), plus(s, rows[row + 3, f], axis)
        store(rows, row, p)
        store(rows, row + 1, q)
        store(rows, row + 2, r)
        store(rows, row + 3, s)
    for row in range(whole, stop):
        p = zeros(fixed)
        for f in range(width):
            p = plus(p, rows[row, f], load(table, f, fixed))
        store(rows, row, p)


@kernel
def _turn_blocks(rows: Floats, table: Floats, fixed: Fixed, start: int, stop: int) -> None:
    """The same, BLOCK numbers of four rows at a time."""
    width = rows.shape[1]
    blocks, whole = width // BLOCK, start + (stop - start) // 4 * 4
    turned = np.empty((4, width), np.float32)
    for row in range(start, whole, 4):
        for block in range(blocks):
            p = q = r = s = zeros(fixed)
            for f in range(width):
                axis = load(table, f * blocks + block, fixed)
                p, q = plus(p, rows[row, f], axis), plus(q, rows[row + 1, f], axis)
                r, s = plus(r, rows[row + 2, f], axis), plus(s, rows[row + 3, f], axis)
            store(turned, block, p)
            store(turned, blocks + block, q)
            store(turned, 2 * blocks + block, r)
            store(turned, 3 * blocks + block, s)
        rows[row : row + 4] = turned
    for row in range(whole, stop):
        for block in range(blocks):
            p = zeros(fixed)
            for f in range(width):
                p = plus(p, rows[row, f], load(table, f * blocks + block, fixed))
            store(turned, block, p)
        rows[row] = turned[0]


@part
def _product(left: Doubles, right: Doubles) -> float:
    total = 0.0
    for at in range(len(left)):
        total += left[at] * right[at]
    return total


@part
def _rotate(left: Doubles, right: Doubles, cosine: float, sine: float) -> None:
    for at in range(len(left)):
        a, b = left[at], right[at]
        left[at], right[at] = cosine * a - sine * b, sine * a + cosine * b


@kernel
def _sweep(rows: Doubles, axes: Doubles) -> None:
    """Turn the rows to right angles, and the axes with them."""
    n = len(rows)
    nothing = np.float64(0)
    for i in range(n):
        nothing += 1e-30 * _product(rows[i], rows[i])  # what is left of a row that depends on others
    for _ in range(SWEEPS):
        turned = False
        for i in range(n):
            for j in range(i + 1, n):
                a, b = _product(rows[i], rows[i]), _product(rows[j], rows[j])
                both = _product(rows[i], rows[j])
                if abs(both) <= max(CLOSE * np.sqrt(a * b), nothing):
                    continue
                turned = True
                ratio = (b - a) / (2 * both)
                tangent = 1 / (abs(ratio) + np.sqrt(1 + ratio * ratio))
                if ratio < 0:
                    tangent = -tangent
                cosine = 1 / np.sqrt(1 + tangent * tangent)
                _rotate(rows[i], rows[j], cosine, cosine * tangent)
                _rotate(axes[i], axes[j], cosine, cosine * tangent)
        if not turned:
            break
