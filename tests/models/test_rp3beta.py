"""RP3beta against the walk itself, step by step, with full matrices."""

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from recli.interactions import Interactions
from recli.model import Run
from recli.models import catalog
from recli.models.graph.rp3beta import RP3beta, best_of_columns
from tests.checks import model, tiny

Doubles = NDArray[np.float64]


def best(row: Doubles, k: int) -> Doubles:
    kept = np.zeros_like(row)
    order = np.argsort(-row.round(12), kind="stable")[:k]
    kept[order] = row[order]
    return kept


def walk(model: RP3beta) -> Doubles:
    x = tiny().matrix.toarray().astype(np.float64)
    to_items = x / x.sum(1, keepdims=True) ** model.alpha
    to_users = x.T / x.sum(0)[:, np.newaxis] ** model.alpha
    w = to_users @ to_items / x.sum(0) ** model.beta
    np.fill_diagonal(w, 0)
    w = np.array([best(row, model.k) for row in w])
    if model.normalize_similarity:
        w /= w.sum(1, keepdims=True)
    return np.array([best(column, model.k) for column in w.T]).T


@pytest.mark.parametrize(
    "model",
    [
        RP3beta(),
        RP3beta(k=4),
        RP3beta(k=4, alpha=0.6, beta=0.3, normalize_similarity=True),
        RP3beta(k=9, alpha=1.7, beta=1.1),
        RP3beta(alpha=0.0, beta=0.0),
    ],
    ids=str,
)
def test_the_walk(model: RP3beta) -> None:
    scorer = model.fit(tiny(), Run())
    np.testing.assert_allclose(scorer.weights.toarray(), walk(model), rtol=1e-5)
    assert scorer.weights.dtype == np.float32
    x = tiny().matrix.toarray()
    np.testing.assert_allclose(scorer.score(tiny().queries()), x @ walk(model), rtol=1e-4, atol=1e-7)


def test_three_steps_by_hand() -> None:
    """u0 took a, b; u1 took b, c. From a: to u0, and from there to b, half of the time; the other half back to a."""
    data = Interactions.of(pl.DataFrame({"user_id": ["0", "0", "1", "1"], "item_id": ["a", "b", "b", "c"]}))
    a, b, c = (data.items.to_list().index(name) for name in "abc")
    weights = RP3beta(beta=0.0).fit(data, Run()).weights.toarray()
    assert weights[[a, c], b] == pytest.approx(0.5)  # one user, who has two items
    assert weights[b, [a, c]] == pytest.approx(0.25)  # two users to choose from first
    weights = RP3beta(beta=1.0).fit(data, Run()).weights.toarray()
    assert weights[a, b] == pytest.approx(0.25)  # two users have b
    assert weights[b, a] == pytest.approx(0.25)


def test_p3alpha_is_without_beta() -> None:
    assert model("p3alpha") == RP3beta(beta=0.0)
    assert catalog.CATALOG["p3alpha"].path == catalog.CATALOG["rp3beta"].path


def test_best_of_columns_prefers_the_lowest_of_equals() -> None:
    matrix = np.array([[1.0, 0, 3], [1, 2, 1], [2, 0, 2], [1, 0, 2]])
    expected = np.array([[1.0, 0, 3], [0, 2, 0], [2, 0, 2], [0, 0, 0]])
    np.testing.assert_array_equal(best_of_columns(csc_matrix(matrix), 2).toarray(), expected)
