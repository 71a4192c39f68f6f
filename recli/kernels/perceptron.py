"""Layers of a perceptron, there and back: a few rows go through all of them before the next rows do.

What a layer makes of a whole batch has left the near caches when the next one wants it; of `BLOCK` rows it has not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recli.kernels import aligned, kernel, part, spread
from recli.kernels.dropout import lots
from recli.kernels.products import Lanes, add_outer, add_panels, lanes, padded, scratch, stacked
from recli.kernels.vector import load, masked, plus, store, times, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Longs = NDArray[np.int64]
    Words = NDArray[np.uint64]

BLOCK: Final = 64  # rows that stay in the second cache
EACH, MOST = 512, 16  # rows whose sums of gradients are apart, and how many such sums there are at most
ONE, NOTHING = np.float32(1), np.float32(0)


class Layers(NamedTuple):
    """The ``width`` of what goes in and of what each layer makes, (layers + 1,), and the ``place`` of each in a row.

    There they are `padded`; the last place is that behind them all.
    """

    width: Longs
    place: Longs


def layers(widths: Sequence[int]) -> Layers:
    """Of these widths."""
    return Layers(np.array(widths), np.cumsum([0, *map(padded, widths)]))


def forward(
    x: Floats, to: Layers, weights: Sequence[Floats], biases: Sequence[Floats], seeds: Words, dropped: int, made: Floats
) -> None:
    """Fill ``made`` (n, what all layers have) with x (n, in), and with what each layer makes, as the next one gets it.

    A layer makes ReLU(weight · x + bias), of x without about ``dropped`` in 65,536 of its numbers, which goes by the
    layer's seed, the others being greater by as much. Those behind the last seed make weight · x + bias of the whole x,
    and what all layers with seeds make goes on whole.
    """
    bias = np.concatenate([np.pad(one, (0, padded(len(one)) - len(one))) for one in biases])
    given = (*to, *stacked([weight.T for weight in weights]), bias, seeds, dropped)
    spread(partial(_forward, x, *given, made, lanes()), -(-len(x) // BLOCK))


def backward(
    of: Floats, made: Floats, to: Layers, weights: Sequence[Floats], seeds: Words, dropped: int, to_x: Floats
) -> tuple[list[Floats], list[Floats]]:
    """The way back of `forward`: from the gradient ``of`` (n, out) that of x, and, returned, of weights and biases.

    The same numbers come out whatever the number of threads.
    """
    width, place = to
    wide, pieces, each = np.diff(place), max(1, min(len(of) // EACH, MOST)), range(len(weights))
    begin = np.cumsum([0, *width[1:] * wide[:-1]])
    sums, bias_sums = aligned(pieces, int(begin[-1])), aligned(pieces, int(place[-1] - place[1]))
    given = (of, made, width, place, *stacked(weights), seeds, dropped)
    spread(partial(_backward, *given, to_x, sums, begin, bias_sums, lanes()), pieces)
    total, of_bias = sums.sum(0), bias_sums.sum(0)
    of_weights = [total[begin[k] : begin[k + 1]].reshape(width[k + 1], wide[k])[:, : width[k]] for k in each]
    return of_weights, [of_bias[place[k + 1] - place[1] :][: width[k + 1]] for k in each]


@part
def copy(x: Floats, out: Floats) -> None:
    """Numbers, and behind them zeros."""
    for at in range(len(x)):
        out[at] = x[at]
    for at in range(len(x), len(out)):
        out[at] = NOTHING


@part
def drop(
    numbers: Floats, first: int, step: int, width: int, low: int, high: int, words: Words, seed: np.uint64, dropped: int
) -> None:
    """Dropout of ``width`` numbers from ``first + r · step`` on, for rows ``low + r`` up to the one before ``high``."""
    lot, grown, bound = words.view(np.uint16), np.float32(65536 / (65536 - dropped)), np.uint16(dropped)
    own = -(-width // 4)
    lots(words[: (high - low) * own], seed, low * own)
    for r in range(high - low):
        row, its = numbers[first + r * step :][:width], lot[4 * r * own :][:width]
        for at in range(width):
            row[at] = row[at] * grown if its[at] >= bound else NOTHING


@part
def slope(
    given: Floats, wide: int, n: int, came: Floats, place: int, step: int, count: int, grown: np.float32,
    unit: NDArray[np.void]
) -> None:  # fmt: skip
    """Turn in place the gradient of what came out of ReLU and dropout into that before both.

    Of n rows of ``count`` numbers, which begin ``wide`` apart in ``given``, and ``step`` in what came.
    """
    for r in range(n):
        for p in range(0, count, len(unit[0].row)):
            own = times(grown, load(given, r * wide + p, unit))
            store(given, r * wide + p, masked(own, load(came, place + r * step + p, unit)))


@part
def add_rows(rows: Floats, wide: int, n: int, total: Floats, unit: NDArray[np.void]) -> None:
    """Add the sum of n rows, ``wide`` apart."""
    for p in range(0, len(total), len(unit[0].row)):
        own = load(total, p, unit)
        for r in range(n):
            own = plus(own, ONE, load(rows, r * wide + p, unit))
        store(total, p, own)


@kernel
def _forward(
    x: Floats,
    width: Longs,
    place: Longs,
    weights: Floats,
    begin: Longs,
    bias: Floats,
    seeds: Words,
    dropped: int,
    made: Floats,
    lanes: Lanes,
    start: int,
    stop: int,
) -> None:
    unit, n, last, wide = len(lanes.unit[0].row), len(x), len(width) - 2, (place[1:] - place[:-1]).max()
    words, total, numbers = np.empty(BLOCK * (wide // 4), np.uint64), place[-1], made.reshape(-1)
    for block in range(start, stop):
        low, high = block * BLOCK, min((block + 1) * BLOCK, n)
        for r in range(low, high):
            copy(x[r], made[r, : place[1]])
        if dropped:
            drop(numbers, low * total, total, width[0], low, high, words, seeds[0], dropped)
        for k in range(last + 1):
            into, count = low * total + place[k + 1], place[k + 2] - place[k + 1]
            for r in range(high - low):
                for p in range(0, count, unit):
                    store(numbers, into + r * total + p, load(bias, place[k + 1] - place[1] + p, lanes.unit))
            rows = numbers[low * total + place[k] :]
            add_panels(rows, total, high - low, width[k], weights, begin[k], numbers, into, total, count, lanes)
            for r in range(high - low if k < len(seeds) else 0):
                for p in range(0, count, unit):
                    sums = load(numbers, into + r * total + p, lanes.unit)
                    store(numbers, into + r * total + p, masked(sums, sums))
            if dropped and k + 1 < len(seeds):
                drop(numbers, into, total, width[k + 1], low, high, words, seeds[k + 1], dropped)


@kernel
def _backward(
    of: Floats,
    made: Floats,
    width: Longs,
    place: Longs,
    weights: Floats,
    begin: Longs,
    seeds: Words,
    dropped: int,
    to_x: Floats,
    sums: Floats,
    rows: Longs,
    bias_sums: Floats,
    lanes: Lanes,
    start: int,
    stop: int,
) -> None:
    unit, n, last, pieces = len(lanes.unit[0].row), len(of), len(width) - 2, len(bias_sums)
    blocks, total, wide = -(-n // BLOCK), place[-1], (place[1:] - place[:-1]).max()
    words, grown = np.empty(BLOCK * (wide // 4), np.uint64), np.float32(65536 / (65536 - dropped))
    slopes, before = scratch(1, BLOCK * wide)[0], scratch(1, BLOCK * wide)[0]
    numbers = made.reshape(-1)
    for piece in range(start, stop):
        for block in range(blocks * piece // pieces, blocks * (piece + 1) // pieces):
            low, high = block * BLOCK, min((block + 1) * BLOCK, n)
            for r in range(high - low):
                copy(of[low + r], slopes[r * wide : (r + 1) * wide])
            came, count = low * total + place[last + 1], place[last + 2] - place[last + 1]
            slope(slopes, wide, high - low if last < len(seeds) else 0, numbers, came, total, count, ONE, lanes.unit)
            for k in range(last, -1, -1):
                first, count = low * total + place[k], place[k + 1] - place[k]
                mine, own = sums[piece, rows[k] : rows[k + 1]], bias_sums[piece, place[k + 1] - place[1] :]
                add_rows(slopes, wide, high - low, own[: place[k + 2] - place[k + 1]], lanes.unit)
                add_outer(slopes, wide, width[k + 1], high - low, numbers, first, total, mine, 0, count, lanes)
                for r in range(high - low):
                    for p in range(0, count, unit):
                        store(before, r * wide + p, zeros(lanes.unit))
                add_panels(slopes, wide, high - low, width[k + 1], weights, begin[k], before, 0, wide, count, lanes)
                slopes, before = before, slopes
                if k > 0:
                    factor = grown if k < len(seeds) else ONE
                    slope(slopes, wide, high - low, numbers, first, total, count, factor, lanes.unit)
            if dropped:
                drop(slopes, 0, wide, width[0], low, high, words, seeds[0], dropped)
            for r in range(high - low):
                copy(slopes[r * wide :][: width[0]], to_x[low + r])
