"""The shares of attention: a softmax of what each place may look at, and dropout, in one pass, and their gradient."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, spread
from recli.kernels.dropout import lots
from recli.kernels.exponential import exp
from recli.kernels.vector import maximum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]


def shares(scores: Floats, dropped_shares: Floats, looks: Ints, scale: float, seed: int, dropped: int) -> None:
    """Turn scores (n, places, places) into shares in place: softmax(scale × scores) of the first places of each row.

    Row i of matrix m looks at ``looks[m]`` places, or, where that is 0, at those up to its own; at the others its share
    is 0. ``dropped_shares``, as large, become the shares after dropout, of which ``dropped`` in 65,536 are left out.
    """
    given = (scores, dropped_shares, looks, np.float32(scale), np.uint64(seed), dropped)
    spread(partial(_shares, *given), len(scores))


def gradient(shares: Floats, gradients: Floats, looks: Ints, scale: float, seed: int, dropped: int) -> None:
    """Turn what `shares` left in ``scores`` into the shares after dropout, and their gradients into the scores'."""
    given = (shares, gradients, looks, np.float32(scale), np.uint64(seed), dropped)
    spread(partial(_gradient, *given), len(shares))


@kernel
def _shares(
    scores: Floats, out: Floats, looks: Ints, scale: np.float32, seed: np.uint64, dropped: int, start: int, stop: int
) -> None:
    places = scores.shape[1]
    words = np.empty(-(-places // 4), np.uint64)
    lot, grown, bound = words.view(np.uint16), np.float32(65536 / (65536 - dropped)), np.uint16(dropped)
    for m in range(start, stop):
        for i in range(places):
            end = looks[m] if looks[m] > 0 else i + 1
            row, its = scores[m, i, :end], out[m, i, :end]
            highest, total = np.float32(-np.inf), np.float32(0)
            for j in range(end):
                highest = maximum(highest, row[j])
            for j in range(end):
                row[j] = exp((row[j] - highest) * scale)
                total += row[j]
            share = np.float32(1) / total
            lots(words, seed, (m * places + i) * len(words))
            for j in range(end):
                row[j] *= share
                its[j] = row[j] * grown if lot[j] >= bound else np.float32(0)
            scores[m, i, end:] = 0
            out[m, i, end:] = 0


@kernel
def _gradient(
    shares: Floats, out: Floats, looks: Ints, scale: np.float32, seed: np.uint64, dropped: int, start: int, stop: int
) -> None:
    places = shares.shape[1]
    words = np.empty(-(-places // 4), np.uint64)
    lot, grown, bound = words.view(np.uint16), np.float32(65536 / (65536 - dropped)), np.uint16(dropped)
    for m in range(start, stop):
        for i in range(places):
            end = looks[m] if looks[m] > 0 else i + 1
            row, its = shares[m, i, :end], out[m, i, :end]
            lots(words, seed, (m * places + i) * len(words))
            mean = np.float32(0)
            for j in range(end):
                its[j] = its[j] * grown if lot[j] >= bound else np.float32(0)
                mean += its[j] * row[j]
            for j in range(end):
                its[j] = row[j] * (its[j] - mean) * scale
                row[j] = row[j] * grown if lot[j] >= bound else np.float32(0)
            out[m, i, end:] = 0
