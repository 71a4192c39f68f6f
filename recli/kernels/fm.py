"""Factorisation machines over a sparse design matrix: scores, stochastic gradient descent, alternating least squares.

A case x, a row of the matrix (cases, features) float32 csr, has the score (Rendle 2010, "Factorization machines", ICDM)

    s(x) = w0 + sum_j w_j x_j + sum_{i < j} x_i x_j v_i'v_j
         = w0 + sum_j w_j x_j + (|sum_j x_j v_j|^2 - sum_j |x_j v_j|^2) / 2    (lemma 3.1).

What is learned is a `Machine`, by one of two functions, which both go over all cases once, in place, as LibFM does
(Rendle 2012, "Factorization machines with libFM", ACM TIST):

    epoch   a step of gradient descent for each case in the order given, on one thread: cases share features, so that
            there are no strata in which threads would not meet. The target is a number (squared error), or a label, 1
            or 0 (logistic loss: the probability is 1 / (1 + exp(-s))).
    sweep   each number at its minimum, the others fixed. The target is a number, or a label (probit: the probability is
            `probability`, Phi(s)); then the sweep is at the expectation of the latent target, so that sweeps climb the
            likelihood (EM). Columns that have no case in common, as the values of a field, are shared among threads.

A result is the same for any number of threads. A model with ``-p solver=sgd|als`` starts from `Machine.of`, calls
either until its epochs are done, and scores with `scores`, or with `sums` where a case has parts that recur.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import exp, log1p
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recli.kernels import aligned, fixed, kernel, part, spread
from recli.kernels.vector import dot, fetch, load, plus, store, times, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Fixed = NDArray[np.void]


class Machine(NamedTuple):
    """What is learned, float32: w0 as ``bias`` (1,), w as ``weight`` (features,), v as ``rows`` (features, width)."""

    bias: Floats
    weight: Floats
    rows: Floats

    @classmethod
    def of(cls, features: int, width: int, rng: np.random.Generator, deviation: float = 0.1) -> Machine:
        """Rows of a normal distribution around 0, and zeros."""
        rows = aligned(features, width)
        rows[:] = rng.normal(0, deviation, rows.shape)
        return cls(np.zeros(1, np.float32), np.zeros(features, np.float32), rows)


class Penalty(NamedTuple):
    """Half of which, times the squares of the numbers, is added to the loss; in `epoch` at each step that has them."""

    bias: float
    weight: float
    rows: float


class Sums(NamedTuple):
    """Of cases: ``first`` (n,) = sum_j w_j x_j - sum_j |x_j v_j|^2 / 2, and ``rows`` (n, width) = sum_j x_j v_j.

    Both add up over the parts of a case, whose score is w0 + first + |rows|^2 / 2.
    """

    first: Floats
    rows: Floats


def scores(x: csr_matrix, machine: Machine) -> Floats:
    """The score of each case (cases,)."""
    out, given = np.empty(x.shape[0], np.float32), _cases(x)
    width = fixed(machine.rows.shape[1])
    spread(partial(_scores, *given, *machine, out, width), len(out))
    return out


def sums(x: csr_matrix, machine: Machine) -> Sums:
    """What the cases, or parts of cases, come to before they meet."""
    n, width = x.shape[0], machine.rows.shape[1]
    found, given = Sums(np.empty(n, np.float32), aligned(n, width)), _cases(x)
    spread(partial(_sums, *given, *machine[1:], *found, fixed(width)), n)
    return found


def epoch(
    x: csr_matrix, target: Floats, order: Longs, machine: Machine, penalty: Penalty, *, rate: float, label: bool
) -> float:
    """A step for each case in ``order``, of ``rate`` times the gradient of (s - target)^2 / 2, or of the logistic loss.

    Returns the mean loss, each as it was before its step, without the penalty.
    """
    bias, weight, rows = (np.float32(1 - rate * one) for one in penalty)
    width, step = fixed(machine.rows.shape[1]), np.float32(rate)
    total = _epoch(*_cases(x), target, order, *machine, step, bias, weight, rows, label, width)
    return float(total) / max(len(order), 1)


class Columns(NamedTuple):
    """The design matrix by columns, for `sweep`.

    Column j has ``values`` in ``cases`` from ``indptr[j]`` on. No case is in two columns of a group: those from
    ``groups[g]`` to ``groups[g + 1]``.
    """

    indptr: Longs
    cases: Ints
    values: Floats
    groups: Longs

    @classmethod
    def of(cls, x: csr_matrix) -> Columns:
        """Of a matrix whose indices are sorted, none of them twice in a case."""
        by_column = x.tocsc()
        starts = np.zeros(x.shape[1] + 1, np.int64)
        count = _groups(*_cases(x)[:2], starts)
        return cls(by_column.indptr.astype(np.int64), by_column.indices, by_column.data, starts[: count + 1])


def residuals(scores: Floats, target: Floats, *, label: bool) -> Doubles:
    """How far the target is above each score; of a label the expectation of the latent target, given the label.

    That is t ~ N(s, 1), above 0 where the label is 1, below 0 where it is 0: E t - s = ± phi(s) / Phi(± s).
    """
    if not label:
        return target.astype(np.float64) - scores
    from scipy.special import log_ndtr

    sign = np.where(target > 0, 1.0, -1.0)
    given = np.asarray(scores, np.float64)
    return np.asarray(sign * np.exp(-(given**2 + np.log(2 * np.pi)) / 2 - log_ndtr(sign * given)))


def probability(scores: Floats) -> Floats:
    """That a label is 1, after `sweep`: Phi(s)."""
    from scipy.special import ndtr

    return np.asarray(ndtr(scores), np.float32)


def sweep(x: csr_matrix, columns: Columns, target: Floats, machine: Machine, penalty: Penalty, *, label: bool) -> float:
    """Put w0, then each w_j, then for each factor f each v_jf where the loss is least, all the others fixed.

    The loss is half of the sum of the squared `residuals`, as they are before the sweep, and of the penalty. For a
    number that enters the score as a + h z, h by case, the minimum is z = sum h (rest + h z) / (sum h^2 + penalty)
    (Rendle 2012, algorithm 3); rest is the residual, and of a number without a case it is 0. Returns the root of the
    mean squared residual that is left.
    """
    rest = residuals(scores(x, machine), target, label=label)
    bias = np.float32((rest.sum() + len(rest) * np.float64(machine.bias[0])) / (len(rest) + penalty.bias))
    rest -= np.float64(bias) - np.float64(machine.bias[0])
    machine.bias[0] = bias
    _spread(columns, partial(_weights, *columns[:3], machine.weight, rest, penalty.weight))
    along, given = np.empty(len(rest)), _cases(x)
    for factor in range(machine.rows.shape[1]):
        spread(partial(_along, *given, machine.rows, factor, along), len(along))
        _spread(columns, partial(_factor, *columns[:3], machine.rows, factor, rest, along, penalty.rows))
    return float(np.sqrt(np.mean(rest**2)))


def _cases(x: csr_matrix) -> tuple[Longs, Ints, Floats]:
    """A matrix as the kernels take it: where each case begins, its features and its values."""
    return x.indptr.astype(np.int64), x.indices.astype(np.int32, copy=False), x.data.astype(np.float32, copy=False)


def _spread(columns: Columns, work: Callable[[int, int], object]) -> None:
    """Call ``work(start, stop)`` for pieces of one group of columns after the other."""
    for first, last in pairwise(columns.groups.tolist()):
        entries = columns.indptr[first : last + 1] - columns.indptr[first]
        spread(partial(_shifted, work, first), last - first, entries)


def _shifted(work: Callable[[int, int], object], by: int, start: int, stop: int) -> None:
    work(by + start, by + stop)


@kernel
def _groups(indptr: Longs, codes: Ints, starts: Longs) -> int:
    """Find where groups of columns without a common case begin, as far apart as can be; returns how many there are.

    Behind the last one stands where it ends.
    """
    features, groups = len(starts) - 1, 0
    before = np.full(features, -1, np.int64)
    for case in range(len(indptr) - 1):
        for at in range(indptr[case] + 1, indptr[case + 1]):
            before[codes[at]] = max(before[codes[at]], codes[at - 1])
    for feature in range(features):
        if before[feature] >= starts[groups]:
            groups += 1
            starts[groups] = feature
    starts[groups + 1] = features
    return groups + 1


@part
def _score(low: int, high: int, codes: Ints, values: Floats, weight: Floats, rows: Floats, fixed: Fixed) -> Any:
    """What a case comes to: the sum of its w_j x_j - |x_j v_j|^2 / 2, and that of its x_j v_j."""
    first, total = np.float32(0), zeros(fixed)
    for at in range(low, high):
        row = times(values[at], load(rows, codes[at], fixed))
        first += values[at] * weight[codes[at]] - np.float32(0.5) * dot(row, row)
        total = plus(total, np.float32(1), row)
    return first, total


@kernel
def _scores(
    indptr: Longs,
    codes: Ints,
    values: Floats,
    bias: Floats,
    weight: Floats,
    rows: Floats,
    out: Floats,
    fixed: Fixed,
    start: int,
    stop: int,
) -> None:
    for case in range(start, stop):
        first, total = _score(indptr[case], indptr[case + 1], codes, values, weight, rows, fixed)
        out[case] = bias[0] + first + np.float32(0.5) * dot(total, total)


@kernel
def _sums(
    indptr: Longs,
    codes: Ints,
    values: Floats,
    weight: Floats,
    rows: Floats,
    out: Floats,
    totals: Floats,
    fixed: Fixed,
    start: int,
    stop: int,
) -> None:
    for case in range(start, stop):
        first, total = _score(indptr[case], indptr[case + 1], codes, values, weight, rows, fixed)
        out[case] = first
        store(totals, case, total)


@kernel
def _epoch(
    indptr: Longs,
    codes: Ints,
    values: Floats,
    target: Floats,
    order: Longs,
    bias: Floats,
    weight: Floats,
    rows: Floats,
    rate: np.float32,
    keep_bias: np.float32,
    keep_weight: np.float32,
    keep_rows: np.float32,
    label: bool,
    fixed: Fixed,
) -> float:
    """Rendle 2012, algorithm 1; returns the sum of the losses."""
    loss = np.float64(0)
    for at_case in range(len(order)):
        case = order[at_case]
        low, high = indptr[case], indptr[case + 1]
        if at_case + 1 < len(order):
            following = order[at_case + 1]
            for at in range(indptr[following], indptr[following + 1]):
                fetch(rows, codes[at], fixed)
        first, total = _score(low, high, codes, values, weight, rows, fixed)
        score, wanted = bias[0] + first + np.float32(0.5) * dot(total, total), target[case]
        if label:
            error = np.float32(1 / (1 + exp(-np.float64(score)))) - wanted
            loss += log1p(exp(-abs(np.float64(score)))) + max(np.float64(score), 0.0) - wanted * np.float64(score)
        else:
            error = score - wanted
            loss += np.float64(error) * np.float64(error) / 2
        step = rate * error
        bias[0] = keep_bias * bias[0] - step
        for at in range(low, high):
            feature, value = codes[at], values[at]
            weight[feature] = keep_weight * weight[feature] - step * value
            kept = times(keep_rows + step * value * value, load(rows, feature, fixed))
            store(rows, feature, plus(kept, -step * value, total))
    return loss


@kernel
def _weights(
    indptr: Longs, cases: Ints, values: Floats, weight: Floats, rest: Doubles, penalty: float, start: int, stop: int
) -> None:
    """Each w_j at its minimum."""
    for j in range(start, stop):
        above, below = np.float64(0), np.float64(0)
        for at in range(indptr[j], indptr[j + 1]):
            x = np.float64(values[at])
            above += x * rest[cases[at]]
            below += x * x
        if below + penalty > 0:
            before = np.float64(weight[j])
            weight[j] = (above + before * below) / (below + penalty)
            change = np.float64(weight[j]) - before
            for at in range(indptr[j], indptr[j + 1]):
                rest[cases[at]] -= change * np.float64(values[at])


@kernel
def _along(
    indptr: Longs, codes: Ints, values: Floats, rows: Floats, factor: int, out: Doubles, start: int, stop: int
) -> None:
    for case in range(start, stop):
        total = np.float64(0)
        for at in range(indptr[case], indptr[case + 1]):
            total += np.float64(values[at]) * np.float64(rows[codes[at], factor])
        out[case] = total


@kernel
def _factor(
    indptr: Longs,
    cases: Ints,
    values: Floats,
    rows: Floats,
    factor: int,
    rest: Doubles,
    along: Doubles,
    penalty: float,
    start: int,
    stop: int,
) -> None:
    """Each v_jf of one f at its minimum; ``along`` is kept at the sum of each case's x_j v_jf."""
    for j in range(start, stop):
        before, above, below = np.float64(rows[j, factor]), np.float64(0), np.float64(0)
        for at in range(indptr[j], indptr[j + 1]):
            x = np.float64(values[at])
            h = x * (along[cases[at]] - x * before)
            above += h * rest[cases[at]]
            below += h * h
        if below + penalty > 0:
            rows[j, factor] = (above + before * below) / (below + penalty)
            change = np.float64(rows[j, factor]) - before
            for at in range(indptr[j], indptr[j + 1]):
                x = np.float64(values[at])
                rest[cases[at]] -= change * x * (along[cases[at]] - x * before)
                along[cases[at]] += change * x
