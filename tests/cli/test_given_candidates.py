"""--candidates: the items of a file or of the held-out rows, by what name a value goes, and what is refused."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recli.artifact import load
from recli.cli.judging import judging
from recli.errors import Exit
from recli.metrics import parse_assertion
from recli.pipeline.evaluate import plan, write
from recli.pipeline.evaluate.candidates import Candidates
from recli.pipeline.events import Source
from recli.pipeline.filter import Filters
from recli.pipeline.predict import predict
from recli.pipeline.recommend import Request
from recli.pipeline.split import split_given
from recli.pipeline.step import Output
from tests.cli.drawing import (
    World,
    candidates,
    had,
    in_order,
    made,
    unseen,
    write_atomic,
    write_csv,
    write_ncf,
    write_parquet,
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
    values,
)
from tests.conftest import Runner


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return made(tmp_path_factory.mktemp("candidates"))


# A file


@pytest.mark.parametrize("write", [write_csv, write_parquet, write_atomic, write_ncf])
def test_the_items_of_a_file_are_ranked_and_the_relevant_ones(
    world: World, tmp_path: Path, write: Callable[..., Path]
) -> None:
    given, relevant = unseen(world, 15), had(world.split, "test")
    path = write(tmp_path / "given", given)
    found = candidates(world.itemknn, str(path))
    assert found == {(user,): set(items) | relevant[(user,)] for user, items in given.items()}
    ranked = in_order(world.itemknn, found)
    expected = mean(ndcg(ranked[user], dict.fromkeys(relevant[(user,)], 1.0), 10) for user in ranked)
    shown = values(world.itemknn, "ndcg@10", candidates=str(path))
    assert shown == {"ndcg@10[file]": pytest.approx(expected, rel=1e-12)}


def test_strangers_in_a_file_do_no_harm(world: World, tmp_path: Path) -> None:
    given = unseen(world, 15)
    more = {**{user: [*items, "no such item", items[0]] for user, items in given.items()}, "nobody": ["i1", "i2"]}
    plain, odd = (str(write_csv(tmp_path / name, what)) for name, what in (("plain", given), ("odd", more)))
    assert values(world.pop, "ndcg@10", candidates=odd) == values(world.pop, "ndcg@10", candidates=plain)


def test_what_a_file_names_is_ranked_though_it_was_seen(world: World, tmp_path: Path) -> None:
    known = had(world.split)
    path = write_csv(tmp_path / "known", {user: sorted(items) for (user,), items in known.items()})
    ranked = in_order(world.pop, known)
    relevant = had(world.split, "test")
    expected = mean(ndcg(ranked[user], dict.fromkeys(relevant[(user,)], 1.0), 10) for user in ranked)
    found = entry(world.pop, "ndcg@10[file]", candidates=str(path))
    assert found["seen"] == "allowed" and found["value"] == pytest.approx(expected, rel=1e-12)


def test_a_user_whom_the_file_leaves_out_is_no_triumph(world: World, tmp_path: Path) -> None:
    """With the relevant items alone to rank, everything is at the top."""
    given = unseen(world, 15)
    missing = sorted(given)[7]
    del given[missing]
    path = str(write_csv(tmp_path / "given", given))
    with refused(Exit.DATA, "1 of 500 users", missing, "--users"):
        evaluate(world.pop, "ndcg@10", candidates=path)
    assert candidates(world.pop, path, users=",".join(given)).keys() == {(user,) for user in given}


def test_a_file_of_other_ids_is_refused(world: World, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "given", {user: ["1", "2"] for user in unseen(world, 1)})
    with refused(Exit.DATA, "given.csv", "no item that the model knows"):
        evaluate(world.pop, "ndcg@10", candidates=str(path))


@pytest.mark.parametrize("line", [b"", b"(u1,i1)\ti2\t", b"u1\ti2", b"(u1)\ti2", b"(u1,i1)\t\xff", b"(u1,i1)\t\ti2"])
def test_a_damaged_line_of_negatives_is_named(world: World, tmp_path: Path, line: bytes) -> None:
    (tmp_path / "bad.negative").write_bytes(b"(u2,i1)\ti2\ti3\n" + line + b"\n(u3,i1)\ti2\n")
    with refused(Exit.DATA, "bad.negative:2: "):
        evaluate(world.pop, "ndcg@10", candidates=str(tmp_path / "bad.negative"))


# What was held out


def test_labeled_ranks_the_held_out_rows(world: World) -> None:
    held = held_out(world.split)
    found = candidates(world.itemknn, "labeled", relevant="rating>=4")
    assert found == had(world.split, "test")
    ranked = in_order(world.itemknn, found)
    liked: dict[str, dict[str, float]] = defaultdict(dict)
    for user, item in held.filter(pl.col("rating") >= 4).select("user_id", "item_id").iter_rows():
        liked[user][item] = 1.0
    expected = mean(ndcg(ranked[user], own, 3) for user, own in liked.items())
    shown = entry(world.itemknn, "ndcg@3[labeled]", candidates="labeled", relevant="rating>=4")
    assert shown["value"] == pytest.approx(expected, rel=1e-12) and shown["users"] == len(liked)


def test_labels_say_themselves_what_is_relevant(tmp_path: Path) -> None:
    columns = "user_id:token item_id:token label:float"
    train = [("u1", "a", 1), ("u2", "a", 1), ("u2", "b", 1), ("u3", "c", 0)]
    test = [("u1", "b", 1), ("u1", "c", 0), ("u3", "a", 0), ("u3", "b", 1)]
    pop = fitted(parts(tmp_path, columns, train=train, test=test), "pop")
    assert candidates(pop, "labeled") == {("u1",): {"b", "c"}, ("u3",): {"a", "b"}}
    assert values(pop, "mrr@5", candidates="labeled", users="u3") == {"mrr@5[labeled]": 0.5}


def test_labeled_has_to_know_what_is_relevant(world: World) -> None:
    with refused(Exit.USAGE, "--relevant"):
        evaluate(world.pop, "ndcg@10", candidates="labeled")


# What it is called


@pytest.mark.parametrize(
    ("chosen", "suffix"), [("sampled:5", "s5"), ("sampled:5:popularity", "p5"), ("labeled", "labeled")]
)
def test_every_name_says_of_which_candidates(world: World, chosen: str, suffix: str) -> None:
    asked: Any = None
    options = {"relevant": "rating>=4", "candidates": chosen}
    usual = evaluate(world.pop, asked, **options).document["metrics"]
    assert list(usual) == [f"{name}@10[{suffix}]" for name in ("recall", "mrr", "ndcg", "hit", "precision")]
    assert list(values(world.pop, f"ndcg@3,auc[{suffix}]", **options)) == [f"ndcg@3[{suffix}]", f"auc[{suffix}]"]


@pytest.mark.parametrize("name", ["ndcg@10[s5]", "ndcg@10[p50]", "ndcg@10[file]", "ndcg@10[labeled]", "ndcg@10[]"])
def test_a_name_of_other_candidates_is_refused(world: World, name: str) -> None:
    with refused(Exit.USAGE, "ndcg@10[s50]" if name != "ndcg@10[]" else "is no metric"):
        evaluate(world.pop, name, candidates="sampled:50")


def test_an_assertion_is_of_what_was_ranked(recli: Runner, world: World) -> None:
    def asserted(what: str) -> tuple[int, str]:
        sampled = ("--metrics", "ndcg@10", "--candidates", "sampled:50")
        done = recli("evaluate", world.pop, *sampled, "--assert", what)
        return done.returncode, done.stderr

    assert asserted("ndcg@10[s50]>=0.1")[0] == 0
    code, said = asserted("ndcg@10[s50]>=0.9")
    assert code == 1 and "assertion failed" in said and "ndcg@10[s50] is 0." in said
    code, said = asserted("ndcg@10>=0")
    assert code == 2 and "other candidates" in said and "--candidates" in said


@pytest.mark.parametrize(
    ("chosen", "asserted"), [("sampled:50", "mrr@5"), ("all", "ndcg@10[s50]"), ("sampled:50", "ndcg@10[s5]")]
)
def test_an_assertion_of_other_candidates_is_refused(world: World, chosen: str, asserted: str) -> None:
    asked = replace(judging(metrics="ndcg@10", candidates=chosen), also=[parse_assertion(f"{asserted}>=0").metric])
    with refused(Exit.USAGE, asserted, "other candidates", "--candidates"):
        plan(world.pop, asked, Output())


def test_what_is_ranked_stands_beside_the_value(world: World, tmp_path: Path) -> None:
    """What compare holds equal: another seed, or another file of the same name's kind, is another thing."""
    given = unseen(world, 2)
    first, second = (str(write_csv(tmp_path / name, own)) for name, own in (("a", given), ("b", unseen(world, 3))))
    chosen: list[dict[str, Any]] = [{"candidates": "sampled:5", "seed": seed} for seed in (1, 2)]
    chosen += [{"candidates": file} for file in (first, second)]
    told = [
        next(iter(evaluate(world.pop, "hit@1", **one).document["metrics"].values()))["candidates"] for one in chosen
    ]
    assert len(set(told)) == 4 and told[0] == "5 sampled uniform, seed 1, and the relevant ones"


