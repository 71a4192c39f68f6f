"""What counts and what it is worth: --relevant, --gain, --features, and what an entry of the JSON says of a value."""

import json
from collections import defaultdict
from math import log
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import ndcg_score

from recli.artifact import load
from recli.cli.judging import judging
from recli.errors import Exit
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
    values,
)
from tests.conftest import ROOT, Runner

SAMPLE = ROOT / "sample_data" / "sample.inter"
WORTH = {"binary": lambda rating: 1.0, "linear": lambda rating: rating, "exponential": lambda rating: 2**rating - 1}


class World(NamedTuple):
    split: Path
    model: Path
    recs: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("relevance")
    for suffix in (".inter", ".user", ".item"):
        (folder / f"sample{suffix}").write_bytes(SAMPLE.with_suffix(suffix).read_bytes())
    split = split_of(folder / "sample.inter")
    model = fitted(split, "ease")
    return World(split, model, lists(model))


def by_user(rows: pl.DataFrame, least: float = 0, worth: Any = WORTH["binary"]) -> dict[str, dict[str, float]]:
    """What each relevant item is worth to each user."""
    gains: dict[str, dict[str, float]] = defaultdict(dict)
    for user, item, rating in rows.select("user_id", "item_id", "rating").iter_rows():
        if rating >= least:
            gains[user][item] = worth(rating)
    return gains


# Gains


@pytest.mark.parametrize("least", [0, 4])
@pytest.mark.parametrize("gain", WORTH)
def test_graded_ndcg_is_that_of_the_definition(world: World, gain: str, least: int) -> None:
    gains = by_user(held_out(world.split), least, WORTH[gain])
    found = listed(world.recs)
    options = {"gain": gain, "relevant": f"rating>={least}"}
    expected = mean(ndcg(found.get(user, []), own, 10) for user, own in gains.items())
    for path in (world.model, world.recs):
        assert entry(path, "ndcg@10", **options)["value"] == pytest.approx(expected, rel=1e-12)


def test_linear_ndcg_is_scikit_learns(world: World) -> None:
    gains, found = by_user(held_out(world.split), 0, WORTH["linear"]), listed(world.recs)
    items = sorted({item for own in (*gains.values(), *found.values()) for item in own})
    truth = np.array([[own.get(item, 0) for item in items] for own in gains.values()])
    scores = np.array([[10 - found[u].index(i) if i in found[u] else 0 for i in items] for u in gains])
    full = scores[:, :] > 0
    assert full.sum(axis=1).min() == 10  # so that nothing below the lists is drawn into the first 10
    assert entry(world.recs, "ndcg@10", gain="linear")["value"] == pytest.approx(ndcg_score(truth, scores, k=10))


def test_only_what_grades_depends_on_the_gain(world: World) -> None:
    metrics = "hit@10,recall@10,precision@10,map@10,mrr@10,dcg@10,ndcg@10"
    binary, linear = (evaluate(world.recs, metrics, gain=gain).document["metrics"] for gain in ("binary", "linear"))
    for name, one in binary.items():
        graded = name in ("dcg@10", "ndcg@10")
        assert (one["value"] != linear[name]["value"]) == graded
        assert ("/linear/" in linear[name]["definition"]) == graded


def test_what_is_worth_nothing_is_not_relevant(tmp_path: Path) -> None:
    truth = table(
        tmp_path / "t.inter",
        "user_id:token item_id:token rating:float",
        [("a", "x", 3), ("a", "y", 0), ("b", "x", -1), ("b", "y", 2), ("c", "x", 0)],
    )
    found = table(tmp_path / "l.inter", "user_id:token item_id:token", [("a", "y"), ("a", "x"), ("b", "y")])
    one = entry(found, "recall@1", truth=truth, gain="linear")
    assert (one["value"], one["users"], one["users_without_relevant"]) == (0.5, 2, 1)
    assert entry(found, "recall@1", truth=truth)["users"] == 3


def test_of_a_repeated_item_the_highest_gain_counts(tmp_path: Path) -> None:
    rows = [("a", "x", 1), ("a", "x", 5), ("a", "x", 2), ("a", "y", 3)]
    truth = table(tmp_path / "t.inter", "user_id:token item_id:token rating:float", rows)
    found = table(tmp_path / "l.inter", "user_id:token item_id:token", [("a", "y"), ("a", "x")])
    expected = ndcg(["y", "x"], {"x": 5, "y": 3}, 2)
    assert entry(found, "ndcg@2", truth=truth, gain="linear")["value"] == pytest.approx(expected, rel=1e-12)


