"""User kNN against a dense brute force, and RecBole's knn_method=user."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recli.interactions import Interactions, Queries
from recli.kernels import threads
from recli.model import Run
from recli.models.neighbor.userknn import Neighbors, UserKNN
from tests.checks import tiny

Doubles = NDArray[np.float64]


def dense(data: Interactions) -> Doubles:
    return data.matrix.toarray().astype(np.float64)


def similarity(asked: Doubles, x: Doubles, model: UserKNN) -> Doubles:
    """Of the rows of ``asked`` to those of ``x``, as the docstring says."""
    n_users, users = len(x), x.sum(0)
    idf = np.log(n_users / (1 + users)) if model.similarity in ("tfidf", "bm25") else np.ones(len(users))
    length = 1 - model.b + model.b * x.sum(1) / x.sum(1).mean()
    factor = (model.k1 + 1) / (model.k1 * length + 1) if model.similarity == "bm25" else np.ones(n_users)
    ours, theirs = asked * idf, x * idf * factor[:, np.newaxis]
    together, a, b = ours @ theirs.T, asked.sum(1)[:, np.newaxis], x.sum(1)
    norm = {
        "bm25": 1.0,
        "jaccard": a + b - together,
        "asymmetric": a**model.alpha * b ** (1 - model.alpha),
    }.get(model.similarity, np.outer(np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1)))
    return together / (norm + model.shrink + 1e-6)


def votes(alike: Doubles, x: Doubles, model: UserKNN) -> Doubles:
    """The sums over the k best of each row, of equal ones the first."""
    kept = np.maximum(alike, 0)
    for row in kept:
        row[np.argsort(-row.round(12), kind="stable")[model.k :]] = 0
    return kept**model.q @ x / x.sum(0) ** (1 - model.beta)


@pytest.mark.parametrize(
    "model",
    [
        UserKNN(),
        UserKNN(k=5),
        UserKNN(k=1, shrink=10.0),
        UserKNN(k=7, similarity="jaccard"),
        UserKNN(k=7, similarity="tfidf"),
        UserKNN(k=7, similarity="bm25", b=0.3),
        UserKNN(k=7, similarity="asymmetric", alpha=0.3, q=3.0, beta=0.4),
    ],
    ids=lambda m: f"{m.similarity}-{m.k}-{m.shrink:g}",
)
def test_scores(model: UserKNN) -> None:
    x = dense(tiny())
    alike = similarity(x, x, model)
    np.fill_diagonal(alike, 0)
    scorer = model.fit(tiny(), Run())
    np.testing.assert_allclose(scorer.score(tiny().queries()), votes(alike, x, model), rtol=1e-4, atol=1e-5)
    stranger = tiny().queries()[:9]
    stranger = replace(stranger, user=np.full(9, -1, np.int32))  # the user with that history is a neighbour now
    np.testing.assert_allclose(
        scorer.score(stranger), votes(similarity(x[:9], x, model), x, model), rtol=1e-4, atol=1e-5
    )


def test_as_recbole_with_its_w_times_x() -> None:
    x = dense(tiny())
    together, length = x @ x.T, np.sqrt(x.sum(1))
    np.fill_diagonal(together, 0)
    w = together * (1 / (np.outer(length, length) + 1e-6))
    np.testing.assert_allclose(UserKNN().fit(tiny(), Run()).score(tiny().queries()), w @ x, rtol=1e-4, atol=1e-6)


def test_of_equal_users_the_first_is_taken() -> None:
    rows = [(user, item) for user in "abcdef" for item in ("x", f"y{user}")] + [("q", "x")]
    data = Interactions.of(pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row"))
    asked = int((data.users == "q").arg_max() or 0)
    scores = UserKNN(k=2).fit(data, Run()).score(data.queries()[asked : asked + 1])[0]
    first = [user for user in data.users if user != "q"][:2]
    assert {name for name, score in zip(data.items, scores, strict=True) if score > 0} == {
        "x",
        *(f"y{u}" for u in first),
    }


def test_a_history_of_other_items_has_no_neighbours() -> None:
    rows = [("a", "x"), ("a", "y"), ("b", "y"), ("c", "z")]
    data = Interactions.of(pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row"))
    asked = int((data.users == "c").arg_max() or 0)
    assert (UserKNN().fit(data, Run()).score(data.queries()[asked : asked + 1]) == 0).all()


def test_threads_do_not_show() -> None:
    rng = np.random.default_rng(2)
    events = pl.DataFrame({"user_id": rng.integers(300, size=6000), "item_id": rng.integers(200, size=6000)})
    data = Interactions.of(events.cast(pl.String))
    scorer = UserKNN(k=20).fit(data, Run())
    with threads(1):
        one = scorer.score(data.queries())
    with threads(2):
        assert scorer.score(data.queries()).tobytes() == one.tobytes()
    few = scorer.score(data.queries()[40:60])
    assert few.tobytes() == one[40:60].tobytes()


def test_a_scorer_of_no_queries() -> None:
    scorer = UserKNN().fit(tiny(), Run())
    assert isinstance(scorer, Neighbors)
    nobody = Queries(user=np.empty(0, np.int32), indptr=np.zeros(1, np.int64), item=np.empty(0, np.int32))
    assert scorer.score(nobody).shape == (0, tiny().n_items)
    assert scorer.score_pairs(nobody, np.empty(0, np.int32)).shape == (0,)
