"""--rolling: a query for every held-out row, from the history before it."""

import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from recli.artifact import load
from recli.errors import Exit
from recli.pipeline import audience
from tests.cli.evaluating import (
    entry,
    evaluate,
    fitted,
    held_out,
    listed,
    lists,
    mean,
    ndcg,
    parts,
    refused,
    split_of,
    table,
)
from tests.conftest import ROOT, Runner

SAMPLE = ROOT / "sample_data" / "sample.inter"
PAIR = "user_id:token item_id:token"
TIMED = f"{PAIR} timestamp:float"
METRICS = "ndcg@10,recall@10,mrr@5,hit@10"


class World(NamedTuple):
    split: Path
    models: dict[str, Path]
    recs: dict[str, Path]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The first of the sample's users, their rows in no order; some of the times are equal."""
    folder = tmp_path_factory.mktemp("rolling")
    rows = [line.split("\t") for line in SAMPLE.read_text().splitlines()[1:]]
    rows = [[user, item, rating, int(time) // 500_000] for user, item, rating, time in rows if int(user[1:]) <= 60]
    random.Random(1).shuffle(rows)
    split = split_of(table(folder / "some.inter", f"{PAIR} rating:float timestamp:float", rows))
    models = {name: fitted(split, name) for name in ("ease", "itemknn", "pop")}
    return World(split, models, {name: lists(model, rolling=True) for name, model in models.items()})


def queries(split: Path, part: str = "test") -> Iterator[tuple[str, int, str, list[str]]]:
    """User, number, the item that is asked for, and the items before it: in time order, and of equal times the rows of
    the parts before come first, then those that stand first in the file.
    """
    before = ["train"] if part == "valid" else ["train", "valid"]
    rows = [row for name in (*before, part) for row in held_out(split, name).iter_rows(named=True)]
    by_user = defaultdict(list)
    for row in rows:
        by_user[row["user_id"]].append(row)
    for user, own in by_user.items():
        own.sort(key=lambda row: row["timestamp"])  # a stable sort
        number = 0
        for place, row in enumerate(own):
            if row["split"] == part:
                yield user, number, row["item_id"], [earlier["item_id"] for earlier in own[:place]]
                number += 1


# The lists


@pytest.mark.parametrize("model", ["ease", "itemknn"])
@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_list_is_what_is_recommended_to_a_stranger_with_the_history_before(
    world: World, model: str, part: str, tmp_path: Path
) -> None:
    asked = list(queries(world.split, part))
    rows = [(f"{user}/{number}", item, place) for user, number, _, items in asked for place, item in enumerate(items)]
    history = table(tmp_path / "h.inter", TIMED, rows)
    expected = load(lists(world.models[model], history=history)).frame()
    found = load(lists(world.models[model], rolling=True, phase=part)).frame()
    found = found.with_columns(pl.format("{}/{}", "user_id", "query").alias("user_id")).drop("query")
    assert found.sort("user_id", "rank").equals(expected.sort("user_id", "rank"))
    assert found["user_id"].n_unique() == len({row[0] for row in rows})


@pytest.mark.parametrize("model", ["ease", "pop"])
def test_what_comes_before_is_masked_and_what_comes_after_is_not(world: World, model: str) -> None:
    found = listed(world.recs[model])
    later = 0
    for user, number, _, items in queries(world.split):
        shown = found.get((user, number), [])
        assert not set(shown) & set(items)
        later += len(shown)
    assert later > 0
    anything = listed(lists(world.models[model], rolling=True, allow_seen=True))
    seen = [set(anything.get((user, number), [])) & set(items) for user, number, _, items in queries(world.split)]
    assert any(seen)


def test_a_query_for_every_row_of_the_users_asked_for(world: World) -> None:
    recs = lists(world.models["pop"], rolling=True, users="u3,u1,nobody")
    expected = {(user, number) for user, number, _, _ in queries(world.split) if user in ("u1", "u3")}
    assert set(listed(recs)) == expected
    assert {user: items for user, items in listed(world.recs["pop"]).items() if user in expected} == listed(recs)


def test_equal_times(tmp_path: Path) -> None:
    """Of a user's rows of one time those of train come first, then those that stand first in the file."""
    train = [("a", "late", 9), ("a", "same", 5), ("b", "p", 1), ("b", "q", 2), ("b", "r", 3)]
    test = [("a", "r", 7), ("a", "p", 5), ("b", "same", 0), ("a", "q", 5)]
    model = fitted(parts(tmp_path, TIMED, train=train, test=test), "pop")
    found = listed(lists(model, rolling=True))
    left = {key: {"p", "q", "r", "same", "late"} - set(items) for key, items in found.items()}
    assert left == {("a", 0): {"same"}, ("a", 1): {"same", "p"}, ("a", 2): {"same", "p", "q"}, ("b", 0): set()}


def test_without_times_the_order_of_the_rows_is_time(tmp_path: Path) -> None:
    test = [("a", "r"), ("b", "q"), ("a", "p")]
    model = fitted(parts(tmp_path, PAIR, train=[("a", "s"), ("b", "p"), ("b", "r")], test=[*test]), "pop")
    found = listed(lists(model, rolling=True))
    left = {key: {"p", "r", "s"} - set(items) for key, items in found.items()}
    assert left == {("a", 0): {"s"}, ("a", 1): {"s", "r"}, ("b", 0): {"p", "r"}}


def test_the_same_item_again(tmp_path: Path) -> None:
    """Whoever comes back to what is masked is never served it."""
    train = [("a", "p", 1), ("b", "p", 1), ("b", "q", 2)]
    model = fitted(parts(tmp_path, TIMED, train=train, test=[("a", "q", 3), ("a", "q", 4), ("a", "p", 5)]), "pop")
    metrics = evaluate(model, "hit@1", rolling=True)
    assert metrics.per_user.rows() == [("a", 0, 1.0), ("a", 1, 0.0), ("a", 2, 0.0)]
    assert evaluate(model, "hit@2", rolling=True, allow_seen=True).per_user["hit@2"].to_list() == [1.0, 1.0, 1.0]


def test_blocks_do_not_show(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load(world.recs["ease"]).frame()
    monkeypatch.setattr(audience, "EVENTS", 100)
    again = lists(world.models["ease"], rolling=True, k=9)
    assert load(again).frame().equals(expected.filter(pl.col("rank") <= 9))


# The figures


@pytest.mark.parametrize("model", ["ease", "itemknn", "pop"])
def test_means_over_queries_and_over_users(world: World, model: str) -> None:
    found, asked = listed(world.recs[model]), list(queries(world.split))
    by_user = defaultdict(list)
    for user, number, item, _ in asked:
        by_user[user].append(ndcg(found.get((user, number), []), {item: 1.0}, 10))
    one = entry(world.models[model], "ndcg@10", rolling=True)
    assert one["value"] == pytest.approx(mean(value for own in by_user.values() for value in own), rel=1e-12)
    assert one["user_mean"] == pytest.approx(mean(mean(own) for own in by_user.values()), rel=1e-12)
    assert one["user_mean"] != one["value"]
    assert (one["users"], one["queries"]) == (len(by_user), len(asked))
    assert one["queries_without_list"] == len(asked) - len(found)
    assert one["history"] == "rolling" and "users_without_list" not in one


@pytest.mark.parametrize("model", ["ease", "pop"])
@pytest.mark.parametrize("relevant", [None, "rating>=4"])
def test_the_lists_are_measured_as_the_model(world: World, model: str, relevant: str | None) -> None:
    of_model = evaluate(world.models[model], METRICS, rolling=True, relevant=relevant)
    for options in ({}, {"rolling": True}, {"truth": world.split}):
        of_lists = evaluate(world.recs[model], METRICS, relevant=relevant, **options)
        assert of_lists.per_user.sort("user_id", "query").equals(of_model.per_user.sort("user_id", "query"))
        assert of_lists.document["truth"] == of_model.document["truth"]
        for name, one in of_model.document["metrics"].items():
            other = of_lists.document["metrics"][name]
            if relevant and name.endswith("@10"):
                one, other = ({k: v for k, v in each.items() if k != "ties"} for each in (one, other))
            assert one == other


def test_the_numbers_are_those_of_all_held_out_rows(world: World) -> None:
    """Whatever is relevant, so that a query stays the same query."""
    every, some = (evaluate(world.models["ease"], "hit@10", rolling=True, relevant=r) for r in (None, "rating>=4"))
    kept = every.per_user.join(some.per_user, on=["user_id", "query"], how="semi")
    assert kept.sort("user_id", "query").equals(some.per_user.sort("user_id", "query"))
    rating = held_out(world.split)["rating"]
    assert some.per_user.height == (rating >= 4).sum() < every.per_user.height == len(rating)


def test_a_file_of_the_values_has_the_query(recli: Runner, world: World, tmp_path: Path) -> None:
    options = ("--rolling", "--metrics", "hit@10", "--per-user", "q.parquet", "-q")
    done = recli("evaluate", world.models["pop"], *options)
    frame = load(tmp_path / "q.parquet").frame()
    found = listed(world.recs["pop"])
    expected = {(u, q): float(item in found[u, q]) for u, q, item, _ in queries(world.split)}
    assert dict(zip(frame.select("user_id", "query").iter_rows(), frame["hit@10"], strict=True)) == expected
    head, row = (line.split("\t") for line in done.stdout.splitlines())
    assert head == ["metric", "value", "user_mean", "warm", "users", "queries", "no_list"]
    assert float(row[1]) == pytest.approx(mean(expected.values()), rel=1e-12)


def test_groups_of_users_and_of_items_are_of_queries(tmp_path: Path) -> None:
    table(tmp_path / "train.user", "user_id:token plan:token", [("a", "gold"), ("b", "silver")])
    train = [("a", "p", 1), ("c", "p", 1), ("c", "q", 2), ("c", "r", 3), ("d", "q", 1)]
    test = [("a", "q", 5), ("a", "r", 6), ("b", "r", 7)]
    model = fitted(parts(tmp_path, TIMED, train=train, test=test), "pop")
    by = entry(model, "hit@1", rolling=True, by=["user.plan", "item-popularity"])["by"]
    assert by["user.plan"]["groups"] == {
        "gold": {"value": 1.0, "users": 1, "queries": 2},
        "silver": {"value": 0.0, "users": 1, "queries": 1},
    }
    of_items = by["item-popularity"]["groups"]
    assert of_items["tail (1)"] == {"value": 0.5, "users": 2, "queries": 2}
    assert sum(group["queries"] for group in of_items.values()) == 3


def test_predictions_of_a_query_are_from_its_history(recli: Runner, world: World) -> None:
    """As a list of everything has them."""
    path = Path(
        recli(
            "predict", world.models["itemknn"], "--rolling", "-q", "-o", world.split.parent / "p.parquet"
        ).stdout.strip()
    )
    found = {(row["user_id"], row["query"]): row for row in load(path).frame().iter_rows(named=True)}
    everything = load(lists(world.models["itemknn"], rolling=True, k=300, allow_seen=True)).frame()
    scores = {row[:3]: row[3] for row in everything.select("user_id", "query", "item_id", "score").iter_rows()}
    asked = list(queries(world.split))
    assert {(user, number): item for user, number, item, _ in asked} == {
        key: row["item_id"] for key, row in found.items()
    }
    compared = [(found[u, q]["score"], scores[u, q, item]) for u, q, item, _ in asked if (u, q, item) in scores]
    assert len(compared) > len(asked) / 2
    np.testing.assert_allclose(*zip(*compared, strict=True), rtol=1e-6)


# Lists of another program


@pytest.mark.parametrize("named", ["query", "session"])
def test_foreign_lists_with_a_query(tmp_path: Path, world: World, named: str) -> None:
    frame = load(world.recs["ease"]).frame().select("user_id", "query", "item_id", "rank")
    frame = frame.rename({"query": named}).sample(fraction=1, shuffle=True, seed=3)
    frame.write_csv(tmp_path / "theirs.csv")
    rows = held_out(world.split).drop("split")
    rows.write_csv(tmp_path / "truth.csv")
    options: dict[str, Any] = {} if named == "query" else {"query_col": named}
    theirs = evaluate(tmp_path / "theirs.csv", METRICS, truth=tmp_path / "truth.csv", **options).document
    ours = evaluate(world.recs["ease"], METRICS).document
    for name, one in ours["metrics"].items():
        for fact in ("value", "user_mean", "users", "queries", "queries_without_list"):
            assert theirs["metrics"][name][fact] == one[fact]
    assert theirs["truth"] == ours["truth"]


def test_a_truth_that_has_queries_itself(tmp_path: Path) -> None:
    truth = table(tmp_path / "t.inter", f"{PAIR} query:token", [("a", "x", 7), ("a", "y", 7), ("a", "z", 3)])
    found = table(tmp_path / "l.inter", f"{PAIR} query:token", [("a", "x", 7), ("a", "z", 7), ("a", "z", 3)])
    result = evaluate(found, "recall@2", truth=truth)
    assert sorted(result.per_user.rows()) == [("a", 3, 1.0), ("a", 7, 0.5)]
    plain = table(tmp_path / "p.inter", PAIR, [("a", "x")])
    with refused(Exit.DATA, "p.inter", "query", "--query-col"):
        evaluate(plain, "recall@2", truth=truth)


@pytest.mark.parametrize("query", ["first", "1.5", "9999999999", ""])
def test_what_numbers_no_list(tmp_path: Path, query: str) -> None:
    plain = table(tmp_path / "p.inter", PAIR, [("a", "x")])
    found = table(tmp_path / "l.inter", f"{PAIR} query:token", [("a", "x", query)])
    with refused(Exit.DATA, "l.inter", "whole number"):
        evaluate(found, "recall@2", truth=plain)


def test_what_numbers_no_list_of_a_truth(tmp_path: Path) -> None:
    """No list would ever be found for it."""
    found = table(tmp_path / "l.inter", f"{PAIR} query:token", [("a", "x", 0)])
    truth = table(tmp_path / "t.inter", f"{PAIR} query:token", [("a", "x", "first")])
    with refused(Exit.DATA, "t.inter", "whole number"):
        evaluate(found, "recall@2", truth=truth)


def test_half_a_number_is_none(tmp_path: Path) -> None:
    plain = table(tmp_path / "p.inter", PAIR, [("a", "x")])
    found = table(tmp_path / "l.inter", f"{PAIR} query:float", [("a", "x", 0.5)])
    with refused(Exit.DATA, "l.inter", "whole number"):
        evaluate(found, "recall@2", truth=plain)


# What cannot be


def test_rolling_takes_the_split_as_it_is(world: World) -> None:
    model = world.models["pop"]
    for options, said in (
        ({"history": world.split}, "--history"),
        ({"truth": world.split}, "--truth"),
        ({"phase": "all"}, "--phase valid or test"),
    ):
        with refused(Exit.USAGE, "--rolling", said):
            evaluate(model, "hit@1", rolling=True, **options)
        if "truth" not in options:
            with refused(Exit.USAGE, "--rolling", said):
                lists(model, rolling=True, **options)


def test_lists_that_were_not_made_rolling(world: World) -> None:
    plain = lists(world.models["pop"])
    assert entry(plain, "hit@10")["users"] == held_out(world.split)["user_id"].n_unique()
    with refused(Exit.USAGE, "lists made for phase test"):
        evaluate(plain, "hit@10", rolling=True)
    with refused(Exit.USAGE, "another program"):
        foreign = table(world.split.parent / "f.inter", PAIR, [("u1", "i1")])
        evaluate(foreign, "hit@1", rolling=True, truth=world.split)


def test_predicting_refuses_the_same(recli: Runner, world: World) -> None:
    for options in (("--history", world.split), ("--pairs", world.split)):
        done = recli("predict", world.models["pop"], "--rolling", *options)
        assert done.returncode == 2 and "--rolling takes" in done.stderr and done.stdout == ""


def test_nothing_is_held_out(tmp_path: Path) -> None:
    model = fitted(table(tmp_path / "t.inter", PAIR, [("a", "x"), ("b", "y")]), "pop")
    with refused(Exit.USAGE, "--rolling", "recli split"):
        lists(model, rolling=True)
