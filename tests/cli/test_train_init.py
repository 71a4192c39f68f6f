"""train --init: a model that starts from an older one's rows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recli.artifact import load
from recli.errors import Exit
from recli.interactions import Interactions, encode
from recli.model import Run, Start
from recli.models import catalog, store
from recli.pipeline.events import Source
from recli.pipeline.step import Output
from recli.pipeline.train import train
from recli.scorers import Factors
from tests.cli.evaluating import refused
from tests.conftest import Runner

NAMES = ["als", "bpr", "warp", "logmf", "nmf"]
SMALL: dict[str, dict[str, Any]] = {"als": {"reg_weight": 2.0}, "nmf": {"reg_weight": 0.5}}
COMMAND = ("-p", "embedding_size=8", "-q")


def made_up(seed: int = 0) -> pl.DataFrame:
    """150 users of 5 tastes and 60 items."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(150):
        likes = rng.random(60) < np.where(np.arange(60) % 5 == user % 5, 0.7, 0.05)
        rows += [(f"u{user}", f"i{item}") for item in np.flatnonzero(likes)]
    return pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")


def fit(name: str, data: Interactions, start: Start | None = None, **given: Any) -> Factors:
    model = catalog.resolve(name).cls(embedding_size=8, **{**SMALL.get(name, {}), **given})
    scorer: Factors = model.fit(data, Run(starts=[] if start is None else [start]))
    return scorer


def starting(factors: Factors, old: Interactions, new: Interactions) -> Start:
    return Start(model="", scorer=factors, user=encode(new.users, old.users), item=encode(new.items, old.items))


def distance(one: Factors, other: Factors, data: Interactions) -> float:
    """Between what they say, each user's scores being of mean 0 and all of variance 1."""
    scores = [factors.score(data.queries()) for factors in (one, other)]
    scores = [score - score.mean(1, keepdims=True) for score in scores]
    first, second = (score / score.std() for score in scores)
    return float(np.sqrt(((first - second) ** 2).mean()))


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_are_known_are_taken_by_their_ids_and_others_begin_as_usual(name: str) -> None:
    events = made_up()
    new = Interactions.of(events)
    old = Interactions.of(events.filter(pl.col("user_id") > "u2", pl.col("item_id") > "i1"))
    assert 0 < old.n_users < new.n_users and 0 < old.n_items < new.n_items
    factors, n = fit(name, old), new.n_users
    user, item, bias = (np.full(shape, 7, np.float32) for shape in ((n, 8), (new.n_items, 8), (new.n_items,)))
    starting(factors, old, new).into(user, item, bias)
    for rows, theirs, ids, known in (
        (user, factors.user, new.users, old.users),
        (item, factors.item, new.items, old.items),
    ):
        for row, name_of in zip(rows, ids, strict=True):
            expected = theirs[known.to_list().index(name_of)] if name_of in known else np.full(8, 7)
            np.testing.assert_array_equal(row, expected)
    if factors.bias is not None:
        np.testing.assert_array_equal(bias[encode(old.items, new.items)], factors.bias)


@pytest.mark.parametrize("name", NAMES)
def test_few_epochs_from_an_older_model_are_nearer_to_the_end_than_from_nothing(name: str) -> None:
    events = made_up()
    new, old = Interactions.of(events), Interactions.of(events.filter(~pl.col("user_id").str.ends_with("3")))
    end = fit(name, new, epochs=200)
    start = starting(fit(name, old, epochs=200), old, new)
    fresh, warm = fit(name, new, epochs=2), fit(name, new, start, epochs=2)
    print(name, distance(warm, end, new), distance(fresh, end, new))
    assert distance(warm, end, new) < 0.7 * distance(fresh, end, new)


