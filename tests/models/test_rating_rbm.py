"""The machine against every one of its states written out, a step against dense numpy, and strangers as known users."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries
from recli.kernels import ratingrbm
from recli.kernels.ratingrbm import Machine
from recli.model import Run
from recli.models.rating.baseline import Baseline
from recli.models.rating.rbm import RBM
from recli.sources import read
from tests.checks import tiny
from tests.models.test_baseline import figures

Doubles = NDArray[np.float64]


def machine(items: int, levels: int, width: int) -> Machine:
    rng = np.random.default_rng(3)
    shapes = ((items, levels, width), (items, levels), (width,))
    return Machine(*(rng.standard_normal(shape).astype(np.float32) for shape in shapes))


def joint(of: Machine) -> Doubles:
    """p(v_1, v_2, h_1, h_2): every state of 2 items and 2 hidden units, by its energy."""
    levels = of.visible.shape[1]
    states = np.empty((levels, levels, 2, 2))
    for one, two, *h in product(range(levels), range(levels), (0, 1), (0, 1)):
        energy = -of.visible[0, one] - of.visible[1, two] - of.hidden @ h
        energy -= of.weights[0, one] @ h + of.weights[1, two] @ h
        states[one, two, h[0], h[1]] = np.exp(-energy)
    return states / states.sum()


def pairs(levels: int, copies: int = 1) -> csr_matrix:
    """A user, or some, for each pair of levels of two items."""
    each = np.repeat(list(product(range(levels), repeat=2)), copies, axis=0).astype(np.int32)
    indptr = np.arange(0, each.size + 1, 2)
    return csr_matrix((each.ravel(), np.tile(np.arange(2), len(each)), indptr), shape=(len(each), 2))


def test_hidden_units_given_the_ratings() -> None:
    of, events = machine(2, 3, 2), pairs(3)
    p = joint(of).reshape(9, 2, 2)
    expected = np.stack([p[:, 1].sum(1), p[:, :, 1].sum(1)], 1) / p.sum((1, 2))[:, np.newaxis]
    ours = ratingrbm.hidden(events.indptr.astype(np.int64), events.indices, events.data, of)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_ratings_given_the_hidden_units() -> None:
    of = machine(2, 3, 2)
    h = np.array(list(product((0, 1), repeat=2)), np.float32)
    p = joint(of).reshape(3, 3, 4)
    expected = np.stack([p.sum(1), p.sum(0)]).transpose(2, 0, 1) / p.sum((0, 1))[:, np.newaxis, np.newaxis]  # h, i, k
    ours = np.stack([ratingrbm.expected(h, of, one) for one in np.eye(3, dtype=np.float32)], 2)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    values = np.array([1, 2, 5], np.float32)
    for item in (0, 1):
        means = ratingrbm.expected_pairs(h, np.full(4, item, np.int32), of, values)
        np.testing.assert_allclose(means, expected[:, item] @ values, rtol=1e-5)


def test_a_long_chain_ends_in_the_joint_distribution() -> None:
    of, events = machine(2, 3, 2), pairs(3, copies=4000)
    drawn = ratingrbm.contrast(events, of, 30, np.uint64(5)).drawn.reshape(-1, 2)
    shares = np.bincount(3 * drawn[:, 0] + drawn[:, 1], minlength=9) / len(drawn)
    np.testing.assert_allclose(shares, joint(of).sum((2, 3)).ravel(), atol=0.008)  # five standard deviations


def uniforms(seed: int, row: int) -> list[float]:
    """The random numbers of a user."""
    step, whole = 0x9E3779B97F4A7C15, 2**64 - 1
    state, out = (seed + step * (row << 32)) & whole, []
    for _ in range(1000):
        state = (state + step) & whole
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & whole
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & whole
        out.append(((z ^ (z >> 31)) >> 40) / 2**24)
    return out


def dense(of: Machine, before: Machine, level: NDArray[np.int64], seed: int, how: tuple[float, ...]) -> list[Doubles]:
    """One step of CD-1 in float64; ``level`` (users, items) is -1 where nothing is rated."""
    rate, momentum, decay = how
    w, b, c = (array.astype(np.float64) for array in of)
    n, one_hot = len(level), np.eye(b.shape[1] + 1)[level][:, :, :-1]  # -1 is the last column, which goes
    first = 1 / (1 + np.exp(-(np.einsum("uik,ikf->uf", one_hot, w) + c)))
    drawn = np.zeros_like(one_hot)
    for u in range(n):
        random = uniforms(seed, u)
        h = (np.array(random[: len(c)]) < first[u]).astype(float)
        for i, chance in zip(np.flatnonzero(level[u] >= 0), random[len(c) :], strict=False):
            odds = np.exp(w[i] @ h + b[i])
            drawn[u, i, np.searchsorted(np.cumsum(odds) / odds.sum(), chance)] = 1
    last = 1 / (1 + np.exp(-(np.einsum("uik,ikf->uf", drawn, w) + c)))
    up = np.einsum("uik,uf->ikf", one_hot, first) - np.einsum("uik,uf->ikf", drawn, last)
    gradients = (up / n - decay * (w - w.mean(0)), (one_hot - drawn).mean(0) - decay * (b - b.mean(0)))
    return [momentum * v + rate * g for v, g in zip(before, (*gradients, (first - last).mean(0)), strict=True)]


def test_a_step_of_contrastive_divergence() -> None:
    rng = np.random.default_rng(8)
    level = rng.integers(-1, 4, (30, 6))
    user, item = np.nonzero(level >= 0)
    indptr = np.append(0, np.cumsum(np.bincount(user, minlength=30)))
    events = csr_matrix((level[user, item].astype(np.int32), item, indptr), shape=level.shape)
    of, before = machine(6, 4, 5), machine(6, 4, 5)
    start, how = Machine(*(array.copy() for array in of)), (0.2, 0.7, 0.05)
    expected = dense(of, before, level, 99, how)
    ratingrbm.learn(events, ratingrbm.contrast(events, of, 1, np.uint64(99)), of, before, *how)
    for ours, theirs, new, old in zip(before, expected, of, start, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        np.testing.assert_allclose(new, old + theirs, atol=1e-5)


SMALL = RBM(hidden_size=7, epochs=15, train_batch_size=8, reg_weight=2.0)


def test_a_stranger_with_the_same_ratings_is_scored_alike() -> None:
    scorer, queries = SMALL.fit(tiny(), Run()), tiny().queries()
    known = scorer.score(queries)
    assert (scorer.score(replace(queries, user=np.full_like(queries.user, -1))) == known).all()
    assert (scorer.score(replace(queries, replaced=True)) == known).all()
    assert known.std(0).max() > 0.05  # users do differ
    other = replace(queries, replaced=True, rating=queries.rating + np.float32(0.4))  # 1.4 is nearest to 1
    assert (scorer.score(other) == known).all()


def test_without_a_rated_history_there_is_nobody_in_particular() -> None:
    scorer, queries = SMALL.fit(tiny(), Run()), tiny().queries()
    strange = replace(queries, user=np.full_like(queries.user, -1))
    nobody = Queries(user=np.array([-1], np.int32), indptr=np.zeros(2, np.int64), item=np.empty(0, np.int32))
    of = Machine(scorer.weights, scorer.visible, scorer.hidden)
    mean = ratingrbm.expected(scorer.user.mean(0, keepdims=True), of, scorer.levels)
    np.testing.assert_allclose(scorer.score(nobody), mean, rtol=1e-5)
    assert (scorer.score(replace(strange, rating=None)) == scorer.score(nobody)).all()
    assert scorer.score_pairs(nobody, np.array([-1], np.int32)) == np.float32(tiny().rating.mean(dtype=np.float64))


def test_the_levels_are_the_ratings_that_occur() -> None:
    events = pl.DataFrame({"user_id": list("aabb"), "item_id": list("xyxz"), "rating": [-1.5, 0.25, 7.0, 0.25]})
    scorer = SMALL.fit(Interactions.of(events), Run())
    assert scorer.levels.tolist() == [-1.5, 0.25, 7.0]


def test_too_many_levels_are_said() -> None:
    rows = range(101)
    events = pl.DataFrame({"user_id": ["a"] * 101, "item_id": [f"{i}" for i in rows], "rating": [i / 7 for i in rows]})
    with pytest.raises(RecliError, match="101 distinct ratings, at most 100") as caught:
        RBM().fit(Interactions.of(events), Run())
    assert caught.value.code == Exit.DATA


def test_steps_that_are_too_long_are_said() -> None:
    with pytest.raises(RecliError, match="infinite or NaN") as caught:
        RBM(learning_rate=1e30, hidden_size=3).fit(tiny(), Run())
    assert caught.value.code == Exit.DIVERGED
    assert caught.value.hint == "lower learning_rate=1e+30"


@pytest.mark.shared
def test_is_below_the_baseline(shared: Path) -> None:
    train, test = (read(shared / "ml-100k-folds" / f"u1.{part}").frame for part in ("base", "test"))
    data = Interactions.of(train)
    floor, _ = figures(Baseline(solver="sgd"), data, test)  # .9561
    rmse, _ = figures(RBM(), data, test)
    assert rmse < floor
