"""Least squares of ratings, against dense normal equations, and the floor that it has to be below."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, encode
from recli.model import Run
from recli.models.rating.als import DEVIATION, RatingALS
from recli.scorers import Ratings
from recli.sources import read
from tests.checks import tiny
from tests.models.test_baseline import SURPRISE, as_listed, figures, ratings


def dense(data: Interactions, model: RatingALS, seed: int) -> np.ndarray:
    """The docstring, by numpy's solver, for one row at a time: users × items."""
    events, width = ratings(data), model.embedding_size
    mean = sum(r for _, _, r in events) / len(events)
    p, b = np.zeros((data.n_users, width)), np.zeros(data.n_users)
    q, c = np.random.default_rng(seed).normal(0, DEVIATION, (data.n_items, width)), np.zeros(data.n_items)

    def solved(side: list[tuple[np.ndarray, float]]) -> np.ndarray:
        rows, targets = np.array([[*row, 1.0] for row, _ in side]), np.array([target for _, target in side])
        return np.linalg.solve(rows.T @ rows + model.reg_weight * len(side) * np.eye(width + 1), rows.T @ targets)

    for _ in range(model.epochs):
        for u in range(data.n_users):
            *p[u], b[u] = solved([(q[i], r - mean - c[i]) for v, i, r in events if v == u])
        for i in range(data.n_items):
            *q[i], c[i] = solved([(p[u], r - mean - b[u]) for u, j, r in events if j == i])
    return mean + b[:, np.newaxis] + c + p @ q.T


@pytest.mark.parametrize("model", [RatingALS(), RatingALS(embedding_size=1, epochs=1, reg_weight=0.02)])
def test_normal_equations(model: RatingALS) -> None:
    scores = model.fit(tiny(), Run(seed=4)).score(tiny().queries())
    np.testing.assert_allclose(scores, dense(tiny(), model, 4), rtol=2e-4)


def gradient(data: Interactions, scorer: Ratings, reg: float) -> tuple[np.ndarray, np.ndarray]:
    """Of the docstring's loss, halved, by the numbers of the users' rows and by their biases."""
    assert scorer.bias is not None
    assert scorer.user_bias is not None
    rows, biases = np.zeros(scorer.user.shape), np.zeros(data.n_users)
    for u, i, r in ratings(data):
        error = r - scorer.mean - scorer.user_bias[u] - scorer.bias[i] - scorer.user[u] @ scorer.item[i]
        rows[u] += reg * scorer.user[u] - error * scorer.item[i]
        biases[u] += reg * scorer.user_bias[u] - error
    return rows, biases


def test_in_the_end_the_loss_is_at_rest() -> None:
    scorer = RatingALS(embedding_size=3, epochs=2000).fit(tiny(), Run())
    assert max(np.abs(part).max() for part in gradient(tiny(), scorer, 0.1)) < 0.01
    early = RatingALS(embedding_size=3, epochs=1).fit(tiny(), Run())
    assert max(np.abs(part).max() for part in gradient(tiny(), early, 0.1)) > 0.1


def test_biases_by_hand() -> None:
    """Of ratings 2 and 4 the user is at the mean, 3: what x and y are off it is halved, as reg_weight adds a second 1.

    The rows that begin at .1 and less come to nothing beside this.
    """
    rows = [("a", "x", 2.0), ("a", "y", 4.0)]
    data = Interactions.of(pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row"))
    scorer = RatingALS(embedding_size=1, epochs=20, reg_weight=1.0).fit(data, Run())
    assert dict(zip(data.items, scorer.score(data.queries())[0].tolist(), strict=True)) == pytest.approx(
        {"x": 2.5, "y": 3.5}, abs=1e-3
    )


def test_who_has_no_rating_is_rated_by_what_is_known() -> None:
    rows = [("a", "x", 5.0), ("a", "y", 3.0), ("b", "x", 5.0), ("b", "y", 2.0)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row")
    data = Interactions.of(events, {"user": pl.DataFrame({"user_id": ["a", "b", "idle"]})})
    scorer = RatingALS().fit(data, Run())
    assert scorer.bias is not None
    idle = int(encode(pl.Series(["idle"]), data.users)[0])
    np.testing.assert_allclose(scorer.score(data.queries())[idle], scorer.mean + scorer.bias, rtol=1e-6)


def test_without_ratings_there_is_nothing_to_learn() -> None:
    data = Interactions.of(pl.DataFrame({"user_id": ["a"], "item_id": ["x"]}))
    with pytest.raises(RecliError, match="no rating") as caught:
        RatingALS().fit(data, Run())
    assert caught.value.code == Exit.DATA


@pytest.mark.shared
@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
def test_the_error_is_below_that_of_the_biases_alone(fold: int, shared: Path) -> None:
    train, test = (read(shared / "ml-100k-folds" / f"u{fold}.{part}").frame for part in ("base", "test"))
    error, distance = figures(RatingALS(), as_listed(train), test)
    floor = SURPRISE["als"][fold - 1]
    assert error < floor[0] - 0.01
    assert distance < floor[1] - 0.01
