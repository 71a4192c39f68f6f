"""The same four lists by every library's definitions, from the command line."""

import json
from pathlib import Path

import polars as pl
import pytest

from recli.artifact import Header, save
from tests.conftest import ROOT, Runner

GOLDEN = json.loads((ROOT / "tests" / "golden" / "four_lists.json").read_text())


@pytest.fixture
def recs(tmp_path: Path) -> str:
    rows = [(user, item, rank) for user, items in GOLDEN["lists"].items() for rank, item in enumerate(items, 1)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "rank"], orient="row").with_columns(score=-pl.col("rank"))
    more = {"k": 5, "phase": "test", "candidates": "all", "seen": "masked"}
    save(tmp_path / "four.recs.parquet", Header(kind="recs", command="recommend", more=more), frame)
    truth = "".join(f"{user},{item}\n" for user, items in GOLDEN["relevant"].items() for item in items)
    (tmp_path / "truth.csv").write_text("user_id,item_id\n" + truth)
    return "four.recs.parquet"


@pytest.mark.parametrize("dialect", ["recli", *GOLDEN["dialects"]])
def test_the_golden_table(recli: Runner, recs: str, dialect: str) -> None:
    expected = GOLDEN["values"] if dialect == "recli" else GOLDEN["dialects"][dialect]
    metrics = ",".join(f"{name}@5" for name in expected)
    done = recli("evaluate", recs, "--truth", "truth.csv", "--metrics", metrics, "--dialect", dialect, "--json", "-q")
    values = {name: entry["value"] for name, entry in json.loads(done.stdout)["metrics"].items()}
    assert values == {f"{name}@5": pytest.approx(value, abs=5e-5) for name, value in expected.items()}


def test_beyond_accuracy_needs_train(recli: Runner, recs: str, sample: Path) -> None:
    done = recli("evaluate", recs, "--truth", "truth.csv", "--metrics", "gini@5")
    assert done.returncode == 2 and "train" in done.stderr
    split = recli("split", sample, "-q").stdout
    model = recli("train", "--model", "pop", "-q", input=split).stdout.strip()
    names = ("item-coverage", "gini", "popularity", "novelty", "user-coverage")
    metrics = ",".join(f"{name}@10" for name in names)
    found = json.loads(recli("evaluate", model, "--metrics", metrics, "--json", "-q").stdout)["metrics"]
    coverage, gini, popularity, novelty, served = (found[f"{name}@10"]["value"] for name in names)
    # Popularity lists few items, and those the best known.
    assert 0 < coverage < 0.5 < gini < 1 and served == 1
    assert popularity > 50 and 0 < novelty < 5


def test_a_metric_of_predictions_is_refused(recli: Runner, recs: str) -> None:
    done = recli("evaluate", recs, "--truth", "truth.csv", "--metrics", "rmse")
    assert done.returncode == 2 and "predictions" in done.stderr
