"""Association rules, by hand and against every pair written out."""

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recli.interactions import Interactions, Queries
from recli.model import Run
from recli.models.neighbor.rules import Rules
from tests.checks import tiny

BASKETS = {"a": "bread milk", "b": "bread beer nappies", "c": "milk beer nappies", "d": "bread milk nappies beer"}


def shop() -> Interactions:
    rows = [(who, what) for who, basket in BASKETS.items() for what in basket.split()]
    return Interactions.of(pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row"))


def says(model: Rules, basket: str) -> dict[str, float]:
    data = shop()
    codes = np.array([data.items.to_list().index(name) for name in basket.split()], np.int32)
    query = Queries(user=np.array([-1], np.int32), indptr=np.array([0, len(codes)]), item=codes)
    return dict(zip(data.items, model.fit(data, Run()).score(query)[0].tolist(), strict=True))


def test_by_hand() -> None:
    """Of three with beer all three have nappies, and of three with bread two have each of the others."""
    third = pytest.approx(2 / 3)
    assert says(Rules(), "beer") == {"beer": 0.0, "nappies": 1.0, "bread": third, "milk": third}
    assert says(Rules(), "beer bread")["nappies"] == pytest.approx(1 + 2 / 3)
    assert says(Rules(combine="best"), "beer bread")["nappies"] == 1.0
    assert says(Rules(min_confidence=0.7), "beer") == {"beer": 0.0, "nappies": 1.0, "bread": 0.0, "milk": 0.0}
    assert says(Rules(min_confidence=2 / 3), "beer")["milk"] == third
    assert says(Rules(min_support=3), "beer bread") == {"beer": 0.0, "nappies": 1.0, "bread": 0.0, "milk": 0.0}
    assert says(Rules(measure="lift"), "beer")["nappies"] == pytest.approx(4 * 3 / (3 * 3))
    assert says(Rules(k=1), "beer") == {"beer": 0.0, "nappies": 1.0, "bread": 0.0, "milk": 0.0}


def every_rule(model: Rules, x: NDArray[np.float64]) -> NDArray[np.float64]:
    n_users, n_items = x.shape
    weights = np.zeros((n_items, n_items))
    for i in range(n_items):
        for j in range(n_items):
            both, one, other = x[:, i] @ x[:, j], x[:, i].sum(), x[:, j].sum()
            if i != j and both >= model.min_support and both / one >= model.min_confidence:
                weights[i, j] = both / one if model.measure == "confidence" else n_users * both / (one * other)
        weights[i, np.argsort(-weights[i].round(9), kind="stable")[model.k :]] = 0
    return weights


@pytest.mark.parametrize(
    "model",
    [
        Rules(),
        Rules(k=4, min_support=3),
        Rules(k=4, min_support=1, measure="lift"),
        Rules(min_confidence=0.4, measure="lift", combine="best"),
        Rules(k=6, combine="best"),
    ],
    ids=str,
)
def test_weights_and_scores(model: Rules) -> None:
    x = tiny().matrix.toarray().astype(np.float64)
    expected = every_rule(model, x)
    scorer = model.fit(tiny(), Run())
    np.testing.assert_allclose(scorer.weights.toarray(), expected, rtol=1e-6)
    fired = x[:, :, np.newaxis] * expected
    scores = fired.sum(1) if model.combine == "sum" else fired.max(1)
    np.testing.assert_allclose(scorer.score(tiny().queries()), scores, rtol=1e-5, atol=1e-6)
    for item in (0, 7, 27):
        pairs = scorer.score_pairs(tiny().queries(), np.full(tiny().n_users, item, np.int32))
        np.testing.assert_allclose(pairs, scores[:, item], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("combine", ["sum", "best"])
def test_pairs_of_nobody_with_a_history(combine: str) -> None:
    scorer = Rules(combine=combine).fit(tiny(), Run())
    nobody = Queries(user=np.full(3, -1, np.int32), indptr=np.zeros(4, np.int64), item=np.empty(0, np.int32))
    assert np.isneginf(scorer.score_pairs(nobody, np.array([0, 1, -1], np.int32))).all()
