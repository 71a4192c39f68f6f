"""timeSVD++ against steps taken one by one with dense arrays, by hand, and against SVD++."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recli.artifact import load
from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries, encode
from recli.metrics.rating import rmse
from recli.model import Run
from recli.models.rating.svdpp import SVDpp
from recli.models.rating.timesvdpp import TimeRatings, TimeSVDpp
from recli.pipeline.predict import predict
from recli.pipeline.recommend import Request
from recli.pipeline.step import Output
from recli.sources import read
from tests.checks import tiny
from tests.cli.evaluating import fitted, parts
from tests.models.test_baseline import ratings


def one_by_one(data: Interactions, m: TimeSVDpp, seed: int) -> dict[str, NDArray[np.float64]]:
    """The docstring's formula and its gradient, with a dense array for every name in it."""
    assert data.time is not None
    rng = np.random.default_rng(seed)
    p, q, y = (rng.normal(0, 0.1, (n, m.embedding_size)) for n in (data.n_users, data.n_items, data.n_items))
    first, last = data.time.min(), data.time.max()
    days = [int(t // m.day - first // m.day) for t in data.time]
    bins = [min(int((t - first) / (last - first) * m.bins), m.bins - 1) for t in data.time]
    events = ratings(data)
    mine = [[at for at, (v, _, _) in enumerate(events) if v == u] for u in range(data.n_users)]
    centre = np.array([np.mean([days[at] for at in own]) for own in mine])
    items = [sorted({events[at][1] for at in own}) for own in mine]
    mean = sum(r for _, _, r in events) / len(events)
    b_u, a_u, d_u = np.zeros(data.n_users), np.zeros(data.n_users), np.zeros(p.shape)
    b_i, b_day, b_bin = (
        np.zeros(data.n_items),
        np.zeros((data.n_users, max(days) + 1)),
        np.zeros((data.n_items, m.bins)),
    )
    for _ in range(m.epochs):
        for at, (u, i, r) in enumerate(events):
            away = days[at] - centre[u]
            dev, day, bin, root = np.sign(away) * abs(away) ** m.beta, days[at], bins[at], np.sqrt(len(items[u]))
            row, other = p[u] + d_u[u] * dev + sum(y[j] for j in items[u]) / root, q[i].copy()
            biases = b_u[u] + a_u[u] * dev + b_day[u, day] + b_i[i] + b_bin[i, bin]
            error = r - mean - biases - other @ row
            b_u[u] += m.learning_rate * (error - m.reg_weight * b_u[u])
            b_i[i] += m.learning_rate * (error - m.reg_weight * b_i[i])
            b_day[u, day] += m.learning_rate * (error - m.day_reg * b_day[u, day])
            b_bin[i, bin] += m.bin_rate * (error - m.reg_weight * b_bin[i, bin])
            a_u[u] += m.drift_rate * (error * dev - m.drift_reg * a_u[u])
            d_u[u] += m.drift_rate * (error * dev * other - m.drift_reg * d_u[u])
            q[i] += m.learning_rate * (error * row - m.reg_weight * other)
            p[u] += m.learning_rate * (error * other - m.reg_weight * p[u])
            for j in items[u]:
                y[j] += m.learning_rate * (error * other / root - m.reg_weight * y[j])
    return {
        "own": p, "item": np.hstack([q, b_bin]), "implicit": y, "drift": d_u, "slope": a_u, "centre": centre,
        "user_bias": b_u, "bias": b_i, "day_bias": b_day,
    }  # fmt: skip


@pytest.mark.parametrize(
    "model",
    [
        TimeSVDpp(embedding_size=3, epochs=3, day=100.0, bins=4, bin_rate=0.01, drift_rate=0.01, drift_reg=0.5),
        TimeSVDpp(embedding_size=5, epochs=2, day=30.0, learning_rate=0.05, beta=1.0),
    ],
    ids=["all in motion", "long steps"],
)
def test_one_rating_after_the_other(model: TimeSVDpp) -> None:
    scorer = model.fit(tiny(), Run(seed=4))
    for name, values in one_by_one(tiny(), model, 4).items():
        found = getattr(scorer, name)
        dense = found.toarray() if name == "day_bias" else found
        np.testing.assert_allclose(dense, values, rtol=1e-4, atol=2e-6)


def small() -> TimeRatings:
    """One user of mean day 1, two items of one factor and two bins; train is from 0 to 4, a day of length 1."""
    arrays = {
        "user": [[2]], "own": [[1]], "drift": [[0.5]], "implicit": [[1], [3]],
        "item": [[1, 0.125, 0], [-1, 0, 0.25]], "slope": [0.25], "bias": [0, 1], "user_bias": [0.5],
    }  # fmt: skip
    return TimeRatings(
        mean=3.0,
        **{name: np.array(rows, np.float32) for name, rows in arrays.items()},
        centre=np.array([1.0]),
        day_bias=csr_matrix(np.array([[0, 0, 1, 0, 0]], np.float32)),
        first=0.0,
        last=4.0,
        day=1.0,
        beta=2.0,
    )


def asked(*at: float, user: int = 0) -> Queries:
    none = {"indptr": np.zeros(len(at) + 1, np.int64), "item": np.empty(0, np.int32)}
    return Queries(user=np.full(len(at), user, np.int32), at=np.array(at), **none)


def test_a_rating_by_hand_at_several_times() -> None:
    # day 1: nothing drifts, the first bin. Day 2, of bias 1 and the second bin: slope and row once more.
    # Day 0: once less. Day 3: 4 times, as beta is 2.
    expected = [
        [3.5 + 2 + 0.125, 3.5 - 2 + 1],
        [4.5 + 0.25 + 2.5, 4.5 + 0.25 - 2.5 + 1.25],
        [3.5 - 0.25 + 1.5 + 0.125, 3.5 - 0.25 - 1.5 + 1],
        [3.5 + 1 + 4, 3.5 + 1 - 4 + 1.25],
    ]
    queries = asked(1.0, 2.5, 0.0, 3.0)
    assert small().score(queries).tolist() == expected
    assert small().score_pairs(queries, np.array([1, 0, 1, 0], np.int32)).tolist() == [2.5, 7.25, 2.75, 8.5]


def test_without_a_time_it_is_the_last_of_train() -> None:
    last = small().score(asked(4.0))
    assert (small().score(asked(np.nan)) == last).all()
    none = Queries(user=np.zeros(1, np.int32), indptr=np.zeros(2, np.int64), item=np.empty(0, np.int32))
    assert (small().score(none) == last).all()
    assert (small().score(asked(1e300)) == last).all()  # nobody drifts further, and the day has no bias


def test_a_stranger_has_the_items_biases_of_the_time() -> None:
    assert small().score(asked(1.0, 3.0, user=-1)).tolist() == [[3.125, 4.0], [3.0, 4.25]]
    assert small().score_pairs(asked(1.0, 2.0, user=-1), np.array([-1, 0], np.int32)).tolist() == [3.0, 3.0]


def test_the_time_goes_with_the_query() -> None:
    queries = asked(1.0, 2.5, 0.0, 3.0)
    rows = np.array([3, 1, 1])
    assert (small().score(queries[1:3]) == small().score(queries)[1:3]).all()
    assert (small().score(queries.take(rows)) == small().score(queries)[rows]).all()


@pytest.mark.parametrize(
    ("time", "message"), [(None, "no timestamp to learn from"), ([1.0, None], "a timestamp is missing")]
)
def test_without_times_there_is_nothing_to_learn(time: list[float | None] | None, message: str) -> None:
    frame = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"], "rating": [1.0, 5.0]})
    if time is not None:
        frame = frame.with_columns(timestamp=pl.Series(time))
    with pytest.raises(RecliError, match=message) as caught:
        TimeSVDpp().fit(Interactions.of(frame), Run())
    assert caught.value.code == Exit.DATA
    assert caught.value.hint is not None


def test_steps_that_are_too_long_are_said() -> None:
    with pytest.raises(RecliError, match="infinite or NaN in epoch") as caught:
        TimeSVDpp(drift_rate=1.0, day=10.0).fit(tiny(), Run())
    assert caught.value.code == Exit.DIVERGED
    assert caught.value.hint == "lower learning_rate=0.007, drift_rate=1 or bin_rate=0.0002"


def test_predict_rates_each_pair_at_its_own_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    train = [(f"u{rng.integers(6)}", f"i{rng.integers(8)}", int(rng.integers(1, 6)), 86400 * t) for t in range(60)]
    test = [("u1", "i1", 3, 0), ("u1", "i1", 3, 86400 * 59), ("u2", "i1", 3, 86400 * 30)]
    columns = "user_id:token item_id:token rating:float timestamp:float"
    given = {"bin_rate": 0.1, "drift_rate": 0.01, "drift_reg": 0.5}
    model = fitted(parts(tmp_path, columns, train=train, test=test), "timesvd++", **given)
    preds = load(predict(model, None, Request(), Output(path=str(tmp_path / "p.parquet")))).frame()
    frame = pl.DataFrame(train, schema=["user_id", "item_id", "rating", "timestamp"], orient="row").cast(
        {"rating": pl.Float64, "timestamp": pl.Float64}
    )
    data = Interactions.of(frame)
    scorer = TimeSVDpp(**given).fit(data, Run())
    queries = data.queries().take(encode(preds["user_id"], data.users).astype(np.int64))
    timed = Queries(user=queries.user, indptr=queries.indptr, item=queries.item, at=preds["timestamp"].to_numpy())
    scores = scorer.score_pairs(timed, encode(preds["item_id"], data.items))
    np.testing.assert_allclose(preds["score"].to_numpy(), np.clip(scores, 1, 5), rtol=1e-6)
    assert len(set(preds["score"].to_list())) == 3


@pytest.mark.shared
def test_on_the_last_fifth_of_each_user_it_is_no_worse_than_svdpp(shared: Path) -> None:
    """MovieLens-100K, by user in time order, the mean of three seeds."""
    events = read(shared / "ml-100k" / "ml-100k.inter").frame.sort("timestamp", maintain_order=True)
    held_out = pl.int_range(pl.len()).over("user_id") >= pl.len().over("user_id") * 0.8
    data, test = Interactions.of(events.filter(~held_out)), events.filter(held_out)
    at, none = test["timestamp"].cast(pl.Float64).to_numpy(), np.zeros(test.height + 1, np.int64)
    user, item = encode(test["user_id"], data.users), encode(test["item_id"], data.items)
    queries = Queries(user=user, indptr=none, item=np.empty(0, np.int32), at=at)

    def figure(model: SVDpp | TimeSVDpp) -> float:
        scores = [model.fit(data, Run(seed=seed)).score_pairs(queries, item) for seed in range(3)]
        return float(np.mean([rmse(np.clip(s, 1, 5), test["rating"].to_numpy()) for s in scores]))

    plain, timed = figure(SVDpp()), figure(TimeSVDpp())
    print(f"svdpp {plain:.4f}, timesvd++ {timed:.4f}")
    assert timed < plain
