"""The textbook's matrix: in as text, completed, and shown."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recli.artifact import load
from recli.errors import Exit
from recli.pipeline.events import Source
from recli.pipeline.matrix import matrix_of
from recli.pipeline.predict import predict
from recli.pipeline.recommend import Request
from recli.pipeline.step import Output
from recli.sources import Options
from tests.cli.evaluating import fitted, parts, refused, split_of
from tests.cli.predicting import predicted
from tests.conftest import Runner

TEXTBOOK = "5,3,-1,1,4,-1\n4,-1,-1,1,-1,2\n1,1,-1,5,-1,4\n1,-1,2,4,-1,-1\n-1,1,5,4,2,-1\n"
GIVEN = np.array([line.split(",") for line in TEXTBOOK.split()], float)


def completed() -> np.ndarray:
    """The mean, what items are above it and what users are, taken in turn ten times: dense, from the definition."""
    known = GIVEN >= 0
    middle = GIVEN[known].mean()
    rest, user = np.where(known, GIVEN - middle, 0.0), np.zeros(5)
    for _ in range(10):
        item = (rest - known * user[:, None]).sum(0) / (10 + known.sum(0))
        user = (rest - known * item).sum(1) / (15 + known.sum(1))
    return np.where(known, GIVEN, np.clip(middle + user[:, None] + item, 1, 5))


def printed(text: str) -> list[list[str]]:
    """The matrix in what `show` prints: the header and the rows."""
    lines = [line.split("\t") for line in text.splitlines()]
    first = next(place for place, line in enumerate(lines) if line[0] == "user_id")
    return [line for line in lines[first:] if len(line) == len(lines[first])]


def test_a_matrix_is_completed_from_text_to_text(shell: Runner, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(TEXTBOOK)
    done = shell(
        "recli train m.csv --format matrix --missing -1 --model baseline | recli predict --all | recli show",
    )
    assert done.returncode == 0, done.stderr
    found = printed(done.stdout)
    assert found[0] == ["user_id", "1", "2", "3", "4", "5", "6"]
    assert [row[0] for row in found[1:]] == ["1", "2", "3", "4", "5"]
    expected = [
        [f"{value:g}" if given >= 0 else f"{value:.2f}*" for value, given in zip(*both, strict=True)]
        for both in zip(completed(), GIVEN, strict=True)
    ]
    assert [row[1:] for row in found[1:]] == expected
    assert done.stdout.endswith("\n* predicted by baseline\n")


@pytest.mark.parametrize("command", ["convert", "split"])
def test_a_matrix_by_way_of_a_table_or_a_split(recli: Runner, tmp_path: Path, command: str) -> None:
    (tmp_path / "m.csv").write_text(TEXTBOOK)
    made = recli(command, "m.csv", "--format", "matrix", "--missing", "-1").stdout.strip()
    frame = load(tmp_path / made).frame()
    assert sorted(frame.select("user_id", "item_id", "rating").rows()) == [
        (str(u + 1), str(i + 1), GIVEN[u, i]) for u, i in np.argwhere(GIVEN >= 0)
    ]
    done = recli("show", made, "--matrix")
    assert [row[1:] for row in printed(done.stdout)[1:]] == [
        ["" if value < 0 else f"{value:g}" for value in row] for row in GIVEN
    ]
    assert "predicted" not in done.stdout


def test_missing_says_nothing_of_another_format(recli: Runner, sample: Path) -> None:
    done = recli("split", sample, "--missing", "-1")
    assert done.returncode == 2 and "--format matrix" in done.stderr


# Every pair


def test_all_pairs_are_those_the_model_was_not_fitted_on(tmp_path: Path) -> None:
    rows = {(f"u{u}", f"i{i}"): 1 + (u * i) % 5 for u in range(9) for i in range(7) if (u + i) % 3}
    train = [(*pair, rating) for pair, rating in rows.items()]
    held = [("u0", "i0", 3), ("new", "i1", 2)]
    split = parts(tmp_path, "user_id:token item_id:token rating:float", train=train, test=held)
    done = predict(fitted(split, "baseline"), None, Request(), Output(path=str(tmp_path / "all.parquet")), missing=True)
    frame, more = load(done).frame(), load(done).header.more
    asked = frame.select("user_id", "item_id").rows()
    assert sorted(asked) == sorted({(f"u{u}", f"i{i}") for u in range(9) for i in range(7)} - set(rows))
    assert len(asked) == len(set(asked)) == more["pairs"] and more["phase"] == "all" and more["fallbacks"] == 0
    assert frame["score"].equals(predicted(fitted(split, "baseline"), asked)[0]["score"])


def test_all_pairs_have_to_fit_into_memory(recli: Runner, sample: Path) -> None:
    model = recli("train", sample, "--model", "baseline").stdout.strip()
    done = recli("predict", model, "--all", "--max-memory", "1M")
    assert done.returncode == 5 and "500 × 300 pairs" in done.stderr and "--pairs" in done.stderr
    for option in (["--rolling"], ["--pairs", sample], ["--history", sample]):
        done = recli("predict", model, "--all", *option)
        assert done.returncode == 2 and "--all" in done.stderr


def test_a_full_matrix_lacks_no_pair(recli: Runner, tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("1 2\n3 4\n")
    model = recli("train", "m.txt", "--format", "matrix", "--model", "baseline").stdout.strip()
    done = recli("predict", model, "--all")
    assert done.returncode == 3 and "no pair is missing" in done.stderr


# What is shown


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Predictions for 3 users and 60 items, each user's first item aside."""
    rows = [[5 if i % 3 == u else -1 for i in range(60)] for u in range(3)]
    (tmp_path / "w.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    from recli.model import Run
    from recli.pipeline.train import train

    source = Source(options=Options(format="matrix", missing="-1"))
    model = train(tmp_path / "w.csv", source, "baseline", {}, Run(), Output(path=str(tmp_path / "w.npz")))
    return predict(model, None, Request(), Output(path=str(tmp_path / "w.preds.parquet")), missing=True)


def test_a_wide_matrix_is_cut_and_says_so(recli: Runner, wide: Path) -> None:
    rows = recli("show", wide).stdout.splitlines()
    assert rows[-11] == "user_id\titem_id\tscore"  # not a matrix unless asked
    done = recli("show", wide, "--matrix", "-n", 2)
    assert printed(done.stdout)[0] == ["user_id", *map(str, range(1, 51))] and len(printed(done.stdout)) == 3
    assert done.stdout.endswith("cut: 50 of 60 items, 2 of 3 users (-n N)\n")
    done = recli("show", wide, "--matrix", "--json")
    assert done.returncode == 2 and "60 items" in done.stderr and "--to csv" in done.stderr and done.stdout == ""
    assert "matrix" not in json.loads(recli("show", wide, "--json").stdout)


def test_json_has_it_whole(recli: Runner, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(TEXTBOOK)
    model = recli("train", "m.csv", "--format", "matrix", "--missing", "-1", "--model", "baseline").stdout.strip()
    preds = recli("predict", model, "--all").stdout.strip()
    matrix = json.loads(recli("show", preds, "--matrix", "--json").stdout)["matrix"]
    known, predicted = (np.array(matrix[name], float) for name in ("known", "predicted"))
    assert matrix["users"] == list("12345") and matrix["items"] == list("123456")
    assert np.array_equal(np.isnan(known), GIVEN < 0) and np.array_equal(np.isnan(predicted), GIVEN >= 0)
    assert np.where(GIVEN >= 0, known, predicted) == pytest.approx(completed(), rel=1e-6)


def test_numbers_in_ids_are_in_order_and_the_last_rating_stands(tmp_path: Path) -> None:
    rows = [("u10", "b2", 1), ("u9", "b10", 2), ("u9", "a", 3), ("u10", "b2", 4), ("u010", "b9", 5)]
    split = parts(tmp_path, "user_id:token item_id:token rating:float", train=rows[:2], test=rows[2:])
    found = matrix_of(load(split), None, None)
    assert found.users == ["u9", "u010", "u10"] and found.items == ["a", "b2", "b9", "b10"]
    assert found.known == {(u, i): r for u, i, r in rows} and found.predicted == {}
    assert (found.n_users, found.n_items) == (3, 4)


def test_what_was_held_out_shows_as_predicted(tmp_path: Path) -> None:
    train = [("u1", "a", 2), ("u2", "b", 4), ("u1", "b", 3)]
    split = parts(tmp_path, "user_id:token item_id:token rating:float", train=train, test=[("u2", "a", 1)])
    done = predict(fitted(split, "baseline"), None, Request(), Output(path=str(tmp_path / "p.parquet")))
    found = matrix_of(load(done), None, None)
    score = load(done).frame()["score"][0]
    assert found.predicted == {("u2", "a"): pytest.approx(score)} and 2 <= score <= 4
    assert {pair: rating for pair, rating in found.known.items() if pair != ("u2", "a")} == {
        (u, i): r for u, i, r in train
    }


@pytest.mark.parametrize("gone", ["w.csv", "w.npz"])
def test_without_what_is_behind_it_the_predictions_stand_alone(recli: Runner, wide: Path, gone: str) -> None:
    (wide.parent / gone).unlink()
    done = recli("show", wide, "--matrix")
    assert done.returncode == 0 and "the known ratings are left out" in done.stderr and gone in done.stderr
    cells = {cell for row in printed(done.stdout)[1:] for cell in row[1:]}
    assert all(cell == "" or cell.endswith("*") for cell in cells) and len(cells) > 1


def test_what_holds_no_ratings(recli: Runner, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("user_id,item_id\nu1,i1\nu2,i2\n")
    table = recli("convert", "s.csv").stdout.strip()
    with refused(Exit.DATA, "holds no ratings"):
        matrix_of(load(tmp_path / table), None, None)
    (tmp_path / "sample.inter").write_bytes(sample.read_bytes())
    with refused(Exit.DATA, "holds no ratings but model"):
        matrix_of(load(fitted(split_of(tmp_path / "sample.inter"), "pop")), None, None)


def test_a_terminal_has_as_many_items_as_fit(recli: Runner, wide: Path) -> None:
    done = recli("show", wide, "--matrix", "-q")
    everything = printed(done.stdout)
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "recli", "show", str(wide), "--matrix"], stdout=follower, env=environment
    )
    os.close(follower)
    text = b""
    try:
        while piece := os.read(leader, 4096):
            text += piece
    except OSError:  # what Linux says where the other end is closed
        pass
    assert process.wait() == 0
    os.close(leader)
    shown = text.decode().replace("\r", "")
    assert "\x1b[1;36m" + everything[1][2] in shown and "* predicted by baseline" in shown
    matrix = [line for line in shown.splitlines() if line.split("\x1b")[0][:1] in ("1", "2", "3")]
    assert len(matrix) == 3 and "…" not in shown
    assert "cut: " in shown and " of 60 items, 3 of 3 users" in shown


def test_pairs_may_be_a_matrix_too(recli: Runner, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(TEXTBOOK)
    (tmp_path / "ask.csv").write_text("-1,4\n2,-1\n")
    model = recli("train", "m.csv", "--format", "matrix", "--missing", "-1", "--model", "baseline").stdout.strip()
    done = recli("predict", model, "ask.csv", "--format", "matrix", "--missing", "-1", "-o", "p.parquet")
    assert done.returncode == 0, done.stderr
    frame = pl.read_parquet(tmp_path / "p.parquet")
    assert frame.select("user_id", "item_id", "rating").rows() == [("1", "2", 4), ("2", "1", 2)]
