"""SVD++ against steps taken one by one, for every item of a user with every rating, and Surprise."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recli import scorers
from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries
from recli.model import Run
from recli.models.rating import svdpp as module
from recli.models.rating.descent import first_rows
from recli.models.rating.svdpp import ImplicitRatings, SVDpp
from recli.sources import read
from tests.checks import tiny
from tests.models.test_baseline import as_listed, ratings
from tests.models.test_svd import figures, surprises_first_rows


def one_by_one(data: Interactions, model: SVDpp, seed: int) -> dict[str, NDArray[np.float64]]:
    """Every step as equation 15 has it: with each rating of a user, each y_j of theirs is moved."""
    rng = np.random.default_rng(seed)
    p, q, y = (rng.normal(0, 0.1, (n, model.embedding_size)) for n in (data.n_users, data.n_items, data.n_items))
    b_u, b_i = np.zeros(data.n_users), np.zeros(data.n_items)
    events = ratings(data)
    mean = sum(r for _, _, r in events) / len(events)
    items = [sorted({i for v, i, _ in events if v == u}) for u in range(data.n_users)]
    rate, reg = model.learning_rate, model.reg_weight
    for _ in range(model.epochs):
        for u, i, r in events:
            root = np.sqrt(len(items[u]))
            row = p[u] + sum(y[j] for j in items[u]) / root
            error = r - mean - b_u[u] - b_i[i] - q[i] @ row
            b_u[u] += rate * (error - reg * b_u[u])
            b_i[i] += rate * (error - reg * b_i[i])
            before = q[i].copy()
            q[i] += rate * (error * row - reg * q[i])
            p[u] += rate * (error * before - reg * p[u])
            for j in items[u]:
                y[j] += rate * (error * before / root - reg * y[j])
    user = np.array([p[u] + sum(y[j] for j in items[u]) / np.sqrt(len(items[u])) for u in range(data.n_users)])
    return {"user": user, "own": p, "item": q, "implicit": y, "user_bias": b_u, "bias": b_i}


@pytest.mark.parametrize(
    "model",
    [SVDpp(epochs=5), SVDpp(embedding_size=3, epochs=2, learning_rate=0.1, reg_weight=0.5)],
    ids=["short steps", "long steps"],
)
def test_one_rating_after_the_other(model: SVDpp) -> None:
    scorer = model.fit(tiny(), Run(seed=4))
    for name, values in one_by_one(tiny(), model, 4).items():
        np.testing.assert_allclose(getattr(scorer, name), values, rtol=1e-4, atol=2e-6)


def small() -> ImplicitRatings:
    arrays = {
        "user": [[1, 2]],
        "own": [[0.5, 0]],
        "item": [[1, 0], [0, 1], [1, 1], [2, 0]],
        "implicit": [[1, 1], [3, 0], [0, 2], [0, 4]],
        "bias": [0, 0, 0, 1],
        "user_bias": [0.5],
    }
    return ImplicitRatings(mean=3.0, **{name: np.array(rows, np.float32) for name, rows in arrays.items()})


def test_a_strangers_history_counts() -> None:
    # known: 3.5 + (1, 2)q; a stranger with the items 0 to 3, of sum (4, 7) and root 2: 3 + (2, 3.5)q; with none: 3
    user, items = np.array([0, -1, -1], np.int32), np.array([3, 0, 1, 2, 3, 3], np.int32)
    queries = Queries(user=user, indptr=np.array([0, 1, 6, 6]), item=items)
    expected = [[4.5, 5.5, 6.5, 6.5], [5.0, 6.5, 8.5, 8.0], [3.0, 3.0, 3.0, 4.0]]
    assert small().score(queries).tolist() == expected
    assert small().score_pairs(queries, np.array([1, 1, -1], np.int32)).tolist() == [5.5, 6.5, 3.0]


def test_a_replaced_history_takes_the_place_of_what_was_rated() -> None:
    queries = Queries(user=np.zeros(1, np.int32), indptr=np.array([0, 1]), item=np.array([2], np.int32), replaced=True)
    # 3.5 + ((.5, 0) + (0, 2)) q
    assert small().score(queries).tolist() == [[4.0, 5.5, 6.0, 5.5]]


def test_the_history_of_train_given_again_changes_nothing() -> None:
    scorer, past = SVDpp(epochs=3).fit(tiny(), Run()), tiny().queries()
    again = Queries(user=past.user, indptr=past.indptr, item=past.item, replaced=True)
    np.testing.assert_allclose(scorer.score(again), scorer.score(past), rtol=1e-5)


def test_the_size_of_a_block_of_pairs_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    user, items = np.array([0, -1, -1, 0, -1], np.int32), np.array([3, 0, 1, 2, 3, 3, 1], np.int32)
    queries = Queries(user=user, indptr=np.array([0, 1, 5, 5, 6, 7]), item=items)
    asked = np.array([1, 1, -1, 3, 0], np.int32)
    whole = small().score_pairs(queries, asked)
    monkeypatch.setattr(scorers, "PAIRS", 2)
    assert small().score_pairs(queries, asked).tolist() == whole.tolist()


def test_without_ratings_there_is_nothing_to_learn() -> None:
    data = Interactions.of(pl.DataFrame({"user_id": ["a"], "item_id": ["x"]}))
    with pytest.raises(RecliError, match="no rating to learn") as caught:
        SVDpp().fit(data, Run())
    assert caught.value.code == Exit.DATA


def test_steps_that_are_too_long_are_said() -> None:
    with pytest.raises(RecliError, match="infinite or NaN in epoch") as caught:
        SVDpp(learning_rate=50.0).fit(tiny(), Run())
    assert caught.value.code == Exit.DIVERGED


# RMSE and MAE of SVDpp(random_state=0, cache_ratings=True) on GroupLens' five folds u1 to u5 of MovieLens-100K:
# printed by Surprise 1.1.5 (load_from_folds, PredefinedKFold, accuracy).
SURPRISE = [
    (0.933046, 0.732705), (0.923437, 0.723769), (0.918372, 0.719601), (0.916842, 0.719294), (0.917460, 0.723681),
]  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
def test_surprises_figures(fold: int, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = (read(shared / "ml-100k-folds" / f"u{fold}.{part}").frame for part in ("base", "test"))
    surprises_first_rows(monkeypatch, module)
    data = as_listed(train)
    assert figures(SVDpp().fit(data, Run()), data, test) == pytest.approx(SURPRISE[fold - 1], abs=4e-6)


@pytest.mark.shared
@pytest.mark.slow
def test_surprises_figures_on_a_million(shared: Path) -> None:
    """Its published table has .862 and .672, of five folds at random."""
    events = read(shared / "ml-1m" / "ml-1m-ratings.inter").frame
    fold = np.random.default_rng(0).integers(5, size=events.height)
    found = []
    for n in range(5):
        data = Interactions.of(events.filter(fold != n))
        found.append(figures(SVDpp().fit(data, Run()), data, events.filter(fold == n)))
    assert np.mean(found, axis=0) == pytest.approx((0.862, 0.672), abs=3e-3)


def test_first_rows_end_in_zeros() -> None:
    rows = first_rows(np.random.default_rng(1), 5, 20)
    assert rows.shape == (5, 32)
    assert (rows[:, :20] != 0).all()
    assert (rows[:, 20:] == 0).all()
