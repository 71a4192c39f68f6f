"""A layer of a compressed interaction network: weighed sums of products, which are made where they are used.

All products of a batch would be far greater than the caches: they are made for a block of rows at a time, there and
again on the way back, and the sums of four rows stay in registers.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.kernels import aligned, kernel, part, spread
from recli.kernels.products import Lanes, add_outer, add_panels, lanes, padded, panels, scratch
from recli.kernels.vector import dot, each, load, masked, plus, store, times, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

BLOCK: Final = 64  # pairs of rows whose products stay in the second cache
PIECES: Final = 16  # whose sums of gradients are apart, whatever the number of threads


def interact(x: Floats, start: Floats, weight: Floats, bias: Floats, out: Floats, total: Floats) -> None:
    """Fill ``out`` (n, width, padded) with ReLU(weight · (x ⊗ start) + bias), and ``total`` (n, padded) with its sums.

    x (n, width, before) may be a part of wider rows; start is (n, width, fields), the weight (rows, before × fields).
    """
    (n, width, before), fields, rows = x.shape, start.shape[2], len(weight)
    by_field = weight.reshape(rows, before, fields).transpose(2, 1, 0).reshape(-1, rows)
    given = (*_flat(x), before, start.reshape(-1, fields), panels(np.vstack([by_field, bias])))
    into = (out.reshape(-1), total.reshape(-1), width, _together(width))
    spread(partial(_interact, *given, *into, lanes()), -(-n // _together(width)), even=True)


def gradients(
    of: Floats, of_total: Floats, x: Floats, start: Floats, weight: Floats, made: Floats, to_x: Floats, to_start: Floats
) -> tuple[Floats, Floats]:
    """The way back of `interact`: fills ``to_x`` and ``to_start``, returns the weight's and the bias's.

    ``of`` (n, width, some) is the gradient of the first of the rows that were ``made``, ``of_total`` (n, some) that of
    the last of their sums. The same numbers come out whatever the number of threads.
    """
    (n, width, before), fields, rows = x.shape, start.shape[2], len(weight)
    by_field = weight.reshape(rows, before, fields).transpose(0, 2, 1).reshape(rows, -1)
    sums = aligned(PIECES * rows, padded(before * fields + 1))
    given = (of.reshape(n * width, -1), of_total, *_flat(x), start.reshape(-1, fields), panels(by_field), rows)
    more = (made.reshape(-1, made.shape[2]), width, _together(width), -(-n // _together(width)))
    into = (to_x.reshape(-1, before), to_start.reshape(-1, fields), sums.reshape(-1))
    spread(partial(_gradients, *given, *more, *into, lanes()), PIECES)
    total = sums.reshape(PIECES, rows, -1).sum(0)
    of_weight = total[:, : before * fields].reshape(rows, fields, before).transpose(0, 2, 1)
    return of_weight.reshape(rows, -1), total[:, before * fields].copy()


def _together(width: int) -> int:
    """Rows of a block, each with ``width`` pairs."""
    return max(1, BLOCK // width)


def _flat(x: Floats) -> tuple[Floats, int]:
    """All numbers from the first one on, and how far apart the pairs begin."""
    if x.flags.c_contiguous:
        return x.reshape(-1), x.shape[2]
    apart = x.strides[0] // x.shape[1] // x.itemsize
    size = (x.shape[0] * x.shape[1] - 1) * apart + x.shape[2]
    return np.lib.stride_tricks.as_strided(x, (size,), (x.itemsize,)), apart


@part
def copy(x: Floats, at: int, count: int, out: Floats) -> None:
    """The numbers of x from ``at`` on, to the start of ``out``."""
    own = x[at : at + count]
    for i in range(count):
        out[i] = own[i]


@part
def multiply(
    x: Floats, apart: int, before: int, start: Floats, low: int, high: int, near: Floats, out: Floats,
    lanes: NDArray[np.void]
) -> None:  # fmt: skip
    """The products of some pairs, field by field, and behind them a 1. What is written past a field's is the next's."""
    flat, wide, own = out.reshape(-1), out.shape[1], len(lanes[0].row)
    for r in range(low, high):
        copy(x, r * apart, before, near)
        for j in range(start.shape[1]):
            for i in range(0, before, own):
                store(flat, (r - low) * wide + j * before + i, times(start[r, j], load(near, i, lanes)))
        flat[(r - low) * wide + before * start.shape[1]] = 1


@part
def divide(
    x: Floats, apart: int, start: Floats, low: int, high: int, near: Floats, of: Floats, to_x: Floats,
    to_start: Floats, lanes: NDArray[np.void]
) -> None:  # fmt: skip
    """The way back of `multiply`: from the products' gradients those of both rows."""
    flat, wide, own, before = of.reshape(-1), of.shape[1], len(lanes[0].row), to_x.shape[1]
    room, ones = near.copy(), np.ones(own, np.float32)
    for r in range(low, high):
        copy(x, r * apart, before, near)
        room[:] = 0
        for j in range(start.shape[1]):
            at, total = (r - low) * wide + j * before, zeros(lanes)
            for i in range(0, before, own):
                slope = load(flat, at + i, lanes)
                store(room, i, plus(load(room, i, lanes), start[r, j], slope))
                total = plus(total, np.float32(1), each(slope, load(near, i, lanes)))
            to_start[r, j] = dot(total, load(ones, 0, lanes))
        copy(room, 0, before, to_x[r])


