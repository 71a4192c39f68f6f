"""SVD of ratings, with biases and without, against steps taken one by one, and Surprise."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries, encode
from recli.kernels import svd as kernel
from recli.metrics.rating import mae, rmse
from recli.model import Run
from recli.models.rating import svd as module
from recli.models.rating.descent import first_rows
from recli.models.rating.svd import SVD
from recli.scorers import Factors, Ratings, Scorer
from recli.sources import read
from tests.checks import tiny
from tests.models.test_baseline import as_listed, ratings


def one_by_one(data: Interactions, model: SVD, seed: int) -> dict[str, NDArray[np.float64] | float]:
    """The docstring's steps, from the first rows of a seed, user by user."""
    rng = np.random.default_rng(seed)
    p, q = (rng.normal(0, 0.1, (n, model.embedding_size)) for n in (data.n_users, data.n_items))
    b_u, b_i = np.zeros(data.n_users), np.zeros(data.n_items)
    events = ratings(data)
    mean = sum(r for _, _, r in events) / len(events) if model.biased else 0.0
    rate, reg = model.learning_rate, model.reg_weight
    for _ in range(model.epochs):
        for u, i, r in events:
            error = r - mean - b_u[u] - b_i[i] - p[u] @ q[i]
            if model.biased:
                b_u[u] += rate * (error - reg * b_u[u])
                b_i[i] += rate * (error - reg * b_i[i])
            p[u], q[i] = p[u] + rate * (error * q[i] - reg * p[u]), q[i] + rate * (error * p[u] - reg * q[i])
    return {"mean": mean, "user": p, "item": q, "user_bias": b_u, "bias": b_i}


@pytest.mark.parametrize(
    "model",
    [SVD(), SVD(biased=False), SVD(embedding_size=3, epochs=2, learning_rate=0.1, reg_weight=0.5)],
    ids=["biased", "unbiased", "long steps"],
)
def test_one_rating_after_the_other(model: SVD) -> None:
    scorer = model.fit(tiny(), Run(seed=4))
    for name, values in one_by_one(tiny(), model, 4).items():
        if model.biased or name in ("user", "item"):
            np.testing.assert_allclose(getattr(scorer, name), values, rtol=1e-4, atol=2e-6)


