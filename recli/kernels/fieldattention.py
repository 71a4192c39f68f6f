"""Attention among a few fields: every head of a row at once, as its products are too small for a library's."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import fixed, kernel, part, spread
from recli.kernels.dropout import lots
from recli.kernels.exponential import exp
from recli.kernels.vector import dot, load, maximum, plus, store, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


def attend(parts: Floats, heads: int, scale: float, seed: int, dropped: int, out: Floats) -> Floats:
    """Fill ``out`` (n, fields, width) with what fields become that attend to each other; returns the shares.

    ``parts`` (n, fields, 4 × width) are the query, the key, the value, and what is added; each of the ``heads`` has its
    part of the width. The shares (n, heads, fields, fields), softmax(scale × query · key), of which about ``dropped``
    in 65,536 are left out and stand there with a minus, are for `gradient`.
    """
    assert parts.flags.c_contiguous and out.flags.c_contiguous
    n, fields, width = out.shape
    shares = np.empty((n, heads, fields, fields), np.float32)
    given = (parts.reshape(-1, width // heads), shares, np.float32(scale), np.uint64(seed), dropped)
    into = out.reshape(-1, width // heads)
    spread(partial(_attend, *given, into, fixed(width // heads)), n)
    return shares


def gradient(of: Floats, parts: Floats, shares: Floats, scale: float, dropped: int, out: Floats) -> None:
    """The way back of `attend`: from the gradient ``of`` what it made (n, fields, width) the parts', into ``out``."""
    assert parts.flags.c_contiguous and of.flags.c_contiguous and out.flags.c_contiguous
    width = of.shape[2] // shares.shape[1]
    given = (of.reshape(-1, width), parts.reshape(-1, width), shares, np.float32(scale), dropped)
    into = out.reshape(-1, width)
    spread(partial(_gradient, *given, into, fixed(width)), len(shares))


@part
def at(n: int, field: int, which: int, head: int, fields: int, heads: int) -> int:
    """The row of a field's query (0), key, value or addend (3)."""
    return ((n * fields + field) * 4 + which) * heads + head


@kernel
def _attend(
    parts: Floats,
    shares: Floats,
    scale: np.float32,
    seed: np.uint64,
    dropped: int,
    out: Floats,
    width: NDArray[np.void],
    start: int,
    stop: int,
) -> None:
    heads, fields = shares.shape[1], shares.shape[2]
    words = np.empty(-(-fields * fields // 4), np.uint64)
    lot, grown, bound = words.view(np.uint16), np.float32(65536 / (65536 - dropped)), np.uint16(dropped)
    for n in range(start, stop):
        for h in range(heads):
            if dropped:
                lots(words, seed, (n * heads + h) * len(words))
            for i in range(fields):
                query, row = load(parts, at(n, i, 0, h, fields, heads), width), shares[n, h, i]
                highest, total = np.float32(-np.inf), np.float32(0)
                for j in range(fields):
                    row[j] = dot(query, load(parts, at(n, j, 1, h, fields, heads), width))
                    highest = maximum(highest, scale * row[j])
                for j in range(fields):
                    row[j] = exp(scale * row[j] - highest)
                    total += row[j]
                made = load(parts, at(n, i, 3, h, fields, heads), width)
                for j in range(fields):
                    row[j] /= total
                    if dropped and lot[i * fields + j] < bound:
                        row[j] = -row[j]
                    else:
                        made = plus(made, grown * row[j], load(parts, at(n, j, 2, h, fields, heads), width))
                store(out, (n * fields + i) * heads + h, made)


@kernel
def _gradient(
    of: Floats,
    parts: Floats,
    shares: Floats,
    scale: np.float32,
    dropped: int,
    out: Floats,
    width: NDArray[np.void],
    start: int,
    stop: int,
) -> None:
    heads, fields = shares.shape[1], shares.shape[2]
    grown, slope = np.float32(65536 / (65536 - dropped)), np.empty(fields, np.float32)
    for n in range(start, stop):
        for h in range(heads):
            for i in range(fields):
                for which in range(1, 3):
                    store(out, at(n, i, which, h, fields, heads), zeros(width))
            for i in range(fields):
                row, own = shares[n, h, i], load(of, (n * fields + i) * heads + h, width)
                mean = np.float32(0)
                for j in range(fields):
                    slope[j] = np.float32(0)
                    if row[j] > 0:
                        slope[j] = grown * dot(own, load(parts, at(n, j, 2, h, fields, heads), width))
                        mean += row[j] * slope[j]
                        to = at(n, j, 2, h, fields, heads)
                        store(out, to, plus(load(out, to, width), grown * row[j], own))
                query, total = load(parts, at(n, i, 0, h, fields, heads), width), zeros(width)
                for j in range(fields):
                    of_score, key = scale * abs(row[j]) * (slope[j] - mean), at(n, j, 1, h, fields, heads)
                    total = plus(total, of_score, load(parts, key, width))
                    store(out, key, plus(load(out, key, width), of_score, query))
                store(out, at(n, i, 0, h, fields, heads), total)
                store(out, at(n, i, 3, h, fields, heads), own)
