"""The scores of some items for each row, and their gradient."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.kernels import fixed, kernel, spread
from recli.kernels.vector import dot, load, plus, store, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]

WIDEST: Final = 128  # numbers of a row that stay in registers beside another
PARTS: Final = 8  # of the rows, each with a sum of its own for the items, so that threads do not matter
ROOM: Final = 1 << 24  # numbers in these sums together


def scores(rows: Floats, items: Floats, bias: Floats, codes: Ints, out: Floats) -> None:
    """Fill ``out`` (n, number) with products of rows (n, width) and items (n_items, width), and the items' biases."""
    given = rows, items, bias, codes, out, fixed(rows.shape[1])
    spread(partial(_scores, *given), len(rows), even=True)


def gradient(of: Floats, rows: Floats, items: Floats, codes: Ints, of_rows: Floats) -> tuple[Floats, Floats]:
    """From the gradient ``of`` the scores (n, number) that of rows, into ``of_rows``, of items and biases, returned."""
    n_items, width = items.shape
    parts = max(1, min(PARTS, ROOM // max(n_items * width, 1)))
    of_items, of_bias = np.zeros((parts, n_items, width), np.float32), np.zeros((parts, n_items), np.float32)
    spread(partial(_gradient, of, rows, items, codes, of_rows, of_items, of_bias, fixed(width)), parts)
    return (of_items.sum(0), of_bias.sum(0)) if parts > 1 else (of_items[0], of_bias[0])


@kernel
def _scores(
    rows: Floats,
    items: Floats,
    bias: Floats,
    codes: Ints,
    out: Floats,
    fixed: NDArray[np.void],
    start: int,
    stop: int,
) -> None:
    for r in range(start, stop):
        row = load(rows, r, fixed)
        for k in range(codes.shape[1]):
            code = codes[r, k]
            out[r, k] = dot(row, load(items, code, fixed)) + bias[code]


@kernel
def _gradient(
    of: Floats,
    rows: Floats,
    items: Floats,
    codes: Ints,
    of_rows: Floats,
    of_items: Floats,
    of_bias: Floats,
    fixed: NDArray[np.void],
    start: int,
    stop: int,
) -> None:
    n, parts = len(rows), len(of_items)
    for part in range(start, stop):
        sums, biases = of_items[part], of_bias[part]
        for r in range(n * part // parts, n * (part + 1) // parts):
            row, total = load(rows, r, fixed), zeros(fixed)
            for k in range(codes.shape[1]):
                code, slope = codes[r, k], of[r, k]
                total = plus(total, slope, load(items, code, fixed))
                store(sums, code, plus(load(sums, code, fixed), slope, row))
                biases[code] += slope
            store(of_rows, r, total)
