"""A small product of matrices within a kernel: the sums of four rows stay in registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from recli.kernels import aligned, part
from recli.kernels.vector import WIDE, load, number, plus, store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

PANEL: Final = 64 if WIDE else 16  # columns whose sums of four rows are in registers
DEPTH: Final = 128  # of a panel that stays in the first cache
LINE: Final = 16  # floats in a line of the cache


def padded(width: int) -> int:
    """The next multiple of `PANEL`."""
    return -(-width // PANEL) * PANEL


def panels(matrix: Floats, out: Floats | None = None) -> Floats:
    """Columns (n, width) as (panels × n, `PANEL`), one panel below the other, the last padded with zeros."""
    n, width = matrix.shape
    whole, count = width // PANEL, padded(width) // PANEL
    made = aligned(count * n, PANEL) if out is None else out
    parts = made.reshape(count, n, PANEL)
    parts[:whole] = matrix[:, : whole * PANEL].reshape(n, whole, PANEL).transpose(1, 0, 2)
    parts[whole:, :, : width - whole * PANEL] = matrix[:, whole * PANEL :]
    return made


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

    Four rows at a time; past the end it is the last one again, whose sum comes out the same.
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
def add_panels(
    a: Floats, across: int, rows: int, depth: int, b: Floats, begin: int, out: Floats, to: int, step: int, count: int,
    width: NDArray[np.void]
) -> None:  # fmt: skip
    """Add to so many rows of ``out`` the product of those of a and of ``count`` panels of b, as deep as these are."""
    for k in range(0, depth, DEPTH):
        deep = min(DEPTH, depth - k)
        for p in range(count):
            add_product(a[k:], across, 1, rows, deep, b, begin + p * depth + k, 1, out, to + p, step, width)


@part
def scratch(rows: int, width: int) -> Floats:
    """Zeros, from the start of a cache line."""
    raw = np.zeros(rows * width + LINE, np.float32)
    skip = (-raw.ctypes.data % (4 * LINE)) // 4
    return raw[skip : skip + rows * width].reshape(rows, width)
