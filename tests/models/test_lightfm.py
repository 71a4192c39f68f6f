"""LightFM against the same steps in plain Python on full matrices, and what it makes of the cold."""

import json
from math import exp, floor, log
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recli.errors import Exit, RecliError
from recli.interactions import Interactions
from recli.model import Run
from recli.models.feature.lightfm import LightFM
from tests.checks import tiny
from tests.conftest import Runner
from tests.models.test_warp import MASK, splitmix

Doubles = NDArray[np.float64]


def cold() -> Interactions:
    """The tiny set, and in its tables a user and two items that have no events, one of these like nothing else."""
    data = tiny()
    user = pl.DataFrame({"user_id": ["cold"], "plan": ["p1"]})
    item = pl.DataFrame({"item_id": ["cold", "odd"], "kind": ["k2", "other"], "words": [["w1", "new"], ["new"]]})
    codes = np.repeat(np.arange(data.n_users), np.diff(data.indptr))
    events = pl.DataFrame({"user_id": data.users.gather(codes), "item_id": data.items.gather(data.item)})
    tables = {"user": pl.concat([data.tables["user"], user]), "item": pl.concat([data.tables["item"], item])}
    return Interactions.of(events, tables)


def values(data: Interactions, role: str, columns: list[str]) -> list[set[str]]:
    """What each user (or item) has in these columns."""
    held = {}
    for row in data.tables[role].to_dicts():
        found = [row[column] for column in columns]
        held[row[f"{role}_id"]] = {v for value in found for v in (value if isinstance(value, list) else [value])}
    return [held[name] for name in (data.users if role == "user" else data.items)]


def indicators(data: Interactions, role: str, columns: list[str], identity: bool) -> Doubles:
    """Users (or items) × features, in the order of the model's: by column and value, then each with an event."""
    n, axis = (data.n_users, 1) if role == "user" else (data.n_items, 0)
    active = np.flatnonzero(data.matrix.toarray().sum(axis))
    parts = [np.zeros((n, 0))]
    for column in columns:
        held = values(data, role, [column])
        parts.append(np.array([[name in one for name in sorted(set().union(*held))] for one in held], np.float64))
    if identity:
        parts.append(np.eye(n)[:, active])
    matrix = np.hstack(parts)
    return matrix[:, matrix[active].any(0)]


class Plain:
    """The steps, one event after the other."""

    def __init__(self, model: LightFM, data: Interactions, features: list[Doubles], seed: int) -> None:
        self.model, self.features, self.taken = model, features, data.matrix.toarray() > 0
        self.rng, width = np.random.default_rng(seed), model.embedding_size
        self.rows = [(self.rng.random((f.shape[1], width), np.float32) - np.float32(0.5)) / width for f in features]
        self.rows = [rows.astype(np.float64) for rows in self.rows]
        self.squares = [np.ones_like(rows) for rows in self.rows]
        self.bias, self.bias_squares = np.zeros(features[1].shape[1]), np.ones(features[1].shape[1])
        self.pairs, self.items = np.argwhere(self.taken), np.flatnonzero(self.taken.any(0))

    def sums(self, side: int, which: int) -> Doubles:
        return self.features[side][which] @ self.rows[side]

    def score(self, u: int, i: int) -> float:
        return float(self.sums(0, u) @ self.sums(1, i) + self.features[1][i] @ self.bias)

    def epoch(self) -> None:
        order, seed = self.rng.permutation(len(self.pairs)), int(self.rng.integers(2**62))
        state = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
        for u, i in self.pairs[order].tolist():
            for draw in range(1, (self.model.max_sampled if self.model.loss == "warp" else 1) + 1):
                state = (state + 0x9E3779B97F4A7C15) & MASK
                j = int(self.items[(splitmix(state) >> 32) * len(self.items) >> 32])
                apart = self.score(u, i) - self.score(u, j)
                if self.taken[u, j] or (self.model.loss == "warp" and apart >= 1):
                    continue
                rank = log(max(1, floor((len(self.items) - 1) / draw)))
                self.step(u, i, j, rank if self.model.loss == "warp" else 1 / (1 + exp(apart)))
                break

    def step(self, u: int, i: int, j: int, loss: float) -> None:
        x, y, z = self.sums(0, u), self.sums(1, i), self.sums(1, j)
        reg, rate = self.model.reg_weight, self.model.learning_rate
        slopes = [(0, u, loss * (z - y) + reg * x), (1, i, reg * y - loss * x), (1, j, reg * z + loss * x)]
        for side, which, slope in slopes:
            held = self.features[side][which] > 0
            self.squares[side][held] += slope**2
            self.rows[side][held] -= rate * slope / np.sqrt(self.squares[side][held])
        for which, slope in ((i, -loss), (j, loss)):
            held = self.features[1][which] > 0
            self.bias_squares[held] += slope**2
            self.bias[held] -= rate * slope / np.sqrt(self.bias_squares[held])