@pytest.mark.parametrize(
    "text", ["sampled", "sampled:", "sampled:0", "sampled:-1", "sampled:1.5", "sampled:5:zipf", "nosuch.csv", "", "."]
)
def test_what_are_no_candidates(text: str) -> None:
    with refused(Exit.USAGE, "--candidates", "sampled:100"):
        judging(candidates=text)


def test_a_file_of_the_name_of_a_sample_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sampled:5").touch()
    monkeypatch.chdir(tmp_path)
    assert Candidates.parse("sampled:5", 1).suffix == "s5" and Candidates.parse("./sampled:5", 1).suffix == "file"


def test_only_a_model_ranks(world: World, tmp_path: Path) -> None:
    preds = predict(world.pop, None, Request(), Output(path=str(tmp_path / "x.preds.parquet")))
    write_csv(tmp_path / "theirs", unseen(world, 3))
    for path, metrics in ((lists(world.pop), "ndcg@10"), (preds, "auc"), (tmp_path / "theirs.csv", "ndcg@10")):
        with refused(Exit.USAGE, "evaluate with a model"):
            evaluate(path, metrics, candidates="sampled:5", truth=None if path.suffix != ".csv" else world.split)


@pytest.mark.parametrize("options", [{"items": "i1,i2"}, {"exclude": "i1"}])
def test_what_is_ranked_is_said_once(world: World, options: dict[str, str]) -> None:
    with refused(Exit.USAGE, "--items and --exclude"):
        evaluate(world.pop, "ndcg@10", candidates="sampled:5", **options)


