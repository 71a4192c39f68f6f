"""Popularity and chance; and the mean rating with its biases, against hand, paper and Surprise."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries, encode, order_within
from recli.metrics.rating import mae, rmse
from recli.model import Run
from recli.models.baseline.pop import Pop
from recli.models.baseline.random import Random
from recli.models.rating.baseline import Baseline, Biases
from recli.ranking import top_k
from recli.sources import read
from tests.checks import tiny


def test_pop_counts_users() -> None:
    events = pl.DataFrame({"user_id": ["a", "a", "b", "c"], "item_id": ["x", "x", "x", "y"]})
    data = Interactions.of(events)
    scores = Pop().fit(data, Run()).item
    assert dict(zip(data.items, scores.tolist(), strict=True)) == {"x": 2.0, "y": 1.0}


def test_random_is_a_function_of_seed_user_and_item() -> None:
    first, other = (Random().fit(tiny(), Run(seed=seed)).score(tiny().queries()) for seed in (1, 2))
    assert (first == Random().fit(tiny(), Run(seed=1)).score(tiny().queries())).all()
    assert (first != other).mean() > 0.99
    assert len(np.unique(first)) > 0.99 * first.size


def test_random_is_uniform() -> None:
    n = 4000
    queries = Queries(user=np.arange(50, dtype=np.int32), indptr=np.zeros(51, np.int64), item=np.empty(0, np.int32))
    scorer = type(Random().fit(tiny(), Run()))(seed=2020, n_items=n)
    counts, _ = np.histogram(scorer.score(queries), 20, (0, 1))
    assert ((counts - n * 50 / 20) ** 2 / (n * 50 / 20)).sum() < 45  # chi-squared, 19 degrees, p = 0.0007
    first, _ = top_k(scorer, queries, 1)
    assert len(np.unique(first)) > 40


def as_listed(events: pl.DataFrame) -> Interactions:
    """Users and items in the order in which they appear, and a user's ratings too, as Surprise has them."""
    users, items = (events[name].unique(maintain_order=True) for name in ("user_id", "item_id"))
    indptr, rows = order_within(encode(events["user_id"], users), None, len(users))
    item, rating = encode(events["item_id"], items)[rows], events["rating"].to_numpy()[rows].astype(np.float32)
    return Interactions(users=users, items=items, indptr=indptr, item=item, rating=rating)


