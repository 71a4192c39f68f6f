"""An autoencoder of one hidden layer, computed at the observed entries only, and Adam."""

from __future__ import annotations

from functools import partial
from math import exp, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recli.kernels import kernel, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

KEPT: Final = (0.9, 0.999)  # of Adam's mean and mean square at each step
TINY: Final = 1e-8


class Network(NamedTuple):
    """Row c of ``encoder`` and ``decoder`` (columns, width) belongs to column c; so does ``bias`` (columns,).

    All are parts of ``every``, one after the other; the matrices come first.
    """

    every: Floats
    encoder: Floats
    decoder: Floats
    hidden_bias: Floats
    bias: Floats

    @classmethod
    def of(cls, columns: int, width: int) -> Network:
        """Zeros."""
        every = np.zeros(2 * columns * width + width + columns, np.float32)
        encoder, decoder, hidden_bias, bias = np.split(every, np.cumsum([columns * width, columns * width, width]))
        return cls(every, encoder.reshape(columns, width), decoder.reshape(columns, width), hidden_bias, bias)


def encode(events: csr_matrix, network: Network) -> Floats:
    """The hidden layer of each row (rows, width): the sigmoid of its bias plus the sum of r times an encoder row."""
    hidden = np.empty((events.shape[0], len(network.hidden_bias)), np.float32)
    given = (events.indptr, events.indices, events.data, network.encoder, network.hidden_bias, hidden)
    spread(partial(_encode, *given), len(hidden))
    return hidden


def descend(events: csr_matrix, network: Network, gradient: Network, reg_weight: float) -> float:
    """Write the gradient of  1/2 (sum of e^2 + reg_weight (|encoder|^2 + |decoder|^2)),  e = output - r at each event.

    Returns the sum of e^2.
    """
    from scipy.sparse import csr_matrix

    hidden = encode(events, network)
    error, slope = np.empty(events.nnz, np.float32), np.empty_like(hidden)
    given = (events.indptr, events.indices, events.data, network.decoder, network.bias, hidden, error, slope)
    spread(partial(_errors, *given), len(hidden))
    places = csr_matrix((np.arange(events.nnz, dtype=np.int32), events.indices, events.indptr), events.shape).tocsc()
    by_column = (places.indptr, places.indices, places.data, events.data, error, hidden, slope)
    parts = (*network[1:3], *gradient[1:3], gradient.bias, np.float32(reg_weight))
    spread(partial(_gradient, *by_column, *parts), len(network.bias))
    slope.sum(0, out=gradient.hidden_bias)
    return float(np.square(error, dtype=np.float64).sum())


class Adam:
    """Kingma & Ba 2015, "Adam: a method for stochastic optimization" (ICLR), Algorithm 1, in place on an array."""

    def __init__(self, values: Floats) -> None:
        self.values, self.steps = values, 0
        self.mean, self.square = np.zeros_like(values), np.zeros_like(values)

    def step(self, gradient: Floats, learning_rate: float) -> None:
        """Down the gradient."""
        self.steps += 1
        first, second = (1 - kept**self.steps for kept in KEPT)
        rate = np.float32(learning_rate * sqrt(second) / first)
        given = (self.values, gradient, self.mean, self.square, rate, np.float32(TINY * sqrt(second)))
        spread(partial(_adam, *given), len(self.values))


@kernel
def _encode(
    indptr: Ints, codes: Ints, values: Floats, encoder: Floats, bias: Floats, hidden: Floats, start: int, stop: int
) -> None:
    for row in range(start, stop):
        h = hidden[row]
        h[:] = bias
        for at in range(indptr[row], indptr[row + 1]):
            value, theirs = values[at], encoder[codes[at]]
            for f in range(len(h)):
                h[f] += value * theirs[f]
        for f in range(len(h)):
            h[f] = np.float32(1) / (np.float32(1) + np.float32(exp(-h[f])))


@kernel
def _errors(
    indptr: Ints,
    codes: Ints,
    values: Floats,
    decoder: Floats,
    bias: Floats,
    hidden: Floats,
    error: Floats,
    slope: Floats,
    start: int,
    stop: int,
) -> None:
    """The error at each event, and the gradient of the input of each row's hidden layer."""
    for row in range(start, stop):
        h, s = hidden[row], slope[row]
        s[:] = 0
        for at in range(indptr[row], indptr[row + 1]):
            theirs = decoder[codes[at]]
            e = np.float32(0)
            for f in range(len(h)):
                e += h[f] * theirs[f]
            e += bias[codes[at]] - values[at]
            for f in range(len(h)):
                s[f] += e * theirs[f]
            error[at] = e
        for f in range(len(h)):
            s[f] *= h[f] * (np.float32(1) - h[f])


@kernel
def _gradient(
    indptr: Ints,
    rows: Ints,
    places: Ints,
    values: Floats,
    error: Floats,
    hidden: Floats,
    slope: Floats,
    encoder: Floats,
    decoder: Floats,
    of_encoder: Floats,
    of_decoder: Floats,
    of_bias: Floats,
    reg: np.float32,
    start: int,
    stop: int,
) -> None:
    """Of each column, from its events; ``places`` says where these are in ``values`` and ``error``."""
    for column in range(start, stop):
        up, down, total = of_encoder[column], of_decoder[column], np.float32(0)
        for f in range(len(up)):
            up[f], down[f] = reg * encoder[column, f], reg * decoder[column, f]
        for at in range(indptr[column], indptr[column + 1]):
            value, e = values[places[at]], error[places[at]]
            h, s = hidden[rows[at]], slope[rows[at]]
            total += e
            for f in range(len(up)):
                up[f] += value * s[f]
                down[f] += e * h[f]
        of_bias[column] = total


@kernel
def _adam(
    values: Floats,
    gradient: Floats,
    mean: Floats,
    square: Floats,
    rate: np.float32,
    tiny: np.float32,
    start: int,
    stop: int,
) -> None:
    for at in range(start, stop):
        g = gradient[at]
        mean[at] += np.float32(1 - KEPT[0]) * (g - mean[at])
        square[at] += np.float32(1 - KEPT[1]) * (g * g - square[at])
        values[at] -= rate * mean[at] / (np.sqrt(square[at]) + tiny)
