"""What evaluate ranks for whom, and files that say what to rank."""

import random
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from recli.artifact import load
from recli.pipeline.audience import Audience
from recli.pipeline.evaluate.candidates import Draw
from tests.cli.evaluating import evaluate, fitted, listed, lists, split_of, table
from tests.conftest import ROOT

Sets = dict[tuple[Any, ...], set[str]]


class World(NamedTuple):
    folder: Path
    split: Path
    pop: Path
    itemknn: Path
    baseline: Path


def made(folder: Path) -> World:
    """The sample data, split, and models of it."""
    (folder / "sample.inter").write_bytes((ROOT / "sample_data" / "sample.inter").read_bytes())
    split = split_of(folder / "sample.inter")
    return World(folder, split, *(fitted(split, model) for model in ("pop", "itemknn", "baseline")))


def candidates(path: Path, chosen: str, **options: Any) -> Sets:
    """What evaluate ranks for every user, or for every query."""
    found: Sets = {}
    draw = Draw.__call__

    def spying(self: Draw, whom: Audience, items: pl.Series) -> Any:
        indptr, codes = draw(self, whom, items)
        for row, key in enumerate(whom.rows.iter_rows()):
            found[key] = set(items.gather(codes[indptr[row] : indptr[row + 1]]))
        return indptr, codes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draw, "__call__", spying)
        evaluate(path, "hit@1", candidates=chosen, **options)
    return found


def had(split: Path, *names: str) -> Sets:
    """The items of every user in some parts of a split, or in all."""
    found: Sets = defaultdict(set)
    for user, item, part in load(split).frame().select("user_id", "item_id", "split").iter_rows():
        if not names or part in names:
            found[(user,)].add(item)
    return found


def unseen(world: World, count: int) -> dict[str, list[str]]:
    """So many items for each user that they never had."""
    known, dice = had(world.split), random.Random(1)
    items = sorted(set().union(*known.values()))
    return {user: dice.sample([item for item in items if item not in known[(user,)]], count) for (user,) in known}


def pairs(lists_of: dict[str, list[str]]) -> pl.DataFrame:
    rows = [(user, item) for user, items in lists_of.items() for item in items]
    return pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")


def in_order(path: Path, sets: Sets) -> dict[str, list[str]]:
    """The candidates of each user as the model ranks them, told from its ranking of everything."""
    everything = listed(lists(path, k=300, allow_seen=True))
    return {user: [item for item in everything[user] if item in own] for (user,), own in sets.items()}


def write_csv(path: Path, given: dict[str, list[str]]) -> Path:
    pairs(given).write_csv(path.with_suffix(".csv"))
    return path.with_suffix(".csv")


def write_parquet(path: Path, given: dict[str, list[str]]) -> Path:
    pairs(given).rename({"user_id": "uid", "item_id": "movieId"}).write_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def write_atomic(path: Path, given: dict[str, list[str]]) -> Path:
    return table(path.with_suffix(".inter"), "user_id:token item_id:token", pairs(given).rows())


def write_ncf(path: Path, given: dict[str, list[str]]) -> Path:
    lines = [f"({user},{items[0]})\t" + "\t".join(items[1:]) for user, items in given.items()]
    path.with_suffix(".negative").write_text("\n".join(lines) + "\n")
    return path.with_suffix(".negative")
