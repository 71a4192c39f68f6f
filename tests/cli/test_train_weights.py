"""train --weight and --half-life: what an event weighs, for the models that take confidences."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import nnls

from recli.artifact import load
from recli.errors import Exit, RecliError
from recli.interactions import WEIGHT, Interactions, Queries, weighted
from recli.model import Run
from recli.models import catalog
from recli.pipeline.weighing import Weighing
from tests.conftest import Runner

TAKERS = ["als", "logmf", "nmf"]
SMALL = {"als": {"reg_weight": 1.0, "epochs": 3}, "logmf": {"epochs": 3}, "nmf": {"reg_weight": 0.1, "epochs": 3}}
EVENTS = """user_id,item_id,kind,count,where,timestamp
a,x,view,1,web,1000
a,y,buy,2,app,1060
b,y,view,3,web,1000
b,z,view,1,web,940
c,x,buy,0,app,1060
c,y,buy,1,app,1060
"""


@pytest.fixture
def events(tmp_path: Path) -> Path:
    (tmp_path / "events.csv").write_text(EVENTS)
    return tmp_path / "events.csv"


def table(n: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    pairs = rng.permutation(40 * 30)[:n]
    users, items = [f"u{pair // 30}" for pair in pairs], [f"i{pair % 30}" for pair in pairs]
    weights = rng.integers(1, 4, n).astype(np.float64)
    return pl.DataFrame({"user_id": users, "item_id": items, "weight": weights, "rating": weights})


def rows_of(data: Interactions, name: str, **more: object) -> tuple[bytes, bytes]:
    scorer = catalog.resolve(name).cls(**SMALL[name], **more).fit(data, Run())
    return scorer.user.tobytes(), scorer.item.tobytes()


@pytest.mark.parametrize("name", ["als", "logmf"])
def test_a_weight_of_two_is_the_event_twice(name: str) -> None:
    events = table()
    twice = events.select(pl.all().repeat_by(pl.col("weight").cast(pl.Int64))).explode(pl.all())
    once = Interactions.of(Weighing(column="weight").weigh(events))
    assert rows_of(once, name) == rows_of(Interactions.of(twice), name, weight="count")
    assert rows_of(once, name) == rows_of(Interactions.of(events), name, weight="rating")
    assert rows_of(once, name) != rows_of(Interactions.of(events), name)


@pytest.mark.parametrize("name", TAKERS)
def test_weights_of_one_change_nothing(name: str) -> None:
    one = Interactions.of(Weighing(column="weight").weigh(table().with_columns(weight=pl.lit(1.0))))
    assert one.weight is not None
    assert rows_of(one, name) == rows_of(Interactions.of(table()), name)


def test_nmf_comes_near_the_weights_themselves() -> None:
    data = Interactions.of(Weighing(column="weight").weigh(table()))
    scorer = catalog.resolve("nmf").cls(embedding_size=5, reg_weight=0.3, epochs=400).fit(data, Run())
    y = np.vstack([scorer.item.astype(np.float64), np.sqrt(0.3) * np.eye(5)])
    targets = weighted(data, data.n_items).toarray()
    assert targets.max() == 3
    np.testing.assert_allclose(scorer.user, [nnls(y, np.append(r, np.zeros(5)))[0] for r in targets], atol=0.02)
    np.testing.assert_allclose(scorer.fold(data.queries()), scorer.user, atol=0.02)


@pytest.mark.parametrize(
    ("weight", "half_life", "expected"),
    [
        ("count", None, [1, 2, 3, 1, 0, 1]),
        ("kind:view=1,buy=5", None, [1, 5, 1, 1, 5, 5]),
        ("view=1,buy=5", None, [1, 5, 1, 1, 5, 5]),
        ("count:0=0,1=1,2=4,3=9", None, [1, 4, 9, 1, 0, 1]),
        (None, "60s", [0.5, 1, 0.5, 0.25, 1, 1]),
        (None, "1m", [0.5, 1, 0.5, 0.25, 1, 1]),
        ("count", "0.5m", [0.25, 2, 0.75, 0.0625, 0, 1]),
    ],
)
def test_what_events_weigh(events: Path, weight: str | None, half_life: str | None, expected: list[float]) -> None:
    frame = pl.read_csv(events, schema_overrides={"timestamp": pl.Float64})
    found = Weighing.parse(weight, half_life).within(frame).weigh(frame)[WEIGHT]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2_592_000), ("2w", 1_209_600), ("1.5h", 5400), ("7s", 7)])
def test_units_of_a_half_life(text: str, seconds: float) -> None:
    assert Weighing.parse(None, text).half_life == seconds


@pytest.mark.parametrize(
    ("weight", "code", "message", "hint"),
    [
        ("cuont", 2, "no column 'cuont'", "did you mean count?"),
        ("user_id", 2, "no column 'user_id'", "one of"),
        ("view=1,web=2", 2, "no column of words has all of view, web", "--weight kind:view=1,web=2"),
        ("view=-1", 2, "'view=-1' gives no weight of 0 or more", "COL:VALUE=X"),
        ("view=much", 2, "'view=much' gives no weight", "COL:VALUE=X"),
        ("view=1,view=2", 2, "'view' is there twice", None),
        ("kind", 3, "kind 'view' is no weight, of user a and item x", "--weight kind:view=1"),
        ("kind:view=1", 3, "gives none for kind 'buy', of user a and item y", "buy=0 leaves such events out"),
        ("kind:view=0,buy=0", 3, "all events weigh 0", None),
    ],
)
def test_what_cannot_weigh_is_said(events: Path, weight: str, code: int, message: str, hint: str | None) -> None:
    frame = pl.read_csv(events)
    with pytest.raises(RecliError) as caught:
        Weighing.parse(weight, None).within(frame).weigh(frame)
    assert (caught.value.code, message in caught.value.message) == (code, True), caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize("bad", [-1.0, None, float("nan"), float("inf"), 1e300])
def test_a_weight_that_is_none_is_said(bad: float | None) -> None:
    frame = table(3).with_columns(weight=pl.Series([1.0, bad, 2.0]))
    with pytest.raises(RecliError) as caught:
        Weighing(column="weight").weigh(frame)
    assert caught.value.code is Exit.DATA
    assert f"user {frame['user_id'][1]} and item {frame['item_id'][1]}" in caught.value.message


def test_several_columns_with_the_words_have_to_be_told_apart(events: Path) -> None:
    frame = pl.read_csv(events).with_columns(again=pl.col("kind"))
    with pytest.raises(RecliError, match="kind and again have all of view, buy") as caught:
        Weighing.parse("view=1,buy=2", None).within(frame)
    assert caught.value.code is Exit.USAGE
    assert caught.value.hint == "name the column: --weight kind:view=1,buy=2"


@pytest.mark.parametrize("text", ["0d", "0", "30", "1y", "-1d", "d", ""])
def test_a_half_life_that_is_no_time(text: str) -> None:
    with pytest.raises(RecliError, match="takes a time above 0") as caught:
        Weighing.parse(None, text)
    assert caught.value.code is Exit.USAGE


def test_no_clock_no_half_life() -> None:
    with pytest.raises(RecliError, match="no timestamp for --half-life") as caught:
        Weighing.parse(None, "1d").weigh(table())
    assert caught.value.code is Exit.DATA


@pytest.mark.parametrize("name", [name for name in catalog.CATALOG if name not in TAKERS])
def test_the_others_say_nothing_of_weights(name: str) -> None:
    assert "weights" not in getattr(catalog.resolve(name).cls, "takes", ())


def test_the_command(recli: Runner, sample: Path, tmp_path: Path) -> None:
    split = recli("split", sample, "-q").stdout
    made = recli("train", "--model", "als", "--weight", "rating", "-q", input=split).stdout.strip()
    same = recli("train", "--model", "als", "-p", "weight=rating", "-q", input=split).stdout.strip()
    plain = recli("train", "--model", "als", "-q", input=split).stdout.strip()
    assert len({made, same, plain}) == 3
    arrays = [load(tmp_path / path).arrays["scorer.user"] for path in (made, same, plain)]
    np.testing.assert_array_equal(arrays[0], arrays[1])
    assert not np.array_equal(arrays[0], arrays[2])
    assert load(tmp_path / made).header.params["weight"] == {"column": "rating", "values": {}}
    assert "weight" not in load(tmp_path / plain).header.params
    again = recli("train", "--model", "als", "--weight", "rating", input=split)
    assert "up to date" in again.stderr
    aged = recli("train", "--model", "als", "--weight", "rating", "--half-life", "52w", input=split)
    assert "up to date" not in aged.stderr
    assert load(tmp_path / aged.stdout.strip()).header.params["half_life"] == 52 * 604_800


def test_the_command_refuses(recli: Runner, events: Path) -> None:
    refused = [
        (("--model", "ease", "--weight", "count"), "ease takes no weights of events", "als, logmf, nmf"),
        (("--model", "bpr", "--half-life", "1d"), "bpr takes no weights of events", "als, logmf, nmf"),
        (("--model", "als", "--weight", "count", "-p", "weight=rating"), "contradict each other", "--weight rating"),
        (("--model", "als", "--weight", "cost"), "events.csv: --weight: no column 'cost'", "count"),
    ]
    for arguments, message, hint in refused:
        done = recli("train", events, *arguments)
        assert (done.returncode, message in done.stderr, hint in done.stderr) == (2, True, True), done.stderr
        assert not list(events.parent.glob("*.npz"))


def test_a_history_weighs_as_the_events_did(recli: Runner, events: Path, tmp_path: Path) -> None:
    """Where it has the column; what it says nothing of weighs 1."""
    given = ("--model", "als", "-p", "reg_weight=0.1", "-p", "embedding_size=2", "--weight", "view=1,buy=5", "-q")
    model = recli("train", events, *given).stdout.strip()
    histories = {"bought": "n,x,buy", "seen": "n,x,view", "odd": "n,x,gift", "none": "n,x"}
    found = {}
    for name, row in histories.items():
        head = "user_id,item_id,kind" if name != "none" else "user_id,item_id"
        (tmp_path / f"{name}.csv").write_text(f"{head}\n{row}\n")
        done = recli("recommend", model, "--history", f"{name}.csv", "-q", "-o", "-", "--allow-seen")
        assert done.returncode == 0, done.stderr
        found[name] = done.stdout
    assert found["bought"] != found["seen"] == found["odd"] == found["none"]


def test_weights_stay_with_their_events() -> None:
    """Through sorting by user and time, and through blocks of queries."""
    rng = np.random.default_rng(1)
    n = 60
    frame = pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(7, size=n)],
            "item_id": [f"i{i}" for i in range(n)],
            "timestamp": rng.random(n),
            WEIGHT: np.arange(n).astype(np.float32),
        }
    )
    data = Interactions.of(frame)
    queries: Queries = data.queries().take(np.array([5, 2]))[1:]
    for held in (data, queries):
        assert held.weight is not None
        assert [data.items[int(code)] for code in held.item] == [f"i{weight:g}" for weight in held.weight]
