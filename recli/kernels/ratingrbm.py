"""A restricted Boltzmann machine of ratings: rows of softmax units, of which only those that were rated take part."""

from __future__ import annotations

from functools import partial
from math import exp
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recli.kernels import kernel, part, spread
from recli.kernels.splitmix import STEP, mixed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]


class Machine(NamedTuple):
    """The weights (items, levels, width), the biases of visible (items, levels) and of hidden units (width,)."""

    weights: Floats
    visible: Floats
    hidden: Floats


class Contrast(NamedTuple):
    """Of each user the hidden units' probabilities (users, width), given the data and at the end of the chain.

    ``drawn`` (n,) are the levels at the end of the chain, of each event.
    """

    first: Floats
    last: Floats
    drawn: Ints


def hidden(indptr: Longs, items: Ints, levels: Ints, machine: Machine) -> Floats:
    """The probability of each hidden unit given a user's ratings (users, width): §2's p(h_j = 1 | V)."""
    out = np.empty((len(indptr) - 1, len(machine.hidden)), np.float32)
    given = (indptr, items, levels, machine.weights, machine.hidden, out)
    spread(partial(_hidden, *given), len(out))
    return out


def expected(rows: Floats, machine: Machine, values: Floats) -> Floats:
    """The mean of the levels' ``values`` (levels,) under p(v | h = a row), of every row and item (rows, items)."""
    out = np.empty((len(rows), len(machine.weights)), np.float32)
    given = (rows, machine.weights, machine.visible, values, out)
    spread(partial(_expected, *given), len(rows))
    return out


def expected_pairs(rows: Floats, items: Ints, machine: Machine, values: Floats) -> Floats:
    """The same of one item a row (rows,)."""
    out = np.empty(len(rows), np.float32)
    given = (rows, items, machine.weights, machine.visible, values, out)
    spread(partial(_expected_pairs, *given), len(rows))
    return out


def contrast(events: csr_matrix, machine: Machine, steps: int, seed: np.uint64) -> Contrast:
    """Run ``steps`` steps of Gibbs sampling from the data, those of ``events`` (users, items) being the levels."""
    shape = (events.shape[0], len(machine.hidden))
    found = Contrast(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(events.nnz, np.int32))
    given = (events.indptr, events.indices, events.data, *machine, *found, steps, seed)
    spread(partial(_contrast, *given), len(found.first))
    return found


def learn(
    events: csr_matrix, found: Contrast, machine: Machine, speed: Machine, rate: float, momentum: float, decay: float
) -> None:
    """A step up the gradient, in place: speed = momentum × speed + rate × (gradient - decay × (weights - their mean)).

    The gradient is the mean over the users of what is found under the data less what at the end of the chain; the
    mean weights are those of all items, and so are the mean biases. The hidden units' biases do not decay.
    """
    from scipy.sparse import csr_matrix

    users = events.shape[0]
    places = csr_matrix((np.arange(events.nnz, dtype=np.int32), events.indices, events.indptr), events.shape).tocsc()
    by_item = (places.indptr, places.indices, places.data, events.data, *found)
    means = (machine.weights.mean(0), machine.visible.mean(0))
    parts = (*machine[:2], *speed[:2], *means)
    how = (np.float32(rate / users), np.float32(momentum), np.float32(rate * decay))
    spread(partial(_learn, *by_item, *parts, *how), len(machine.weights))
    speed.hidden[:] = momentum * speed.hidden + rate * (found.first - found.last).mean(0)
    machine.hidden[:] += speed.hidden


@part
def _activate(items: Ints, levels: Ints, weights: Floats, bias: Floats, out: Floats) -> None:
    """out = p(h = 1 | the levels of the items)."""
    out[:] = bias
    for at in range(len(items)):
        theirs = weights[items[at], levels[at]]
        for f in range(len(out)):
            out[f] += theirs[f]
    for f in range(len(out)):
        out[f] = np.float32(1) / (np.float32(1) + np.float32(exp(-out[f])))


@part
def _uniform(state: np.uint64) -> np.float32:
    """A number from 0 on and below 1 for each state."""
    return np.float32(mixed(state) >> np.uint64(40)) * np.float32(2.0**-24)


@part
def _odds(h: Floats, weights: Floats, bias: Floats, odds: Floats) -> None:
    """odds = p(v = level | h) of one item, but for a factor; the largest is 1."""
    top = np.float32(-np.inf)
    for level in range(len(odds)):
        x = np.float32(0)
        for f in range(len(h)):
            x += h[f] * weights[level, f]
        odds[level] = x + bias[level]
        top = max(top, odds[level])
    for level in range(len(odds)):
        odds[level] = np.float32(exp(odds[level] - top))


