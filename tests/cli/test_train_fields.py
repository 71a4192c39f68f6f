"""Models of fields on the command line: columns on their way into a model, and what it says of pairs and lists."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recli.artifact import load
from recli.errors import Exit
from tests.cli.evaluating import parts, table
from tests.conftest import Runner

HEAD = "user_id:token item_id:token hour:token price:float label:float rating:float"
QUICK = ("-p", "epochs=3", "-p", "learning_rate=0.01", "-j", "1", "-q")


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """What is clicked on depends on the hour and the user's plan alone."""
    rng = np.random.default_rng(3)
    rows = []
    for at in range(900):
        user, item, hour = (int(rng.integers(n)) for n in (20, 15, 4))
        liked = int((user % 2 == 0) ^ (hour < 2))
        rows.append((f"u{user}", f"i{item}", f"h{hour}", at % 7, liked, 1 + 3 * liked))
    table(tmp_path / "train.user", "user_id:token plan:token age:float", [(f"u{u}", f"p{u % 2}", u) for u in range(20)])
    table(tmp_path / "train.item", "item_id:token kind:token", [(f"i{i}", f"k{i % 3}") for i in range(15)])
    return parts(tmp_path, HEAD, train=rows[:600], valid=rows[600:750], test=rows[750:])


def test_from_columns_to_metrics(recli: Runner, split: Path, tmp_path: Path) -> None:
    ways = ("--field", "age=bucket:4", "--numerical", "price", "--normalize", "all")
    train = ("train", split, "--model", "fm", *ways, "-p", "epochs=60", "-p", "learning_rate=0.02", *QUICK[4:])
    made = recli(*train, "-p", "train_batch_size=64")
    model = load(tmp_path / made.stdout.strip())
    more = model.header.more
    assert (more["task"], more["context"]) == ("ctr", ["hour", "price"])
    assert more["training"]["auc"] > 0.95
    fields = json.loads(more["scorer"]["values"]["fields"])
    assert [(one["name"], one["how"], one["size"]) for one in fields] == [
        ("user_id", "id", 21),
        ("plan", "token", 3),
        ("age", "edges", 5),
        ("item_id", "id", 16),
        ("kind", "token", 4),
        ("hour", "token", 5),
        ("price", "number", 1),
    ]
    preds = recli("predict", "-q", input=made.stdout).stdout
    frame = pl.read_parquet(tmp_path / preds.strip())
    assert frame.columns == ["user_id", "item_id", "rating", "label", "score"]
    assert frame["score"].is_between(0, 1).all()
    found = json.loads(recli("evaluate", "--json", input=preds).stdout)["metrics"]
    assert set(found) == {"auc", "gauc", "logloss"}
    assert found["auc"]["value"] > 0.95
    of_model = json.loads(recli("evaluate", "--json", input=made.stdout).stdout)["metrics"]
    assert {name: one["value"] for name, one in found.items()} == {n: one["value"] for n, one in of_model.items()}
    again = recli(*train, "-p", "train_batch_size=64")
    assert again.stdout == made.stdout


def test_lists_count_clicks_alone(recli: Runner, split: Path, tmp_path: Path) -> None:
    model = recli("train", split, "--model", "widedeep", *QUICK).stdout
    recs = recli("recommend", "-k", 5, "-q", "--allow-seen", input=model).stdout
    assert pl.read_parquet(tmp_path / recs.strip()).group_by("user_id").len()["len"].unique().to_list() == [5]
    found = json.loads(recli("evaluate", "--metrics", "recall@5", "--json", input=recs).stdout)["metrics"]["recall@5"]
    test = load(split).frame("test")
    assert found["users"] == test.filter(pl.col("label") > 0)["user_id"].n_unique()


def test_pairs_without_what_the_model_looks_at(recli: Runner, split: Path, tmp_path: Path) -> None:
    model = recli("train", split, "--model", "lr", *QUICK).stdout
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("user_id\titem_id\nu1\ti1\nnobody\tnothing\n")
    done = recli("predict", model.strip(), "--pairs", pairs)
    assert "the pairs have no hour" in done.stderr, done.stderr
    assert pl.read_parquet(tmp_path / done.stdout.strip())["score"].null_count() == 0


def test_a_rating_is_told_too(recli: Runner, split: Path, tmp_path: Path) -> None:
    model = recli("train", split, "--model", "fm", "-p", "target=rating", *QUICK).stdout
    header = load(tmp_path / model.strip()).header.more
    assert header["task"] == "rating"
    assert "rmse" in header["training"]
    found = json.loads(recli("evaluate", "--json", input=model).stdout)["metrics"]
    assert set(found) == {"rmse", "mae"}


def test_without_labels_it_ranks(recli: Runner, tmp_path: Path) -> None:
    rows = [(f"u{u}", f"i{i}") for u in range(12) for i in range(12) if (u + i) % 2 == 0]
    split = parts(tmp_path, "user_id:token item_id:token", train=rows[::2], valid=rows[1::4], test=rows[3::4])
    model = recli("train", split, "--model", "fm", *QUICK).stdout
    header = load(tmp_path / model.strip()).header.more
    assert header["task"] == "ranking"
    assert "ndcg@10" in header["training"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--model", "ease", "--numerical", "price"), "ease makes no fields of columns"),
        (("--model", "fm", "--numerical", "prise"), "there is no column prise"),
        (("--model", "fm", "--field", "kind=bucket:3"), "kind holds tokens"),
        (("--model", "fm", "--field", "age=bin"), "age cannot become 'bin'"),
        (("--model", "fm", "--valid-metric", "ndcg@10"), "is no metric of scored pairs"),
        (("--model", "autoint", "-p", "num_heads=3"), "num_heads=3 cannot share attention_size=16"),
        (("--model", "xdeepfm", "-p", "cin_layer_size=[5,4]"), "has a layer that cannot be halved"),
    ],
)
def test_what_cannot_be_asked_for(recli: Runner, split: Path, given: tuple[str, ...], message: str) -> None:
    done = recli("train", split, *given, "-q")
    assert done.returncode == Exit.USAGE
    assert message in done.stderr


def test_codes_that_lie_outside_are_refused(recli: Runner, split: Path, tmp_path: Path) -> None:
    from recli.models import store

    model = load(tmp_path / recli("train", split, "--model", "lr", *QUICK).stdout.strip())
    arrays = {name.removeprefix("scorer."): a for name, a in model.arrays.items() if name.startswith("scorer.")}
    scorer = store.unpack({**arrays, "user.codes": arrays["user.codes"] + 99}, model.header.more["scorer"])
    from recli.errors import RecliError
    from recli.interactions import Queries

    query = Queries(user=np.zeros(1, np.int32), indptr=np.zeros(2, np.int64), item=np.empty(0, np.int32))
    with pytest.raises(RecliError, match="a field of the users lies outside"):
        scorer.score(query)