@pytest.mark.parametrize(("name", "most"), [("als", 0.01), ("nmf", 0.01)])
def test_an_epoch_after_convergence_changes_little(name: str, most: float) -> None:
    data = Interactions.of(made_up())
    end = fit(name, data, epochs=200)
    again = fit(name, data, starting(end, data, data), epochs=1)
    assert np.abs(again.user - end.user).max() < most * np.abs(end.user).max()
    assert not np.allclose(fit(name, data, epochs=1).user, end.user, atol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_start_gives_the_same_bytes_for_any_number_of_threads(name: str) -> None:
    data = Interactions.of(made_up())
    start = starting(fit(name, data, epochs=3), data, data)
    model = catalog.resolve(name).cls(embedding_size=8, epochs=2, **SMALL.get(name, {}))
    packed = [store.pack(model.fit(data, Run(starts=[start], threads=n)))[0] for n in (1, 2)]
    assert {key: a.tobytes() for key, a in packed[0].items()} == {key: a.tobytes() for key, a in packed[1].items()}


@pytest.fixture
def table(tmp_path: Path) -> str:
    made_up().write_csv(tmp_path / "made.csv")
    return "made.csv"


def test_the_command(recli: Runner, table: str, tmp_path: Path) -> None:
    train = ("train", table, "--model", "nmf", *COMMAND)
    old = recli(*train, "-p", "epochs=30").stdout.strip()
    new = recli(*train, "--init", old).stdout.strip()
    plain = recli(*train).stdout.strip()
    assert len({old, new, plain}) == 3
    header = load(tmp_path / new).header
    assert header.parent("model") is not None
    assert header.parent("model").path == old  # type: ignore[union-attr]
    assert header.parent("model").sha256 == load(tmp_path / old).digest  # type: ignore[union-attr]
    assert f"{old} (model of {new})" in recli("check", new).stdout
    assert "up to date" in recli(*train[:-1], "--init", old).stderr
    other = recli(*train, "--seed", 7, "-o", "other.npz").stdout.strip()
    assert recli(*train, "--init", other).stdout.strip() not in (new, plain)
    assert recli("recommend", new, "-q").returncode == 0
    first, second = (load(tmp_path / path).arrays["scorer.user"] for path in (new, plain))
    assert not np.array_equal(first, second)


def test_neumf_begins_with_gmf_and_mlp(table: str, tmp_path: Path) -> None:
    small = {"mf_embedding_size": 4, "mlp_embedding_size": 4, "mlp_hidden_size": [4], "epochs": 1}
    said: list[str] = []
    output = Output(folder=tmp_path, note=said.append)

    def trained(name: str, *init: Path, **given: Any) -> Path:
        there = replace(output, taken=set())
        return train(tmp_path / table, Source(), name, {**small, **given}, Run(), there, init=init)

    gmf, mlp, plain = (trained(name) for name in ("gmf", "mlp", "neumf"))
    begun = trained("neumf", gmf, mlp)
    assert len({begun, plain, trained("neumf", gmf), trained("neumf", mlp, gmf)}) == 4
    parents = [parent.path for parent in load(begun).header.parents if parent.role == "model"]
    assert parents == [gmf.name, mlp.name]
    assert trained("neumf", gmf, mlp) == begun
    assert said[-1].endswith("up to date")
    for init, given, message in (
        ((gmf, gmf), {}, "there are two of gmf"),
        ((gmf, plain), {}, "neumf is all of it, and begins alone"),
        ((mlp,), {"mlp_hidden_size": [8]}, "mlp has layers of other sizes"),
    ):
        with refused(Exit.USAGE, message):
            trained("neumf", *init, **given)
    with refused(Exit.USAGE, "is mlp, and gmf is to be trained"):
        trained("gmf", mlp)
    als = train(
        tmp_path / table, Source(), "als", {"embedding_size": 2, "epochs": 1}, Run(), replace(output, taken=set())
    )
    with refused(Exit.USAGE, "is als, and neumf is to be trained", "it can begin with gmf and mlp"):
        trained("neumf", als)


def test_the_command_refuses(recli: Runner, table: str, tmp_path: Path) -> None:
    train = ("train", table, "--model", "als", "-p", "reg_weight=1", *COMMAND)
    old = recli(*train, "-o", "old.npz").stdout.strip()
    data = (tmp_path / old).read_bytes()
    (tmp_path / "bent.npz").write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    (tmp_path / "cut.npz").write_bytes(data[:5000])
    (tmp_path / "others.csv").write_text("user_id,item_id\nx,y\nx,z\nv,y\n")
    als = ("--model", "als", *COMMAND)
    wrong = [
        ((table, *als, "--init", old, "-o", old), 2, "is an input too"),
        ((table, "--model", "bpr", *COMMAND, "--init", old), 2, "is als, and bpr is to be trained"),
        ((table, "--model", "als", "-q", "--init", old), 2, "has embedding_size=8, and 64 is to be trained"),
        ((table, "--model", "ease", "--init", old), 2, "ease cannot start from another"),
        ((table, *als, "--init", "bent.npz"), 3, "damaged"),
        ((table, *als, "--init", "cut.npz"), 3, "is not an artifact"),
        ((table, *als, "--init", table), 3, "is not an artifact"),
        ((table, *als, "--init", "nothing.npz"), 4, "no such file"),
        (("others.csv", *als, "--init", old), 3, "knows none of the users and items"),
    ]
    before = sorted(tmp_path.iterdir())
    for arguments, code, message in wrong:
        done = recli("train", *arguments)
        assert (done.returncode, message in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / old).read_bytes() == data
