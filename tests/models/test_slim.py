"""SLIM against scikit-learn's elastic net, item by item."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import ElasticNet

from recli.errors import Exit, RecliError
from recli.interactions import Interactions
from recli.model import Run
from recli.models.linear import slim
from recli.models.linear.slim import SLIM
from tests.checks import tiny


def many() -> Interactions:
    """120 items of which 50 users took 8 to 50 each, some far more often taken than others."""
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(50), rng.integers(8, 50, 50))
    item = (120 * rng.random(len(user)) ** 3).astype(int)
    return Interactions.of(pl.DataFrame({"user_id": user.astype(str), "item_id": item.astype(str)}))


def elastic_nets(model: SLIM, data: Interactions) -> NDArray[np.float64]:
    x = data.matrix.toarray().astype(np.float64)
    weights = np.zeros((data.n_items, data.n_items))
    for j in range(data.n_items):
        net = ElasticNet(
            alpha=model.alpha,
            l1_ratio=model.l1_ratio,
            positive=model.positive_only,
            fit_intercept=False,
            selection="cyclic",
            max_iter=100_000,
            tol=1e-8,
        )
        others = x.copy()
        others[:, j] = 0
        weights[:, j] = net.fit(others, x[:, j]).coef_
    return weights


@pytest.fixture(params=["gram", "events"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With X'X at hand, and without."""
    monkeypatch.setattr(slim, "LONG", 1e9 if request.param == "gram" else 0)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "model",
    [
        SLIM(),
        SLIM(alpha=0.02),
        SLIM(alpha=0.01, l1_ratio=0.5),
        SLIM(alpha=0.02, l1_ratio=1e-6),
        SLIM(alpha=0.02, l1_ratio=0.9),
        SLIM(alpha=0.1, positive_only=False),
        SLIM(alpha=0.01, l1_ratio=0.5, positive_only=False),
        SLIM(alpha=100.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("data", [tiny, many], ids=["tiny", "many"])
def test_is_scikit_learns(model: SLIM, data: Callable[[], Interactions]) -> None:
    scorer = replace(model, tol=1e-6, max_iter=1000).fit(data(), Run())
    np.testing.assert_allclose(scorer.weights.toarray(), elastic_nets(model, data()), atol=2e-5)
    assert scorer.weights.dtype == np.float32
    assert (scorer.weights.data != 0).all()


@pytest.mark.usefixtures("way")
def test_the_default_tolerance_is_near() -> None:
    model = SLIM(alpha=0.01, l1_ratio=0.1)
    np.testing.assert_allclose(model.fit(many(), Run()).weights.toarray(), elastic_nets(model, many()), atol=1e-3)


@pytest.mark.usefixtures("way")
def test_blocks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SLIM().fit(many(), Run()).weights
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(slim, "BLOCK", 50)
    run = Run(threads=3, progress=lambda done, total, note: told.append((done, total)))
    assert (SLIM().fit(many(), run).weights != whole).nnz == 0
    n = many().n_items
    assert told == [(done, n) for done in (*range(50, n, 50), n)]


def test_a_ratio_is_at_most_one() -> None:
    with pytest.raises(RecliError, match="l1_ratio must be at most 1, not 2") as caught:
        SLIM(l1_ratio=2.0).fit(tiny(), Run())
    assert caught.value.code == Exit.USAGE
