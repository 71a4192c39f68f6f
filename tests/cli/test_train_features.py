"""Tables of users and items on their way into a model, and what it says of those who have no events."""

from pathlib import Path

import pytest

from recli.artifact import load
from recli.errors import Exit
from recli.model import Run
from recli.pipeline.events import Source
from recli.pipeline.step import Output
from recli.pipeline.train import train
from tests.cli.evaluating import fitted, listed, parts, refused, table
from tests.conftest import Runner

PAIR = "user_id:token item_id:token"
USERS = [("a", "gold"), ("b", "tin"), ("new", "tin")]
ITEMS = [("x", "red", 1), ("y", "red", 2), ("z", "blue", 3), ("w", "blue", 4), ("fresh", "red", 5)]
TRAIN = [("a", "x"), ("a", "y"), ("b", "z"), ("b", "w"), ("c", "x")]
TEST = [("a", "fresh"), ("new", "z"), ("nobody", "x")]


@pytest.fixture
def split(tmp_path: Path) -> Path:
    table(tmp_path / "train.user", "user_id:token plan:token", USERS)
    table(tmp_path / "train.item", "item_id:token colour:token year:float", ITEMS)
    return parts(tmp_path, PAIR, train=TRAIN, test=TEST)


def roles(model: Path) -> list[str]:
    return [parent.role for parent in load(model).header.parents]


def test_a_cold_item_is_recommended_to_those_who_like_its_kind(recli: Runner, split: Path, tmp_path: Path) -> None:
    model = recli("train", split, "--model", "itemfeatures", "-q").stdout
    recs = recli("recommend", "-k", 1, "-q", input=model).stdout.strip()
    assert listed(tmp_path / recs) == {"a": ["fresh"]}  # the others have no history
    assert roles(tmp_path / model.strip()) == ["split", "item"]
    near = recli("similar", "--items", "fresh", "-k", 2, "-q", input=model).stdout.splitlines()[1:]
    assert {line.split("\t")[1] for line in near} == {"x", "y"}


def test_a_cold_user_is_served_by_a_model_of_both_tables(recli: Runner, split: Path, tmp_path: Path) -> None:
    parameters = ("-p", "epochs=200", "-p", "embedding_size=8", "-p", "reg_weight=0.02")
    model = recli("train", split, "--model", "lightfm", *parameters, "-q").stdout
    found = listed(tmp_path / recli("recommend", "-k", 2, "-q", input=model).stdout.strip())
    assert set(found) == {"a", "new"}  # nobody stands nowhere
    assert found["a"][0] == "fresh"
    assert set(found["new"]) == {"z", "w"}
    assert roles(tmp_path / model.strip()) == ["split", "user", "item"]


def test_other_models_are_as_they_were_without_tables(split: Path, tmp_path: Path) -> None:
    before = fitted(split, "ease").read_bytes()
    assert roles(tmp_path / "w.ease-train.npz") == ["split"]
    table(tmp_path / "train.item", "item_id:token colour:token", [("x", "green")])
    assert fitted(split, "ease").read_bytes() == before
    assert load(tmp_path / "w.ease-train.npz").header.more["items"] == 4


@pytest.mark.parametrize("model", ["itemfeatures", "lightfm"])
def test_a_table_that_was_changed(split: Path, tmp_path: Path, model: str) -> None:
    fitted(split, model)
    table(tmp_path / "train.item", "item_id:token colour:token", [("x", "green")])
    with refused(Exit.DATA, "train.item", "--item-table"):
        fitted(split, model)
    (tmp_path / "train.item").unlink()
    with refused(Exit.IO, "train.item", "--item-table"):
        fitted(split, model)


def test_beside_a_plain_table_and_stale_when_it_changes(recli: Runner, tmp_path: Path) -> None:
    table(tmp_path / "t.inter", PAIR, TRAIN)
    for colours, fresh in (("red", True), ("red", False), ("blue", True)):
        table(tmp_path / "t.item", "item_id:token colour:token", [("x", colours), ("y", "red"), ("new", "red")])
        done = recli("train", "t.inter", "--model", "itemfeatures")
        assert done.returncode == 0, done.stderr
        assert ("up to date" not in done.stderr) == fresh
    assert load(tmp_path / done.stdout.strip()).header.more["items"] == 5


def test_a_table_given_by_hand_has_a_name_of_its_own(recli: Runner, split: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("item_id,colour\nx,red\ny,red\n")
    usual = recli("train", split, "--model", "itemfeatures", "-q").stdout
    mine = recli("train", split, "--model", "itemfeatures", "--item-table", "mine.csv", "-q").stdout
    assert usual == "w.itemfeatures.npz\n"
    assert mine.startswith("w.itemfeatures-")
    assert load(tmp_path / mine.strip()).header.parent("item").path == "mine.csv"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--model", "itemfeatures", "-p", "columns=color"], 2, "the items' table has no column color"),
        (["--model", "itemfeatures", "-p", "columns=year"], 2, "year holds numbers, not categories"),
        (["--model", "itemfeatures", "-p", "columns=none"], 2, "no value in the items' columns"),
        (["--model", "itemfeatures", "--user-table", "train.user"], 2, "itemfeatures reads no table of users"),
        (["--model", "lightfm", "-p", "user_columns=plans"], 2, "did you mean plan?"),
        (["--model", "ease", "--item-table", "train.item"], 2, "ease reads no table of items"),
        (["--model", "lightfm", "--item-table", "train.user"], 3, "no column item_id"),
        (["--model", "lightfm", "--item-table", "none.item"], 4, "no such file"),
    ],
)
def test_what_it_refuses(recli: Runner, split: Path, arguments: list[str], code: int, said: str) -> None:
    done = recli("train", split, *arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_no_table_at_all(tmp_path: Path) -> None:
    split = parts(tmp_path, PAIR, train=TRAIN, test=TEST[:1])
    with refused(Exit.USAGE, "there is no table of items", "--item-table"):
        fitted(split, "itemfeatures")
    assert load(fitted(split, "lightfm", epochs=1)).header.more["items"] == 4
    output = Output(path=str(tmp_path / "m.npz"))
    table(tmp_path / "some.item", "item_id:token colour:token", [("fresh", "red")])
    given = Source(companions={"item": tmp_path / "some.item"})
    assert load(train(split, given, "lightfm", {"epochs": 1}, Run(), output)).header.more["items"] == 5
