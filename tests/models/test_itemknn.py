"""Item kNN against a dense brute force, and against RecBole's AsymKNN."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recli.errors import Exit, RecliError
from recli.interactions import Interactions
from recli.model import Run
from recli.models.neighbor.itemknn import ItemKNN
from tests.checks import model as preset
from tests.checks import tiny

Doubles = NDArray[np.float64]


def dense(data: Interactions) -> Doubles:
    return data.matrix.toarray().astype(np.float64)


def entry(x: Doubles, u: int, i: int, model: ItemKNN, ratings: Doubles) -> float:
    idf = np.log(x.shape[1] / (1 + x[u].sum()))
    if model.similarity == "adjusted":
        return float(ratings[u, i] - ratings[u][x[u] > 0].mean())
    if model.similarity == "tfidf":
        return float(idf)
    if model.similarity == "bm25":
        length = 1 - model.b + model.b * x[:, i].sum() / (x.sum() / x.shape[1])
        return float(idf * (model.k1 + 1) / (model.k1 * length + 1))
    return 1.0


def weighted(x: Doubles, model: ItemKNN, ratings: Doubles) -> Doubles:
    """The entries as the docstring says, written down for one user and one item at a time."""
    out = np.zeros_like(x)
    for u, i in zip(*x.nonzero(), strict=True):
        out[u, i] = entry(x, u, i, model, ratings)
    return out


def similarity(x: Doubles, model: ItemKNN) -> Doubles:
    together, n, length = x.T @ x, (x != 0).sum(0).astype(float), np.sqrt((x**2).sum(0))
    norm = {
        "bm25": np.ones_like(together),
        "jaccard": n[:, np.newaxis] + n - together,
        "asymmetric": np.outer(n ** (1 - model.alpha), n**model.alpha),
    }.get(model.similarity, np.outer(length, length))
    return together / (norm + model.shrink + 1e-6)


def best_of_columns(weights: Doubles, k: int) -> Doubles:
    """The k highest above 0 of each column, of equal ones the first."""
    kept = np.maximum(weights, 0)
    np.fill_diagonal(kept, 0)
    for j in range(kept.shape[1]):
        kept[np.argsort(-kept[:, j].round(12), kind="stable")[k:], j] = 0
    return kept


def brute_force(model: ItemKNN, data: Interactions) -> Doubles:
    x, ratings = dense(data), np.zeros((data.n_users, data.n_items))
    if data.rating is not None:
        for u in range(data.n_users):
            span = slice(data.indptr[u], data.indptr[u + 1])
            for i in set(data.item[span].tolist()):
                ratings[u, i] = data.rating[span][data.item[span] == i].mean()
    kept = best_of_columns(similarity(weighted(x, model, ratings), model), model.k) ** model.q
    length = np.sqrt((kept**2).sum(0))
    return kept / np.where(length > 0, length, 1) ** (2 * (1 - model.beta))


@pytest.mark.parametrize(
    "model",
    [
        ItemKNN(),
        ItemKNN(k=5),
        ItemKNN(k=1, shrink=10.0),
        ItemKNN(k=7, similarity="tfidf"),
        ItemKNN(k=7, similarity="bm25"),
        ItemKNN(k=7, similarity="bm25", k1=2.0, b=0.1),
        ItemKNN(k=7, similarity="jaccard"),
        ItemKNN(similarity="jaccard", shrink=3.0),
        ItemKNN(k=7, similarity="asymmetric"),
        ItemKNN(k=7, similarity="asymmetric", alpha=0.2, q=3.0, beta=0.4),
        ItemKNN(similarity="adjusted"),
        ItemKNN(k=4, similarity="adjusted", shrink=1.0),
    ],
    ids=lambda m: f"{m.similarity}-{m.k}-{m.shrink:g}-{m.alpha:g}-{m.k1:g}",
)
def test_weights_and_scores(model: ItemKNN) -> None:
    scorer = model.fit(tiny(), Run())
    expected = brute_force(model, tiny())
    np.testing.assert_allclose(scorer.weights.toarray(), expected, rtol=1e-4, atol=1e-6)
    assert scorer.weights.dtype == np.float32
    scores = scorer.score(tiny().queries())
    np.testing.assert_allclose(scores, dense(tiny()) @ expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["cosine", "jaccard", "adjusted"])
def test_many_items_and_few(name: str) -> None:
    """Both ways of adding up: a column of little to add, and one of much."""
    rng = np.random.default_rng(1)
    user = np.r_[np.repeat(np.arange(40), 5), np.repeat(np.arange(40, 44), 300)]
    item = rng.integers(600, size=len(user))
    rating = rng.integers(1, 6, len(user)).astype(float)
    data = Interactions.of(pl.DataFrame({"user_id": user.astype(str), "item_id": item.astype(str), "rating": rating}))
    model = ItemKNN(k=600, similarity=name)  # all of them: some are equally similar but for rounding
    np.testing.assert_allclose(model.fit(data, Run()).weights.toarray(), brute_force(model, data), rtol=1e-4, atol=1e-6)
    best, all_of_them = (ItemKNN(k=k, similarity=name).fit(data, Run()).weights.toarray() for k in (9, 600))
    np.testing.assert_array_equal(-np.sort(-best, axis=0)[:9], -np.sort(-all_of_them, axis=0)[:9])


def asymknn(x: Doubles, k: int, alpha: float, beta: float) -> Doubles:
    """RecBole's AsymKNN of items, with q = 1, written down densely."""
    count = x.sum(0)
    weights = x.T @ x / (np.outer(count ** (1 - alpha), count**alpha) + 1e-6)
    weights = best_of_columns(weights, k)
    of_user = np.sqrt((x**2).sum(1)) ** (2 * beta)
    of_item = np.sqrt((weights**2).sum(1)) ** (2 * (1 - beta))
    return x @ weights / (np.outer(of_user, of_item) + 1e-6)


@pytest.mark.parametrize(("k", "alpha"), [(100, 0.5), (5, 0.5), (5, 0.2), (8, 1.0)])
def test_asymknn_is_recboles_but_for_a_factor_of_the_user(k: int, alpha: float) -> None:
    scores = replace(preset("asymknn"), k=k, alpha=alpha).fit(tiny(), Run()).score(tiny().queries())
    items_of_user = np.diff(tiny().matrix.indptr)[:, np.newaxis]
    np.testing.assert_allclose(scores / (items_of_user + 1e-6), asymknn(dense(tiny()), k, alpha, 1.0), rtol=1e-4)


def test_the_adjusted_cosine_needs_ratings() -> None:
    with pytest.raises(RecliError, match="no rating for similarity=adjusted") as caught:
        ItemKNN(similarity="adjusted").fit(replace(tiny(), rating=None), Run())
    assert caught.value.code == Exit.DATA
