"""What every model of the catalog has to pass (design, §6): each check is a function of a name and an empty folder."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import polars as pl

from recli.interactions import Interactions, Queries
from recli.model import Run, configure, parse
from recli.models import catalog, store
from recli.ranking import top_k
from recli.scorers import Scorer

Check = Callable[[str, Path], None]
NORMED = ("din",)  # networks with a norm that read no sequence


def model(name: str, **params: Any) -> Any:
    chosen = catalog.resolve(name)
    return configure(chosen.cls, {**chosen.preset, **params})


def quick(name: str) -> Any:
    """The model; one that reads sequences, or fields, is trained for a few epochs only."""
    return model(name, epochs=5) if is_reader(name) or is_contextual(name) else model(name)


def is_contextual(name: str) -> bool:
    chosen = catalog.resolve(name)
    return chosen.task == "ctr" and "training" in getattr(chosen.cls, "takes", ())


def is_reader(name: str) -> bool:
    chosen = catalog.resolve(name)
    return chosen.task == "sequential" and "training" in getattr(chosen.cls, "takes", ())


@cache
def tiny() -> Interactions:
    """40 users, 30 items, 400 events with ratings and times, some of them twice; tables of the users and the items."""
    rng = np.random.default_rng(7)
    user, item = rng.integers(40, size=400), np.minimum(rng.exponential(8, 400), 29).astype(int)
    events = pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in user],
            "item_id": [f"i{i}" for i in item],
            "rating": rng.integers(1, 6, 400).astype(float),
            "timestamp": rng.integers(1000, 2000, 400).astype(float),
        }
    ).with_columns((pl.col("rating") >= 4).cast(pl.Float64).alias("label"))
    users, items = np.unique(user).tolist(), np.unique(item).tolist()
    tables = {
        "user": pl.DataFrame({"user_id": [f"u{u}" for u in users], "plan": [f"p{u % 3}" for u in users]}),
        "item": pl.DataFrame(
            {
                "item_id": [f"i{i}" for i in items],
                "kind": [f"k{i % 4}" for i in items],
                "words": [[f"w{i % 7}", f"w{7 + i % 5}"] for i in items],
            }
        ),
    }
    return Interactions.of(events, tables)


@cache
def checkerboard() -> Interactions:
    """50 users, 50 items; user u takes the items of its own colour, (u + i) even, but for item u (Frederickson).

    The withheld item is the only one of the colour that is left: whoever has understood the board puts it first.
    """
    rows = [(f"{u}", f"{i}") for u in range(50) for i in range(50) if (u + i) % 2 == 0 and u != i]
    return Interactions.of(pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row"))


@cache
def cycle() -> Interactions:
    """40 users, 40 items in a ring; user u took items u, u + 1, … u + 11."""
    rows = [(f"{u}", f"{(u + place) % 40}", float(place)) for u in range(40) for place in range(12)]
    return Interactions.of(pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row"))


def next_first(scorer: Scorer) -> float:
    """The share of the ring's users for whom, after six events of theirs, the one that follows is the best."""
    ring = cycle()
    history = ring.item.reshape(40, 12)[:, 3:9].ravel()
    queries = replace(ring.queries(), indptr=np.arange(41) * 6, item=history, time=None)
    codes, _ = top_k(scorer, queries, 1, seen=(queries.indptr, queries.item))
    wanted = [str((int(user) + 9) % 40) for user in ring.users]
    return float(np.mean([ring.items[int(code)] == item for code, item in zip(codes[:, 0], wanted, strict=True)]))


@cache
def fitted(name: str) -> Scorer:
    scorer: Scorer = quick(name).fit(tiny(), Run(seed=1))
    return scorer


def withheld_first(scorer: Scorer) -> float:
    """The share of the board's users whose withheld item is the best of those not seen."""
    board = checkerboard()
    queries = board.queries()
    codes, _ = top_k(scorer, queries, 1, seen=(queries.indptr, queries.item))
    return float(np.mean([board.items[int(code)] == user for code, user in zip(codes[:, 0], board.users, strict=True)]))


def fits_the_tiny_set(name: str, folder: Path) -> None:
    scores = fitted(name).score(tiny().queries())
    assert scores.dtype == np.float32
    assert scores.shape == (tiny().n_users, tiny().n_items)
    assert np.isfinite(scores).all()
    assert scores.flags.writeable
    assert fitted(name).score(tiny().queries()[:0]).shape == (0, tiny().n_items)


def same_seed_same_scores(name: str, folder: Path) -> None:
    # torch adds up the gradients of a norm thread by thread: a network with such is the same for as many threads only.
    threads = (2, 2) if is_reader(name) or name in NORMED else (1, 1, 2)
    first, *others = (quick(name).fit(tiny(), Run(seed=5, threads=n)) for n in threads)
    for other in others:
        ours, theirs = store.pack(first), store.pack(other)
        assert ours[1] == theirs[1]
        assert {key: array.tobytes() for key, array in ours[0].items()} == {
            key: array.tobytes() for key, array in theirs[0].items()
        }


LOAD = """
import json, sys
import numpy as np
from recli.interactions import Queries
from recli.models import store
folder = sys.argv[1]
with np.load(f"{folder}/scorer.npz", allow_pickle=False) as arrays:
    scorer = store.unpack(dict(arrays), json.load(open(f"{folder}/meta.json")))
with np.load(f"{folder}/queries.npz", allow_pickle=False) as queries:
    np.save(f"{folder}/scores.npy", scorer.score(Queries(**queries)))
"""


