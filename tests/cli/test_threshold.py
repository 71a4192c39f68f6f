"""split --threshold: a column's numbers as labels, and what learns and measures them."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from recli.artifact import load
from recli.errors import Exit
from recli.labels import Threshold, label, parse_threshold
from recli.pipeline.events import Source
from recli.pipeline.filter import Filters
from recli.pipeline.split import Strategy, split_folds, split_given, split_given_folds
from recli.pipeline.step import Output
from tests.cli.evaluating import fitted, held_out, refused, split_of, table, values
from tests.cli.predicting import predicted
from tests.conftest import ROOT, Runner

FOUR = Threshold("rating", 4.0)
RATED = "user_id:token item_id:token rating:float"


@pytest.fixture
def ratings(tmp_path: Path, sample: Path) -> Path:
    path = tmp_path / "sample.inter"
    path.write_bytes(sample.read_bytes())
    return path


def rows(path: Path) -> pl.DataFrame:
    return load(path).frame()


def expected(plain: pl.DataFrame, least: float = 4) -> pl.DataFrame:
    """A split as it is with labels, from what it is without: row by row, by hand."""
    labels = pl.Series("label", [float(rating >= least) for rating in plain["rating"]])
    return plain.drop("rating", "split").with_columns(labels, plain["split"])


# What a label is


@given(st.lists(st.floats(allow_nan=False)), st.floats(allow_nan=False, allow_infinity=False))
def test_a_label_is_one_from_the_threshold_up(numbers: list[float], least: float) -> None:
    frame = pl.DataFrame({"x": numbers, "label": numbers}, schema={"x": pl.Float64, "label": pl.Float64})
    found = label(frame, Threshold("x", least))
    assert found.columns == ["label"] and found["label"].to_list() == [float(x >= least) for x in numbers]
    assert label(frame, Threshold("label", least)).columns == ["x", "label"]


@pytest.mark.parametrize("text", ["rating=4", "rating=4.0", " rating =4", "rating=4e0"])
def test_a_threshold_says_itself_in_one_way(text: str) -> None:
    assert (parse_threshold(text), str(parse_threshold(text))) == (FOUR, "rating=4")


@pytest.mark.parametrize("text", ["", "rating", "rating=", "=4", "rating=nan", "rating=inf", "rating=high"])
def test_what_is_no_threshold(text: str) -> None:
    with refused(Exit.USAGE, "column=number", "rating=4"):
        parse_threshold(text)


# What is written


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("ratio", {"order": "random", "seed": 1}),
        ("ratio", {"order": "time", "group_by": "none"}),
        ("leave-one-out", {"order": "time", "leave": "test_only"}),
        ("time", {"at": ["0.8", "0.9"]}),
    ],
)
def test_the_rows_are_those_of_the_same_split_without(ratings: Path, name: str, params: dict[str, Any]) -> None:
    plain = rows(split_of(ratings, name=name, params=params))
    path = split_of(ratings, name=name, params=params, threshold=FOUR)
    assert rows(path).equals(expected(plain)) and 0 < rows(path)["label"].mean() < 1  # type: ignore[operator]
    header = load(path).header
    assert header.params["threshold"] == "rating=4"
    columns = ["user_id", "item_id", "timestamp", "label"]
    assert header.more["types"] == dict(zip(columns, ["token", "token", "float", "float"], strict=True))


def test_a_threshold_may_take_the_clock_that_the_split_goes_by(ratings: Path) -> None:
    """The rows are parted first, and by what the table says."""
    params = {"order": "time", "leave": "test_only"}
    plain = rows(split_of(ratings, name="leave-one-out", params=params))
    late = Threshold("timestamp", plain["timestamp"].median())  # type: ignore[arg-type]
    found = rows(split_of(ratings, name="leave-one-out", params=params, threshold=late))
    assert found["split"].equals(plain["split"]) and found["label"].mean() == 0.5
    assert "timestamp" not in found.columns and found["rating"].equals(plain["rating"])


def test_every_fold_has_labels(ratings: Path) -> None:
    output = Output(path=str(ratings.parent / "plain{fold}.parquet"))
    strategy = {"name": "kfold", "params": {"folds": 2, "group_by": "user", "seed": 1}}
    plain = split_folds(ratings, Source(), Filters(), Strategy(**strategy), output)
    output = Output(path=str(ratings.parent / "labelled{fold}.parquet"))
    found = split_folds(ratings, Source(), Filters(), Strategy(**strategy, threshold=FOUR), output)
    assert len(found) == 2 and all(rows(a).equals(expected(rows(b))) for a, b in zip(found, plain, strict=True))


def test_given_parts_and_given_folds_have_labels(tmp_path: Path) -> None:
    train, test = [("u", "a", 4), ("u", "b", 3.5)], [("u", "c", 5)]
    files = {"train": table(tmp_path / "u1.base.inter", RATED, train), "test": table(tmp_path / "t.inter", RATED, test)}
    path = split_given(files, Source(), Filters(), Output(path=str(tmp_path / "w.parquet")), FOUR)
    assert rows(path).rows() == [("u", "a", 1.0, "train"), ("u", "b", 0.0, "train"), ("u", "c", 1.0, "test")]
    for name, lines in {"u1.base": "1\t1\t4\t9\n1\t2\t1\t9\n", "u1.test": "1\t3\t5\t9\n"}.items():
        (tmp_path / name).write_text(lines)
    (tmp_path / "u1.base.inter").unlink()
    folds = [tmp_path / "u1.base", tmp_path / "u1.test"]
    [fold] = split_given_folds(folds, Source(), Filters(), Output(path=str(tmp_path / "{fold}.parquet")), FOUR)
    assert rows(fold)["label"].to_list() == [1.0, 0.0, 1.0]


def test_a_label_that_is_there_is_replaced(tmp_path: Path) -> None:
    path = table(tmp_path / "a.inter", f"{RATED} label:float", [("u", "a", 4, 0), ("u", "b", 1, 1)])
    assert rows(split_of(path, threshold=FOUR)).sort("item_id")["label"].to_list() == [1.0, 0.0]


def test_the_command_says_how_many_are_one(recli: Runner, sample: Path) -> None:
    found = recli("split", sample, "--threshold", "rating=4", "-o", "a.split.parquet")
    assert (found.returncode, found.stdout) == (0, "a.split.parquet\n")
    text = recli("convert", "a.split.parquet", "-o", "-").stdout.splitlines()
    ones = sum(line.split("\t")[3] == "1" for line in text[1:])
    assert text[0].split("\t") == ["user_id", "item_id", "timestamp", "label", "split"] and 0 < ones < 20_000
    assert f"label: 1 in {ones:,} of 20,000 rows, by rating=4" in found.stderr


def test_labels_are_read_back_by_the_cache(ratings: Path) -> None:
    """Another threshold is another file."""
    paths = {split_of(ratings, threshold=one).read_bytes() for one in (FOUR, Threshold("rating", 3.0), None)}
    assert len(paths) == 3


# What is wrong


@pytest.mark.parametrize(
    ("threshold", "code", "words"),
    [
        (Threshold("ratng", 4), Exit.USAGE, ["no column 'ratng'", "did you mean rating"]),
        (Threshold("item_id", 4), Exit.USAGE, ["item_id is not a column of numbers", "rating, timestamp"]),
    ],
)
def test_a_column_that_cannot_tell(ratings: Path, threshold: Threshold, code: Exit, words: list[str]) -> None:
    with refused(code, *words):
        split_of(ratings, threshold=threshold)
    assert not list(ratings.parent.glob("*.parquet"))


def test_a_row_without_the_number_has_no_label(tmp_path: Path) -> None:
    files = {
        "train": table(tmp_path / "a.inter", RATED, [("u", "a", 4)]),
        "test": table(tmp_path / "b.inter", "user_id:token item_id:token", [("u", "b"), ("u", "c")]),
    }
    with refused(Exit.DATA, "rating is empty in 2 rows"):
        split_given(files, Source(), Filters(), Output(path=str(tmp_path / "w.parquet")), FOUR)


# What learns and measures them


def test_predictions_are_held_to_the_labels(ratings: Path) -> None:
    path = split_of(ratings, threshold=FOUR)
    model = fitted(path, "itemknn")
    frame, header = predicted(model)
    assert frame["label"].equals(held_out(path)["label"]) and "rating" not in frame.columns
    auc = pytest.approx(roc_auc_score(frame["label"].to_numpy(), frame["score"].to_numpy()), rel=1e-9)
    assert values(model, "auc") == {"auc": auc} and values(model, "auc", relevant="label>=1") == {"auc": auc}
    assert header.more["task"] == "ranking"


def test_probabilities_have_a_logloss(ratings: Path) -> None:
    path = split_of(ratings, threshold=FOUR)
    test = held_out(path)
    chance = np.random.default_rng(1).uniform(0.01, 0.99, test.height)
    theirs = ratings.parent / "theirs.csv"
    test.select("user_id", "item_id").with_columns(score=pl.Series(chance)).write_csv(theirs)
    found = values(theirs, "auc,gauc,logloss", split=path)
    truth = test["label"].to_numpy()
    likely = np.where(truth == 1, np.log(chance), np.log(1 - chance))
    assert found["logloss"] == pytest.approx(-likely.mean(), rel=1e-9)
    assert found["auc"] == pytest.approx(roc_auc_score(truth, chance), rel=1e-9)
    assert found["gauc"] is not None and abs(found["gauc"] - 0.5) < 0.1


def test_recboles_threshold_writes_the_labels(recli: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "dataset" / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny.inter").write_bytes((ROOT / "sample_data" / "sample.inter").read_bytes())
    text = "model: Pop\ndataset: tiny\nmetrics: [AUC]\nthreshold: {rating: 4}\n"
    (tmp_path / "a.yaml").write_text(f"{text}eval_args: {{mode: labeled, split: {{LS: test_only}}, order: TO}}\n")
    found = recli("run", "a.yaml", "--json")
    assert found.returncode == 0, found.stderr
    assert "threshold" not in found.stderr.replace("--threshold", "").replace("by rating=4", "")
    [path] = tmp_path.glob("*.split*.parquet")
    assert "rating" not in rows(path).columns and load(path).header.params["threshold"] == "rating=4"


def test_a_threshold_that_is_wrong_is_an_error_of_usage(recli: Runner, sample: Path) -> None:
    found = recli("split", sample, "--threshold", "rating")
    assert found.returncode == 2 and "error: a threshold is column=number, not 'rating'" in found.stderr
