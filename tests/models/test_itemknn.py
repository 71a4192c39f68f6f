"""Item kNN against a dense brute force."""

import numpy as np
import pytest
from numpy.typing import NDArray

from recli.interactions import Interactions
from recli.model import Run
from recli.models.neighbor.itemknn import ItemKNN
from tests.checks import tiny

Doubles = NDArray[np.float64]


def dense(data: Interactions) -> Doubles:
    return data.matrix.toarray().astype(np.float64)


def weighted(x: Doubles, weighting: str, k1: float, b: float) -> Doubles:
    """The entries as the docstring says, written down for one user and one item at a time."""
    n_users, n_items = x.shape
    out = np.zeros_like(x)
    for u in range(n_users):
        for i in range(n_items):
            if x[u, i]:
                idf = np.log(n_items / (1 + x[u].sum()))
                length = 1 - b + b * x[:, i].sum() / (x.sum() / n_items)
                out[u, i] = {"cosine": 1.0, "tfidf": idf, "bm25": idf * (k1 + 1) / (k1 * length + 1)}[weighting]
    return out


def brute_force(model: ItemKNN, data: Interactions) -> Doubles:
    x = weighted(dense(data), model.weighting, model.k1, model.b)
    norm = np.ones(x.shape[1]) if model.weighting == "bm25" else np.sqrt((x**2).sum(0))
    similarity = x.T @ x / (np.outer(norm, norm) + model.shrink + 1e-6)
    np.fill_diagonal(similarity, 0)
    for j in range(x.shape[1]):
        order = np.argsort(-similarity[:, j].round(12), kind="stable")
        similarity[order[model.k :], j] = 0
    return similarity


@pytest.mark.parametrize(
    "model",
    [
        ItemKNN(),
        ItemKNN(k=5),
        ItemKNN(k=1, shrink=10.0),
        ItemKNN(k=7, weighting="tfidf"),
        ItemKNN(k=7, weighting="bm25"),
        ItemKNN(k=7, weighting="bm25", k1=2.0, b=0.1),
    ],
    ids=str,
)
def test_weights_and_scores(model: ItemKNN) -> None:
    scorer = model.fit(tiny(), Run())
    expected = brute_force(model, tiny())
    np.testing.assert_allclose(scorer.weights.toarray(), expected, rtol=1e-5)
    assert scorer.weights.dtype == np.float32
    scores = scorer.score(tiny().queries())
    np.testing.assert_allclose(scores, dense(tiny()) @ expected, rtol=1e-4, atol=1e-6)


def test_many_items_and_few() -> None:
    """Both ways of adding up: a column of little to add, and one of much."""
    import polars as pl

    rng = np.random.default_rng(1)
    user = np.r_[np.repeat(np.arange(40), 5), np.repeat(np.arange(40, 44), 300)]
    item = rng.integers(600, size=len(user))
    data = Interactions.of(pl.DataFrame({"user_id": user.astype(str), "item_id": item.astype(str)}))
    model = ItemKNN(k=9)
    np.testing.assert_allclose(model.fit(data, Run()).weights.toarray(), brute_force(model, data), rtol=1e-5)
