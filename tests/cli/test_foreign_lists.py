"""Anybody's lists against anybody's truth: no artifact of ours, the same figures."""

import json
from pathlib import Path

import polars as pl
import pytest

from recli.artifact import load
from tests.conftest import Runner


def values(recli: Runner, *arguments: object) -> dict[str, float]:
    done = recli("evaluate", *arguments, "--json", "-q")
    assert done.returncode == 0, done.stderr
    return {name: entry["value"] for name, entry in json.loads(done.stdout)["metrics"].items()}


@pytest.fixture
def ours(recli: Runner, sample: Path, tmp_path: Path) -> tuple[str, pl.DataFrame]:
    split = recli("split", sample, "-q").stdout.strip()
    load(tmp_path / split).frame("test").select("user_id", "item_id").write_csv(tmp_path / "truth.csv")
    recs = recli("recommend", recli("train", split, "--model", "ease", "-q").stdout.strip(), "-q").stdout.strip()
    return recs, load(tmp_path / recs).frame()


@pytest.mark.parametrize("kept", [["rank"], ["score"], []], ids=["by rank", "by score", "as they stand"])
@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_they_are_measured_as_ours(
    recli: Runner, ours: tuple[str, pl.DataFrame], tmp_path: Path, kept: list[str], form: str
) -> None:
    recs, frame = ours
    frame = frame.select("user_id", "item_id", *kept)
    if kept:
        frame = frame.sample(fraction=1, shuffle=True, seed=1)
    path = tmp_path / f"theirs.{form}"
    if form == "parquet":
        frame.write_parquet(path)
    elif form == "jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_csv(path, separator="," if form == "csv" else "\t")
    assert values(recli, path, "--truth", "truth.csv") == pytest.approx(values(recli, recs), rel=1e-12)


def test_they_need_a_truth(recli: Runner, ours: tuple[str, pl.DataFrame], tmp_path: Path) -> None:
    ours[1].write_csv(tmp_path / "theirs.csv")
    done = recli("evaluate", "theirs.csv")
    assert done.returncode == 2 and "--truth" in done.stderr


def test_what_is_no_rank(recli: Runner, ours: tuple[str, pl.DataFrame], tmp_path: Path) -> None:
    (tmp_path / "theirs.csv").write_text("user_id,item_id,rank\nu1,i1,first\n")
    done = recli("evaluate", "theirs.csv", "--truth", "truth.csv")
    assert done.returncode == 3 and "'first' is no number" in done.stderr


def test_a_gate(recli: Runner, ours: tuple[str, pl.DataFrame], tmp_path: Path) -> None:
    ours[1].write_csv(tmp_path / "theirs.csv")
    for bound, code in (("0.01", 0), ("0.99", 1)):
        done = recli("evaluate", "theirs.csv", "--truth", "truth.csv", "--assert", f"ndcg@10>={bound}")
        assert done.returncode == code
