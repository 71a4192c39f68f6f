"""Layers of a perceptron, there and back: a few rows go through all of them before the next rows do.

What a layer makes of a whole batch has left the near caches when the next one wants it; of `BLOCK` rows it has not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recli.kernels import aligned, fixed, kernel, part, spread
from recli.kernels.dropout import lots
from recli.kernels.products import PANEL, add_panels, add_product, padded, panels, scratch
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

    There they are padded to a multiple of `PANEL`; the last place is that behind them all.
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
    layer's seed, the others being greater by as much. The last one's are whole.
    """
    bias = np.concatenate([np.pad(one, (0, padded(len(one)) - len(one))) for one in biases])
    given = (*to, *_stacked([weight.T for weight in weights]), bias, seeds, dropped)
    spread(partial(_forward, x, *given, made, made.reshape(-1, PANEL), fixed(PANEL)), -(-len(x) // BLOCK))


def backward(
    of: Floats, made: Floats, to: Layers, weights: Sequence[Floats], seeds: Words, dropped: int, to_x: Floats
) -> tuple[list[Floats], list[Floats]]:
    """The way back of `forward`: from the gradient ``of`` (n, out) that of x, and, returned, of weights and biases.

    The same numbers come out whatever the number of threads.
    """
    width, place = to
    wide, pieces, each = np.diff(place), max(1, min(len(of) // EACH, MOST)), range(len(weights))
    rows = np.cumsum([0, *width[1:] * wide[:-1] // PANEL])
    sums, bias_sums = aligned(pieces * int(rows[-1]), PANEL), aligned(pieces, int(place[-1] - place[1]))
    given = (of, made, made.reshape(-1, PANEL), width, place, *_stacked(weights), seeds, dropped)
    spread(partial(_backward, *given, to_x, sums, rows, bias_sums, fixed(PANEL)), pieces)
    total, of_bias = sums.reshape(pieces, -1, PANEL).sum(0), bias_sums.sum(0)
    of_weights = [total[rows[k] : rows[k + 1]].reshape(width[k + 1], wide[k])[:, : width[k]] for k in each]
    return of_weights, [of_bias[place[k + 1] - place[1] :][: width[k + 1]] for k in each]


def _stacked(matrices: Sequence[Floats]) -> tuple[Floats, Longs]:
    """The panels of some matrices, one below the other, and where those of each begin."""
    begin = np.cumsum([0, *(len(one) * padded(one.shape[1]) // PANEL for one in matrices)])
    out = aligned(int(begin[-1]), PANEL)
    for k, one in enumerate(matrices):
        panels(one, out[begin[k] : begin[k + 1]])
    return out, begin


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
    given: Floats, at: int, came: Floats, place: int, count: int, grown: np.float32, width: NDArray[np.void]
) -> None:
    """Turn in place the gradient of what came out of ReLU and dropout into that before both, so many vectors."""
    for p in range(count):
        store(given, at + p, masked(times(grown, load(given, at + p, width)), load(came, place + p, width)))


@part
def add_gradients(
    slopes: Floats, many: int, n: int, flat: Floats, first: int, step: int, count: int, sums: Floats,
    of_bias: Floats, width: NDArray[np.void]
) -> None:  # fmt: skip
    """Add to a layer's sums the products of n rows of slopes and of what it got, and the slopes to its biases'.

    The slopes are ``many`` vectors wide; ``count`` vectors are what a row of those that the layer got has.
    """
    own = len(width[0].row)
    for p in range(len(of_bias) // own):
        total = load(of_bias, p * own, width)
        for r in range(n):
            total = plus(total, ONE, load(slopes, r * many + p, width))
        store(of_bias, p * own, total)
    for p in range(count):
        add_product(
            slopes.reshape(-1), 1, many * own, len(sums) // count, n, flat, first + p, step, sums, p, count, width
        )


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
    flat: Floats,
    lanes: NDArray[np.void],
    start: int,
    stop: int,
) -> None:
    own, n, last, wide = len(lanes[0].row), len(x), len(width) - 2, (place[1:] - place[:-1]).max()
    words, total = np.empty(BLOCK * (wide // 4), np.uint64), place[-1]
    numbers, step = made.reshape(-1), total // own
    for block in range(start, stop):
        low, high = block * BLOCK, min((block + 1) * BLOCK, n)
        for r in range(low, high):
            copy(x[r], made[r, : place[1]])
        if dropped:
            drop(numbers, low * total, total, width[0], low, high, words, seeds[0], dropped)
        for k in range(last + 1):
            to, count = place[k + 1] // own, (place[k + 2] - place[k + 1]) // own
            for r in range(low, high):
                for p in range(count):
                    store(flat, r * step + to + p, load(bias, place[k + 1] - place[1] + p * own, lanes))
            rows, into = numbers[low * total + place[k] :], low * step + to
            add_panels(rows, total, high - low, width[k], weights, begin[k], flat, into, step, count, lanes)
            for r in range(low, high):
                for p in range(count):
                    sums = load(flat, r * step + to + p, lanes)
                    store(flat, r * step + to + p, masked(sums, sums))
            if dropped and k < last:
                first = low * total + place[k + 1]
                drop(numbers, first, total, width[k + 1], low, high, words, seeds[k + 1], dropped)


@kernel
def _backward(
    of: Floats,
    made: Floats,
    flat: Floats,
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
    lanes: NDArray[np.void],
    start: int,
    stop: int,
) -> None:
    own, n, last, pieces = len(lanes[0].row), len(of), len(width) - 2, len(bias_sums)
    blocks, step, wide = -(-n // BLOCK), place[-1] // own, (place[1:] - place[:-1]).max()
    many, many_last = wide // own, (place[last + 2] - place[last + 1]) // own
    words, grown = np.empty(BLOCK * (wide // 4), np.uint64), np.float32(65536 / (65536 - dropped))
    slopes, before = scratch(BLOCK * many, own), scratch(BLOCK * many, own)
    for piece in range(start, stop):
        for block in range(blocks * piece // pieces, blocks * (piece + 1) // pieces):
            low, high = block * BLOCK, min((block + 1) * BLOCK, n)
            for r in range(high - low):
                copy(of[low + r], slopes.reshape(-1)[r * wide : (r + 1) * wide])
                slope(slopes, r * many, flat, (low + r) * step + place[last + 1] // own, many_last, ONE, lanes)
            for k in range(last, -1, -1):
                first, count = low * step + place[k] // own, (place[k + 1] - place[k]) // own
                mine = sums[piece * rows[-1] + rows[k] : piece * rows[-1] + rows[k + 1]]
                of_bias = bias_sums[piece, place[k + 1] - place[1] : place[k + 2] - place[1]]
                add_gradients(slopes, many, high - low, flat, first, step, count, mine, of_bias, lanes)
                for r in range(high - low):
                    for p in range(count):
                        store(before, r * many + p, zeros(lanes))
                numbers = slopes.reshape(-1)
                add_panels(numbers, wide, high - low, width[k + 1], weights, begin[k], before, 0, many, count, lanes)
                slopes, before = before, slopes
                for r in range(high - low if k > 0 else 0):
                    slope(slopes, r * many, flat, first + r * step, count, grown, lanes)
            if dropped:
                drop(slopes.reshape(-1), 0, wide, width[0], low, high, words, seeds[0], dropped)
            for r in range(high - low):
                copy(slopes.reshape(-1)[r * wide :][: width[0]], to_x[low + r])