def four() -> Interactions:
    """Four ratings, 4 on average; b has rated x twice."""
    rows = [("a", "x", 5.0), ("a", "y", 3.0), ("b", "x", 5.0), ("b", "x", 3.0)]
    return as_listed(pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row"))


def test_biases_by_hand() -> None:
    scorer = Baseline(epochs=1, reg_u=1.0, reg_i=2.0).fit(four(), Run())
    assert scorer.mean == 4
    # x: (1 + 1 - 1) / (2 + 3), y: -1 / (2 + 1); a: (4/5 - 2/3) / (1 + 2), b: (4/5 - 6/5) / (1 + 2)
    np.testing.assert_allclose(scorer.item, [1 / 5, -1 / 3], rtol=1e-6)
    np.testing.assert_allclose(scorer.user, [2 / 45, -2 / 15], rtol=1e-6)


def test_steps_by_hand() -> None:
    scorer = Baseline(solver="sgd", epochs=1, learning_rate=0.1, reg_weight=1.0).fit(four(), Run())
    # a likes x, by 1: both up by .1; y by -1, which is 1.1 less than a's .1 says: a down by .12, y by .11;
    # b likes x, by 1, .9 more than x's .1: b up by .09, x by .08; then by -1, 1.27 less: b down by .136, x by .145.
    np.testing.assert_allclose(scorer.user, [-0.02, -0.046], rtol=1e-5)
    np.testing.assert_allclose(scorer.item, [0.035, -0.11], rtol=1e-5)


def ratings(data: Interactions) -> list[tuple[int, int, float]]:
    assert data.rating is not None
    user = np.repeat(np.arange(data.n_users), np.diff(data.indptr))
    return list(zip(user.tolist(), data.item.tolist(), data.rating.tolist(), strict=True))


Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def one_by_one_als(data: Interactions, model: Baseline, epochs: int) -> Pair:
    """The docstring's sums, written down for one user and one item at a time."""
    events = ratings(data)
    mean = sum(r for _, _, r in events) / len(events)
    b_u, b_i = np.zeros(data.n_users), np.zeros(data.n_items)
    for _ in range(epochs):
        for i in range(data.n_items):
            rest = [r - mean - b_u[u] for u, j, r in events if j == i]
            b_i[i] = sum(rest) / (model.reg_i + len(rest))
        for u in range(data.n_users):
            rest = [r - mean - b_i[i] for v, i, r in events if v == u]
            b_u[u] = sum(rest) / (model.reg_u + len(rest))
    return b_u, b_i


def one_by_one_sgd(data: Interactions, model: Baseline, epochs: int) -> Pair:
    """The docstring's steps."""
    events = ratings(data)
    mean = sum(r for _, _, r in events) / len(events)
    b_u, b_i = np.zeros(data.n_users), np.zeros(data.n_items)
    for _ in range(epochs):
        for u, i, r in events:
            error = r - (mean + b_u[u] + b_i[i])
            b_u[u] += model.learning_rate * (error - model.reg_weight * b_u[u])
            b_i[i] += model.learning_rate * (error - model.reg_weight * b_i[i])
    return b_u, b_i


@pytest.mark.parametrize(
    ("model", "epochs"),
    [
        (Baseline(), 10),
        (Baseline(epochs=1, reg_u=0.0, reg_i=3.0), 1),
        (Baseline(solver="sgd"), 20),
        (Baseline(solver="sgd", epochs=3, learning_rate=0.1, reg_weight=0.5), 3),
    ],
    ids=str,
)
def test_one_rating_after_the_other(model: Baseline, epochs: int) -> None:
    scorer = model.fit(tiny(), Run())
    plain = one_by_one_als if model.solver == "als" else one_by_one_sgd
    user, item = plain(tiny(), model, epochs)
    np.testing.assert_allclose(scorer.user, user, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(scorer.item, item, rtol=1e-5, atol=1e-7)


def test_who_is_not_known_has_no_bias() -> None:
    scorer = Biases(mean=3.5, user=np.array([0.25, -1], np.float32), item=np.array([1, 0.5, -0.5], np.float32))
    queries = Queries(user=np.array([1, -1, 1, -1], np.int32), indptr=np.zeros(5, np.int64), item=np.empty(0, np.int32))
    assert scorer.score(queries)[:2].tolist() == [[3.5, 3.0, 2.0], [4.5, 4.0, 3.0]]
    assert scorer.score_pairs(queries, np.array([2, 2, -1, -1], np.int32)).tolist() == [2.0, 3.0, 2.5, 3.5]


def test_without_ratings_there_is_nothing_to_learn() -> None:
    data = Interactions.of(pl.DataFrame({"user_id": ["a"], "item_id": ["x"]}))
    with pytest.raises(RecliError, match="no rating") as caught:
        Baseline().fit(data, Run())
    assert caught.value.code == Exit.DATA


def test_steps_that_are_too_long_are_said() -> None:
    with pytest.raises(RecliError, match="infinite or NaN") as caught:
        Baseline(solver="sgd", learning_rate=50.0).fit(tiny(), Run())
    assert caught.value.code == Exit.DIVERGED
    assert caught.value.hint == "lower learning_rate=50"


# RMSE and MAE of BaselineOnly, with the defaults of its two methods, on GroupLens' five folds u1 to u5 of
# MovieLens-100K, predictions clipped to [1, 5]: printed by Surprise 1.1.5 (load_from_folds, PredefinedKFold, accuracy).
SURPRISE = {
    "als": [
        (0.959944, 0.761583), (0.947652, 0.749399), (0.940523, 0.744516), (0.938284, 0.744233), (0.942279, 0.749940),
    ],
    "sgd": [
        (0.956109, 0.754186), (0.945295, 0.743413), (0.939626, 0.740932), (0.937332, 0.740344), (0.936887, 0.743234),
    ],
}  # fmt: skip


def figures(model: Baseline, data: Interactions, test: pl.DataFrame) -> tuple[float, float]:
    none = {"indptr": np.zeros(len(test) + 1, np.int64), "item": np.empty(0, np.int32)}
    queries = Queries(user=encode(test["user_id"], data.users), **none)
    scores = model.fit(data, Run()).score_pairs(queries, encode(test["item_id"], data.items))
    clipped, truth = np.clip(scores, 1, 5).astype(np.float64), test["rating"].to_numpy()
    return rmse(clipped, truth), mae(clipped, truth)


@pytest.mark.shared
@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("solver", SURPRISE)
def test_surprises_figures(solver: str, fold: int, shared: Path) -> None:
    """Equal with Surprise's order of users and ratings; only ``sgd`` heeds the order, in the fourth digit."""
    train, test = (read(shared / "ml-100k-folds" / f"u{fold}.{part}").frame for part in ("base", "test"))
    theirs, model = SURPRISE[solver][fold - 1], Baseline(solver=solver)
    assert figures(model, as_listed(train), test) == pytest.approx(theirs, abs=2e-6)
    assert figures(model, Interactions.of(train), test) == pytest.approx(theirs, abs=2e-6 if solver == "als" else 1e-3)
