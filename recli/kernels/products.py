"""A small product of matrices within a kernel: the sums of four rows stay in registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recli.kernels import aligned, fixed, part
from recli.kernels.vector import WIDE, load, number, plus, store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

PANEL: Final = 64 if WIDE else 16  # columns whose sums of four rows are in registers
UNIT: Final = 16 if WIDE else 8  # a register; the last panel is as many as it needs
DEPTH: Final = 128  # of a panel that stays in the first cache
LINE: Final = 16  # floats in a line of the cache


class Lanes(NamedTuple):
    """Rows in registers, of a panel and of what the last one may be, as `recli.kernels.fixed` has them."""

    full: NDArray[np.void]
    unit: NDArray[np.void]
    half: NDArray[np.void]


def lanes() -> Lanes:
    """What kernels with products are compiled for."""
    return Lanes(fixed(PANEL), fixed(UNIT), fixed(PANEL // 2))


def padded(width: int) -> int:
    """The next multiple of `UNIT`."""
    return -(-width // UNIT) * UNIT


def panels(matrix: Floats, out: Floats | None = None) -> Floats:
    """Columns (n, width), panel by panel (n × padded,): n rows of each, the last one padded with zeros to `UNIT`."""
    n, width = matrix.shape
    made = aligned(padded(width), n).reshape(-1) if out is None else out
    for at in range(0, width, PANEL):
        own = matrix[:, at : at + PANEL]
        made[at * n : (at + PANEL) * n].reshape(n, -1)[:, : own.shape[1]] = own
    return made


def stacked(matrices: Sequence[Floats]) -> tuple[Floats, NDArray[np.int64]]:
    """The panels of some matrices, one below the other, and where those of each begin."""
    begin = np.cumsum([0, *(len(one) * padded(one.shape[1]) for one in matrices)])
    out = aligned(1, int(begin[-1]))[0]
    for k, one in enumerate(matrices):
        panels(one, out[begin[k] : begin[k + 1]])
    return out, begin


@part
def add_product(
    a: Floats,
    across: int,
    along: int,
    rows: int,
    depth: int,
    b: Floats,
    panel: int,
    apart: int,
    out: Floats,
    to: int,
    step: int,
    width: NDArray[np.void],
) -> None:
    """out[to + r · step] += Σ_k a[r · across + k · along] · b[panel + k · apart], for so many rows r, and as deep in k.

    Of ``out`` and b, both flat, a row's width from there on. Four rows at a time; past the end it is the last one
    again, whose sum comes out the same.
    """
    for r in range(0, rows, 4):
        s, t, u = min(r + 1, rows - 1), min(r + 2, rows - 1), min(r + 3, rows - 1)
        sum_r, sum_s = load(out, to + r * step, width), load(out, to + s * step, width)
        sum_t, sum_u = load(out, to + t * step, width), load(out, to + u * step, width)
        for k in range(depth):
            row, at = load(b, panel + k * apart, width), k * along
            sum_r = plus(sum_r, number(a, r * across + at), row)
            sum_s = plus(sum_s, number(a, s * across + at), row)
            sum_t = plus(sum_t, number(a, t * across + at), row)
            sum_u = plus(sum_u, number(a, u * across + at), row)
        store(out, to + r * step, sum_r)
        store(out, to + s * step, sum_s)
        store(out, to + t * step, sum_t)
        store(out, to + u * step, sum_u)


@part
def add_three(
    a: Floats, across: int, along: int, rows: int, depth: int, b: Floats, panel: int, apart: int, out: Floats, to: int,
    step: int, own: Lanes
) -> None:  # fmt: skip
    """`add_product` of three registers: written as one row, LLVM takes them apart, which is fifteen times as slow."""
    two, one = own.half, own.unit
    for r in range(0, rows, 4):
        at_r, at_s = to + r * step, to + min(r + 1, rows - 1) * step
        at_t, at_u = to + min(r + 2, rows - 1) * step, to + min(r + 3, rows - 1) * step
        s, t, u = min(r + 1, rows - 1), min(r + 2, rows - 1), min(r + 3, rows - 1)
        behind = len(two[0].row)
        sum_r, sum_s = load(out, at_r, two), load(out, at_s, two)
        sum_t, sum_u = load(out, at_t, two), load(out, at_u, two)
        end_r, end_s = load(out, at_r + behind, one), load(out, at_s + behind, one)
        end_t, end_u = load(out, at_t + behind, one), load(out, at_u + behind, one)
        for k in range(depth):
            row, end, at = load(b, panel + k * apart, two), load(b, panel + k * apart + behind, one), k * along
            x_r, x_s = number(a, r * across + at), number(a, s * across + at)
            x_t, x_u = number(a, t * across + at), number(a, u * across + at)
            sum_r, end_r = plus(sum_r, x_r, row), plus(end_r, x_r, end)
            sum_s, end_s = plus(sum_s, x_s, row), plus(end_s, x_s, end)
            sum_t, end_t = plus(sum_t, x_t, row), plus(end_t, x_t, end)
            sum_u, end_u = plus(sum_u, x_u, row), plus(end_u, x_u, end)
        store(out, at_r, sum_r)
        store(out, at_r + behind, end_r)
        store(out, at_s, sum_s)
        store(out, at_s + behind, end_s)
        store(out, at_t, sum_t)
        store(out, at_t + behind, end_t)
        store(out, at_u, sum_u)
        store(out, at_u + behind, end_u)


@part
def add_columns(
    a: Floats, across: int, along: int, rows: int, depth: int, b: Floats, panel: int, apart: int, out: Floats, to: int,
    step: int, width: int, own: Lanes
) -> None:  # fmt: skip
    """`add_product` of so many columns, of a panel at most."""
    if width >= len(own.full[0].row):
        add_product(a, across, along, rows, depth, b, panel, apart, out, to, step, own.full)
    elif width == len(own.unit[0].row):
        add_product(a, across, along, rows, depth, b, panel, apart, out, to, step, own.unit)
    elif width == len(own.half[0].row):
        add_product(a, across, along, rows, depth, b, panel, apart, out, to, step, own.half)
    else:
        add_three(a, across, along, rows, depth, b, panel, apart, out, to, step, own)


@part
def add_panels(
    a: Floats, across: int, rows: int, depth: int, b: Floats, begin: int, out: Floats, to: int, step: int, width: int,
    own: Lanes
) -> None:  # fmt: skip
    """Add to rows of ``out``, of ``width`` padded numbers, the product of a's rows and of b's panels."""
    full = len(own.full[0].row)
    for k in range(0, depth, DEPTH):
        deep, below = min(DEPTH, depth - k), a[k:]
        for at in range(0, width, full):
            wide = min(full, width - at)
            panel = begin + at * depth + k * wide
            add_columns(below, across, 1, rows, deep, b, panel, wide, out, to + at, step, wide, own)


@part
def add_outer(
    a: Floats, along: int, rows: int, depth: int, b: Floats, begin: int, apart: int, out: Floats, to: int, width: int,
    own: Lanes
) -> None:  # fmt: skip
    """Likewise the product of a's columns, for so many ``rows``, and of b's rows, both as many as ``depth``."""
    full = len(own.full[0].row)
    for at in range(0, width, full):
        wide = min(full, width - at)
        add_columns(a, 1, along, rows, depth, b, begin + at, apart, out, to + at, width, wide, own)


@part
def scratch(rows: int, width: int) -> Floats:
    """Zeros, from the start of a cache line."""
    raw = np.zeros(rows * width + LINE, np.float32)
    skip = (-raw.ctypes.data % (4 * LINE)) // 4
    return raw[skip : skip + rows * width].reshape(rows, width)