def test_a_step_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """From rows of ones the product is 1, so that of ratings 5 and 3, 4 on average, 0 and -2 are left."""

    def ones(rng: np.random.Generator, n: int, width: int) -> NDArray[np.float32]:
        rows = first_rows(rng, n, width)
        rows[:, :width] = 1
        return rows

    monkeypatch.setattr(module, "first_rows", ones)
    rows = [("a", "x", 5.0), ("b", "y", 3.0)]
    data = as_listed(pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row"))
    scorer = SVD(embedding_size=1, epochs=1, learning_rate=0.1, reg_weight=1.0).fit(data, Run())
    assert isinstance(scorer, Ratings)
    assert scorer.mean == 4
    # b of y: -.2, and the rows 1 + .1 (-2 - 1); a of x: nothing but the regularisation of the rows
    np.testing.assert_allclose(scorer.user_bias, [0, -0.2], atol=1e-7)
    np.testing.assert_allclose(scorer.bias, [0, -0.2], atol=1e-7)
    np.testing.assert_allclose(scorer.user, [[0.9], [0.7]], rtol=1e-6)
    np.testing.assert_allclose(scorer.item, [[0.9], [0.7]], rtol=1e-6)


def many(n_users: int = 300, n_items: int = 400) -> Interactions:
    """Enough items for all blocks; some pairs are there twice."""
    rng = np.random.default_rng(3)
    user, item = rng.integers(n_users, size=9000), rng.integers(n_items, size=9000)
    frame = {"user_id": user.astype(str), "item_id": item.astype(str), "rating": rng.integers(1, 6, 9000).astype(float)}
    return Interactions.of(pl.DataFrame(frame))


def test_meetings_hold_every_rating_once_and_share_no_row() -> None:
    data = many()
    assert data.rating is not None
    meetings = kernel.Meetings.of(data.indptr, data.item, data.rating, data.n_items)
    theirs = zip(meetings.user.tolist(), meetings.item.tolist(), meetings.rest.tolist(), strict=True)
    assert sorted(theirs) == sorted(ratings(data))
    blocks = len(meetings.starts)
    assert blocks == kernel.BLOCKS
    for s in range(blocks):
        cells = [(t, (t + s) % blocks) for t in range(blocks)]
        spans = [slice(meetings.starts[cell], meetings.stops[cell]) for cell in cells]
        for rows in (meetings.user, meetings.item):
            met = [np.unique(rows[span]) for span in spans]
            assert len(np.unique(np.concatenate(met))) == sum(map(len, met)) > 0


def test_any_number_of_threads_gives_the_same_bytes() -> None:
    one, four = (SVD(epochs=3).fit(many(), Run(threads=threads)) for threads in (1, 4))
    assert one.user.tobytes() == four.user.tobytes()
    assert one.item.tobytes() == four.item.tobytes()


def test_without_biases_strangers_have_no_score() -> None:
    scorer = SVD(biased=False).fit(tiny(), Run())
    assert type(scorer) is Factors
    queries = Queries(user=np.array([0, -1, 0], np.int32), indptr=np.zeros(4, np.int64), item=np.empty(0, np.int32))
    scores = scorer.score_pairs(queries, np.array([1, 1, -1], np.int32))
    assert np.isneginf(scores).tolist() == [False, True, True]


def test_without_ratings_there_is_nothing_to_learn() -> None:
    data = Interactions.of(pl.DataFrame({"user_id": ["a"], "item_id": ["x"]}))
    with pytest.raises(RecliError, match="no rating to learn") as caught:
        SVD().fit(data, Run())
    assert caught.value.code == Exit.DATA


def test_a_missing_rating_is_said() -> None:
    frame = {"user_id": ["a", "b"], "item_id": ["x", "y"], "rating": [1.0, None]}
    with pytest.raises(RecliError, match="a rating is missing") as caught:
        SVD().fit(Interactions.of(pl.DataFrame(frame)), Run())
    assert caught.value.code == Exit.DATA


def test_steps_that_are_too_long_are_said() -> None:
    with pytest.raises(RecliError, match="infinite or NaN in epoch") as caught:
        SVD(learning_rate=50.0).fit(tiny(), Run())
    assert caught.value.code == Exit.DIVERGED
    assert caught.value.hint == "lower learning_rate=50"


def test_a_last_step_that_is_too_long_is_said() -> None:
    one = {"user_id": ["a"], "item_id": ["x"], "rating": [3.0]}
    with pytest.raises(RecliError, match="infinite or NaN in the last epoch") as caught:
        SVD(learning_rate=1e39, epochs=1).fit(as_listed(pl.DataFrame(one)), Run())
    assert caught.value.code == Exit.DIVERGED


# RMSE and MAE of SVD(random_state=0) and SVD(biased=False, random_state=0) on GroupLens' five folds u1 to u5 of
# MovieLens-100K: printed by Surprise 1.1.5 (load_from_folds, PredefinedKFold, accuracy).
SURPRISE = {
    True: [
        (0.951276, 0.750193), (0.942306, 0.740556), (0.930931, 0.731578), (0.932225, 0.734278), (0.933153, 0.738378),
    ],
    False: [
        (0.965409, 0.761104), (0.954850, 0.749441), (0.945766, 0.744217), (0.947932, 0.745853), (0.947900, 0.748900),
    ],
}  # fmt: skip


def figures(scorer: Scorer, data: Interactions, test: pl.DataFrame) -> tuple[float, float]:
    """As Surprise has them: the mean where a prediction cannot be, and all in [1, 5]."""
    assert data.rating is not None
    none = {"indptr": np.zeros(len(test) + 1, np.int64), "item": np.empty(0, np.int32)}
    queries = Queries(user=encode(test["user_id"], data.users), **none)
    scores = scorer.score_pairs(queries, encode(test["item_id"], data.items)).astype(np.float64)
    clipped = np.clip(np.where(np.isneginf(scores), data.rating.mean(dtype=np.float64), scores), 1, 5)
    return rmse(clipped, test["rating"].to_numpy()), mae(clipped, test["rating"].to_numpy())


def surprises_first_rows(monkeypatch: pytest.MonkeyPatch, where: object) -> None:
    """Those of its random_state=0, for one fit."""
    state = np.random.RandomState(0)  # the generator that it has

    def rows(rng: np.random.Generator, n: int, width: int) -> NDArray[np.float32]:
        padded = first_rows(rng, n, width)
        padded[:, :width] = state.normal(0, 0.1, (n, width))
        return padded

    monkeypatch.setattr(where, "first_rows", rows)


@pytest.mark.shared
@pytest.mark.parametrize("biased", SURPRISE)
def test_surprises_figures(biased: bool, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal where the order of the steps is Surprise's; stratified, the mean of the folds is."""
    stratified = []
    for fold, theirs in enumerate(SURPRISE[biased], 1):
        train, test = (read(shared / "ml-100k-folds" / f"u{fold}.{part}").frame for part in ("base", "test"))
        data = as_listed(train)
        with monkeypatch.context() as patch:
            surprises_first_rows(patch, module)
            stratified.append(figures(SVD(biased=biased).fit(data, Run(threads=2)), data, test))
        with monkeypatch.context() as patch:
            surprises_first_rows(patch, module)
            patch.setattr(kernel, "BLOCKS", 1)
            assert figures(SVD(biased=biased).fit(data, Run()), data, test) == pytest.approx(theirs, abs=4e-6)
    assert np.mean(stratified, axis=0) == pytest.approx(np.mean(SURPRISE[biased], axis=0), abs=1.2e-3)