def test_labels_grade_where_there_is_no_rating(tmp_path: Path) -> None:
    rows = [("a", "x", 0), ("a", "y", 1), ("a", "z", 2)]
    truth = table(tmp_path / "t.inter", "user_id:token item_id:token label:float", rows)
    found = table(tmp_path / "l.inter", "user_id:token item_id:token", [("a", "x"), ("a", "y")])
    expected = ndcg(["x", "y"], {"y": 1, "z": 2}, 2)
    assert entry(found, "ndcg@2", truth=truth, gain="linear")["value"] == pytest.approx(expected, rel=1e-12)


def test_gains_that_cannot_be_graded(tmp_path: Path) -> None:
    found = table(tmp_path / "l.inter", "user_id:token item_id:token", [("a", "x")])
    with refused(Exit.USAGE, "neither"):
        entry(found, "ndcg@1", truth=found, gain="linear")
    huge = table(tmp_path / "t.inter", "user_id:token item_id:token rating:float", [("a", "x", 2000), ("b", "x", 1)])
    with refused(Exit.USAGE, "t.inter", "2000"):
        entry(found, "ndcg@1", truth=huge, gain="exponential")
    none = table(tmp_path / "n.inter", "user_id:token item_id:token rating:float", [("a", "x", 0)])
    with refused(Exit.DATA, "n.inter", "above 0"):
        entry(found, "ndcg@1", truth=none, gain="linear")


@pytest.mark.parametrize("dialect", ["recbole", "implicit", "rectools"])
def test_no_gain_by_those_who_know_none(dialect: str) -> None:
    with refused(Exit.USAGE, dialect, "--gain"):
        judging(gain="linear", dialect=dialect)
    assert judging(dialect=dialect).relevance.gain == "binary"


# Conditions


def test_those_with_nothing_relevant_leave_and_are_counted(world: World) -> None:
    rows, found = held_out(world.split), listed(world.recs)
    gains = by_user(rows, 4)
    expected = mean(len(own.keys() & set(found[user])) / len(own) for user, own in gains.items())
    for path in (world.model, world.recs):
        one = entry(path, "recall@10", relevant="rating>=4")
        assert one["value"] == pytest.approx(expected, rel=1e-12)
        assert one["users"] == len(gains) < rows["user_id"].n_unique()
        assert one["users"] + one["users_without_relevant"] == rows["user_id"].n_unique()


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("ratin>=4", "did you mean rating?"),
        ("rating=>4", "'>4' is no number"),
        ("rating>=four", "'four' is no number"),
        ("rating>=nan", "is no number"),
        ("rating<inf", "is no number"),
        ("user_id>=u4", "is text"),
        ("user_id<u4", "=float"),
        ("split==test", "no column split"),
    ],
)
def test_a_condition_that_does_not_suit_the_rows(world: World, condition: str, said: str) -> None:
    for path in (world.model, world.recs):
        with refused(Exit.USAGE, "--relevant", said):
            entry(path, "recall@10", relevant=condition)


def test_nothing_relevant_at_all(world: World) -> None:
    for path in (world.model, world.recs):
        with refused(Exit.DATA, "sample.split.parquet", "rating>=6"):
            entry(path, "recall@10", relevant="rating>=6")


def test_the_command_says_so_too(recli: Runner, world: World) -> None:
    done = recli("evaluate", world.recs, "--relevant", "ratin>=4")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines()[1] == "hint: did you mean rating?"
    done = recli("evaluate", world.recs, "--relevant", "rating>=4", "--gain", "linear", "--json", "-q")
    header = json.loads(done.stdout)["header"]
    assert (header["params"]["relevant"], header["params"]["gain"]) == ("rating>=4", "linear")


# What an entry says


def test_lists_and_the_model_say_the_same(world: World) -> None:
    metrics = "hit@3,recall@10,ndcg@10,item-coverage@10,gini@10,novelty@10,serendipity@10"
    for options in ({}, {"relevant": "rating>=4"}, {"gain": "linear"}):
        of_model, of_lists = (evaluate(path, metrics, **options).document for path in (world.model, world.recs))
        assert of_model["truth"] == of_lists["truth"]
        for name, one in of_model["metrics"].items():
            other = dict(of_lists["metrics"][name])
            if options == {"relevant": "rating>=4"} and name.endswith("@10"):
                assert other.pop("ties") is None  # the lists know of all users' only
                one.pop("ties")
            assert one == other


def test_facts_of_a_value(world: World) -> None:
    one = entry(world.model, "ndcg@10", gain="linear", relevant="rating >= 4")
    facts = ("definition", "larger_is_better", "phase", "candidates", "seen", "relevant", "gain", "users_without_list")
    assert [one[fact] for fact in facts] == [
        "ndcg/linear/log2/ideal=min(k,R)",
        True,
        "test",
        "all",
        "masked",
        "rating>=4",
        "linear",
        0,
    ]
    one = entry(world.model, "gini@10", phase="valid", allow_seen=True, exclude="i1")
    assert [one[fact] for fact in facts[1:6]] == [False, "valid", one["candidates"], "allowed", "all rows"]
    assert one["candidates"].startswith("given")


