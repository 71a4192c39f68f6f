"""ALS against the normal equations."""

import numpy as np
import pytest
from numpy.typing import NDArray

from recli.errors import Exit, RecliError
from recli.interactions import Queries
from recli.kernels import als
from recli.model import Run
from recli.models.factor.als import ALS
from tests.checks import tiny

Doubles = NDArray[np.float64]


def normal_equations(theirs: NDArray[np.float32], row: NDArray[np.float32], alpha: float, reg: float) -> Doubles:
    """argmin of sum of c (p - x'y)^2 + reg |x|^2 with every pair written out."""
    y = theirs.astype(np.float64)
    c = 1 + alpha * row
    return np.linalg.solve(y.T @ (c[:, np.newaxis] * y) + reg * np.eye(y.shape[1]), y.T @ (c * row))


@pytest.mark.parametrize("width", [3, 8, 130])
@pytest.mark.parametrize("steps", [None, 200])
def test_solves_the_normal_equations(width: int, steps: int | None) -> None:
    x = tiny().matrix
    theirs = 0.3 * np.random.default_rng(0).standard_normal((x.shape[1], width)).astype(np.float32)
    ours = np.ones((x.shape[0], width), np.float32)
    als.solve(x, theirs, ours, alpha=3.0, reg_weight=2.0, steps=steps)
    expected = [normal_equations(theirs, row, 3.0, 2.0) for row in x.toarray()]
    np.testing.assert_allclose(ours, expected, atol=2e-4 * np.abs(expected).max())


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


def test_what_cannot_be_solved_for_is_said() -> None:
    with pytest.raises(RecliError, match="infinite or NaN") as caught:
        ALS(alpha=1e38, reg_weight=1e-30, epochs=3).fit(tiny(), Run())
    assert caught.value.code == Exit.DIVERGED


def test_a_regularisation_that_leaves_nothing_is_an_error() -> None:
    """Above the largest singular value times 1 + alpha all rows shrink to zero; a fit that says so beats silence."""
    data = tiny()
    largest = float(np.linalg.svd(data.matrix.toarray(), compute_uv=False)[0])
    alpha = 2.0
    with pytest.raises(RecliError, match="shrinks all rows to zero") as error:
        ALS(alpha=alpha, reg_weight=3 * largest * (1 + alpha), epochs=30).fit(data, Run())
    assert error.value.code is Exit.DIVERGED
    ALS(alpha=alpha, reg_weight=1 + alpha, epochs=30).fit(data, Run())
