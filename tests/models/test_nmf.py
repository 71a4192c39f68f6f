"""NMF against scikit-learn's coordinate descent, and a history against scipy's non-negative least squares."""

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.decomposition import non_negative_factorization

from recli.interactions import Queries
from recli.model import Run
from recli.models.factor.nmf import NMF
from tests.checks import tiny

Doubles = NDArray[np.float64]


def start(model: NMF, seed: int) -> tuple[Doubles, Doubles]:
    """scikit-learn's random start, of the model's numbers."""
    x, rng = tiny().matrix, np.random.default_rng(seed)
    mean = np.sqrt(x.mean() / model.embedding_size)
    user, item = (mean * np.abs(rng.standard_normal((n, model.embedding_size), np.float32)) for n in x.shape)
    return user.astype(np.float64), item.astype(np.float64)


def loss(model: NMF, user: Doubles, item: Doubles) -> float:
    error = (tiny().matrix.toarray() - user.astype(np.float64) @ item.T) ** 2
    return float(error.sum() + model.reg_weight * ((user**2).sum() + (item**2).sum()))


@pytest.mark.parametrize(
    "model",
    [NMF(embedding_size=5, reg_weight=0.0, epochs=50), NMF(embedding_size=8, reg_weight=0.7, epochs=20)],
    ids=str,
)
def test_is_scikit_learns(model: NMF) -> None:
    scorer = model.fit(tiny(), Run(seed=2))
    user, item = start(model, 2)
    x = tiny().matrix.toarray().astype(np.float64)
    with warnings.catch_warnings(action="ignore"):  # that it has not converged
        theirs, components, _ = non_negative_factorization(
            x,
            W=user.copy(),
            H=item.T.copy(),
            init="custom",
            n_components=model.embedding_size,
            tol=0,
            max_iter=model.epochs,
            alpha_W=model.reg_weight / x.shape[1],
            alpha_H=model.reg_weight / x.shape[0],
        )
    assert (scorer.user >= 0).all()
    assert (scorer.item >= 0).all()
    ours, expected = loss(model, scorer.user, scorer.item), loss(model, theirs, components.T)
    assert ours == pytest.approx(expected, rel=1e-4)
    assert ours < 0.9 * loss(model, user, item)
    np.testing.assert_allclose(scorer.score(tiny().queries()), theirs @ components, atol=0.01)


@pytest.mark.parametrize("reg_weight", [0.0, 0.7])
def test_a_history_gets_the_best_row(reg_weight: float) -> None:
    model = NMF(embedding_size=6, reg_weight=reg_weight)
    scorer, known = model.fit(tiny(), Run()), tiny().queries()
    rows = scorer.fold(Queries(user=np.full(len(known), -1, np.int32), indptr=known.indptr, item=known.item))
    y = np.vstack([scorer.item.astype(np.float64), np.sqrt(reg_weight) * np.eye(6)])
    expected = [nnls(y, np.append(p, np.zeros(6)))[0] for p in tiny().matrix.toarray()]
    np.testing.assert_allclose(rows, expected, atol=2e-3)
