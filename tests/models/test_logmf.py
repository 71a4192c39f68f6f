"""LogMF against its gradients written out in numpy, and that it learns."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, weighted
from recli.kernels import logmf, threads
from recli.model import Run
from recli.models.factor.logmf import LogMF
from tests.checks import tiny

Doubles = NDArray[np.float64]


def dense(model: LogMF, data: Interactions, seed: int) -> tuple[Doubles, Doubles, Doubles]:
    """The rows and the items' biases: the docstring in float64, every pair written out."""
    r = weighted(data, data.n_items, model.weight).toarray().astype(np.float64)
    w = model.neg_prop * r.sum() / r.size
    rng = np.random.default_rng(seed)
    user, item = (0.1 * rng.standard_normal((n, model.embedding_size), np.float32).astype(np.float64) for n in r.shape)
    sides = [
        {"rows": rows, "bias": np.zeros(len(rows)), "G": np.zeros_like(rows), "g": np.zeros(len(rows))}
        for rows in (user, item)
    ]
    for _ in range(model.epochs):
        for ours, theirs, events in ((*sides, r), (*sides[::-1], r.T)):
            n = len(theirs["rows"])
            share = np.full(n, w)
            if 0 < model.train_neg_sample_num < n:
                share[:] = 0
                share[rng.choice(n, model.train_neg_sample_num, replace=False)] = w * n / model.train_neg_sample_num
            score = ours["rows"] @ theirs["rows"].T + ours["bias"][:, np.newaxis] + theirs["bias"]
            up = events / (1 + np.exp(score)) - share / (1 + np.exp(-score))
            gradient = up @ theirs["rows"] - model.reg_weight * events.sum(1, keepdims=True) * ours["rows"]
            for x, sums, g in (("rows", "G", gradient), ("bias", "g", up.sum(1))):
                ours[sums] += g**2
                ours[x] += model.learning_rate * g / np.sqrt(1e-6 + ours[sums])
    return user, item, sides[1]["bias"]


@pytest.mark.parametrize(
    "model",
    [
        LogMF(embedding_size=8, epochs=4),
        LogMF(embedding_size=3, epochs=4, train_neg_sample_num=0),
        LogMF(embedding_size=3, epochs=4, train_neg_sample_num=7, neg_prop=0.5),
        LogMF(embedding_size=8, epochs=4, weight="rating", reg_weight=0.3, learning_rate=0.02),
    ],
    ids=str,
)
def test_steps(model: LogMF) -> None:
    scorer = model.fit(tiny(), Run(seed=3))
    for ours, expected in zip((scorer.user, scorer.item, scorer.bias), dense(model, tiny(), 3), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_more_events_and_columns_than_a_tile() -> None:
    import polars as pl

    rng = np.random.default_rng(0)
    user, item = np.arange(9).repeat(200), np.concatenate([rng.permutation(300)[:200] for _ in range(9)])
    data = Interactions.of(pl.DataFrame({"user_id": user.astype(str), "item_id": item.astype(str)}))
    model = LogMF(embedding_size=8, epochs=3, train_neg_sample_num=130)
    with threads(2):
        scorer = model.fit(data, Run(seed=1, threads=2))
    np.testing.assert_allclose(scorer.item, dense(model, data, 1)[1], rtol=1e-3, atol=1e-4)


def test_divergence_is_said() -> None:
    with pytest.raises(RecliError, match="infinite or NaN") as caught:
        LogMF(learning_rate=1e30, epochs=20).fit(tiny(), Run())
    assert caught.value.code is Exit.DIVERGED
    assert caught.value.hint == "lower learning_rate=1e+30"


def test_the_logistic_function() -> None:
    """What an item gains of one event of score z is 1 / (1 + exp(z)), also where that is far out."""
    score = np.linspace(-30, 30, 61, dtype=np.float32)
    step: Callable[[float], float] = lambda z: _bias_after(z)  # noqa: E731
    np.testing.assert_allclose([step(float(z)) for z in score], 1 / (1 + np.exp(score.astype(np.float64))), atol=3e-7)


def _bias_after(score: float) -> float:
    """The bias of a row of one event and one column, whose biases make its score, after one step of AdaGrad's first."""
    from scipy.sparse import csr_matrix

    theirs, ours = logmf.Side.of(1, 4), logmf.Side.of(1, 4)
    theirs.bias[:] = score
    logmf.ascend(
        csr_matrix(np.ones((1, 1), np.float32)), theirs, ours, absence=0.0, chosen=np.arange(1), rate=1.0, reg=0.0
    )
    return float(np.sqrt(ours.bias_squares[0]))