@pytest.mark.parametrize(
    "model",
    [
        LightFM(embedding_size=8, epochs=2),
        LightFM(embedding_size=3, epochs=2, loss="bpr", reg_weight=0.05),
        LightFM(embedding_size=4, epochs=2, identity=False, max_sampled=3, reg_weight=0.0, learning_rate=0.05),
        LightFM(embedding_size=4, epochs=2, user_columns="none", item_columns="words"),
        LightFM(embedding_size=4, epochs=2, user_columns="none", item_columns="none"),
    ],
    ids=str,
)
def test_steps(model: LightFM) -> None:
    data = cold()
    columns = {"user": ["plan"], "item": ["kind", "words"]}
    chosen = {"user": model.user_columns, "item": model.item_columns}
    features = [
        indicators(data, role, {"": columns[role], "none": []}.get(text, text.split(",")), model.identity)
        for role, text in chosen.items()
    ]
    scorer, plain = model.fit(data, Run(seed=4)), Plain(model, data, features, 4)
    for _ in range(model.epochs):
        plain.epoch()
    expected = (features[0] @ plain.rows[0], features[1] @ plain.rows[1], features[1] @ plain.bias)
    for ours, theirs in zip((scorer.user, scorer.item, scorer.bias), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


def test_the_cold_are_the_sums_of_what_else_they_are() -> None:
    """A cold item with a kind and a word is what they are; of one of which nothing is learned the rows are zero."""
    data = cold()
    scorer = LightFM(embedding_size=8).fit(data, Run())
    items = {name: code for code, name in enumerate(data.items)}
    assert scorer.item[items["cold"]].any()
    assert scorer.bias is not None
    assert not scorer.item[items["odd"]].any()
    assert scorer.bias[items["odd"]] == 0
    scores = scorer.score(data.queries())
    assert np.isfinite(scores).all()
    user = data.users.to_list().index("cold")
    assert scorer.user[user].any()
    alone = LightFM(embedding_size=8, user_columns="none").fit(data, Run())
    assert not alone.user[user].any()


def test_no_features_at_all() -> None:
    events = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"]})
    with pytest.raises(RecliError, match="the users have no features") as caught:
        LightFM(identity=False).fit(Interactions.of(events), Run())
    assert caught.value.code is Exit.USAGE
    assert "--user-table" in str(caught.value.hint)


def test_columns_of_no_table() -> None:
    events = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"]})
    with pytest.raises(RecliError, match="there is no table of items with item_columns=kind") as caught:
        LightFM(item_columns="kind").fit(Interactions.of(events), Run())
    assert caught.value.code is Exit.USAGE


@pytest.mark.shared
def test_with_identities_alone_it_is_warp_and_features_cost_little(recli: Runner, shared: Path) -> None:
    split = recli("split", shared / "ml-100k" / "ml-100k.inter", "--dialect", "recbole", "-q").stdout.strip()
    found = []
    for options in (["warp"], ["lightfm", "-p", "user_columns=none", "-p", "item_columns=none"], ["lightfm"]):
        model = recli("train", split, "--model", *options, "-q").stdout.strip()
        document = json.loads(recli("evaluate", model, "--metrics", "ndcg@10", "--json", "-q").stdout)
        found.append(document["metrics"]["ndcg@10"]["value"])
    assert found[1] == pytest.approx(found[0], abs=0.01)
    assert found[2] > 0.29


def test_divergence_is_said() -> None:
    with pytest.raises(RecliError, match="infinite or NaN") as caught:
        LightFM(learning_rate=1e30).fit(tiny(), Run())
    assert caught.value.code is Exit.DIVERGED
    assert caught.value.hint == "lower learning_rate=1e+30"
