"""Gated recurrent units over whole windows: a few rows go through all places, and their states stay near."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.kernels import kernel, part, spread
from recli.kernels.exponential import exp
from recli.kernels.products import Lanes, add_panels, lanes, panels, scratch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

TOGETHER: Final = 4  # rows, as many as a product takes at a time
ONE, TWO = np.float32(1), np.float32(2)


def forward(read: Floats, keep: Floats, kept: Floats, gates: Floats, new: Floats, states: Floats) -> None:
    """Fill ``states`` (places + 1, n, size), from the first on, which is there: h' = (1 - z) * n + z * h.

    ``read`` (places, n, 3 size) are a_r, a_z and a_n, ``keep`` (3 size, size) is U. Fills also ``gates`` (places, n,
    2 size), which are r, z = s(a + U h), ``kept`` (places, n, size), U_n h, and ``new``: n = tanh(a_n + r * U_n h).
    """
    given = (read, panels(keep.T), kept, gates, new, states, lanes())
    spread(partial(_forward, *given), -(-read.shape[1] // TOGETHER), even=True)


def backward(
    of: Floats, keep: Floats, kept: Floats, gates: Floats, new: Floats, states: Floats, slopes: Floats
) -> None:
    """The way back of `forward`: from the gradient ``of`` the states behind the first, (places, n, size).

    Fills ``slopes`` (places, n, 4 size) with those of a_n, of a_r and a_z, which are those of U_r h and U_z h too, and
    of U_n h.
    """
    given = (of, panels(keep), kept, gates, new, states, slopes, lanes())
    spread(partial(_backward, *given), -(-of.shape[1] // TOGETHER), even=True)


@part
def sigmoid(x: np.float32) -> np.float32:
    """1 / (1 + exp(-x))."""
    e = exp(-np.abs(x))
    near: np.float32 = (ONE if x >= 0 else e) / (ONE + e)
    return near


@kernel
def _forward(
    read: Floats,
    weights: Floats,
    kept: Floats,
    gates: Floats,
    new: Floats,
    states: Floats,
    lanes: Lanes,
    start: int,
    stop: int,
) -> None:
    places, n, size = new.shape
    low, high, wide = start * TOGETHER, min(stop * TOGETHER, n), len(weights) // size
    rows, flat = scratch(high - low, wide), states.reshape(-1)
    for t in range(places):
        rows[:] = 0
        before = flat[(t * n + low) * size :]
        add_panels(before, size, high - low, size, weights, 0, rows.reshape(-1), 0, wide, wide, lanes)
        for r in range(low, high):
            a, u, g, own = read[t, r], rows[r - low], gates[t, r], kept[t, r]
            made, h, out = new[t, r], states[t, r], states[t + 1, r]
            for j in range(2 * size):
                g[j] = sigmoid(a[j] + u[j])
            for j in range(size):
                own[j] = u[2 * size + j]
                made[j] = TWO * sigmoid(TWO * (a[2 * size + j] + g[j] * u[2 * size + j])) - ONE  # tanh
            for j in range(size):
                out[j] = made[j] + g[size + j] * (h[j] - made[j])


@kernel
def _backward(
    of: Floats,
    weights: Floats,
    kept: Floats,
    gates: Floats,
    new: Floats,
    states: Floats,
    slopes: Floats,
    lanes: Lanes,
    start: int,
    stop: int,
) -> None:
    places, n, size = new.shape
    low, high, wide = start * TOGETHER, min(stop * TOGETHER, n), len(weights) // (3 * size)
    rows, flat = scratch(high - low, wide), slopes.reshape(-1)
    for t in range(places - 1, -1, -1):
        for r in range(low, high):
            d, given, g, own = rows[r - low], of[t, r], gates[t, r], kept[t, r]
            made, h, out = new[t, r], states[t, r], slopes[t, r]
            for j in range(size):
                slope, reset, update = d[j] + given[j], g[j], g[size + j]
                of_new = slope * (ONE - update) * (ONE - made[j] * made[j])
                out[j] = of_new
                out[size + j] = of_new * own[j] * reset * (ONE - reset)
                out[2 * size + j] = slope * (h[j] - made[j]) * update * (ONE - update)
                out[3 * size + j] = of_new * reset
                d[j] = slope * update
        gates_of = flat[(t * n + low) * 4 * size + size :]
        add_panels(gates_of, 4 * size, high - low, 3 * size, weights, 0, rows.reshape(-1), 0, wide, wide, lanes)
