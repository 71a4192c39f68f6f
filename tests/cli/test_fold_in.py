"""Users who were never trained on: `recommend --history` makes them a row, as good as the one that retraining gives."""

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recli.artifact import load
from tests.conftest import Runner

NEW = "user_id,item_id,rating\nnew,i1,5\nnew,i7,4\nnew,i30,1\nu1,i2,5\nu1,i3,5\nlost,nothing,3\n"


@pytest.fixture
def split(recli: Runner, sample: Path) -> str:
    return recli("split", sample, "-q").stdout.strip()


@pytest.mark.parametrize("model", ["als", "bpr", "warp", "logmf", "nmf", "puresvd", "nceplrec", "ease", "userknn"])
def test_a_history_is_enough(recli: Runner, split: str, tmp_path: Path, model: str) -> None:
    (tmp_path / "new.csv").write_text(NEW)
    made = recli("train", split, "--model", model, "-q", "-p", "epochs=3") if model in ("bpr", "warp") else None
    made = made or recli("train", split, "--model", model, "-q")
    done = recli("recommend", made.stdout.strip(), "--history", "new.csv", "-k", 5)
    assert done.returncode == 0, done.stderr
    assert "1 of 3 users get no list" in done.stderr  # of whose history the model knows nothing
    lists = load(tmp_path / done.stdout.strip()).frame()
    assert lists["user_id"].to_list() == ["new"] * 5 + ["u1"] * 5
    assert not set(lists.filter(user_id="new")["item_id"]) & {"i1", "i7", "i30"}
    asked = recli("recommend", made.stdout.strip(), "--users", "u1", "-k", 5, "-q", "-o", "-").stdout
    rows = list(csv.DictReader(asked.splitlines(), delimiter="\t"))
    assert [float(row["score"]) for row in rows] != lists.filter(user_id="u1")["score"].to_list()


def test_a_history_has_the_ratings_that_the_model_weighs_by(recli: Runner, split: str, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(NEW)
    (tmp_path / "plain.csv").write_text("\n".join(line.rpartition(",")[0] for line in NEW.splitlines()))
    model = recli("train", split, "--model", "als", "-p", "weight=rating", "-q").stdout.strip()
    (tmp_path / "other.csv").write_text(NEW.replace("i30,1", "i30,5"))
    scores = [recli("recommend", model, "--history", f, "-q", "-o", "-").stdout for f in ("new.csv", "other.csv")]
    assert scores[0] != scores[1]
    done = recli("recommend", model, "--history", "plain.csv")
    assert done.returncode == 3
    assert "no rating to weight by" in done.stderr


def ndcg(lists: pl.DataFrame, truth: pl.DataFrame) -> float:
    """The mean over the users of the truth."""
    hits = lists.join(truth.select("user_id", "item_id"), ["user_id", "item_id"], "semi")
    gain = hits.group_by("user_id").agg((1 / (pl.col("rank") + 1.0).log(2)).sum().alias("gain"))
    wanted = truth.group_by("user_id").len().join(gain, "user_id", "left").fill_null(0)
    best = np.append(0, np.cumsum(1 / np.log2(np.arange(2, 12))))
    return float(np.mean(wanted["gain"].to_numpy() / best[np.minimum(wanted["len"].to_numpy(), 10)]))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("model", "least"), [("als", 0.98), ("nmf", 0.96), ("bpr", 0.96), ("warp", 0.96), ("logmf", 0.96)]
)
def test_a_fifth_of_the_users_of_movielens(
    recli: Runner, shared: Path, tmp_path: Path, model: str, least: float
) -> None:
    """Held out with a fifth of their events as truth: folded in against trained with, in ndcg@10."""
    header, *lines = (shared / "ml-100k" / "ml-100k.inter").read_text().splitlines()
    rng = np.random.default_rng(2)
    users = sorted({line.split("\t")[0] for line in lines})
    out = {users[code] for code in rng.permutation(len(users))[: len(users) // 5]}
    parts: dict[str, list[str]] = {"old": [], "history": [], "truth": []}
    for line, late in zip(lines, rng.random(len(lines)) < 0.2, strict=True):
        parts["old" if line.split("\t")[0] not in out else "truth" if late else "history"].append(line)
    parts["all"] = parts["old"] + parts["history"]
    for name, rows in parts.items():
        (tmp_path / f"{name}.inter").write_text("\n".join([header, *rows]) + "\n")
    found = {}
    for name in ("old", "all"):
        fitted = recli("train", f"{name}.inter", "--model", model, "-q").stdout.strip()
        whom = ("--history", "history.inter") if name == "old" else ("--users", ",".join(out))
        lists = recli("recommend", fitted, *whom, "-q").stdout.strip()
        truth = pl.read_csv(tmp_path / "truth.inter", separator="\t", infer_schema=False)
        truth = truth.rename({name: name.partition(":")[0] for name in truth.columns})
        found[name] = ndcg(load(tmp_path / lists).frame(), truth)
    assert found["old"] > least * found["all"], found
