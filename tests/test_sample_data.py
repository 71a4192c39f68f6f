"""The sample data: the same bytes each time, and something to learn in it."""

import runpy
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recli.interactions import Interactions, encode
from recli.metrics import METRICS
from recli.metrics.ranking import gains_of, ideal_of
from recli.splits import leaks, ratio

FOLDER = Path(__file__).parents[1] / "sample_data"


def test_the_script_writes_the_committed_files(tmp_path):
    runpy.run_path(str(FOLDER / "make.py"))["main"](tmp_path)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["sample.inter", "sample.item", "sample.user"]
    for name in files:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name


def read(name):
    table = pl.read_csv(FOLDER / name, separator="\t", infer_schema=False)
    types = dict(column.split(":") for column in table.columns)
    table = table.rename(dict(zip(table.columns, types, strict=True)))
    return table.with_columns(pl.col(column).cast(pl.Float64) for column, kind in types.items() if kind == "float")


def test_its_tables_fit_together():
    events, users, items = read("sample.inter"), read("sample.user"), read("sample.item")
    assert (len(events), len(users), len(items)) == (20_000, 500, 300)
    assert not events.select("user_id", "item_id").is_duplicated().any()
    assert set(events["user_id"]) == set(users["user_id"])
    assert set(events["item_id"]) == set(items["item_id"])
    assert items["title"].n_unique() == 300
    assert events["timestamp"].is_sorted()
    assert set(events["rating"]) == {1, 2, 3, 4, 5}
    assert events["user_id"].value_counts()["count"].min() >= 10


def ndcg(scores, seen, truth):
    """ndcg@10 of dense scores, truth (users, items) bool."""
    lists = np.argsort(np.where(seen, np.inf, -scores), axis=1, kind="stable")[:, :10].astype(np.int32)
    relevant = truth.sum(axis=1)
    gains = gains_of(lists, np.append(0, np.cumsum(relevant)), np.nonzero(truth)[1])
    return np.nanmean(METRICS["ndcg"].function(gains, ideal_of(relevant, 10), np.full(len(lists), 10), relevant, 10))


def test_ease_beats_popularity_clearly():
    events = read("sample.inter")
    split = ratio(events)
    assert leaks(events, split).cold_items == 0
    train = Interactions.of(events.filter(split == "train"))
    held = {}
    for part in ("train", "valid", "test"):
        rows = events.filter(split == part)
        held[part] = np.zeros((train.n_users, train.n_items), bool)
        held[part][encode(rows["user_id"], train.users), encode(rows["item_id"], train.items)] = True
    x = train.matrix.toarray().astype(float)
    inverse = np.linalg.inv(x.T @ x + 100 * np.eye(train.n_items))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    seen = held["train"] | held["valid"]
    ease, pop = ndcg(x @ weights, seen, held["test"]), ndcg(np.tile(train.popularity, (len(x), 1)), seen, held["test"])
    assert ease >= 1.5 * pop
    assert (ease, pop) == pytest.approx((0.2136, 0.1021), abs=5e-5)  # what was seen, at lambda 100
