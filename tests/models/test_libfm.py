"""LibFM: what its scorer makes of fields, by hand, and what it learns, with either solver and either target."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, ndtr

from recli.coding import Coding
from recli.errors import Exit, RecliError
from recli.fields import Coded
from recli.interactions import Interactions, Queries, encode
from recli.model import Run
from recli.models.context.libfm import Factorised, LibFM, design
from tests.checks import tiny


def queries_of(data: Interactions, user: Sequence[int], context: pl.DataFrame | None = None) -> Queries:
    indptr = np.zeros(len(user) + 1, np.int64)
    return Queries(user=np.array(user, np.int32), indptr=indptr, item=np.empty(0, np.int32), context=context)


def with_hours() -> Interactions:
    """The tiny set, its events at an hour of the day, and with a number."""
    data = tiny()
    hours = pl.DataFrame({"hour": [f"h{at % 5}" for at in range(len(data))], "price": np.linspace(0, 1, len(data))})
    return replace(data, context=hours, coding=Coding(columns=("kind", "words", "hour", "price")))


def by_hand(scorer: Factorised, parts: list[Coded], row: int) -> float:
    """Equation 1 over the entries of a case, as a dictionary from its features to what they count."""
    x: dict[int, float] = {}
    for part in parts:
        for slot, code in enumerate(part.codes[row]):
            x[int(code)] = x.get(int(code), 0.0) + (1.0 if part.values is None else float(part.values[row, slot]))
    score = scorer.constant + sum(float(scorer.weight[j]) * value for j, value in x.items())
    features = sorted(x)
    for at, i in enumerate(features):
        for j in features[:at]:
            score += x[i] * x[j] * float(scorer.rows[i].astype(float) @ scorer.rows[j].astype(float))
    return score


@pytest.mark.parametrize(
    ("params", "link"),
    [
        ({}, ndtr),
        ({"solver": "sgd", "reg_weights": (0.0, 0.0, 0.01)}, expit),
        ({"target": "rating"}, lambda score: score),
    ],
)
def test_a_score_is_the_sum_over_pairs_of_what_a_case_has(params: dict[str, Any], link: Any) -> None:
    """A user, an item whose words are two halves, an hour and a price: every pair of entries counts."""
    data = with_hours()
    scorer = LibFM(**params, epochs=3).fit(data, Run(seed=1))
    occasions = pl.DataFrame({"hour": ["h1", "h4", "new"], "price": [0.25, 0.5, None]})
    queries, items = queries_of(data, [0, 5, -1], occasions), np.array([1, 2, -1], np.int32)
    parts = scorer.parts(queries, items)
    assert parts[1].codes.shape[1] == 4 and parts[2].codes.shape[1] == 2  # id, kind, two words; hour, price
    expected = [link(by_hand(scorer, parts, row)) for row in range(3)]
    assert scorer.score_pairs(queries, items) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert scorer.score(queries)[[0, 1], [1, 2]] == pytest.approx(expected[:2], rel=1e-4, abs=1e-5)


def test_what_stands_twice_in_a_case_counts_twice() -> None:
    part = Coded(
        codes=np.array([[3, 1, 3], [0, 0, 2]], np.int32), values=np.array([[0.5, 1, 0.5], [1, 0, 0]], np.float32)
    )
    assert design([part], 4).toarray().tolist() == [[0, 1, 0, 1], [1, 0, 0, 0]]
    assert design([part], 4).nnz == 3


def test_what_train_has_not_seen_counts_nothing() -> None:
    data = with_hours()
    for solver in ("als", "sgd"):
        scorer = LibFM(solver=solver, reg_weights=(0.0, 0.0, 0.1), epochs=2).fit(data, Run(seed=1))
        unknown = np.unique(scorer.parts(queries_of(data, [-1]), np.array([-1], np.int32))[0].codes)
        assert not scorer.rows[unknown].any() and not scorer.weight[unknown].any() and scorer.rows.any()


def clicks(n: int = 2000) -> pl.DataFrame:
    """Clicks where the user and the item are both even or both odd: no weight alone says anything."""
    rng = np.random.default_rng(1)
    user, item, hour = (rng.integers(0, size, n) for size in (20, 15, 6))
    ids = {"user_id": [f"u{u}" for u in user], "item_id": [f"i{i}" for i in item], "hour": [f"h{h}" for h in hour]}
    return pl.DataFrame({**ids, "label": ((user + item) % 2 == 0).astype(float)})


@pytest.mark.parametrize(
    "params",
    [
        {"reg_weights": (0.0, 0.1, 0.1)},
        {"solver": "sgd", "learning_rate": 0.05, "reg_weights": (0.0, 0.0, 0.0)},
    ],
)
@pytest.mark.parametrize("target", ["label", "rating"])
def test_pairs_are_learned_that_no_sum_of_weights_tells(params: dict[str, Any], target: str) -> None:
    events = clicks().rename({"label": target})
    train, test = events[:1500], events[1500:]
    data = Interactions.of(train)
    scorer = LibFM(**params, target=target, epochs=40).fit(data, Run(seed=1))
    user, item = encode(test["user_id"], data.users), encode(test["item_id"], data.items)
    scores = scorer.score_pairs(queries_of(data, user.tolist(), test.select("hour")), item.astype(np.int32))
    clicked = test[target].to_numpy()
    assert ((scores > 0.5) == (clicked > 0.5)).mean() > 0.95
    assert np.abs(np.clip(scores, 0, 1) - clicked).mean() < 0.15


def test_ratings_start_at_their_mean() -> None:
    data = tiny()
    scorer = LibFM(target="rating", reg_weights=(0.0, 1e9, 1e9), epochs=2).fit(data, Run())
    assert data.rating is not None
    assert scorer.score(data.queries()) == pytest.approx(float(data.rating.mean()), rel=1e-4)
    assert (LibFM(target="rating").task, LibFM().task) == ("rating", "ctr")


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"reg_weights": (1.0,)}, Exit.USAGE, "reg_weights are three, not 1"),
        ({"solver": "sgd", "learning_rate": 1e6}, Exit.DIVERGED, "infinite or NaN in epoch 0"),
    ],
)
def test_what_cannot_be_learned(params: dict[str, Any], code: Exit, message: str) -> None:
    with pytest.raises(RecliError, match=message) as caught:
        LibFM(**params, target="rating").fit(tiny(), Run())
    assert caught.value.code is code


def test_what_there_is_no_target_for() -> None:
    bare = pl.DataFrame({"user_id": ["u"], "item_id": ["i"]})
    for columns, target, message in (
        ({}, "label", "no label to learn"),
        ({}, "rating", "no rating to learn"),
        ({"label": [2.0]}, "label", "a label is neither 0 nor 1"),
        ({"rating": [None]}, "rating", "a rating is missing"),
    ):
        events = bare.with_columns(pl.Series(name, values, pl.Float64) for name, values in columns.items())
        with pytest.raises(RecliError, match=message) as caught:
            LibFM(target=target).fit(Interactions.of(events), Run())
        assert caught.value.code is Exit.DATA


def test_a_scorer_whose_arrays_do_not_fit_its_fields_is_refused() -> None:
    scorer = LibFM(epochs=1).fit(tiny(), Run())
    for wrong in ({"weight": scorer.weight[1:], "rows": scorer.rows[1:]}, {"link": "cloglog"}):
        with pytest.raises(RecliError, match="is no scorer"):
            replace(scorer, **wrong).score(tiny().queries())
