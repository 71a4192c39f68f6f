"""Factorisation machines: scores, steps and minima, held to the definition in dense numpy, in float64."""

from itertools import pairwise
from math import erfc, log, pi, sqrt

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack
from scipy.special import expit, log_ndtr, ndtr

from recli.kernels import fm, threads
from recli.kernels.fm import Columns, Machine, Penalty

WIDTHS = [1, 5, 16]
PENALTY = Penalty(0.5, 0.25, 2.0)


def cases(n: int = 60, features: int = 12, seed: int = 1) -> csr_matrix:
    """Any numbers, in about a third of the places; the first case is empty."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(0, 1, (n, features)) * (rng.random((n, features)) < 0.3)
    dense[0] = 0
    return csr_matrix(dense.astype(np.float32))


def fields(n: int, sizes: list[int], seed: int = 1) -> csr_matrix:
    """One value of each field, as one-hot columns."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, n) for size in sizes], 1) + np.cumsum([0, *sizes[:-1]])
    return csr_matrix((np.ones(codes.size, np.float32), codes.ravel(), np.arange(n + 1) * len(sizes)), (n, sum(sizes)))


def machine(features: int = 12, width: int = 5, seed: int = 2) -> Machine:
    rng = np.random.default_rng(seed)
    found = Machine.of(features, width, rng, 0.25)
    found.bias[:], found.weight[:] = 0.25, rng.normal(0, 1, features)
    return found


def copy(given: Machine) -> Machine:
    return Machine(*(part.copy() for part in given))


