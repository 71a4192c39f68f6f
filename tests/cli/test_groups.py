"""--by: metrics of groups of users and of items."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from recli.artifact import load
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
)
from tests.conftest import ROOT, Runner

SAMPLE = ROOT / "sample_data" / "sample.inter"
PAIR = "user_id:token item_id:token"
METRICS = "ndcg@10,recall@5,item-coverage@10,gini@10,entropy@10,novelty@10,serendipity@10,diversity@10,calibration@10"


class World(NamedTuple):
    split: Path
    model: Path
    recs: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("groups")
    for suffix in (".inter", ".user", ".item"):
        (folder / f"sample{suffix}").write_bytes(SAMPLE.with_suffix(suffix).read_bytes())
    split = split_of(folder / "sample.inter")
    model = fitted(split, "ease")
    return World(split, model, lists(model))


def column(role: str, name: str) -> dict[str, str]:
    """A column of a companion of the sample, by id."""
    first, *lines = (line.split("\t") for line in SAMPLE.with_suffix(f".{role}").read_text().splitlines())
    place = [field.partition(":")[0] for field in first].index(name)
    return {line[0]: line[place] for line in lines}


def groups(path: Path, by: str, metric: str = "ndcg@10", **options: Any) -> dict[str, dict[str, Any]]:
    """What is said of each group, by its label."""
    found: dict[str, dict[str, Any]] = entry(path, metric, by=[by], **options)["by"][by]["groups"]
    return found


def numbers(label: str) -> tuple[float, float]:
    """From where to where a group of numbers goes, such as ``24-30``."""
    low, _, high = label.partition("-")
    return float(low), float(high or low)


# Users


@pytest.mark.parametrize("path", ["model", "recs"])
def test_a_group_of_users_is_measured_as_if_they_were_alone(world: World, path: str) -> None:
    gender = column("user", "gender")
    entries = evaluate(getattr(world, path), METRICS, by=["user.gender"], features="genres").document["metrics"]
    for label in ("F", "M"):
        whose = [user for user, value in gender.items() if value == label]
        alone = evaluate(world.model, METRICS, users=",".join(whose), features="genres").document["metrics"]
        for name, one in entries.items():
            group = one["by"]["user.gender"]["groups"][label]
            assert group["value"] == pytest.approx(alone[name]["value"], rel=1e-12)
            assert group["users"] == alone[name]["users"]
    assert sum(group["users"] for group in one["by"]["user.gender"]["groups"].values()) == one["users"]


def test_the_gap_is_the_largest_less_the_smallest(world: World) -> None:
    part = entry(world.recs, "ndcg@10", by=["user.occupation"])["by"]["user.occupation"]
    found = [group["value"] for group in part["groups"].values()]
    assert set(part["groups"]) == set(column("user", "occupation").values())
    assert part["gap"] == max(found) - min(found) > 0


def test_numbers_make_quarters(world: World) -> None:
    age, found = column("user", "age"), groups(world.recs, "user.age")
    assert len(found) == 4
    ends = [numbers(label) for label in found]
    assert ends == sorted(ends) and all(a[1] < b[0] for a, b in pairwise(ends))
    for (low, high), group in zip(ends, found.values(), strict=True):
        own = [float(value) for value in age.values() if low <= float(value) <= high]
        assert (min(own), max(own), len(own)) == (low, high, group["users"])
        assert abs(len(own) - 125) <= max(Counter(age.values()).values())


def test_activity_is_the_rows_of_train(world: World) -> None:
    counts = Counter(held_out(world.split, "train")["user_id"])
    found, own = groups(world.recs, "user-activity"), listed(world.recs)
    truth = dict(held_out(world.split).group_by("user_id").agg("item_id").iter_rows())
    assert sum(group["users"] for group in found.values()) == len(truth)
    for label, group in found.items():
        low, high = numbers(label)
        whose = [user for user in truth if low <= counts[user] <= high]
        assert group["users"] == len(whose)
        expected = mean(ndcg(own[user], dict.fromkeys(truth[user], 1.0), 10) for user in whose)
        assert group["value"] == pytest.approx(expected, rel=1e-12)


def test_users_without_a_value_and_users_whom_train_does_not_know(tmp_path: Path) -> None:
    table(tmp_path / "train.user", "user_id:token plan:token n:float", [("a", "gold", 1), ("b", "", "")])
    test = [("a", "x"), ("b", "x"), ("c", "y")]
    split = parts(tmp_path, PAIR, train=[("a", "y"), ("b", "y"), ("b", "z")], test=test)
    found = table(tmp_path / "l.inter", PAIR, [("a", "x"), ("c", "y")])
    document = entry(found, "hit@1", truth=split, by=["user.plan", "user.n", "user-activity"])["by"]
    told = {name: {label: tuple(g.values()) for label, g in part["groups"].items()} for name, part in document.items()}
    assert told == {
        "user.plan": {"(none)": (0.5, 2), "gold": (1.0, 1)},
        "user.n": {"1": (1.0, 1), "(none)": (0.5, 2)},
        "user-activity": {"1": (1.0, 1), "2": (0.0, 1), "cold": (1.0, 1)},
    }


def test_large_numbers_are_told_apart(tmp_path: Path) -> None:
    """By six digits they all look alike."""
    table(tmp_path / "train.user", "user_id:token zip:float", [(f"u{n}", 1234567 + n) for n in range(4)])
    split = parts(tmp_path, PAIR, train=[("u0", "x")], test=[(f"u{n}", "x") for n in range(4)])
    found = table(tmp_path / "l.inter", PAIR, [("u2", "x")])
    told = {label: group["value"] for label, group in groups(found, "user.zip", "hit@1", truth=split).items()}
    assert told == {"1234567": 0, "1234568": 0, "1234569": 1, "1234570": 0}


# Items


@pytest.mark.parametrize("relevant", [None, "rating>=4"])
def test_a_group_of_items_is_a_truth_of_these_items(world: World, tmp_path: Path, relevant: str | None) -> None:
    genres, rows = column("item", "genres"), held_out(world.split).drop("split")
    found = groups(world.recs, "item.genres", relevant=relevant)
    assert set(found) == {genre for value in genres.values() for genre in value.split()}
    assert found == groups(world.model, "item.genres", relevant=relevant)
    for genre in ("Crime", "Drama", "SciFi"):
        own = rows.filter(pl.col("item_id").is_in([item for item, value in genres.items() if genre in value.split()]))
        own.write_csv(tmp_path / "truth.csv")
        alone = entry(world.recs, "ndcg@10", truth=tmp_path / "truth.csv", relevant=relevant)
        assert found[genre] == {"value": pytest.approx(alone["value"], rel=1e-12), "users": alone["users"]}


def test_popularity_is_thirds_of_train(tmp_path: Path) -> None:
    """Of the nine pairs x has four, the first third and more, y two, which end the second, the others one each."""
    train = [
        (f"u{n}", item) for item, count in (("x", 4), ("y", 2), ("z", 1), ("u", 1), ("v", 1)) for n in range(count)
    ]
    train += [("u0", "x"), ("u0", "x")]  # again and again: still one user
    test = [("a", "x"), ("b", "y"), ("c", "v"), ("c", "u"), ("d", "w")]
    split = parts(tmp_path, PAIR, train=train, test=test)
    found = table(tmp_path / "l.inter", PAIR, [("a", "x"), ("b", "x"), ("c", "u"), ("d", "w")])
    told = {label: tuple(g.values()) for label, g in groups(found, "item-popularity", "recall@1", truth=split).items()}
    assert told == {"head (4)": (1.0, 1), "middle (2)": (0.0, 1), "tail (1)": (0.5, 1), "cold": (1.0, 1)}


def test_groups_are_the_same_whatever_is_measured(world: World) -> None:
    """Of lists, of predictions of some of the items, and of queries, of which a user has several."""
    by = ["item-popularity", "item.release_year", "user.age", "user-activity"]
    baseline = fitted(world.split, "baseline")
    found = [
        evaluate(baseline, metric, by=by, **options).document["metrics"][metric]["by"]
        for metric, options in (("hit@5", {}), ("rmse", {}), ("hit@5", {"rolling": True}))
    ]
    for name in by:
        shown = [{label: group["users"] for label, group in one[name]["groups"].items()} for one in found]
        assert shown[0] == shown[1] == shown[2]
    for part in found[2].values():
        assert sum(group["queries"] for group in part["groups"].values()) == held_out(world.split).height


def test_only_ranking_metrics_have_values_by_item(world: World) -> None:
    entries = evaluate(world.recs, "hit@10,item-coverage@10", by=["item.genres", "user.gender"]).document["metrics"]
    assert set(entries["hit@10"]["by"]) == {"item.genres", "user.gender"}
    assert set(entries["item-coverage@10"]["by"]) == {"user.gender"}


# What cannot be


@pytest.mark.parametrize("by", ["user", "item", "user.", "gender", "users.gender", "item-activity", ""])
def test_groups_that_there_are_none_of(world: World, by: str) -> None:
    with refused(Exit.USAGE, repr(by), "user.COLUMN"):
        groups(world.recs, by)


@pytest.mark.parametrize(
    ("by", "said"),
    [("user.gendr", "gender"), ("item.genre", "genres"), ("user.user_id", "age"), ("item.gender", "genres")],
)
def test_a_column_that_is_not_there(world: World, by: str, said: str) -> None:
    with refused(Exit.USAGE, by, said):
        groups(world.recs, by)


@pytest.mark.parametrize("kinds", [50, 51])
def test_too_many_values(tmp_path: Path, kinds: int) -> None:
    table(tmp_path / "train.item", "item_id:token kind:token", [(f"i{n}", f"k{n}") for n in range(kinds)])
    split = parts(tmp_path, PAIR, train=[("b", f"i{n}") for n in range(kinds)], test=[("a", "i0")])
    found = table(tmp_path / "l.inter", PAIR, [("a", "i0")])
    if kinds == 50:
        assert groups(found, "item.kind", "hit@1", truth=split)["k0"] == {"value": 1, "users": 1}
    else:
        with refused(Exit.USAGE, "item.kind", "51 different values", "at most 50"):
            groups(found, "item.kind", "hit@1", truth=split)


def test_no_table_and_no_train(tmp_path: Path) -> None:
    plain = table(tmp_path / "t.inter", PAIR, [("a", "x")])
    with refused(Exit.USAGE, "no table of users", "--user-table"):
        groups(plain, "user.plan", "hit@1", truth=plain)
    for by in ("user-activity", "item-popularity"):
        with refused(Exit.USAGE, by, "--train"):
            groups(plain, by, "hit@1", truth=plain)
        assert groups(plain, by, "hit@1", truth=plain, train=plain) != {}


def test_a_table_given_by_hand(tmp_path: Path) -> None:
    plain = table(tmp_path / "t.inter", PAIR, [("a", "x"), ("b", "x")])
    users = tmp_path / "anything.csv"
    users.write_text("user_id,plan\na,gold\nb,silver\n")
    told = groups(plain, "user.plan", "hit@1", truth=plain, user_table=users)
    assert told == {"gold": {"value": 1, "users": 1}, "silver": {"value": 1, "users": 1}}
    for wrong, code in ((SAMPLE.with_suffix(".item"), Exit.DATA), (SAMPLE, Exit.DATA), (tmp_path / "no", Exit.IO)):
        with refused(code, wrong.name):
            groups(plain, "user.plan", "hit@1", truth=plain, user_table=wrong)


def test_a_table_that_is_gone_or_another(tmp_path: Path) -> None:
    users = table(tmp_path / "train.user", "user_id:token plan:token", [("a", "gold")])
    split = parts(tmp_path, PAIR, train=[("a", "y")], test=[("a", "x")])
    recs = lists(fitted(split, "pop"))
    assert set(groups(recs, "user.plan", "hit@1")) == {"gold"}
    table(users, "user_id:token plan:token", [("a", "silver")])
    with refused(Exit.DATA, "train.user", "--user-table"):
        groups(recs, "user.plan", "hit@1")
    assert set(groups(recs, "user.plan", "hit@1", user_table=users)) == {"silver"}
    users.unlink()
    with refused(Exit.IO, "train.user", "--user-table"):
        groups(recs, "user.plan", "hit@1")


# The command


def test_the_table_has_a_row_a_group(recli: Runner, world: World) -> None:
    options = ("--metrics", "hit@10,gini@10", "--by", "user.gender", "--by", "item-popularity")
    lines = [line.split("\t") for line in recli("evaluate", world.recs, *options, "-q").stdout.splitlines()]
    assert lines[0] == ["metric", "group", "value", "warm", "users", "no_list"]
    shown = {(line[0], line[1]): line[2:] for line in lines[1:]}
    entries = evaluate(world.recs, "hit@10,gini@10", by=["user.gender", "item-popularity"]).document["metrics"]
    for metric, one in entries.items():
        for name, part in one["by"].items():
            assert float(shown.pop((metric, f"{name}: gap"))[0]) == part["gap"]
            for label, group in part["groups"].items():
                value, _, users, _ = shown.pop((metric, f"{name}={label}"))
                assert (float(value), int(users)) == (group["value"], group["users"])
    assert set(shown) == {("hit@10", ""), ("gini@10", "")}


def test_what_was_written_is_made_anew_where_a_table_has_changed(recli: Runner, world: World, tmp_path: Path) -> None:
    options = ("--by", "user.plan", "--user-table", "p.csv", "--metrics", "hit@10", "-o", "m.json")
    for plans, fresh in (("gold", True), ("gold", False), ("silver", True)):
        (tmp_path / "p.csv").write_text(f"user_id,plan\nu1,{plans}\n")
        done = recli("evaluate", world.recs, *options)
        assert ("up to date" not in done.stderr) == fresh
        document = load(tmp_path / "m.json").document
        assert set(document["metrics"]["hit@10"]["by"]["user.plan"]["groups"]) == {plans, "(none)"}