# What is written


def test_candidates_are_part_of_the_question(world: World, tmp_path: Path) -> None:
    def said(**options: Any) -> str:
        notes: list[str] = []
        output = Output(path=str(tmp_path / "m.json"), note=notes.append)
        write(plan(world.pop, judging(metrics="mrr@5", **options), output), output)
        return notes[-1]

    sampled = {"candidates": "sampled:50"}
    assert "mrr@5 " in said() and "mrr@5[s50]" in said(**sampled) and "up to date" in said(**sampled)
    assert "mrr@5[s50]" in said(**sampled, seed=3)
    assert "mrr@5[p50]" in said(candidates="sampled:50:popularity", seed=3)
    file = {"candidates": str(write_ncf(tmp_path / "given", unseen(world, 5)))}
    assert "mrr@5[file]" in said(**file) and "up to date" in said(**file)
    write_ncf(tmp_path / "given", unseen(world, 6))
    assert "mrr@5[file]" in said(**file)
    parent = load(tmp_path / "m.json").header.parent("candidates")
    assert parent is not None and parent.path == "given.negative"


def test_a_table_of_ours_as_candidates_can_be_checked(recli: Runner, world: World, tmp_path: Path) -> None:
    write_csv(tmp_path / "given", unseen(world, 5))
    recli("convert", "given.csv", "-o", "given.parquet", "-q")
    done = recli("evaluate", world.pop, "--candidates", "given.parquet", "-o", "m.json")
    assert done.returncode == 0, done.stderr
    done = recli("check", "m.json")
    assert done.returncode == 0 and "given.parquet (candidates of m.json)" in done.stdout, done.stdout


# Real data


@pytest.mark.shared
def test_the_published_negatives_of_movielens_1m(shared: Path, tmp_path: Path) -> None:
    """Hit@10 and NDCG@10 over the 100 candidates of He et al. 2017, in numpy; of equals the hash of the id decides."""
    names = {"train": ["user_id", "item_id", "rating"], "test": ["user_id", "item_id", "rating", "timestamp"]}
    files, read = {}, {}
    for part, columns in names.items():
        path = shared / "ncf-ml-1m" / f"ml-1m.{part}.rating"
        read[part] = pl.read_csv(path, separator="\t", has_header=False, new_columns=columns).select(
            "user_id", "item_id"
        )
        files[part] = tmp_path / f"{part}.csv"
        read[part].write_csv(files[part])
    split = split_given(files, Source(), Filters(), Output(path=str(tmp_path / "ml-1m.split.parquet")))
    negative = shared / "ncf-ml-1m" / "ml-1m.test.negative"
    found = values(fitted(split, "pop"), "hit@10,ndcg@10", candidates=str(negative))

    lines = [line.split("\t") for line in negative.read_text().splitlines()]
    first = [line[0].strip("()").split(",") for line in lines]
    items = np.array([[int(own), *map(int, line[1:])] for (_, own), line in zip(first, lines, strict=True)])
    held = dict(read["test"].iter_rows())
    assert items.shape == (6040, 100) and all(held[int(user)] == int(own) for user, own in first)
    popularity = np.bincount(read["train"]["item_id"].to_numpy(), minlength=items.max() + 1)
    digests = [
        int.from_bytes(blake2b(str(i).encode(), digest_size=8).digest(), "little") for i in range(len(popularity))
    ]
    place = np.empty(len(popularity), np.int64)
    place[np.lexsort((np.array(digests, np.uint64), -popularity))] = np.arange(len(popularity))
    ranks = (place[items] < place[items[:, :1]]).sum(axis=1) + 1
    hits = (ranks <= 10) & (popularity[items[:, 0]] > 0)  # what train does not hold is not recommended
    assert found["hit@10[file]"] == pytest.approx(hits.mean(), rel=1e-12)
    assert found["ndcg@10[file]"] == pytest.approx((hits / np.log2(ranks + 1)).mean(), rel=1e-12)
    assert hits.mean() == pytest.approx(0.4533, abs=1e-4)
