"""ADMM SLIM against the paper's steps, written down with full matrices."""

import numpy as np
import pytest
from numpy.typing import NDArray

from recli.interactions import Queries
from recli.model import Run
from recli.models import store
from recli.models.linear import admmslim
from recli.models.linear.admmslim import ADMMSLIM
from tests.checks import tiny

Doubles = NDArray[np.float64]


def steps(model: ADMMSLIM, x: Doubles) -> Doubles:
    gram = x.T @ x
    d = model.lambda2 * (tiny().matrix.toarray().mean(0) ** model.alpha)
    p = np.linalg.inv(gram + np.diag(d) + model.rho * np.eye(len(gram)))
    c, gamma = np.zeros_like(gram), np.zeros_like(gram)
    for _ in range(model.k):
        b = p @ (gram + model.rho * c - gamma)
        b -= p * (np.diag(b) / np.diag(p))
        v = b + gamma / model.rho
        c = np.sign(v) * np.maximum(np.abs(v) - model.lambda1 / model.rho, 0)
        if model.positive_only:
            c = np.maximum(c, 0)
        gamma += model.rho * (b - c)
    return c


@pytest.mark.parametrize("block", [7, 1024])
@pytest.mark.parametrize(
    "model",
    [
        ADMMSLIM(),
        ADMMSLIM(k=1),
        ADMMSLIM(lambda1=0.5, lambda2=5.0, rho=20.0),
        ADMMSLIM(lambda1=0.5, lambda2=5.0, rho=20.0, positive_only=False),
        ADMMSLIM(lambda1=0.0, lambda2=5.0, rho=20.0, alpha=0.0, positive_only=False),
        ADMMSLIM(lambda1=0.5, lambda2=5.0, rho=20.0, center_columns=True),
        ADMMSLIM(lambda1=0.5, lambda2=5.0, rho=20.0, center_columns=True, positive_only=False),
    ],
    ids=str,
)
def test_the_papers_steps(model: ADMMSLIM, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admmslim, "BLOCK", block)
    x = tiny().matrix.toarray().astype(np.float64)
    mean = x.mean(0) * model.center_columns
    expected = steps(model, x - mean)
    scorer = model.fit(tiny(), Run())
    np.testing.assert_allclose(scorer.weights.toarray(), expected, atol=2e-6 * max(1, np.abs(expected).max() * 10))
    np.testing.assert_allclose(scorer.score(tiny().queries()), (x - mean) @ expected + mean, atol=2e-5)


def test_the_biases_are_kept() -> None:
    scorer = ADMMSLIM(center_columns=True).fit(tiny(), Run())
    again = store.unpack(*store.pack(scorer))
    queries, items = tiny().queries()[:3], np.array([3, -1, 5], np.int32)
    np.testing.assert_array_equal(again.score(queries), scorer.score(queries))
    scores = scorer.score(queries)[[0, 2], [3, 5]]
    np.testing.assert_allclose(again.score_pairs(queries, items), [scores[0], -np.inf, scores[1]], rtol=1e-5)
    strangers = Queries(user=np.array([-1], np.int32), indptr=np.array([0, 0]), item=np.empty(0, np.int32))
    assert np.isneginf(again.score(strangers)).all()


def test_it_converges_to_slims_minimum() -> None:
    """No weight can be moved to gain: the slope is lambda1 at what is above 0, and no more than that at what is 0."""
    model = ADMMSLIM(lambda1=0.5, lambda2=5.0, rho=20.0, k=2000)
    x = tiny().matrix.toarray().astype(np.float64)
    w = model.fit(tiny(), Run()).weights.toarray().astype(np.float64)
    slope = x.T @ (x - x @ w) - (model.lambda2 * x.mean(0) ** model.alpha)[:, np.newaxis] * w
    np.fill_diagonal(slope, 0)
    np.testing.assert_allclose(slope[w > 0], model.lambda1, atol=2e-3)
    assert slope[w == 0].max() < model.lambda1 + 2e-3
    assert (np.diag(w) == 0).all()
