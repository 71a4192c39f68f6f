"""One epoch of stochastic gradient descent on ratings, where a user's row is their own plus what their items add.

All items of a user are moved by the same amount with each of the user's ratings, so that the sum of their rows can be
moved in their stead, and they themselves once, when the user is done: what is computed is the step of every item with
every rating, at the cost of two. The steps are one after the other: every user touches items of all kinds, and items
that are a user behind would be another model's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recli.kernels import kernel, part
from recli.kernels.vector import dot, load, plus, store, times, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.kernels.instructions import Vector

    Floats = NDArray[np.float32]
    Fixed = NDArray[np.void]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]


class Events(NamedTuple):
    """Ratings, user u's from ``indptr[u]`` on: ``item`` (n,), and ``rest`` (n,), what of it is to be explained.

    ``set_codes`` are the distinct items of each user, from ``set_indptr[u]`` on.
    """

    indptr: Longs
    item: Ints
    rest: Floats
    set_indptr: Longs
    set_codes: Ints


class Times(NamedTuple):
    """When each rating was (n,): how far from the user's mean, and the places in the biases of days and of bins."""

    drift: Floats
    day: Ints
    bin: Ints


class Learned(NamedTuple):
    """What the steps move: rows (users or items, width), and biases."""

    user: Floats
    item: Floats
    implicit: Floats
    user_bias: Floats
    item_bias: Floats


class Changing(NamedTuple):
    """What they move where time counts: rows and slopes of the users' drift, biases (days,) and (items, bins)."""

    user: Floats
    slope: Floats
    day_bias: Floats
    bin_bias: Floats


@part
def _sum(start: int, stop: int, codes: Ints, implicit: Floats, fixed: Fixed) -> Vector:
    """The rows of the items ``codes[start:stop]``, divided by the root of their number."""
    total: Vector = zeros(fixed)
    share = np.float32(1 / np.sqrt(max(stop - start, 1)))
    for at in range(start, stop):
        total = plus(total, share, load(implicit, codes[at], fixed))
    return total


@part
def _move(start: int, stop: int, codes: Ints, implicit: Floats, moved: Vector, kept: np.float32, fixed: Fixed) -> None:
    """Let each of these rows have its share of what their sum was ``moved`` by, and keep ``kept`` of itself."""
    each = times(np.float32(1 / np.sqrt(max(stop - start, 1))), moved)
    for at in range(start, stop):
        store(implicit, codes[at], plus(each, kept, load(implicit, codes[at], fixed)))


@kernel
def epoch(events: Events, learned: Learned, rate: float, reg: float, fixed: Fixed) -> float:
    """A step for each rating, user by user, in place on what is ``learned``; returns the sum of the squared errors."""
    step, keep, total = np.float32(rate), np.float32(1 - rate * reg), np.float64(0)
    for u in range(len(learned.user_bias)):
        start, stop = events.set_indptr[u], events.set_indptr[u + 1]
        own, bias = load(learned.user, u, fixed), learned.user_bias[u]
        row = plus(_sum(start, stop, events.set_codes, learned.implicit, fixed), np.float32(1), own)
        moved, kept = zeros(fixed), np.float32(1)
        for at in range(events.indptr[u], events.indptr[u + 1]):
            i = events.item[at]
            other = load(learned.item, i, fixed)
            error = events.rest[at] - bias - learned.item_bias[i] - dot(row, other)
            move = step * error
            bias = keep * bias + move
            learned.item_bias[i] = keep * learned.item_bias[i] + move
            store(learned.item, i, plus(times(keep, other), move, row))
            row = plus(times(keep, row), np.float32(2) * move, other)  # once for the user's own, once for the sum
            moved = plus(times(keep, moved), move, other)
            kept *= keep
            total += np.float64(error) * np.float64(error)
        learned.user_bias[u] = bias
        store(learned.user, u, plus(moved, kept, own))
        _move(start, stop, events.set_codes, learned.implicit, moved, kept, fixed)
    return total


@kernel
def epoch_in_time(
    events: Events,
    when: Times,
    learned: Learned,
    changing: Changing,
    rate: float,
    reg: float,
    day_reg: float,
    bin_rate: float,
    drift_rate: float,
    drift_reg: float,
    fixed: Fixed,
) -> float:
    """The same where users drift and biases change, with steps and a ``reg`` of their own as the names say."""
    step, keep, total = np.float32(rate), np.float32(1 - rate * reg), np.float64(0)
    day_keep = np.float32(1 - rate * day_reg)
    bin_step, bin_keep = np.float32(bin_rate), np.float32(1 - bin_rate * reg)
    drift_step, drift_keep = np.float32(drift_rate), np.float32(1 - drift_rate * drift_reg)
    for u in range(len(learned.user_bias)):
        start, stop = events.set_indptr[u], events.set_indptr[u + 1]
        own, bias = load(learned.user, u, fixed), learned.user_bias[u]
        turned, slope = load(changing.user, u, fixed), changing.slope[u]
        row = plus(_sum(start, stop, events.set_codes, learned.implicit, fixed), np.float32(1), own)
        moved, kept = zeros(fixed), np.float32(1)
        for at in range(events.indptr[u], events.indptr[u + 1]):
            i, day, bin, drift = events.item[at], when.day[at], when.bin[at], when.drift[at]
            other, then = load(learned.item, i, fixed), plus(row, drift, turned)
            biases = bias + slope * drift + changing.day_bias[day] + learned.item_bias[i] + changing.bin_bias[i, bin]
            error = events.rest[at] - biases - dot(then, other)
            move, turn = step * error, drift_step * drift * error
            bias, slope = keep * bias + move, drift_keep * slope + turn
            changing.day_bias[day] = day_keep * changing.day_bias[day] + move
            learned.item_bias[i] = keep * learned.item_bias[i] + move
            changing.bin_bias[i, bin] = bin_keep * changing.bin_bias[i, bin] + bin_step * error
            store(learned.item, i, plus(times(keep, other), move, then))
            row = plus(times(keep, row), np.float32(2) * move, other)
            turned = plus(times(drift_keep, turned), turn, other)
            moved = plus(times(keep, moved), move, other)
            kept *= keep
            total += np.float64(error) * np.float64(error)
        learned.user_bias[u], changing.slope[u] = bias, slope
        store(learned.user, u, plus(moved, kept, own))
        store(changing.user, u, turned)
        _move(start, stop, events.set_codes, learned.implicit, moved, kept, fixed)
    return total
