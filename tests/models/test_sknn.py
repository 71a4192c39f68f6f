"""Session kNN against the definition, session by session."""

from collections import defaultdict
from math import sqrt
from typing import Any

import numpy as np
import polars as pl
import pytest

from recli.interactions import Interactions, Queries
from recli.model import Run
from tests.checks import cycle, model, next_first


def events(seed: int = 5) -> Interactions:
    rng = np.random.default_rng(seed)
    rows = [(f"s{s}", f"i{rng.integers(12)}", float(100 * s + n)) for s in range(30) for n in range(rng.integers(1, 8))]
    return Interactions.of(pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row"))


def expected(data: Interactions, user: int, history: list[int], how: dict[str, Any]) -> np.ndarray:
    """Straight from the papers: of the newest sessions that share an item, the k most alike vote."""
    sessions = {u: data.item[data.indptr[u] : data.indptr[u + 1]].tolist() for u in range(data.n_users) if u != user}
    age = {u: -float(data.time[data.indptr[u + 1] - 1]) for u in sessions}
    shares = {item: (place + 1) / len(history) for place, item in enumerate(history)}  # the last of equal items
    sharing = sorted((u for u in sessions if set(sessions[u]) & set(history)), key=age.__getitem__)[
        : how["sample_size"]
    ]
    likeness = {}
    for u in sharing:
        common = set(sessions[u]) & set(history)
        dot = sum(shares[i] if how["decay"] else 1 for i in common)
        likeness[u] = dot / sqrt(len(set(sessions[u])) * len(shares)) if how["similarity"] == "cosine" else dot
    scores: dict[int, float] = defaultdict(float)
    for u in sorted(sharing, key=lambda u: -np.float32(likeness[u]))[: how["k"]]:
        newest = max(shares[i] for i in set(sessions[u]) & set(history)) if how["score_decay"] else 1
        for item in set(sessions[u]):
            scores[item] += likeness[u] * newest
    return np.array([scores[item] for item in range(data.n_items)])


@pytest.mark.parametrize("how", [
    {"k": 100, "sample_size": 1000}, {"k": 4, "sample_size": 9}, {"similarity": "dot", "decay": True, "k": 6},
    {"score_decay": True, "k": 5}, {"similarity": "dot", "k": 3, "sample_size": 12},
])  # fmt: skip
def test_scores_are_the_votes_of_the_nearest(how: dict[str, Any]) -> None:
    data = events()
    full = {"k": 100, "sample_size": 1000, "similarity": "cosine", "decay": False, "score_decay": False, **how}
    scorer = model("sknn", **full).fit(data, Run())
    queries = data.queries()
    found = scorer.score(queries)
    for user in range(data.n_users):
        history = queries.item[queries.indptr[user] : queries.indptr[user + 1]].tolist()
        np.testing.assert_allclose(found[user], expected(data, user, history, full), rtol=1e-5, atol=1e-6)


def test_a_stranger_may_have_any_session_for_a_neighbour() -> None:
    data = events()
    queries = Queries(user=np.array([-1], np.int32), indptr=np.array([0, 3]), item=np.array([0, 4, 0], np.int32))
    how = {"k": 100, "sample_size": 1000, "similarity": "cosine", "decay": False, "score_decay": False}
    found = model("sknn").fit(data, Run()).score(queries)[0]
    np.testing.assert_allclose(found, expected(data, -1, [0, 4, 0], how), rtol=1e-5)


@pytest.mark.parametrize("how", [{}, {"score_decay": True}])
def test_the_last_events_tell_which_way_round_the_cycle(how: dict[str, Any]) -> None:
    """Without decay the sessions on both sides of a history are equally near."""
    assert next_first(model("sknn").fit(cycle(), Run())) < 0.7
    assert next_first(model("vsknn", **how).fit(cycle(), Run())) == 1.0