@part
def slopes(
    of: Floats, of_total: Floats, made: Floats, rows: int, width: int, low: int, high: int, shared: Floats,
    near: Floats, out: Floats, lanes: NDArray[np.void]
) -> None:  # fmt: skip
    """The gradients of some pairs' sums before the ReLU, as wide as what was made.

    ``shared`` and ``near`` have that width, and are 0 where no gradient is written to them.
    """
    flat, came, gradient = out.reshape(-1), made.reshape(-1), of.reshape(-1)
    own, wide = len(lanes[0].row), made.shape[1]
    for r in range(low, high):
        if r % width == 0:
            shared[rows - of_total.shape[1] : rows] = of_total[r // width]
        copy(gradient, r * of.shape[1], of.shape[1], near)
        for at in range(0, wide, own):
            slope = plus(load(shared, at, lanes), np.float32(1), load(near, at, lanes))
            store(flat, (r - low) * wide + at, masked(slope, load(came, r * wide + at, lanes)))


@kernel
def _interact(
    x: Floats,
    apart: int,
    before: int,
    start: Floats,
    panels: Floats,
    out: Floats,
    total: Floats,
    width: int,
    together: int,
    lanes: Lanes,
    first: int,
    end: int,
) -> None:
    unit, wide, most = len(lanes.unit[0].row), len(out) // len(start), together * width
    depth = before * start.shape[1] + 1
    products, near = scratch(most + 1, -(-depth // unit) * unit), scratch(1, -(-before // unit) * unit)[0]
    for block in range(first, end):
        low, high = block * most, min((block + 1) * most, len(start))
        multiply(x, apart, before, start, low, high, near, products, lanes.unit)
        for at in range(low * wide, high * wide, unit):
            store(out, at, zeros(lanes.unit))
        a, across, to = products.reshape(-1), products.shape[1], low * wide
        add_panels(a, across, high - low, depth, panels, 0, out, to, wide, wide, lanes)
        for n in range(block * together, high // width):
            for at in range(0, wide, unit):
                sums = zeros(lanes.unit)
                for r in range(n * width, (n + 1) * width):
                    made = load(out, r * wide + at, lanes.unit)
                    made = masked(made, made)
                    sums = plus(sums, np.float32(1), made)
                    store(out, r * wide + at, made)
                store(total, n * wide + at, sums)


@kernel
def _gradients(
    of: Floats,
    of_total: Floats,
    x: Floats,
    apart: int,
    start: Floats,
    panels: Floats,
    rows: int,
    made: Floats,
    width: int,
    together: int,
    blocks: int,
    to_x: Floats,
    to_start: Floats,
    sums: Floats,
    lanes: Lanes,
    first: int,
    end: int,
) -> None:
    unit, most, wide, depth = len(lanes.unit[0].row), together * width, made.shape[1], to_x.shape[1] * start.shape[1]
    into, across = -(-depth // unit) * unit, -(-(depth + 1) // unit) * unit  # behind the products is the 1
    products, back, left = scratch(most + 1, across), scratch(most + 1, across), scratch(most, wide)
    slope, shared, near_slope = left.reshape(-1), scratch(1, wide)[0], scratch(1, wide)[0]
    near = scratch(1, -(-to_x.shape[1] // unit) * unit)[0]
    for piece in range(first, end):
        for block in range(blocks * piece // PIECES, blocks * (piece + 1) // PIECES):
            low, high = block * most, min((block + 1) * most, len(start))
            slopes(of, of_total, made, rows, width, low, high, shared, near_slope, left, lanes.unit)
            multiply(x, apart, to_x.shape[1], start, low, high, near, products, lanes.unit)
            back[:] = 0
            add_panels(slope, wide, high - low, rows, panels, 0, back.reshape(-1), 0, across, into, lanes)
            to = piece * rows * across
            add_outer(slope, wide, rows, high - low, products.reshape(-1), 0, across, sums, to, across, lanes)
            divide(x, apart, start, low, high, near, back, to_x, to_start, lanes.unit)
