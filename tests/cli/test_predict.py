"""predict: which pairs, from which history, what where the model knows nobody; and the command."""

import random
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recli.artifact import load
from recli.errors import Exit
from recli.interactions import Queries
from recli.pipeline import predict as of_predict
from recli.pipeline.events import Source
from recli.pipeline.predict import predict
from recli.pipeline.recommend import Request
from recli.pipeline.step import Output
from recli.sources import Options
from tests.cli.evaluating import fitted, held_out, lists, mean, parts, refused, table
from tests.cli.predicting import World, made, predicted
from tests.conftest import Runner


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return made(tmp_path_factory.mktemp("predict"))


class Few(NamedTuple):
    train: list[tuple[str, str, int]]
    model: Path


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Few:
    """Twelve users, nine films, ratings of 1 to 5 that are often at an end of the scale."""
    dice = random.Random(3)
    taste = {f"u{u}": dice.choice([-2, 0, 2]) for u in range(12)}
    films = {f"i{i}": dice.choice([1, 3, 5]) for i in range(9)}
    worth = {(u, i): min(5, max(1, films[i] + taste[u])) for u in taste for i in films if dice.random() < 0.7}
    train = [(u, i, r) for (u, i), r in worth.items()]
    test = [(u, i, 3) for u in taste for i in films if (u, i) not in worth]
    split = parts(tmp_path_factory.mktemp("few"), "user_id:token item_id:token rating:float", train=train, test=test)
    return Few(train, fitted(split, "baseline"))


def by_pair(frame: pl.DataFrame) -> dict[tuple[str, str], float]:
    return {(user, item): score for user, item, score in frame.select("user_id", "item_id", "score").iter_rows()}


# Which pairs


@pytest.mark.parametrize("phase", ["valid", "test"])
@pytest.mark.parametrize("model", ["baseline", "itemknn"])
def test_the_pairs_are_the_rows_that_are_held_out(world: World, model: str, phase: str) -> None:
    frame, header = predicted(getattr(world, model), phase=phase)
    assert frame.drop("score").equals(held_out(world.split, phase).drop("split"))
    assert frame["score"].dtype == pl.Float32 and frame["score"].null_count() == 0
    more = header.more
    assert (more["phase"], more["pairs"], more["model"], more["fit_on"]) == (phase, frame.height, model, ["train"])
    assert {parent.role for parent in header.parents} == {"model", "split"}


def test_test_is_what_is_predicted_unless_something_else_is_said(world: World) -> None:
    assert load(world.preds).header.more["phase"] == "test"
    assert load(world.preds).frame().equals(predicted(world.baseline, phase="test")[0])


def test_pairs_of_a_file_keep_their_order_and_what_they_are_held_to(world: World, tmp_path: Path) -> None:
    rows = [("u9", "i1", "2.0", "a", "0"), ("u1", "i5", "3.5", "b", "1"), ("u9", "i1", "4.0", "c", "1")]
    columns = "user_id:token item_id:token rating:float mood:token label:float"
    frame, header = predicted(world.baseline, table(tmp_path / "some.inter", columns, rows))
    assert frame.columns == ["user_id", "item_id", "rating", "label", "score"]
    assert frame.drop("score").rows() == [(u, i, float(r), float(label)) for u, i, r, _, label in rows]
    assert header.more["phase"] == "given" and header.parent("pairs") is not None


