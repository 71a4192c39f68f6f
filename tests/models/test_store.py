"""Scorers and vocabularies to arrays and back, and files that mean harm."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import random as random_matrix

from recli.errors import Exit, RecliError
from recli.models import store
from recli.models.baseline.random import HashScores
from recli.models.factor.als import Folding
from recli.scorers import Factors, ItemScores, ItemWeights, Scorer
from tests.checks import tiny

RNG = np.random.default_rng(0)


def some(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


SCORERS: dict[str, Scorer] = {
    "items": ItemScores(item=some(30)),
    "dense": ItemWeights(weights=some(30, 30)),
    "sparse": ItemWeights(weights=random_matrix(30, 30, 0.2, "csr", np.float32, RNG)),
    "factors": Factors(user=some(40, 4), item=some(30, 4)),
    "biased": Factors(user=some(40, 4), item=some(30, 4), bias=some(30)),
    "folding": Folding(user=some(40, 4), item=some(30, 4), alpha=1.5, reg_weight=2.0, reg_exponent=0.5),
    "own": HashScores(seed=3, n_items=30),
}


@pytest.mark.parametrize("name", SCORERS)
def test_round_trip(name: str) -> None:
    arrays, meta = store.pack(SCORERS[name])
    back = store.unpack(arrays, meta, {"users": 40, "items": 30})
    assert type(back) is type(SCORERS[name])
    queries = tiny().queries()
    assert back.score(queries).tobytes() == SCORERS[name].score(queries).tobytes()


Damage = Callable[[dict[str, Any], dict[str, Any]], None]


def put(where: str, key: str, value: Any) -> Damage:
    def damage(arrays: dict[str, Any], meta: dict[str, Any]) -> None:
        {"arrays": arrays, "meta": meta, "values": meta["values"], "sparse": meta["sparse"]}[where][key] = value

    return damage


def drop(where: str, key: str) -> Damage:
    def damage(arrays: dict[str, Any], meta: dict[str, Any]) -> None:
        del {"arrays": arrays, "meta": meta, "values": meta["values"]}[where][key]

    return damage


def change(key: str, by: Callable[[Any], Any]) -> Damage:
    def damage(arrays: dict[str, Any], meta: dict[str, Any]) -> None:
        arrays[key] = by(arrays[key].copy())

    return damage


def first(value: int) -> Callable[[Any], Any]:
    def by(array: Any) -> Any:
        array[1] = value
        return array

    return by


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *[
            ("items", put("meta", "scorer", scorer))
            for scorer in (
                "os:system",
                "recli.__main__:main",
                "recli.cli.train:Command",
                "recli.models.nowhere:Scorer",
                "recli.models..store:Pack",
                "recli.scorers:Scorer",
                "recli.scorers:Nothing",
                "recli.models.baseline.pop:ItemScores",
                "recli.models.baseline.pop:Pop",
                "recli.scorers",
                "",
                7,
                None,
            )
        ],
        ("items", drop("meta", "scorer")),
        ("items", drop("meta", "values")),
        ("items", put("meta", "values", 3)),
        ("items", drop("arrays", "item")),
        ("items", change("item", lambda a: a.astype(np.float64))),
        ("items", change("item", lambda a: a.astype(">f4"))),
        ("items", change("item", lambda a: a[:5])),
        ("items", change("item", lambda a: a.reshape(5, 6))),
        ("dense", change("weights", lambda a: a[:, :4])),
        ("sparse", change("weights.indices", first(30))),
        ("sparse", change("weights.indices", first(-1))),
        ("sparse", change("weights.indices", lambda a: a.astype(np.float32))),
        ("sparse", change("weights.indices", lambda a: a[:-1])),
        ("sparse", change("weights.indptr", first(10**6))),
        ("sparse", change("weights.indptr", first(-5))),
        ("sparse", change("weights.indptr", lambda a: a[:-1])),
        ("sparse", change("weights.indptr", lambda a: a + 1)),
        ("sparse", change("weights.data", lambda a: a[:-1])),
        ("sparse", change("weights.data", lambda a: a.astype(complex))),
        ("sparse", put("sparse", "weights", [30, 10**15])),
        ("sparse", put("sparse", "weights", [30])),
        ("sparse", put("sparse", "weights", ["a", "b"])),
        ("sparse", put("sparse", "weights", None)),
        ("factors", change("item", lambda a: a[:, :3])),
        ("factors", change("user", lambda a: a[:10])),
        ("factors", put("values", "bias", "none")),
        ("biased", change("bias", lambda a: a[:3])),
        ("folding", put("values", "alpha", "much")),
        ("folding", put("values", "alpha", True)),
        ("folding", put("values", "alpha", [1])),
        ("folding", put("values", "alpha", float("nan"))),
        ("own", put("values", "n_items", 3.5)),
        ("own", put("values", "n_items", None)),
    ],
)
def test_damage_is_found(name: str, damage: Damage) -> None:
    arrays, meta = store.pack(SCORERS[name])
    meta = {**meta, "values": dict(meta["values"]), "sparse": dict(meta["sparse"])}
    damage(arrays, meta)
    with pytest.raises(RecliError, match="is no scorer") as caught:
        store.unpack(arrays, meta, {"users": 40, "items": 30})
    assert caught.value.code == Exit.DATA


def test_a_scorer_from_outside_is_not_saved() -> None:
    class Foreign(ItemScores):
        """Defined here."""

    with pytest.raises(RecliError, match="cannot be saved"):
        store.pack(Foreign(item=some(3)))


@given(st.lists(st.text(), unique=True))
def test_ids_round_trip(ids: list[str]) -> None:
    text, offsets = store.pack_ids(pl.Series(ids, dtype=pl.String))
    assert (text.dtype, offsets.dtype) == (np.uint8, np.int64)
    assert store.unpack_ids(text, offsets).to_list() == ids


def test_ids_of_a_slice() -> None:
    ids = pl.Series(["7", "007", "a\0", "a", ""])[1:4]
    text, offsets = store.pack_ids(ids)
    assert text.tobytes() == b"007a\0a"
    assert offsets.tolist() == [0, 3, 5, 6]


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        (b"ab", [0, 1]),
        (b"ab", [0, 3]),
        (b"ab", [1, 2]),
        (b"ab", [0, 2, 1, 2]),
        (b"ab", [0, -1, 2]),
        (b"ab", [0, 2**62, 2]),
        (b"ab", []),
        (b"\xff\xfe", [0, 1, 2]),
        ("é".encode(), [0, 1, 2]),
        (b"aa", [0, 1, 2]),
    ],
)
def test_ids_that_are_none(text: bytes, offsets: list[int]) -> None:
    with pytest.raises(RecliError, match="is no vocabulary") as caught:
        store.unpack_ids(np.frombuffer(text, np.uint8), np.array(offsets, np.int64))
    assert caught.value.code == Exit.DATA


def test_ids_of_another_type() -> None:
    with pytest.raises(RecliError, match="is no vocabulary"):
        store.unpack_ids(np.zeros(2, np.float32), np.array([0, 1, 2]))