@part
def _draw(odds: Floats, uniform: np.float32) -> int:
    """A level, by its odds."""
    left, level = uniform * odds.sum(), 0
    while level < len(odds) - 1 and odds[level] <= left:
        left -= odds[level]
        level += 1
    return level


@part
def _mean(odds: Floats, values: Floats) -> np.float32:
    total, mean = np.float32(0), np.float32(0)
    for level in range(len(odds)):
        total += odds[level]
        mean += odds[level] * values[level]
    return mean / total


@kernel
def _hidden(
    indptr: Longs, items: Ints, levels: Ints, weights: Floats, bias: Floats, out: Floats, start: int, stop: int
) -> None:
    for row in range(start, stop):
        span = slice(indptr[row], indptr[row + 1])
        _activate(items[span], levels[span], weights, bias, out[row])


@kernel
def _expected(
    rows: Floats, weights: Floats, visible: Floats, values: Floats, out: Floats, start: int, stop: int
) -> None:
    odds = np.empty(len(values), np.float32)
    for item in range(len(weights)):  # the outer loop, as its weights are the most to read
        for row in range(start, stop):
            _odds(rows[row], weights[item], visible[item], odds)
            out[row, item] = _mean(odds, values)


@kernel
def _expected_pairs(
    rows: Floats, items: Ints, weights: Floats, visible: Floats, values: Floats, out: Floats, start: int, stop: int
) -> None:
    odds = np.empty(len(values), np.float32)
    for row in range(start, stop):
        _odds(rows[row], weights[items[row]], visible[items[row]], odds)
        out[row] = _mean(odds, values)


@kernel
def _contrast(
    indptr: Ints,
    items: Ints,
    levels: Ints,
    weights: Floats,
    visible: Floats,
    bias: Floats,
    first: Floats,
    last: Floats,
    drawn: Ints,
    steps: int,
    seed: np.uint64,
    start: int,
    stop: int,
) -> None:
    """Each user has random numbers of its own: one a hidden unit, then one an event, in each step."""
    h, odds = np.empty(len(bias), np.float32), np.empty(visible.shape[1], np.float32)
    for row in range(start, stop):
        state = seed + STEP * (np.uint64(row) << np.uint64(32))
        span = slice(indptr[row], indptr[row + 1])
        _activate(items[span], levels[span], weights, bias, first[row])
        last[row] = first[row]
        for _ in range(steps):
            for f in range(len(h)):
                state += STEP
                h[f] = np.float32(1) if _uniform(state) < last[row, f] else np.float32(0)
            for at in range(indptr[row], indptr[row + 1]):
                state += STEP
                _odds(h, weights[items[at]], visible[items[at]], odds)
                drawn[at] = _draw(odds, _uniform(state))
            _activate(items[span], drawn[span], weights, bias, last[row])


@kernel
def _learn(
    indptr: Ints,
    rows: Ints,
    places: Ints,
    levels: Ints,
    first: Floats,
    last: Floats,
    drawn: Ints,
    weights: Floats,
    visible: Floats,
    speed: Floats,
    of_visible: Floats,
    centre: Floats,
    centre_visible: Floats,
    rate: np.float32,
    momentum: np.float32,
    decay: np.float32,
    start: int,
    stop: int,
) -> None:
    """Of each item, from its events in their order; ``places`` says where these are in ``levels`` and ``drawn``."""
    for item in range(start, stop):
        for level in range(weights.shape[1]):
            away = visible[item, level] - centre_visible[level]
            of_visible[item, level] = momentum * of_visible[item, level] - decay * away
            for f in range(weights.shape[2]):
                apart = weights[item, level, f] - centre[level, f]
                speed[item, level, f] = momentum * speed[item, level, f] - decay * apart
        for at in range(indptr[item], indptr[item + 1]):
            was, became = levels[places[at]], drawn[places[at]]
            of_visible[item, was] += rate
            of_visible[item, became] -= rate
            up, down, more, less = speed[item, was], speed[item, became], first[rows[at]], last[rows[at]]
            for f in range(weights.shape[2]):
                up[f] += rate * more[f]
            for f in range(weights.shape[2]):
                down[f] -= rate * less[f]
        for level in range(weights.shape[1]):
            visible[item, level] += of_visible[item, level]
            for f in range(weights.shape[2]):
                weights[item, level, f] += speed[item, level, f]
