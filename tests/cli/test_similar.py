"""similar: the neighbours of items and users, held to the model's own arrays."""

import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recli.artifact import load
from recli.models import store
from tests.conftest import Runner


@pytest.fixture
def split(recli: Runner, sample: Path) -> str:
    return recli("split", sample, "-q").stdout.strip()


def trained(recli: Runner, split: str, model: str, *options: str) -> str:
    return recli("train", split, "--model", model, "-q", *options).stdout.strip()


def parts(path: Path) -> tuple[list[str], list[str], dict[str, np.ndarray]]:
    arrays = load(path).arrays
    users, items = (store.unpack_ids(arrays[f"{of}.text"], arrays[f"{of}.offsets"]) for of in ("users", "items"))
    return users.to_list(), items.to_list(), {n.removeprefix("scorer."): a for n, a in arrays.items()}


def printed(recli: Runner, *arguments: object) -> pl.DataFrame:
    done = recli("similar", *arguments, "-q")
    assert done.returncode == 0, done.stderr
    text = dict.fromkeys(("user_id", "item_id", "similar_id"), pl.String)
    return pl.read_csv(io.StringIO(done.stdout), separator="\t", schema_overrides=text)


def test_weights_of_a_set_add_up(recli: Runner, split: str, tmp_path: Path) -> None:
    model = trained(recli, split, "ease")
    _, items, arrays = parts(tmp_path / model)
    chosen = [items[3], items[40]]
    found = printed(recli, model, "--items", ",".join(chosen), "-k", 5)
    scores = arrays["weights"][3] + arrays["weights"][40]
    scores[[3, 40]] = -np.inf
    best = np.argsort(-scores, kind="stable")[:5]
    assert found["similar_id"].to_list() == [items[code] for code in best]
    np.testing.assert_allclose(found["score"], scores[best], rtol=1e-5)
    assert found["item_id"].unique().to_list() == [",".join(chosen)]
    assert found["rank"].to_list() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("of", "field"), [("items", "item"), ("users", "user")])
def test_vectors_are_compared_by_cosine(recli: Runner, split: str, tmp_path: Path, of: str, field: str) -> None:
    model = trained(recli, split, "bpr", "-p", "epochs=3")
    users, items, arrays = parts(tmp_path / model)
    ids = items if of == "items" else users
    found = printed(recli, model, f"--{of}", f"{ids[0]},{ids[7]}", "-k", 4, "--each")
    unit = arrays[field] / np.linalg.norm(arrays[field], axis=1, keepdims=True)
    for code in (0, 7):
        cosine = unit @ unit[code]
        cosine[code] = -np.inf
        own = found.filter(pl.col(f"{field}_id") == ids[code])
        assert own["similar_id"].to_list() == [ids[other] for other in np.argsort(-cosine, kind="stable")[:4]]
        np.testing.assert_allclose(own["score"], np.sort(cosine)[::-1][:4], rtol=1e-4)


def test_it_is_written_printed_and_found_again(recli: Runner, split: str, tmp_path: Path) -> None:
    model = trained(recli, split, "itemknn")
    items = parts(tmp_path / model)[1]
    (tmp_path / "ids").write_text("\n".join(items[:3]))
    arguments = ("similar", model, "--items", "@ids", "--each")
    made = recli(*arguments, "-o", "near.similar.parquet")
    assert made.stdout == "near.similar.parquet\n"
    assert "up to date" in recli(*arguments, "-o", "near.similar.parquet").stderr
    frame = load(tmp_path / "near.similar.parquet").frame()
    assert frame.to_dicts() == json.loads(recli(*arguments, "--json", "-q").stdout)
    assert recli("similar", "--items", items[0], "-q", input=f"{model}\n").stdout.count("\n") == 11
    guarded = recli(*arguments, "-o", "ids", "--overwrite")
    assert guarded.returncode == 2
    assert (tmp_path / "ids").read_text().startswith(items[0])


@pytest.mark.parametrize(
    ("model", "options", "code", "said"),
    [
        ("pop", ["--items", "1"], 2, "pop has nothing to tell the neighbours of items by"),
        ("ease", ["--users", "1"], 2, "ease has nothing to tell the neighbours of users by"),
        ("ease", ["--items", "nobody"], 3, "item_id 'nobody' is unknown to the model"),
        ("ease", [], 2, "--items or --users says whose neighbours"),
        ("ease", ["--items", "1", "--users", "1"], 2, "--items or --users says whose neighbours"),
    ],
)
def test_what_it_refuses(recli: Runner, split: str, model: str, options: list[str], code: int, said: str) -> None:
    done = recli("similar", trained(recli, split, model), *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("\n") <= 2
