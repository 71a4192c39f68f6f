"""--candidates: a sample is decided by ids and the seed and nothing else, and its figures are of the definition."""

from collections import defaultdict
from math import sqrt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from recli import ranking
from recli.artifact import load
from recli.errors import Exit
from recli.pipeline import audience
from tests.cli.drawing import (
    World,
    candidates,
    had,
    in_order,
    made,
    pairs,
    unseen,
)
from tests.cli.evaluating import (
    entry,
    evaluate,
    fitted,
    held_out,
    lists,
    mean,
    ndcg,
    parts,
    refused,
    split_of,
    values,
)
from tests.conftest import Runner


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return made(tmp_path_factory.mktemp("candidates"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split: a is in train thrice, b and c once each, d in valid alone, and nobody but test knows e."""
    train = [("u1", "a"), ("u2", "a"), ("u3", "a"), ("u3", "b"), ("u4", "c")]
    held = {"valid": [("u4", "d")], "test": [("u1", "b"), ("u2", "e")]}
    return parts(tmp_path_factory.mktemp("tiny"), "user_id:token item_id:token", train=train, **held)


# What is drawn


@pytest.mark.parametrize("phase", ["valid", "test"])
@pytest.mark.parametrize("chosen", ["sampled:20", "sampled:20:popularity"])
def test_a_sample_is_as_many_items_that_the_user_never_had(world: World, phase: str, chosen: str) -> None:
    known, relevant = had(world.split), had(world.split, phase)
    found = candidates(world.pop, chosen, phase=phase)
    assert found.keys() == relevant.keys()
    for user, items in found.items():
        assert relevant[user] <= items
        assert len(items - relevant[user]) == 20 and items & known[user] == relevant[user]


def test_a_row_that_is_not_relevant_is_no_candidate(world: World) -> None:
    held, known = held_out(world.split), had(world.split)
    for (user,), items in candidates(world.pop, "sampled:20", relevant="rating>=4").items():
        liked = held.filter((pl.col("user_id") == user) & (pl.col("rating") >= 4))
        assert items & known[(user,)] == set(liked["item_id"]) and len(items) == 20 + len(liked)


def test_a_truth_given_by_hand_is_known_too(world: World) -> None:
    """What it holds is what is to be found, and what the split held out is still nothing to lose against."""
    given, known = pairs(unseen(world, 2)), had(world.split)
    given.write_csv(world.folder / "other.csv")
    other = given.group_by("user_id").agg("item_id")
    for user, mine in other.iter_rows():
        known[(user,)] |= set(mine)
    found = candidates(world.pop, "sampled:30", truth=world.folder / "other.csv")
    for user, mine in other.iter_rows():
        assert found[(user,)] & known[(user,)] == set(mine) and len(found[(user,)]) == 32


def test_two_models_of_a_split_get_the_same(world: World) -> None:
    for chosen in ("sampled:20", "sampled:20:popularity"):
        assert candidates(world.pop, chosen) == candidates(world.itemknn, chosen) == candidates(world.baseline, chosen)


def test_the_seed_decides(world: World) -> None:
    usual = candidates(world.pop, "sampled:20")
    assert usual == candidates(world.pop, "sampled:20", seed=2020)
    other = candidates(world.pop, "sampled:20", seed=7)
    shared = mean(len(usual[user] & other[user]) / len(usual[user]) for user in usual)
    assert shared < 0.5  # the relevant ones, and 20 in 260 by chance


def test_a_larger_sample_holds_the_smaller(world: World) -> None:
    few, many = candidates(world.pop, "sampled:5"), candidates(world.pop, "sampled:50")
    assert all(few[user] < many[user] for user in few)


def test_who_else_is_asked_for_changes_nothing(world: World) -> None:
    everybody = candidates(world.pop, "sampled:20")
    some = candidates(world.pop, "sampled:20", users="u30,u2,u77")
    assert some == {user: everybody[user] for user in (("u30",), ("u2",), ("u77",))}
    measured = evaluate(world.pop, "ndcg@10", candidates="sampled:20").per_user
    alone = evaluate(world.pop, "ndcg@10", candidates="sampled:20", users="u30,u2,u77").per_user
    assert alone.sort("user_id").equals(measured.filter(pl.col("user_id").is_in(["u30", "u2", "u77"])).sort("user_id"))


@pytest.mark.parametrize("rolling", [False, True])
def test_the_size_of_a_block_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch, rolling: bool) -> None:
    options: dict[str, Any] = {"candidates": "sampled:20", "rolling": rolling, "metrics": "ndcg@5,mrr@20,auc,gauc"}
    usual = evaluate(world.itemknn, **options)
    monkeypatch.setattr(ranking, "QUERIES", 7)
    monkeypatch.setattr(ranking, "LEAST", 1)
    monkeypatch.setattr(audience, "EVENTS", 100)
    small = evaluate(world.itemknn, **options)
    assert small.document == usual.document and small.per_user.equals(usual.per_user)


def test_the_order_of_the_rows_changes_nothing(world: World, tmp_path: Path) -> None:
    first, *rows = (world.folder / "sample.inter").read_text().splitlines()
    (tmp_path / "sample.inter").write_text("\n".join([first, *reversed(rows)]) + "\n")
    other = fitted(split_of(tmp_path / "sample.inter"), "pop")
    assert candidates(other, "sampled:20") == candidates(world.pop, "sampled:20")
    for chosen in ("sampled:20", "sampled:20:popularity"):
        same = pytest.approx(values(world.pop, "ndcg@10", candidates=chosen), rel=1e-12)
        assert values(other, "ndcg@10", candidates=chosen) == same


def test_a_new_item_takes_no_more_than_its_own_place(world: World, tmp_path: Path) -> None:
    text = (world.folder / "sample.inter").read_text()
    (tmp_path / "sample.inter").write_text(text + "stranger\tbrand-new\t5\t1700000000\n")
    other = fitted(split_of(tmp_path / "sample.inter"), "pop")
    usual, found = candidates(world.pop, "sampled:20"), candidates(other, "sampled:20")
    drawn = [items for items in found.values() if "brand-new" in items]
    assert all(found[user] - {"brand-new"} <= items for user, items in usual.items()) and 20 < len(drawn) < 60


def test_threads_change_nothing(recli: Runner, world: World) -> None:
    options = ("evaluate", world.itemknn, "--candidates", "sampled:50", "--json")
    one, two = (recli(*options, "-j", count) for count in (1, 2))
    assert one.returncode == 0 and one.stdout == two.stdout


def test_by_popularity_an_item_comes_as_often_as_it_stands_in_train(world: World) -> None:
    """One item drawn for each of 500 users: their mean popularity against its expectation, and that of chance."""
    known, count = had(world.split), pl.Series(held_out(world.split, "train")["item_id"]).value_counts()
    popularity = dict(count.iter_rows())
    expected, spread, uniform = 0.0, 0.0, 0.0
    for mine in known.values():
        weights = [w for item, w in popularity.items() if item not in mine]
        first = sum(w * w for w in weights) / sum(weights)
        expected += first
        spread += sum(w**3 for w in weights) / sum(weights) - first**2
        uniform += mean(weights)
    drawn = dict.fromkeys(("sampled:1", "sampled:1:popularity"), 0)
    for name in drawn:
        for user, items in candidates(world.pop, name).items():
            (item,) = items - known[user]
            drawn[name] += popularity[item]
    assert abs(drawn["sampled:1:popularity"] - expected) < 3 * sqrt(spread)
    assert abs(drawn["sampled:1"] - uniform) < 3 * sqrt(spread)
    assert expected - uniform > 10 * sqrt(spread)


def test_by_popularity_what_train_does_not_hold_is_not_drawn(tiny: Path) -> None:
    both = fitted(tiny, "pop", fit_on=("train", "valid"))
    assert candidates(both, "sampled:10", users="u1") == {("u1",): {"b", "c", "d"}}
    assert candidates(both, "sampled:10:popularity", users="u1") == {("u1",): {"b", "c"}}


def test_a_rolling_query_has_its_own_row_and_a_sample_of_its_own(world: World) -> None:
    known = had(world.split)
    rows = held_out(world.split).sort("timestamp", maintain_order=True)
    asked = rows.with_columns(query=pl.int_range(pl.len(), dtype=pl.Int32).over("user_id"))
    found = candidates(world.pop, "sampled:20", rolling=True)
    own = {(user, query): item for user, query, item in asked.select("user_id", "query", "item_id").iter_rows()}
    assert found.keys() == own.keys()
    negatives = defaultdict(set)
    for key, items in found.items():
        assert len(items) == 21 and items & known[key[:1]] == {own[key]}
        negatives[key[0]].add(frozenset(items - {own[key]}))
    assert mean(len(each) for each in negatives.values()) == len(own) / len(negatives)


def test_a_history_given_by_hand_is_what_was_seen(world: World, tmp_path: Path) -> None:
    truth = [("new", "i7"), ("other", "i9")]
    history = {("new",): {"i1", "i2", "i3"}, ("other",): {"i4"}}
    pairs({user: sorted(mine) for (user,), mine in history.items()}).write_csv(tmp_path / "history.csv")
    pl.DataFrame(truth, schema=["user_id", "item_id"], orient="row").write_csv(tmp_path / "truth.csv")
    options = {"history": tmp_path / "history.csv", "truth": tmp_path / "truth.csv"}
    found = candidates(world.itemknn, "sampled:290", **options)
    assert found.keys() == history.keys() and not any(found[user] & mine for user, mine in history.items())
    assert all(item in found[(user,)] and len(found[(user,)]) == 291 for user, item in truth)


# What is measured


@pytest.mark.parametrize("chosen", ["sampled:30", "sampled:30:popularity"])
def test_the_figures_are_those_of_the_definition(world: World, chosen: str) -> None:
    ranked = in_order(world.itemknn, candidates(world.itemknn, chosen))
    relevant = had(world.split, "test")
    gains = {user: dict.fromkeys(relevant[(user,)], 1.0) for user in ranked}
    places = {
        user: next((at for at, item in enumerate(items, 1) if item in gains[user]), 0) for user, items in ranked.items()
    }
    found = list(values(world.itemknn, "ndcg@10,hit@3,mrr@30", candidates=chosen).values())
    assert found[0] == pytest.approx(mean(ndcg(ranked[user], gains[user], 10) for user in ranked), rel=1e-12)
    assert found[1] == pytest.approx(mean(0 < place <= 3 for place in places.values()), rel=1e-12)
    assert found[2] == pytest.approx(mean(1 / at if 0 < at <= 30 else 0 for at in places.values()), rel=1e-12)


@pytest.mark.parametrize("n", ["300", "1000", "99999999999999999999"])
@pytest.mark.parametrize("model", ["pop", "itemknn"])
def test_a_sample_of_more_than_there_are_is_the_full_ranking(world: World, model: str, n: str) -> None:
    path = getattr(world, model)
    full = values(path, "ndcg@10,recall@20,mrr@5")
    sampled = values(path, "ndcg@10,recall@20,mrr@5", candidates=f"sampled:{n}")
    assert list(sampled.values()) == list(full.values())
    assert list(sampled) == [f"{name}[s{n}]" for name in full]


@pytest.mark.parametrize("chosen", ["sampled:30", "sampled:30:popularity"])
def test_auc_and_gauc_are_scikit_learns(world: World, chosen: str) -> None:
    relevant, drawn = had(world.split, "test"), candidates(world.itemknn, chosen)
    everything = load(lists(world.itemknn, k=300, allow_seen=True)).frame()
    rows = everything.select("user_id", "item_id", "score").iter_rows()
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for user, item, score in rows:
        if item in drawn[(user,)]:
            scores[user][item] = score
    labels = {user: [item in relevant[(user,)] for item in own] for user, own in scores.items()}
    aucs = {user: roc_auc_score(labels[user], list(own.values())) for user, own in scores.items()}
    weights = {user: sum(own) for user, own in labels.items()}
    every_label = [label for user in scores for label in labels[user]]
    every_score = [score for own in scores.values() for score in own.values()]
    auc, gauc = evaluate(world.itemknn, "auc,gauc", candidates=chosen).document["metrics"].values()
    assert auc["value"] == pytest.approx(roc_auc_score(every_label, every_score), rel=1e-12)
    expected = sum(weights[user] * aucs[user] for user in aucs) / sum(weights.values())
    assert gauc["value"] == pytest.approx(expected, rel=1e-12)
    assert auc["pairs"] == len(every_label) == sum(map(len, drawn.values())) and gauc["users"] == 500


def test_auc_puts_last_what_cannot_be_scored(tiny: Path) -> None:
    """u1's b is as popular as c; u2's e is unknown to the model, and loses to b and c."""
    pop = fitted(tiny, "pop")
    document = evaluate(pop, "gauc", candidates="sampled:10").document["metrics"]["gauc[s10]"]
    assert document["pairs"] == 5 and document["value"] == pytest.approx((0.5 + 0) / 2)


def test_auc_holds_who_cannot_be_served_against_the_others(tmp_path: Path) -> None:
    """u9 has no history: a, b and c tie below u1's b, which goes with a, and u1's c, which does not."""
    train = [("u1", "a"), ("u2", "a"), ("u2", "b"), ("u3", "c")]
    split = parts(tmp_path, "user_id:token item_id:token", train=train, test=[("u1", "b"), ("u9", "a")])
    found = entry(fitted(split, "itemknn"), "auc[s10]", candidates="sampled:10")
    pairs = [(1, 2), (0, 1), (1, 0), (0, 0), (0, 0)]  # label and place: u1's b and c, u9's a, b and c
    assert found["pairs"] == len(pairs)
    assert found["value"] == pytest.approx(roc_auc_score(*zip(*pairs, strict=True)))


def test_a_rating_model_ranks_candidates_too(world: World) -> None:
    ranked = in_order(world.baseline, candidates(world.baseline, "sampled:30"))
    relevant = had(world.split, "test")
    expected = mean(ndcg(ranked[user], dict.fromkeys(relevant[(user,)], 1.0), 10) for user in ranked)
    assert entry(world.baseline, "ndcg@10[s30]", candidates="sampled:30")["value"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metrics", ["rmse", "mae", "mse,ndcg@10", "r2", None])
def test_candidates_have_no_rating_to_be_off_by(world: World, metrics: str | None) -> None:
    asked: Any = metrics  # without any the usual ones, which are errors
    with refused(Exit.USAGE, "candidates have none", "auc"):
        evaluate(world.baseline, asked, candidates="sampled:30")