def test_who_has_no_list_counts_with_nothing(tmp_path: Path) -> None:
    columns = "user_id:token item_id:token"
    truth = table(tmp_path / "t.inter", columns, [("a", "x"), ("b", "x"), ("c", "x")])
    found = table(tmp_path / "l.inter", columns, [("a", "x"), ("b", "y"), ("z", "x")])
    document = evaluate(found, "recall@2,user-coverage@2,entropy@2", truth=truth).document["metrics"]
    assert document["recall@2"]["value"] == pytest.approx(1 / 3)
    assert document["user-coverage@2"]["value"] == pytest.approx(2 / 3)
    assert {(one["users"], one["users_without_list"]) for one in document.values()} == {(3, 1)}
    assert {one["warm"] for one in document.values()} == {None}


def test_warm_is_the_value_over_what_train_knows(tmp_path: Path) -> None:
    """Of a's two items train knows one, of b's none, of c's its only one."""
    split = parts(
        tmp_path,
        "user_id:token item_id:token",
        train=[("a", "p"), ("b", "x"), ("c", "p"), ("c", "y")],
        test=[("a", "x"), ("a", "new"), ("b", "new"), ("c", "x")],
    )
    model = fitted(split, "pop")
    recs = lists(model, items="x")
    assert listed(recs) == {"a": ["x"], "c": ["x"]}
    for one in (entry(model, "recall@1", items="x"), entry(recs, "recall@1")):
        assert (one["value"], one["warm"]) == (pytest.approx((1 / 2 + 0 + 1) / 3), (1 + 1) / 2)
        assert (one["users"], one["warm_users"], one["users_without_list"]) == (3, 2, 1)


# The rows behind the figures


def test_users_of_a_truth_by_hand_need_no_row_in_the_phase(tmp_path: Path) -> None:
    split = parts(tmp_path, "user_id:token item_id:token", train=[("a", "p"), ("b", "q")], test=[("a", "q")])
    truth = table(tmp_path / "t.inter", "user_id:token item_id:token", [("b", "p"), ("stranger", "p")])
    for options in ({}, {"candidates": "sampled:1"}):
        suffix = "[s1]" if options else ""
        one = entry(fitted(split, "ease"), f"hit@2{suffix}", truth=truth, **options)
        assert (one["value"], one["users"], one["users_without_list"]) == (0.5, 2, 1)


def test_users_of_a_history_alone_count(tmp_path: Path, world: World) -> None:
    history = table(
        tmp_path / "h.inter", "user_id:token item_id:token", [("u1", "i1"), ("stranger", "i2"), ("u2", "i3")]
    )
    one = entry(world.model, "recall@10", history=history, truth=world.split)
    assert (one["users"], one["users_without_relevant"], one["phase"]) == (2, 0, "history")


@pytest.mark.parametrize("rolling", [False, True])
def test_a_column_of_the_data_that_is_called_query(tmp_path: Path, rolling: bool) -> None:
    """What a shop's log calls query is no number of a list."""
    found = []
    for name in ("query", "words"):
        (tmp_path / name).mkdir()
        rows = [(f"u{u}", f"i{(u * u + j) % 9}", f"w{u + j}", j) for u in range(6) for j in range(5)]
        columns = f"user_id:token item_id:token {name}:token timestamp:float"
        model = fitted(split_of(table(tmp_path / name / "d.inter", columns, rows)), "ease")
        recs = lists(model, rolling=rolling, k=3)
        found += [entry(path, "recall@3", rolling=rolling) for path in (model, recs)]
    assert found[0]["value"] > 0
    assert found[1:] == found[:1] * 3


def test_users_of_a_model_of_ratings(tmp_path: Path, world: World) -> None:
    rows = held_out(world.split)
    of_two = evaluate(fitted(world.split, "baseline"), "rmse", users="u1,u2").document["metrics"]["rmse"]
    assert (of_two["users"], of_two["pairs"]) == (2, rows.filter(pl.col("user_id").is_in(["u1", "u2"])).height)


def test_means_of_the_values_by_user_are_the_values(recli: Runner, world: World, tmp_path: Path) -> None:
    metrics = "ndcg@10,recall@5,diversity@10,item-coverage@10"
    options = ("--metrics", metrics, "--features", "genres", "--relevant", "rating>=5", "--per-user", "u.parquet")
    done = recli("evaluate", world.recs, *options, "--json", "-q")
    entries = json.loads(done.stdout)["metrics"]
    frame = load(tmp_path / "u.parquet").frame()
    assert frame.columns == ["user_id", "ndcg@10", "recall@5", "diversity@10"]
    assert frame.height == frame["user_id"].n_unique() == entries["ndcg@10"]["users"]
    for name in frame.columns[1:]:
        assert mean(frame[name].drop_nans()) == pytest.approx(entries[name]["value"], rel=1e-12)