def defined(x: np.ndarray, bias: float, weight: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Equation 1, pair by pair."""
    found = bias + x @ weight
    for i in range(x.shape[1]):
        for j in range(i):
            found = found + x[:, i] * x[:, j] * (rows[i] @ rows[j])
    return np.asarray(found)


def doubles(given: Machine) -> tuple[float, np.ndarray, np.ndarray]:
    return float(given.bias[0]), given.weight.astype(float), given.rows.astype(float)


def targets(x: csr_matrix, *, label: bool, seed: int = 3) -> np.ndarray:
    true = defined(x.toarray().astype(float), *doubles(machine(x.shape[1], seed=seed)))
    noise = np.random.default_rng(seed).normal(0, 0.5, len(true))
    return ((true + noise > 0) if label else true + noise).astype(np.float32)


def loss_of(x: csr_matrix, target: np.ndarray, given: Machine, penalty: Penalty, *, label: bool) -> float:
    """What sweeps bring down: half of the squares and of the penalty, or the probit likelihood in their place."""
    bias, weight, rows = doubles(given)
    scores = defined(x.toarray().astype(float), bias, weight, rows)
    fit = -log_ndtr(np.where(target > 0, scores, -scores)).sum() if label else ((scores - target) ** 2).sum() / 2
    return float(fit + (penalty.bias * bias**2 + penalty.weight * weight @ weight + penalty.rows * (rows**2).sum()) / 2)


# Scores


@pytest.mark.parametrize("width", WIDTHS)
def test_scores_are_the_sum_over_pairs(width: int) -> None:
    x, given = cases(), machine(width=width)
    assert np.allclose(fm.scores(x, given), defined(x.toarray().astype(float), *doubles(given)), rtol=1e-5, atol=1e-5)
    assert fm.scores(x, given)[0] == 0.25 and x.indptr[1] == 0


def test_the_parts_of_a_case_add_up() -> None:
    """As a user, an item and a context do."""
    parts = [cases(features=4, seed=seed) for seed in (1, 2, 3)]
    given = machine()
    own = [Machine(given.bias, given.weight[at : at + 4], given.rows[at : at + 4]) for at in (0, 4, 8)]
    found = [fm.sums(part, one) for part, one in zip(parts, own, strict=True)]
    first, rows = sum(one.first for one in found), sum(one.rows for one in found)
    whole = fm.scores(hstack(parts, "csr"), given)
    assert np.allclose(given.bias[0] + first + (rows**2).sum(1) / 2, whole, rtol=1e-5, atol=1e-5)


# Steps


@pytest.mark.parametrize("label", [False, True])
def test_a_step_goes_down_the_gradient(label: bool) -> None:
    """Finite differences of the loss of one case and of the penalty on what it has."""
    x, given, rate = cases(), machine(), 1e-3
    target = targets(x, label=label)
    case = int(np.diff(x.indptr).argmax())
    dense, has = x[case].toarray().astype(float), x[case].indices

    def loss(flat: np.ndarray) -> float:
        bias, weight, rows = flat[0], flat[1:13], flat[13:].reshape(12, 5)
        score = defined(dense, bias, weight, rows)[0]
        fit = np.logaddexp(0, score) - target[case] * score if label else (score - target[case]) ** 2 / 2
        kept = PENALTY.weight * (weight[has] ** 2).sum() + PENALTY.rows * (rows[has] ** 2).sum()
        return float(fit + (PENALTY.bias * bias**2 + kept) / 2)

    flat = np.concatenate([np.ravel(part).astype(float) for part in given])
    nudges = np.eye(len(flat)) * 1e-6
    slope = np.array([(loss(flat + nudge) - loss(flat - nudge)) / 2e-6 for nudge in nudges])
    after = copy(given)
    said = fm.epoch(x, target, np.array([case]), after, PENALTY, rate=rate, label=label)
    moved = np.concatenate([np.ravel(part).astype(float) for part in after]) - flat
    assert np.allclose(moved / -rate, slope, rtol=2e-3, atol=2e-3) and np.abs(slope).max() > 0.1
    score = defined(dense, *doubles(given))[0]
    assert said == pytest.approx(
        np.logaddexp(0, score) - target[case] * score if label else (score - target[case]) ** 2 / 2
    )


@pytest.mark.parametrize("label", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_an_epoch_is_numpys(width: int, label: bool) -> None:
    x, found = cases(), machine(width=width)
    target, order, rate = targets(x, label=label), np.random.default_rng(1).permutation(60), 0.01
    bias, weight, rows = doubles(found)
    total = 0.0
    for case in order:
        given = x[case].toarray()[0].astype(float)
        score = defined(given[None], bias, weight, rows)[0]
        likely = expit(score)
        error = (likely if label else score) - target[case]
        total += -log(likely if target[case] else 1 - likely) if label else error**2 / 2
        sums = given @ rows
        slopes = given[:, None] * sums - rows * given[:, None] ** 2
        has = given != 0
        bias -= rate * (error + PENALTY.bias * bias)
        weight[has] -= rate * (error * given + PENALTY.weight * weight)[has]
        rows[has] -= rate * (error * slopes + PENALTY.rows * rows)[has]
    said = fm.epoch(x, target, order, found, PENALTY, rate=rate, label=label)
    assert said == pytest.approx(total / 60, rel=1e-4)
    for mine, theirs in zip(found, (bias, weight, rows), strict=True):
        assert np.allclose(mine, theirs, rtol=1e-3, atol=1e-4)


# Minima


def swept(x: np.ndarray, rest: np.ndarray, bias: float, weight: np.ndarray, rows: np.ndarray) -> tuple:
    """Algorithm 3, number by number, each from the derivative of the score by it; ``rest`` is the residual."""

    def put(h: np.ndarray, z: float, penalty: float) -> float:
        nonlocal rest
        best = float(h @ (rest + h * z) / (h @ h + penalty))
        rest = rest - h * (best - z)
        return best

    bias = put(np.ones(len(x)), bias, PENALTY.bias)
    for j in range(x.shape[1]):
        weight[j] = put(x[:, j], weight[j], PENALTY.weight)
    for f in range(rows.shape[1]):
        for j in range(x.shape[1]):
            rows[j, f] = put(x[:, j] * (x @ rows[:, f] - x[:, j] * rows[j, f]), rows[j, f], PENALTY.rows)
    return bias, weight, rows


@pytest.mark.parametrize("label", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_sweep_is_numpys(width: int, label: bool) -> None:
    x, found = cases(), machine(width=width)
    target, dense = targets(x, label=label), x.toarray().astype(float)
    scores = defined(dense, *doubles(found))
    rest = target - scores
    if label:  # phi and Phi from their definitions
        sign = np.where(target > 0, 1, -1)
        below = np.array([erfc(-s / sqrt(2)) / 2 for s in sign * scores])
        rest = sign * np.exp(-(scores**2) / 2) / sqrt(2 * pi) / below
    expected = swept(dense, rest, *doubles(found))
    fm.sweep(x, Columns.of(x), target, found, PENALTY, label=label)
    for mine, theirs in zip(found, expected, strict=True):
        assert np.allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("label", [False, True])
def test_no_sweep_is_a_step_up_and_in_the_end_there_is_no_slope(label: bool) -> None:
    x, found = cases(), machine()
    target, columns = targets(x, label=label), Columns.of(x)
    losses = [loss_of(x, target, found, PENALTY, label=label)]
    for _ in range(400):
        fm.sweep(x, columns, target, found, PENALTY, label=label)
        losses.append(loss_of(x, target, found, PENALTY, label=label))
    assert (np.diff(losses) < 1e-6 * losses[0]).all() and losses[-1] < 0.9 * losses[0]
    for part in found:
        for place in np.ndindex(part.shape):
            around = []
            for nudge in (-1e-2, 1e-2):
                moved = copy(found)
                moved[[one is part for one in found].index(True)][place] += np.float32(nudge)
                around.append(loss_of(x, target, moved, PENALTY, label=label))
            assert min(around) > losses[-1] - 1e-6 * losses[0]


def test_without_rows_the_minimum_solves_the_normal_equations() -> None:
    """Ridge regression; where rows are 0 they stay it, as no product with them has a slope."""
    x = cases()
    found, target = Machine.of(12, 1, np.random.default_rng(1), 0.0), targets(x, label=False)
    columns = Columns.of(x)
    for _ in range(300):
        fm.sweep(x, columns, target, found, PENALTY, label=False)
    design = np.hstack([np.ones((60, 1)), x.toarray().astype(float)])
    matrix = design.T @ design + np.diag([PENALTY.bias, *[PENALTY.weight] * 12])
    expected = np.linalg.solve(matrix, design.T @ target.astype(float))
    assert not found.rows.any()
    assert np.allclose(np.append(found.bias, found.weight), expected, rtol=1e-4, atol=1e-5)


def test_what_no_case_has_goes_to_zero_or_stays() -> None:
    x = csr_matrix(([1.0, 1.0], [0, 0], [0, 1, 2]), (2, 3), np.float32)
    for penalty, kept in ((Penalty(0, 1, 1), False), (Penalty(0, 0, 0), True)):
        found = machine(3, 1)
        before = copy(found)
        fm.sweep(x, Columns.of(x), np.ones(2, np.float32), found, penalty, label=False)
        assert (found.weight[1:] == (before.weight[1:] if kept else 0)).all()
        assert (found.rows == (before.rows if kept else 0)).all()  # a feature alone has no pair


def test_the_expectation_of_a_latent_target_is_that_of_draws() -> None:
    rng = np.random.default_rng(1)
    for score in (-1.0, 0.5):
        drawn = rng.normal(score, 1, 400_000)
        for target, own in ((1, drawn[drawn > 0]), (0, drawn[drawn < 0])):
            given = np.array([score], np.float32), np.array([target], np.float32)
            assert fm.residuals(*given, label=True)[0] == pytest.approx(own.mean() - score, abs=0.01)
    far = fm.residuals(np.array([-40.0, 40.0], np.float32), np.array([1, 0], np.float32), label=True)
    assert far == pytest.approx([40, -40], rel=1e-2)
    assert fm.probability(np.array([0.0, 1.0], np.float32)).tolist() == pytest.approx([0.5, ndtr(1.0)])


# What is learned, and on how many threads


@pytest.mark.parametrize("how", ["sweep", "epoch"])
def test_a_machine_is_found_again(how: str) -> None:
    """Data of a machine: one of the same form comes near, and without rows it would not."""
    x = fields(6000, [20, 30, 5])
    true = machine(55, 4)
    target = fm.scores(x, true)
    rng = np.random.default_rng(5)
    found, columns, small = Machine.of(55, 4, rng), Columns.of(x), Penalty(0, 1e-4, 1e-4)
    for _ in range(60):
        if how == "sweep":
            fm.sweep(x, columns, target, found, small, label=False)
        else:
            fm.epoch(x, target, rng.permutation(6000), found, small, rate=0.02, label=False)
    test = fields(1000, [20, 30, 5], seed=9)
    wanted = fm.scores(test, true)
    linear = np.linalg.lstsq(x.toarray(), target, rcond=None)[0]
    beside = np.sqrt(np.mean((test @ linear - wanted) ** 2))
    assert np.sqrt(np.mean((fm.scores(test, found) - wanted) ** 2)) < 0.1 * beside


def test_groups_are_the_fields_and_no_case_is_in_one_twice() -> None:
    assert Columns.of(fields(500, [20, 30, 5])).groups.tolist() == [0, 20, 50, 55]
    x = cases()
    groups = Columns.of(x).groups
    assert groups[0] == 0 and groups[-1] == 12 and len(groups) > 2
    for start, stop in pairwise(groups):
        assert np.diff(x[:, start:stop].tocsr().indptr).max() <= 1
    assert Columns.of(csr_matrix((3, 4), dtype=np.float32)).groups.tolist() == [0, 4]


@pytest.mark.parametrize("label", [False, True])
def test_threads_change_no_byte(label: bool) -> None:
    x = hstack([fields(3000, [200, 100, 7]), cases(3000, 6)], "csr")
    target = targets(x, label=label)

    def made(count: int) -> list[bytes]:
        found, rng = Machine.of(x.shape[1], 16, np.random.default_rng(1)), np.random.default_rng(2)
        with threads(count):
            fm.epoch(x, target, rng.permutation(3000), found, PENALTY, rate=0.01, label=label)
            fm.sweep(x, Columns.of(x), target, found, PENALTY, label=label)
            return [part.tobytes() for part in (*found, fm.scores(x, found), *fm.sums(x, found))]

    assert made(1) == made(2) == made(7)
