"""ALS against the normal equations."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries
from recli.kernels import als
from recli.model import Run
from recli.models.factor.als import ALS
from tests.checks import tiny

Doubles = NDArray[np.float64]


def normal_equations(theirs: NDArray[np.float32], extra: Doubles, reg: float) -> Doubles:
    """argmin of sum of c (p - x'y)^2 + reg |x|^2 with every pair written out; c = 1 + extra."""
    y = theirs.astype(np.float64)
    return np.linalg.solve(
        y.T @ ((1 + extra)[:, np.newaxis] * y) + reg * np.eye(y.shape[1]), y.T @ ((1 + extra) * (extra > 0))
    )


@pytest.mark.parametrize("width", [3, 8, 130])
@pytest.mark.parametrize("steps", [None, 200])
def test_solves_the_normal_equations(width: int, steps: int | None) -> None:
    rng = np.random.default_rng(0)
    x, more = tiny().matrix.copy(), rng.random(tiny().n_users).astype(np.float32)
    x.data *= 6 * rng.random(x.nnz).astype(np.float32)
    theirs = 0.3 * rng.standard_normal((x.shape[1], width)).astype(np.float32)
    ours = np.ones((x.shape[0], width), np.float32)
    als.solve(x, theirs, ours, reg_weight=2.0, more=more, steps=steps)
    rows = zip(x.toarray().astype(np.float64), more, strict=True)
    expected = [normal_equations(theirs, extra, 2.0 + own) for extra, own in rows]
    np.testing.assert_allclose(ours, expected, atol=2e-4 * np.abs(expected).max())


def one_step(theirs: Doubles, ours: Doubles, extra: Doubles, reg: float) -> Doubles:
    """A step down the gradient, as long as is best along it, from ``ours``: the first of conjugate gradients."""
    a = theirs.T @ ((1 + extra)[:, np.newaxis] * theirs) + reg * np.eye(theirs.shape[1])
    residual = theirs.T @ ((1 + extra) * (extra > 0)) - a @ ours
    return ours + residual * (residual @ residual) / (residual @ a @ residual)


@pytest.mark.parametrize("steps", [0, 1])
def test_the_space_is_turned_and_no_score_with_it(steps: int) -> None:
    """Both sides are turned alike; a step is the same in any space."""
    rng = np.random.default_rng(0)
    theirs, ours = (0.3 * rng.standard_normal((n, 8)).astype(np.float32) for n in tiny().matrix.shape[::-1])
    turned, stepped = theirs.copy(), ours.copy()
    als.solve(tiny().matrix, turned, stepped, reg_weight=2.0, steps=steps)
    assert np.abs(turned - theirs).max() > 0.1
    np.testing.assert_allclose(turned @ turned.T, theirs @ theirs.T, atol=1e-5)
    if steps:
        rows = zip(ours, tiny().matrix.toarray(), strict=True)
        ours = np.array([one_step(theirs.astype(np.float64), row, extra, 2.0) for row, extra in rows])
    np.testing.assert_allclose(stepped @ turned.T, ours @ theirs.T, atol=1e-5)


def strength(data: Interactions, weight: str) -> Doubles:
    """r, added up event by event."""
    r = np.zeros((data.n_users, data.n_items))
    for u in range(data.n_users):
        for at in range(data.indptr[u], data.indptr[u + 1]):
            value = {"none": 1.0, "count": 1.0, "rating": data.rating[at]}[weight]
            r[u, data.item[at]] = value + (0 if weight == "none" else r[u, data.item[at]])
    return r


@pytest.mark.parametrize(
    ("given", "extra"),
    [
        ({"alpha": 2.5}, lambda r: 2.5 * r),
        ({"alpha": 2.5, "weight": "count"}, lambda r: 2.5 * r),
        ({"alpha": 0.3, "weight": "rating"}, lambda r: 0.3 * r),
        ({"alpha": 4.0, "weight": "rating", "confidence": "log", "epsilon": 0.5}, lambda r: 4 * np.log(1 + r / 0.5)),
        ({"alpha": 2.0, "weight": "count", "reg_exponent": 1.0, "reg_weight": 0.01}, lambda r: 2 * r),
        ({"alpha": 2.0, "reg_exponent": 0.5, "reg_weight": 0.1}, lambda r: 2 * r),
    ],
    ids=["linear", "counts", "ratings", "log", "by frequency", "by its root"],
)
def test_confidence_and_regularisation(given: dict[str, Any], extra: Callable[[Doubles], Doubles]) -> None:
    """A user's row, and that of the same history folded in, are what the two papers' formulas give, written out."""
    model = ALS(**{"embedding_size": 8, "solver": "cholesky", "reg_weight": 1.0, **given})
    scorer, known = model.fit(tiny(), Run()), tiny().queries()
    expected = []
    for r in strength(tiny(), model.weight):
        base = np.count_nonzero(r) + tiny().n_items / model.alpha
        expected.append(normal_equations(scorer.item, extra(r), model.reg_weight * base**model.reg_exponent))
    unknown = Queries(user=np.full(len(known), -1, np.int32), indptr=known.indptr, item=known.item, rating=known.rating)
    for rows in (scorer.user, scorer.fold(unknown)):
        np.testing.assert_allclose(rows, expected, atol=1e-4 * np.abs(expected).max())


def loss(model: ALS, user: NDArray[np.float32], item: NDArray[np.float32]) -> float:
    p = tiny().matrix.toarray().astype(np.float64)
    error = (1 + model.alpha * p) * (p - user.astype(np.float64) @ item.T) ** 2
    return float(error.sum() + model.reg_weight * ((user**2).sum() + (item**2).sum()))


@pytest.mark.parametrize("solver", ["cg", "cholesky"])
def test_the_loss_falls(solver: str) -> None:
    models = [ALS(embedding_size=8, reg_weight=1.0, solver=solver, epochs=epochs) for epochs in (1, 2, 5, 30)]
    losses = [loss(m, (s := m.fit(tiny(), Run())).user, s.item) for m in models]
    assert losses == sorted(losses, reverse=True)


def test_both_solvers_reach_the_same_loss() -> None:
    models = [ALS(embedding_size=8, reg_weight=1.0, solver=solver, epochs=200) for solver in ("cg", "cholesky")]
    first, second = (loss(m, (s := m.fit(tiny(), Run())).user, s.item) for m in models)
    assert first == pytest.approx(second, rel=1e-3)


def test_a_folded_history_gets_the_row_of_the_fit() -> None:
    scorer = ALS(embedding_size=8, reg_weight=1.0, solver="cholesky", epochs=3).fit(tiny(), Run())
    known = tiny().queries()
    unknown = Queries(user=np.full(len(known), -1, np.int32), indptr=known.indptr, item=known.item)
    np.testing.assert_allclose(scorer.score(unknown), scorer.score(known), atol=1e-5)


def test_a_replaced_history_counts() -> None:
    scorer = ALS(embedding_size=8, reg_weight=1.0).fit(tiny(), Run())
    history = {"user": np.array([0], np.int32), "indptr": np.array([0, 1]), "item": np.array([4], np.int32)}
    kept, replaced = (scorer.score(Queries(**history, replaced=value)) for value in (False, True))
    np.testing.assert_array_equal(kept, scorer.score(tiny().queries()[:1]))
    assert np.abs(kept - replaced).max() > 0.01


def test_what_cannot_be_a_weight_is_said() -> None:
    events = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["1", "2"], "rating": [3.0, -1.0]})
    for frame, message in ((events, "below 0"), (events.drop("rating"), "no rating")):
        with pytest.raises(RecliError, match=message) as caught:
            ALS(weight="rating").fit(Interactions.of(frame), Run())
        assert caught.value.code is Exit.DATA


