"""Non-negative factors of ratings, against their updates written down, and Surprise."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries, encode
from recli.metrics.rating import mae, rmse
from recli.model import Run
from recli.models.rating.nmf import RatingNMF
from recli.sources import read
from tests.checks import tiny
from tests.models.test_baseline import as_listed, ratings
from tests.models.test_coclustering import Legacy


def one_by_one(data: Interactions, model: RatingNMF, seed: int) -> np.ndarray:
    """The docstring's updates, a rating at a time: users × items."""
    events, rng = ratings(data), np.random.default_rng(seed)
    mean = sum(r for _, _, r in events) / len(events) if model.biased else 0.0
    p, q = (rng.random((n, model.embedding_size)) for n in (data.n_users, data.n_items))
    b, c = np.zeros(data.n_users), np.zeros(data.n_items)
    for _ in range(model.epochs):
        above, below = (np.zeros_like(p), np.zeros_like(q)), (np.zeros_like(p), np.zeros_like(q))
        for u, i, r in events:
            e = mean + b[u] + c[i] + p[u] @ q[i]
            if model.biased:
                b[u] += model.learning_rate * (r - e - model.reg_bias * b[u])
                c[i] += model.learning_rate * (r - e - model.reg_bias * c[i])
            above[0][u] += r * q[i]
            above[1][i] += r * p[u]
            below[0][u] += e * q[i] + model.reg_weight * p[u]
            below[1][i] += e * p[u] + model.reg_weight * q[i]
        p, q = p * above[0] / below[0], q * above[1] / below[1]
    return mean + b[:, np.newaxis] + c + p @ q.T


@pytest.mark.parametrize(
    "model",
    [
        RatingNMF(),
        RatingNMF(epochs=1, embedding_size=1, reg_weight=0.5),
        RatingNMF(epochs=4, embedding_size=16),
        RatingNMF(epochs=10, biased=True, learning_rate=0.02, reg_bias=0.1),
    ],
)
def test_updates_of_one_rating_after_the_other(model: RatingNMF) -> None:
    scores = model.fit(tiny(), Run(seed=3)).score(tiny().queries())
    np.testing.assert_allclose(scores, one_by_one(tiny(), model, 3), rtol=1e-3)


def test_an_update_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """From rows of 1, of width 2: e = 2 everywhere. a has 4 and 2, x has 4 and y 2."""

    class Ones:
        def __init__(self, seed: int) -> None:
            pass

        def random(self, size: tuple[int, int]) -> np.ndarray:
            return np.ones(size)

    monkeypatch.setattr(np.random, "default_rng", Ones)
    data = as_listed(pl.DataFrame({"user_id": ["a", "a"], "item_id": ["x", "y"], "rating": [4.0, 2.0]}))
    scorer = RatingNMF(embedding_size=2, epochs=1, reg_weight=0.5).fit(data, Run())
    np.testing.assert_allclose(scorer.user, [[6 / 5, 6 / 5]], rtol=1e-6)  # (4 + 2) / (2 + 2 + 2 × 0.5)
    np.testing.assert_allclose(scorer.item, [[4 / 2.5, 4 / 2.5], [2 / 2.5, 2 / 2.5]], rtol=1e-6)


@pytest.mark.parametrize("biased", [False, True])
def test_no_number_is_negative(biased: bool) -> None:
    """Not even where steps of the biases are so long that they predict below 0."""
    scorer = RatingNMF(biased=biased, learning_rate=0.15).fit(tiny(), Run())
    assert scorer.user.min() >= 0
    assert scorer.item.min() >= 0


def nobody(user: list[int]) -> Queries:
    none = {"indptr": np.zeros(len(user) + 1, np.int64), "item": np.empty(0, np.int32)}
    return Queries(user=np.array(user, np.int32), **none)


def test_who_is_not_known_has_a_score_only_where_there_are_biases() -> None:
    queries, items = nobody([-1, 0, -1]), np.array([0, -1, -1], np.int32)
    assert np.isneginf(RatingNMF().fit(tiny(), Run()).score_pairs(queries, items)).all()
    scorer = RatingNMF(biased=True).fit(tiny(), Run())
    expected = [scorer.mean + scorer.bias[0], scorer.mean + scorer.user_bias[0], scorer.mean]
    np.testing.assert_allclose(scorer.score_pairs(queries, items), expected, rtol=1e-6)


def test_who_has_no_rating_gets_the_mean_row() -> None:
    rows = [("a", "x", 5.0), ("a", "y", 3.0), ("b", "x", 5.0), ("b", "y", 2.0)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row")
    data = Interactions.of(events, {"user": pl.DataFrame({"user_id": ["a", "b", "idle"]})})
    scores = RatingNMF().fit(data, Run()).score(data.queries())
    idle = int(encode(pl.Series(["idle"]), data.users)[0])
    np.testing.assert_allclose(scores[idle], np.delete(scores, idle, axis=0).mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize(("rating", "message"), [(None, "no rating"), (-1.0, "below 0")])
def test_what_cannot_be_learned_from(rating: float | None, message: str) -> None:
    columns = {"user_id": ["a"], "item_id": ["x"]} | ({} if rating is None else {"rating": [rating]})
    with pytest.raises(RecliError, match=message) as caught:
        RatingNMF().fit(Interactions.of(pl.DataFrame(columns)), Run())
    assert caught.value.code == Exit.DATA


def test_steps_that_are_too_long_are_said() -> None:
    with pytest.raises(RecliError, match="infinite or NaN") as caught:
        RatingNMF(biased=True, learning_rate=50.0).fit(tiny(), Run())
    assert caught.value.code == Exit.DIVERGED
    assert caught.value.hint == "lower learning_rate=50"


# RMSE and MAE of NMF(random_state=0) and NMF(biased=True, random_state=0) on GroupLens' folds u1 to u5 of
# MovieLens-100K: printed by Surprise 1.1.5.
SURPRISE = {
    False: [
        (0.979806, 0.769529), (0.971239, 0.762046), (0.959797, 0.754516), (0.965991, 0.759559), (0.967803, 0.764089),
    ],
    True: [
        (0.950120, 0.748098), (0.941415, 0.738776), (0.932606, 0.734662), (0.934117, 0.736678), (0.933543, 0.740009),
    ],
}  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("biased", SURPRISE)
def test_surprises_figures_from_its_start(
    biased: bool, fold: int, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np.random, "default_rng", Legacy)
    train, test = (read(shared / "ml-100k-folds" / f"u{fold}.{part}").frame for part in ("base", "test"))
    data, truth = as_listed(train), test["rating"].to_numpy()
    user, item = encode(test["user_id"], data.users), encode(test["item_id"], data.items)
    scores = RatingNMF(biased=biased).fit(data, Run(seed=0)).score_pairs(nobody(user.tolist()), item)
    scores[np.isneginf(scores)] = train["rating"].mean()
    clipped = np.clip(scores, 1, 5).astype(np.float64)
    assert (rmse(clipped, truth), mae(clipped, truth)) == pytest.approx(SURPRISE[biased][fold - 1], abs=1e-5)