# Features


def taste(items: list[str], of: dict[str, list[str]]) -> dict[str, float]:
    """The mean distribution of categories, over the items that have any."""
    shares: dict[str, float] = defaultdict(float)
    for item in items:
        for category in of.get(item, []):
            shares[category] += 1 / len(of[item])
    return {category: share / sum(shares.values()) for category, share in shares.items()}


def test_diversity_and_calibration_of_the_definition(world: World) -> None:
    genres = {
        item: value.split()
        for item, _, _, value in (line.split("\t") for line in SAMPLE.with_suffix(".item").read_text().splitlines()[1:])
    }
    train, found = held_out(world.split, "train"), listed(world.recs)
    history = train.group_by("user_id").agg("item_id").rows()
    wanted = {user: taste(items, genres) for user, items in history}
    apart, astray = [], []
    for user in held_out(world.split)["user_id"].unique():
        items = found[user]
        pairs = [(genres[i], genres[j]) for i in items for j in items if i != j]
        apart.append(mean(1 - len(set(a) & set(b)) / (len(a) * len(b)) ** 0.5 for a, b in pairs))
        shown = taste(items, genres)
        own = wanted[user]
        astray.append(sum(p * log(p / (0.99 * shown.get(genre, 0) + 0.01 * p)) for genre, p in own.items()))
    for path in (world.model, world.recs):
        got = values(path, "diversity@10,calibration@10", features="genres")
        assert got == pytest.approx({"diversity@10": mean(apart), "calibration@10": mean(astray)}, rel=1e-9)


def test_features_of_one_value_of_none_and_of_two_columns(tmp_path: Path) -> None:
    """x and y share a kind, x and z a colour; what is empty is shared with nobody."""
    items = [("x", "k", "red"), ("y", "k", ""), ("z", "", "red"), ("v", "", ""), ("w", "", "")]
    table(tmp_path / "train.item", "item_id:token kind:token colour:token_seq", items)
    columns = "user_id:token item_id:token"
    split = parts(tmp_path, columns, train=[("b", item) for item in "xyzvw"], test=[("a", "x")])

    def diversity(listed: str, features: str) -> float:
        found = table(tmp_path / "l.inter", columns, [("a", item) for item in listed])
        return entry(found, f"diversity@{len(listed)}", truth=split, features=features)["value"]  # type: ignore[no-any-return]

    assert diversity("xy", "kind") == pytest.approx(0)
    assert diversity("xz", "kind") == diversity("vw", "kind") == diversity("xy", "colour") == 1
    assert diversity("xy", "kind,colour") == pytest.approx(1 - 1 / 2**0.5)


def test_a_repeated_row_of_train_is_one_item_of_the_taste(tmp_path: Path) -> None:
    table(tmp_path / "train.item", "item_id:token kind:token", [("x", "k"), ("y", "m"), ("v", "k"), ("w", "m")])
    columns = "user_id:token item_id:token"
    train = [("a", "x"), ("a", "x"), ("a", "x"), ("a", "y"), ("b", "v"), ("b", "w")]
    split = parts(tmp_path, columns, train=train, test=[("a", "v")])
    found = table(tmp_path / "l.inter", columns, [("a", "v"), ("a", "w")])
    assert entry(found, "calibration@2", truth=split, features="kind")["value"] == pytest.approx(0, abs=1e-12)


def test_features_that_cannot_be(world: World) -> None:
    for features, said in (("release_year", "numbers"), ("genre", "did you mean genres?"), ("item_id", "item_id")):
        with refused(Exit.USAGE, "--features", said):
            entry(world.recs, "diversity@10", features=features)
    with refused(Exit.USAGE, "diversity@10", "--features"):
        entry(world.recs, "diversity@10")
    with refused(Exit.USAGE, "no table of items", "--item-table"):
        columns = "user_id:token item_id:token"
        plain = table(world.split.parent / "plain.inter", columns, [("a", "x"), ("a", "y")])
        entry(plain, "diversity@2", truth=plain, features="genres")


def test_no_calibration_of_rolling_lists(world: World) -> None:
    recs = lists(world.model, rolling=True, users="u1,u2")
    for path, options in ((world.model, {"rolling": True, "users": "u1,u2"}), (recs, {})):
        assert entry(path, "diversity@10", features="genres", **options)["value"] > 0
        with refused(Exit.USAGE, "calibration@10", "a list a user"):
            entry(path, "calibration@10", features="genres", **options)
