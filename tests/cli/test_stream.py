"""Events that stay on disk: the model that they make, and the scores that they get, are those of a table in memory."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recli.artifact import load
from recli.errors import Exit
from tests.conftest import Runner

ALIKE = (
    "-p",
    "learner=sgd",
    "-p",
    "learning_rate=0.5",
    "-p",
    "train_batch_size=5000",
    "-p",
    "epochs=3",
    "-j",
    "1",
    "-q",
)
WAYS = ("--field", "price=quantile:3", "--numerical", "age", "--normalize", "all")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """5,000 rows in seven groups."""
    rng = np.random.default_rng(1)
    user, item = rng.integers(50, size=5000), rng.integers(30, size=5000)
    frame = pl.DataFrame(
        {
            "label": ((user + item) % 3 == 0).astype(int),
            "user_id": user,
            "item_id": [f"i{i}" for i in item],
            "place": [f"p{p}" for p in rng.integers(6, size=5000)],
            "price": rng.random(5000),
            "tags": [[f"t{t}", "all"] for t in rng.integers(4, size=5000)],
        }
    )
    path = tmp_path / "log.parquet"
    frame.write_parquet(path, row_group_size=800)
    pl.DataFrame({"user_id": [str(u) for u in range(60)], "age": np.arange(60.0)}).write_parquet(
        tmp_path / "people.parquet"
    )
    return path


def test_a_stream_makes_the_model_of_a_table(recli: Runner, log: Path, tmp_path: Path) -> None:
    """All rows are one batch, so that their order makes no difference."""
    train = ("train", log, "--model", "fm", "--user-table", "people.parquet", *WAYS, *ALIKE)
    made = recli(*train, "--stream", "-o", "stream.npz")
    assert made.returncode == 0, made.stderr
    assert recli(*train, "-o", "table.npz", "--types", "label=float").returncode == 0
    stream, held = load(tmp_path / "stream.npz"), load(tmp_path / "table.npz")
    assert stream.header.more["users"] == 50  # nobody is known who has no event
    assert stream.header.more["context"] == held.header.more["context"] == ["place", "price", "tags"]
    for name in ("scorer.weights.table.weight", "scorer.item.codes"):
        np.testing.assert_allclose(stream.arrays[name], held.arrays[name], rtol=1e-4, atol=1e-6)
    told = recli("predict", "stream.npz", "--pairs", log, "--stream", "-q", "-o", "a.preds.parquet")
    assert told.returncode == 0, told.stderr
    assert recli("predict", "table.npz", "--pairs", log, "-q", "-o", "b.preds.parquet").returncode == 0
    frames = [pl.read_parquet(tmp_path / f"{name}.preds.parquet") for name in "ab"]
    assert frames[0].columns == ["user_id", "item_id", "label", "score"]
    np.testing.assert_allclose(frames[0]["score"], frames[1]["score"], rtol=1e-4)
    again = recli(*train, "--stream", "-o", "stream.npz")
    assert again.stdout == "stream.npz\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--model", "ease"), "ease cannot be fitted on a stream"),
        (("--model", "din"), "DIN reads histories"),
        (("--model", "fm", "-p", "target=rating"), "FM needs a column rating"),
        (("--model", "fm", "--user-col", "who"), "has no column user_id"),
        (("--model", "fm", "--patience", "3"), "--stream knows no --patience"),
    ],
)
def test_what_a_stream_cannot_do(recli: Runner, log: Path, given: tuple[str, ...], message: str) -> None:
    if "who" in given:
        pl.read_parquet(log).rename({"user_id": "person"}).write_parquet(log)
    done = recli("train", log, "--stream", *given, "-q")
    assert done.returncode in (Exit.USAGE, Exit.DATA)
    assert message in done.stderr