def test_a_column_called_query_is_not_what_numbers_lists(world: World, tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("user_id,item_id,query\nu1,i5,red shoes\nu2,i6,blue shoes\n")
    frame, _ = predicted(world.itemknn, tmp_path / "some.csv")
    assert frame.equals(predicted(world.itemknn, [("u1", "i5"), ("u2", "i6")])[0])


def test_a_table_may_call_its_columns_otherwise(world: World, tmp_path: Path) -> None:
    (tmp_path / "some.tsv").write_text("who\tmovie id\nu1\ti5\n")
    source = Source(options=Options(user_col="who"))
    assert predicted(world.baseline, tmp_path / "some.tsv", source=source)[0].select("user_id", "item_id").rows() == [
        ("u1", "i5")
    ]


def test_a_split_is_pairs_too(world: World) -> None:
    frame, _ = predicted(world.baseline, world.split)
    assert frame.height == 20_000
    held = held_out(world.split).select("user_id", "item_id")
    assert held.join(frame, on=["user_id", "item_id"], maintain_order="left").equals(
        load(world.preds).frame().select("user_id", "item_id", "rating", "timestamp", "score")
    )


# What is predicted


def als(
    train: list[tuple[str, str, int]], reg: float = 1.0, epochs: int = 10
) -> tuple[float, dict[str, float], dict[str, float]]:
    """Surprise's baselines, from the definition: the mean, what users are above it, and items, taken in turn."""
    middle = mean(rating for *_, rating in train)
    of_user: dict[str, float] = defaultdict(float)
    of_item: dict[str, float] = defaultdict(float)
    for _ in range(epochs):
        for item in {item for _, item, _ in train}:
            rest = [rating - middle - of_user[u] for u, i, rating in train if i == item]
            of_item[item] = sum(rest) / (10 * reg + len(rest))
        for user in {user for user, _, _ in train}:
            rest = [rating - middle - of_item[i] for u, i, rating in train if u == user]
            of_user[user] = sum(rest) / (15 * reg + len(rest))
    return middle, of_user, of_item


def test_ratings_are_those_of_the_definition(few: Few) -> None:
    middle, of_user, of_item = als(few.train)
    found = by_pair(predicted(few.model)[0])
    assert len(found) > 20
    for (user, item), score in found.items():
        assert score == pytest.approx(min(5, max(1, middle + of_user[user] + of_item[item])), rel=1e-6)


def test_who_is_not_known_has_no_bias_and_the_mean_rating_is_counted(few: Few) -> None:
    middle, of_user, of_item = als(few.train)
    asked = [("u3", "i4"), ("nobody", "i4"), ("u3", "nothing"), ("nobody", "nothing"), ("no one", "none")]
    frame, header = predicted(few.model, asked)
    expected = [middle + of_user[u] + of_item[i] for u, i in asked]
    assert frame["score"].to_list() == pytest.approx([min(5, max(1, score)) for score in expected], rel=1e-6)
    assert expected[3:] == [middle, middle] and header.more["fallbacks"] == 2 and header.more["unscored"] == 0
    assert header.more["fallen"] == {"unknown_user": 1, "unknown_item": 1, "unknown_both": 2, "cannot": 0}


class Stern:
    """A model of ratings that cannot tell unless it knows both, and then says 9."""

    def score_pairs(self, queries: Queries, items: NDArray[np.int32]) -> NDArray[np.float32]:
        return np.where((queries.user >= 0) & (items >= 0), np.float32(9), np.float32(-np.inf))


def test_what_the_model_cannot_tell_is_the_mean_rating_and_is_counted(
    few: Few, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, items, _ = of_predict.open_model(load(few.model))
    monkeypatch.setattr(of_predict, "open_model", lambda _: (users, items, Stern()))
    asked = [("u3", "i4"), ("nobody", "i4"), ("no one", "i5"), ("u3", "nothing"), ("nobody", "nothing")]
    frame, header = predicted(few.model, asked)
    middle = mean(rating for *_, rating in few.train)
    assert frame["score"].to_list() == pytest.approx([5] + 4 * [middle])
    assert header.more["fallen"] == {"unknown_user": 0, "unknown_item": 0, "unknown_both": 1, "cannot": 3}
    assert header.more["fallbacks"] == 4 and header.more["unscored"] == 0


def test_a_stranger_with_a_history_is_not_said_to_be_rated_from_the_item_alone(few: Few, tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("user_id,item_id,rating\nnobody,i1,4\n")
    for options, count in (({}, 1), ({"history": tmp_path / "history.csv"}, 0)):
        _, header = predicted(few.model, [("nobody", "i4")], **options)
        assert header.more["fallen"]["unknown_user"] == count


def test_every_kind_of_fallback_has_a_line_of_its_own(recli: Runner, few: Few, tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("user_id,item_id\nu3,i4\nx,i4\ny,i4\nu3,z\nx,z\n")
    done = recli("predict", few.model, "some.csv")
    assert [line.partition(": ")[2] for line in done.stderr.splitlines()[:-1]] == [
        "2 of 5 pairs were rated from the item alone: the user is unknown",
        "1 of 5 pairs were rated from the user alone: the item is unknown",
        "1 of 5 pairs got the mean rating: user and item are unknown",
    ]


def test_who_is_known_and_average_is_not_counted(tmp_path: Path) -> None:
    rows = [("u1", "a", 3), ("u2", "b", 3)]
    split = parts(tmp_path, "user_id:token item_id:token rating:float", train=rows, test=[("u1", "b", 1)])
    frame, header = predicted(fitted(split, "baseline"), [("u1", "b"), ("u1", "none"), ("none", "none")])
    assert frame["score"].to_list() == [3, 3, 3] and header.more["fallbacks"] == 1


def test_the_scale_is_that_of_train_and_not_of_what_is_asked(tmp_path: Path) -> None:
    rows = [("u1", "a", 2), ("u1", "b", 2), ("u2", "a", 4), ("u2", "b", 4)]
    columns = "user_id:token item_id:token rating:float"
    rows += [("u1", "low", 2), ("u2", "high", 4), ("u3", "low", 2), ("u3", "high", 4)]
    split = parts(tmp_path, columns, train=rows, test=[("u1", "low", 10), ("u2", "high", -10), ("u3", "a", 3)])
    model = fitted(split, "baseline", reg_u=0.0, reg_i=0.0, epochs=50)
    middle, of_user, of_item = als(rows, reg=0.0, epochs=50)
    found = by_pair(predicted(model)[0])
    assert middle + of_user["u1"] + of_item["low"] < 1.9 and middle + of_user["u2"] + of_item["high"] > 4.1
    assert found == {("u1", "low"): 2, ("u2", "high"): 4, ("u3", "a"): pytest.approx(3)}


def test_a_model_that_ranks_scores_as_it_recommends(world: World) -> None:
    everything = load(lists(world.itemknn, k=300, allow_seen=True, phase="valid")).frame()
    some = everything.sample(3000, seed=1)
    frame, header = predicted(world.itemknn, some.select("user_id", "item_id").rows(), phase="valid")
    assert frame["score"].to_numpy() == pytest.approx(some["score"].to_numpy(), rel=1e-5)
    assert header.more["task"] == "ranking" and header.more["fallbacks"] == 0


def test_what_cannot_be_ranked_has_no_score(world: World) -> None:
    """The neighbours of an item need a history, popularity just the item."""
    asked = [("u1", "i5"), ("nobody", "i5"), ("u1", "nothing"), ("nobody", "nothing")]
    pop = fitted(world.split, "pop")
    for model, known in ((world.itemknn, [True, False, False, False]), (pop, [True, True, False, False])):
        frame, header = predicted(model, asked)
        assert frame["score"].is_not_null().to_list() == known
        assert header.more["unscored"] == known.count(False) and header.more["fallbacks"] == 0


def test_the_size_of_a_block_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = [predicted(world.itemknn, rolling=rolling)[0] for rolling in (False, True)]
    monkeypatch.setattr(of_predict, "EVENTS", 90)
    assert [predicted(world.itemknn, rolling=rolling)[0].equals(frame) for rolling, frame in enumerate(usual)] == [
        True,
        True,
    ]


def test_a_history_given_by_hand_is_what_scores(world: World, tmp_path: Path) -> None:
    """A newcomer with the history of a known user gets the scores of that user."""
    train = held_out(world.split, "train").filter(pl.col("user_id") == "u7")
    train.with_columns(user_id=pl.lit("new")).select("user_id", "item_id").write_csv(tmp_path / "history.csv")
    items = [f"i{i}" for i in range(1, 301, 7)]
    new, header = predicted(world.itemknn, [("new", item) for item in items], history=tmp_path / "history.csv")
    known, _ = predicted(world.itemknn, [("u7", item) for item in items])
    assert new["score"].equals(known["score"]) and new["score"].n_unique() > 10
    assert header.parent("history") is not None


def test_rolling_scores_every_row_from_what_was_before_it(world: World, tmp_path: Path) -> None:
    """As if each row had been asked for alone, with a history of its own."""
    events = load(world.split).frame().sort("timestamp", maintain_order=True)
    some = ["u1", "u44", "u101", "u499"]
    frame, _ = predicted(world.itemknn, rolling=True)
    rows = frame.filter(pl.col("user_id").is_in(some))
    assert rows.height > 8
    history, asked = [], []
    for user, query, item, time in rows.select("user_id", "query", "item_id", "timestamp").iter_rows():
        mine = events.filter((pl.col("user_id") == user) & (pl.col("timestamp") < time))
        held = mine.filter(pl.col("split") == "test")
        assert query == held.height
        history += [(f"{user}/{query}", old) for old in mine["item_id"]]
        asked.append((f"{user}/{query}", item))
    pl.DataFrame(history, schema=["user_id", "item_id"], orient="row").write_csv(tmp_path / "history.csv")
    alone, _ = predicted(
        world.itemknn, [pair for pair in asked if pair[0] in dict(history)], history=tmp_path / "history.csv"
    )
    expected = by_pair(alone)
    found = {pair: score for pair, score in zip(asked, rows["score"], strict=True) if pair in expected}
    assert found == expected
    assert all(rows["score"].is_null() == [user not in dict(history) for user, _ in asked])


# What is refused


def test_what_contradicts_itself_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("user_id,item_id\nu1,i1\n")
    some, history = tmp_path / "h.csv", tmp_path / "h.csv"
    with refused(Exit.USAGE, "no held-out row", "--pairs"):
        predicted(world.itemknn, history=history)
    with refused(Exit.USAGE, "--history names the users"):
        predicted(world.itemknn, some, history=history, phase="test")
    with refused(Exit.USAGE, "--rolling takes the pairs from the split"):
        predicted(world.itemknn, some, rolling=True)
    with refused(Exit.DATA, "no history is given for user u2"):
        predicted(world.itemknn, [("u1", "i1"), ("u2", "i1")], history=history)


def test_a_model_of_a_plain_table_holds_nothing_out(world: World, tmp_path: Path) -> None:
    model = fitted(table(tmp_path / "t.inter", "user_id:token item_id:token", [("u1", "a"), ("u2", "b")]), "pop")
    with refused(Exit.USAGE, "no held-out row", "--pairs"):
        predicted(model)
    with refused(Exit.DATA, "no valid rows"):
        predicted(model, phase="valid")
    assert by_pair(predicted(model, [("u1", "b")])[0]) == {("u1", "b"): 1}


def test_what_are_no_pairs(world: World, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("user_id,price\nu1,3\n")
    (tmp_path / "empty.csv").write_text("user_id,item_id\n")
    with refused(Exit.DATA, "no column item_id", "--item-col"):
        predicted(world.baseline, tmp_path / "odd.csv")
    with refused(Exit.DATA, "empty.csv"):
        predicted(world.baseline, tmp_path / "empty.csv")
    with refused(Exit.DATA, "is no table of interactions but preds"):
        predicted(world.baseline, world.preds)
    with refused(Exit.DATA, "is no model but split"):
        predicted(world.split)


# The command


def test_pairs_are_a_second_argument_an_option_or_stdin(recli: Runner, few: Few, tmp_path: Path) -> None:
    text = "user_id,item_id\nu3,i4\nnobody,nothing\n"
    (tmp_path / "some.csv").write_text(text)
    expected = predicted(few.model, tmp_path / "some.csv")[0]
    argued = recli("predict", few.model, "some.csv", "-o", "argued.parquet")
    assert argued.returncode == 0 and argued.stdout == "argued.parquet\n"
    assert load(tmp_path / "argued.parquet").frame().equals(expected)
    assert "1 of 2 pairs got the mean rating: user and item are unknown" in argued.stderr
    piped = recli("predict", few.model, "--pairs", "-", "--format", "csv", "-o", "-", input=text)
    lines = [line.split("\t") for line in piped.stdout.splitlines()]
    assert lines[0] == ["user_id", "item_id", "score"] and len(lines) == 3
    assert [float(line[2]) for line in lines[1:]] == pytest.approx(expected["score"].to_list(), rel=1e-6)
    checked = recli("check", "argued.parquet")
    assert checked.returncode == 0 and "some.csv (pairs of argued.parquet)" in checked.stdout


def test_models_are_paths_on_stdin(recli: Runner, world: World, tmp_path: Path) -> None:
    pop = fitted(world.split, "pop")
    given = f"{pop}\n{world.itemknn}\n"
    done = recli("predict", "-o", "{name}.preds.parquet", input=given)
    assert done.returncode == 0 and done.stdout == "".join(
        f"{Path(line).stem}.preds.parquet\n" for line in given.split()
    )
    frames = [load(tmp_path / line).frame() for line in done.stdout.split()]
    assert frames[1].equals(load(world.ranked).frame()) and not frames[0].equals(frames[1])


def test_stdin_cannot_be_models_and_pairs(recli: Runner, few: Few) -> None:
    done = recli("predict", "--pairs", "-", "--format", "csv", input=f"{few.model}\n")
    assert done.returncode == 2 and "one model" in done.stderr
    assert recli("predict", input="").returncode == 3


def test_an_answer_is_never_stale(few: Few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(pairs: Path | None, **options: Any) -> tuple[str, str]:
        notes: list[str] = []
        path = predict(few.model, pairs, Request(**options), Output(note=notes.append))
        return path.name, "up to date" if "up to date" in notes[-1] else "made"

    monkeypatch.chdir(tmp_path)
    for name, item in (("a", "i1"), ("b", "i2")):
        (tmp_path / f"{name}.csv").write_text(f"user_id,item_id\nu1,{item}\n")
    usual = "w.baseline-train.preds.parquet"
    assert asked(None) == (usual, "made") and asked(None) == (usual, "up to date")
    assert asked(None, phase="test") == (usual, "up to date")
    first, second, rolling = asked(Path("a.csv")), asked(Path("b.csv")), asked(None, rolling=True)
    assert len({usual, first[0], second[0], rolling[0]}) == 4 and first[1] == second[1] == rolling[1] == "made"
    assert asked(Path("a.csv")) == (first[0], "up to date")
    (tmp_path / "a.csv").write_text("user_id,item_id\nu1,i2\n")
    assert asked(Path("a.csv")) == (second[0], "up to date")


def test_pairs_from_stdin_are_scored_each_time(recli: Runner, few: Few, tmp_path: Path) -> None:
    found = []
    for item in ("i1", "i2"):
        given = f"user_id,item_id\nu1,{item}\n"
        done = recli("predict", few.model, "-", "--format", "csv", "-q", input=given)
        found.append((done.stdout, load(tmp_path / done.stdout.strip()).frame()["item_id"].to_list()))
    assert found[0][0] == found[1][0] != "w.baseline-train.preds.parquet\n"
    assert [items for _, items in found] == [["i1"], ["i2"]]