def is_the_same_in_another_process(name: str, folder: Path) -> None:
    arrays, meta = store.pack(fitted(name))
    queries = tiny().queries()
    np.savez(folder / "scorer.npz", **arrays)
    np.savez(folder / "queries.npz", user=queries.user, indptr=queries.indptr, item=queries.item)
    (folder / "meta.json").write_text(json.dumps(meta, allow_nan=False))
    subprocess.run([sys.executable, "-c", LOAD, str(folder)], check=True)
    assert np.load(folder / "scores.npy").tobytes() == fitted(name).score(queries).tobytes()


def batch_equals_one_by_one(name: str, folder: Path) -> None:
    queries = tiny().queries()
    together = fitted(name).score(queries)
    alone = np.concatenate([fitted(name).score(queries[at : at + 1]) for at in range(len(queries))])
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-5 * np.abs(together).max())


def pairs_are_scored_alike(name: str, folder: Path) -> None:
    queries = tiny().queries()
    items = np.random.default_rng(3).integers(tiny().n_items, size=len(queries)).astype(np.int32)
    pairs, scores = fitted(name).score_pairs(queries, items), fitted(name).score(queries)
    assert pairs.dtype == np.float32
    assert pairs.shape == (len(queries),)
    expected = scores[np.arange(len(queries)), items]
    np.testing.assert_allclose(pairs, expected, rtol=1e-5, atol=1e-5 * np.abs(scores).max())


def unknown_items_are_safe(name: str, folder: Path) -> None:
    """The item -1: "cannot", or what the model says of an item that it knows nothing of; never another item's score."""
    queries = tiny().queries()[:6]
    items = np.array([0, -1, 3, -1, 5, 1], np.int32)
    known = np.maximum(items, 0)
    scores = fitted(name).score_pairs(queries, items)
    assert not np.isnan(scores).any()
    assert not np.isposinf(scores).any()
    assert (scores[items >= 0] == fitted(name).score_pairs(queries, known)[items >= 0]).all()
    alone = [fitted(name).score_pairs(queries[at : at + 1], items[at : at + 1])[0] for at in (1, 3)]
    np.testing.assert_allclose(scores[items < 0], alone, rtol=1e-5)


def strangers_are_safe(name: str, folder: Path) -> None:
    """Unknown or known, with or without a history, replaced or not: no NaN, nothing infinite but -inf for "cannot"."""
    for replaced in (False, True):
        queries = Queries(
            user=np.array([-1, -1, 0, 0], np.int32),
            indptr=np.array([0, 0, 2, 2, 4]),
            item=np.array([1, 3, 2, 2], np.int32),
            replaced=replaced,
        )
        scores = fitted(name).score(queries)
        pairs = fitted(name).score_pairs(queries, np.zeros(4, np.int32))
        for values in (scores, pairs):
            assert not np.isnan(values).any()
            assert not np.isposinf(values).any()
        assert (np.isneginf(scores).all(1) | np.isfinite(scores).all(1)).all()
        assert (np.isneginf(pairs) == np.isneginf(scores[:, 0])).all()
        codes, best = top_k(fitted(name), queries, 5)
        assert ((codes >= 0) == np.isfinite(best)).all()


def does_not_touch_its_input(name: str, folder: Path) -> None:
    def contents() -> list[bytes]:
        data = tiny()
        arrays = (data.indptr, data.item, data.rating, data.time, data.matrix.data, data.matrix.indices)
        return [array.tobytes() for array in arrays if array is not None]

    before, subject = contents(), quick(name)
    parameters = asdict(subject)
    scorer = subject.fit(tiny(), Run(seed=2))
    packed = {key: array.tobytes() for key, array in store.pack(scorer)[0].items()}
    scorer.score(tiny().queries())[:] = 0
    assert contents() == before
    assert asdict(subject) == parameters
    assert {key: array.tobytes() for key, array in store.pack(scorer)[0].items()} == packed


def parameters_survive_json(name: str, folder: Path) -> None:
    subject = model(name)
    values = asdict(subject)
    assert configure(type(subject), json.loads(json.dumps(values))) == subject
    assert configure(type(subject), parse([f"{key}={json.dumps(value)}" for key, value in values.items()])) == subject


def every_parameter_is_documented(name: str, folder: Path) -> None:
    cls = type(model(name))
    assert cls.__dataclass_params__.frozen
    for field in fields(cls):
        assert field.kw_only, field.name
        assert field.default is not MISSING, field.name
        kinds = (int, float, bool, str, tuple[int, ...], tuple[float, ...])
        assert get_type_hints(cls)[field.name] in kinds, field.name
        assert field.metadata["doc"], field.name


def cites_its_paper(name: str, folder: Path) -> None:
    assert re.search(r"[A-Z]\w+ (et al\. )?(19|20)\d\d, \"", type(model(name)).__doc__ or "")


def beats_popularity(name: str, folder: Path) -> None:
    """On the checkerboard, or, if it is for sequences, on the cycle, where nothing is more popular than another."""
    if catalog.resolve(name).task == "sequential":
        faster = {"epochs": 40, "learning_rate": 0.01, "train_batch_size": 64} if is_reader(name) else {}
        assert next_first(model(name, **faster).fit(cycle(), Run())) > 0.2  # popularity: 0.025
        return
    faster = {"learning_rate": 0.01, "epochs": 60, "train_batch_size": 128}
    scorer = model(name, **(faster if is_contextual(name) else {})).fit(checkerboard(), Run())
    assert withheld_first(scorer) > 2 * withheld_first(model("pop").fit(checkerboard(), Run()))


CHECKS: tuple[Check, ...] = (
    fits_the_tiny_set,
    same_seed_same_scores,
    is_the_same_in_another_process,
    batch_equals_one_by_one,
    pairs_are_scored_alike,
    strangers_are_safe,
    unknown_items_are_safe,
    does_not_touch_its_input,
    parameters_survive_json,
    every_parameter_is_documented,
    cites_its_paper,
    beats_popularity,
)
