"""Histories folded into factors that were learned by steps: against scipy's optimum, and against retraining."""

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from recli.interactions import Interactions, Queries
from recli.model import Run
from recli.models import catalog
from recli.models.factor.folding import Folding
from recli.ranking import top_k
from recli.scorers import Scorer
from tests.checks import fitted, tiny

Doubles = NDArray[np.float64]


def loss(x: Doubles, item: Doubles, bias: Doubles, had: NDArray[np.bool_]) -> float:
    """What the docstring maximises, with its sign changed, and x's last number being a."""
    score = item @ x[:-1] + x[-1] + bias
    spread = ((item - item.mean(0)) ** 2).sum(1).mean()
    chosen, absent = np.logaddexp(0, -score[had]).mean(), np.logaddexp(0, score).mean()
    return float(chosen + 4 * absent + 0.02 * spread * (x[:-1] ** 2).sum() / 2)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("biased", [False, True])
def test_a_history_gets_the_best_row(scale: float, biased: bool) -> None:
    rng = np.random.default_rng(0)
    item = (scale * (rng.standard_normal((200, 8)) + 0.5)).astype(np.float32)
    bias = rng.standard_normal(200).astype(np.float32) if biased else None
    scorer = Folding(user=np.zeros((1, 8), np.float32), item=item, bias=bias)
    histories = [rng.permutation(200)[:n] for n in (1, 5, 40)]
    codes, indptr = np.concatenate(histories).astype(np.int32), np.array([0, 1, 6, 46])
    rows = scorer.fold(Queries(user=np.full(3, -1, np.int32), indptr=indptr, item=codes))
    biases = np.zeros(200) if bias is None else bias.astype(np.float64)
    for row, history in zip(rows, histories, strict=True):
        given = (item - item.mean(0, dtype=np.float64), biases, np.isin(np.arange(200), history))
        best, nothing = minimize(loss, np.append(row, -1), args=given).fun, loss(np.zeros(9), *given)
        ours = minimize(lambda a, x, given: loss(np.append(x, a), *given), -1.0, (row, given)).fun
        assert best - 1e-6 <= ours < best + 0.01 * (nothing - best)


def test_repeats_of_an_item_change_nothing() -> None:
    scorer, user = fitted("bpr"), np.array([-1, -1], np.int32)
    queries = Queries(user=user, indptr=np.array([0, 2, 5]), item=np.array([3, 9, 9, 3, 9], np.int32))
    once, often = scorer.score(queries)
    np.testing.assert_array_equal(once, often)


def test_items_that_are_all_alike_leave_the_biases() -> None:
    bias = np.array([0.5, 2.0, -1.0], np.float32)
    scorer = Folding(user=np.zeros((1, 4), np.float32), item=np.ones((3, 4), np.float32), bias=bias)
    scores = scorer.score(Queries(user=np.array([-1], np.int32), indptr=np.array([0, 1]), item=np.array([0], np.int32)))
    np.testing.assert_array_equal(scores, bias[np.newaxis])


PAIRWISE = ("mlp", "neumf")  # networks of pairs know their users by rows alone, say so, and serve nobody else
RANKING = [name for name, entry in catalog.CATALOG.items() if entry.task == "ranking" and name not in PAIRWISE]


@pytest.mark.parametrize("name", RANKING)
def test_every_model_that_ranks_serves_a_user_it_never_saw(name: str) -> None:
    queries = Queries(user=np.array([-1], np.int32), indptr=np.array([0, 3]), item=np.array([1, 4, 2], np.int32))
    assert np.isfinite(fitted(name).score(queries)).all()


@pytest.mark.parametrize("name", PAIRWISE)
def test_a_network_of_pairs_serves_no_user_it_never_saw(name: str) -> None:
    queries = Queries(user=np.array([-1], np.int32), indptr=np.array([0, 3]), item=np.array([1, 4, 2], np.int32))
    assert np.isneginf(fitted(name).score(queries)).all()


@pytest.mark.parametrize("name", ["als", "nmf", "bpr", "warp", "logmf", "puresvd", "ease", "itemknn"])
def test_a_known_users_new_history_takes_the_place_of_the_old(name: str) -> None:
    own = {"indptr": np.array([0, 2]), "item": np.array([12, 25], np.int32)}
    known, unknown = (
        fitted(name).score(Queries(user=np.array([user], np.int32), replaced=True, **own)) for user in (0, -1)
    )
    np.testing.assert_allclose(known, unknown, rtol=1e-5, atol=1e-6)
    assert not np.allclose(known, fitted(name).score(tiny().queries()[:1]))


def clustered() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Old users, the histories of new ones, and what these have besides; of 8 tastes with 15 items each."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(600):
        likes = rng.random(120) < np.where(np.arange(120) // 15 == user % 8, 0.6, 0.04)
        rows += [(f"u{user}", f"i{item}", user >= 400, rng.random() < 0.3) for item in np.flatnonzero(likes)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "new", "truth"], orient="row")
    new, truth = pl.col("new"), pl.col("truth")
    return events.filter(~new), events.filter(new & ~truth), events.filter(new & truth)


def hits(scorer: Scorer, data: Interactions, history: pl.DataFrame, truth: pl.DataFrame) -> float:
    """The share of the truth that stands among the five best."""
    wanted = truth["user_id"].unique().sort()
    queries, later = (Queries.of(wanted, rows, data.users, data.items) for rows in (history, truth))
    codes, _ = top_k(scorer, queries, 5, seen=(queries.indptr, queries.item))
    return float((later.matrix(data.n_items)[np.arange(len(wanted)).repeat(5), codes.ravel()]).mean())


@pytest.mark.parametrize("name", ["als", "nmf", "bpr", "warp", "logmf"])
def test_new_users_are_served_as_after_retraining(name: str) -> None:
    old, history, truth = clustered()
    chosen = catalog.resolve(name).cls(embedding_size=16)
    before, after = Interactions.of(old), Interactions.of(pl.concat([old, history]))
    folded, retrained = (hits(chosen.fit(data, Run()), data, history, truth) for data in (before, after))
    popular = hits(catalog.resolve("pop").cls().fit(before, Run()), before, history, truth)
    assert folded > 0.93 * retrained
    assert folded > 3 * popular
