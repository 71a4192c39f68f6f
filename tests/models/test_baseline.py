"""Popularity and chance."""

import numpy as np
import polars as pl

from recli.interactions import Interactions, Queries
from recli.model import Run
from recli.models.baseline.pop import Pop
from recli.models.baseline.random import Random
from recli.ranking import top_k
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