def test_a_rating_of_zero_is_no_event() -> None:
    events = pl.DataFrame({"user_id": ["a", "a", "b"], "item_id": ["1", "2", "2"], "rating": [3.0, 0.0, 1.0]})
    assert ALS(weight="rating").extra(Interactions.of(events), 2).nnz == 2


def test_what_cannot_be_solved_for_is_said() -> None:
    with pytest.raises(RecliError, match="infinite or NaN") as caught:
        ALS(alpha=1e38, reg_weight=1e-30, epochs=3).fit(tiny(), Run())
    assert caught.value.code == Exit.DIVERGED


def test_the_exponent_needs_an_alpha() -> None:
    with pytest.raises(RecliError, match="alpha above 0") as caught:
        ALS(alpha=0.0, reg_exponent=1.0).fit(tiny(), Run())
    assert caught.value.code == Exit.USAGE


def test_a_regularisation_that_leaves_nothing_is_an_error() -> None:
    """Above the largest singular value times 1 + alpha all rows shrink to zero; a fit that says so beats silence."""
    data = tiny()
    largest = float(np.linalg.svd(data.matrix.toarray(), compute_uv=False)[0])
    alpha = 2.0
    with pytest.raises(RecliError, match="shrinks all rows to zero") as error:
        ALS(alpha=alpha, reg_weight=3 * largest * (1 + alpha), epochs=30).fit(data, Run())
    assert error.value.code is Exit.DIVERGED
    ALS(alpha=alpha, reg_weight=1 + alpha, epochs=30).fit(data, Run())
