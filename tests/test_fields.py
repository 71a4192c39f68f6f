"""Columns as coded fields: every kind of column, what train has not seen, and RecBole's ways to part numbers."""

import numpy as np
import polars as pl
import pytest

from recli.coding import Coding, coding_of
from recli.errors import Exit, RecliError
from recli.fields import Coded, Encoder, Held
from recli.interactions import Interactions


def fitted(values: pl.Series, how: str | None = None, *, counts: list[int] | None = None, **more: object) -> Encoder:
    """The encoder of one column of the events."""
    empty = pl.DataFrame()
    coding = Coding(how={} if how is None else {"x": how}, **more)  # type: ignore[arg-type]
    number = np.array(counts or [1] * len(values))
    none = np.empty(0, np.int64)
    held = {"user": (empty, none), "item": (empty, none), "inter": (values.rename("x").to_frame(), number)}
    return Encoder.fit({role: Held.of(*of) for role, of in held.items()}, coding)


def codes(encoder: Encoder, values: pl.Series) -> list[list[int]]:
    """The rows of one column, from 0; before it stand one row each for users and items."""
    found: list[list[int]] = (encoder.encode("inter", pl.DataFrame({"x": values}), len(values)).codes - 2).tolist()
    return found


def test_tokens_rare_and_unknown_share_a_row() -> None:
    train = pl.Series(["b", "a", "b", None, "", "c"])
    encoder = fitted(train)
    assert codes(encoder, pl.Series(["a", "b", "c", "d", None, ""])) == [[1], [2], [3], [0], [0], [0]]
    assert codes(fitted(train, "token:2"), pl.Series(["a", "b", "c"])) == [[0], [1], [0]]
    assert codes(fitted(train, min_count=2), pl.Series(["a", "b"])) == [[0], [1]]
    assert codes(fitted(train, counts=[0, 1, 1, 1, 1, 1]), pl.Series(["b", "c"])) == [[2], [3]]
    assert codes(fitted(train, counts=[0, 1, 0, 1, 1, 1]), pl.Series(["b", "c"])) == [[0], [2]]


def test_numbers_become_values() -> None:
    train = pl.Series([2.0, 4.0, None, 6.0])
    assert len(fitted(train).fields) == 2  # a number is a field where it is asked for
    plain = fitted(train, numerical=("x",)).encode("inter", pl.DataFrame({"x": [3.0, None, 9.0]}), 3)
    assert plain.codes.tolist() == [[2], [2], [2]]
    assert plain.values is not None
    assert plain.values.tolist() == [[3.0], [4.0], [9.0]]  # the mean stands for what is missing
    scaled = fitted(train, numerical=("all",), normalize=("all",))
    found = scaled.encode("inter", pl.DataFrame({"x": [2.0, 6.0, 5.0, None]}), 4).values
    assert found is not None
    assert found.ravel().tolist() == [0, 1, 0.75, 0.5]
    constant = fitted(pl.Series([5.0, 5.0]), numerical=("x",), normalize=("x",))
    constant = constant.encode("inter", pl.DataFrame({"x": [5.0]}), 1).values
    assert constant is not None
    assert constant.item() == 1


@pytest.mark.parametrize("normalize", [(), ("x",)])
def test_buckets_of_equal_width_are_recbole_s(normalize: tuple[str, ...]) -> None:
    """floor((x - min) n / (max + 1e-9 - min) + 1)."""
    train = np.array([0.0, 1.0, 2.5, 7.4, 7.6, 10.0])
    encoder = fitted(pl.Series(train), "bucket:4", normalize=normalize)
    expected = np.floor((train - 0) * 4 / (10 + 1e-9) + 1).astype(int)
    assert codes(encoder, pl.Series(train)) == expected[:, None].tolist()
    assert codes(encoder, pl.Series([-3.0, 99.0, None])) == [[1], [4], [0]]


def test_buckets_of_equally_many_rows() -> None:
    train = pl.Series(np.arange(100.0) ** 2)
    found = np.array(codes(fitted(train, "quantile:5"), train)).ravel()
    assert np.bincount(found).tolist() == [0, 20, 20, 20, 20, 20]


def test_logarithms_are_recbole_s() -> None:
    """floor(ln(x)² + 1) above 2, then their ranks."""
    train = pl.Series([1.0, 2.0, 5.0, 50.0, 51.0, 1000.0])
    # 1, 2, floor(2.59 + 1) = 3, floor(15.3 + 1) = 16, floor(15.46 + 1) = 16, floor(47.7 + 1) = 48
    assert codes(fitted(train, "log"), train) == [[1], [2], [3], [4], [4], [5]]
    assert codes(fitted(train, "log"), pl.Series([300.0])) == [[0]]


@pytest.mark.parametrize("how", ["number", "bucket:4", "quantile:5", "log"])
@pytest.mark.parametrize("normalize", [(), ("x",)])
def test_numbers_that_come_in_parts_are_fitted_as_in_one(how: str, normalize: tuple[str, ...]) -> None:
    whole = pl.Series("x", [9.0, None, 3.0, 120.0, None, None, 0.5, 7.0, 7.0, 33.0, 2.5])
    parts = [whole[:4], whole[4:6], whole[6:]]  # of one nothing is known
    coding = Coding(how={"x": how}, normalize=normalize)
    none, no = Held.of(pl.DataFrame(), np.empty(0, np.int64)), np.empty(0, np.int64)
    held = Held(
        schema={"x": pl.Float64()},
        column=lambda name: iter([(part, np.ones(len(part), np.int64)) for part in parts]),
        counts=no,
    )
    found = Encoder.fit({"user": none, "item": none, "inter": held}, coding)
    expected = fitted(whole, how, normalize=normalize)
    (arrays, rest), (own, other) = found.pack(), expected.pack()
    assert rest == other
    assert {name: array.tolist() for name, array in arrays.items()} == {n: a.tolist() for n, a in own.items()}


def test_sequences_are_pooled() -> None:
    train = pl.Series([["b", "a"], ["c"], [], None])
    encoder = fitted(train)
    assert encoder.slots[-1] == 2
    found = encoder.encode("inter", pl.DataFrame({"x": [["a", "z"], ["c"], [], ["a", "b", "c"]]}), 4)
    assert found.values is not None
    assert (found.codes - 2).tolist() == [[1, 0], [3, 0], [0, 0], [1, 2]]
    assert found.values.tolist() == [[0.5, 0.5], [1, 0], [0, 0], [0.5, 0.5]]
    assert fitted(train, "first:1").slots[-1] == 1
    mean = fitted(pl.Series([[1.0, 3.0], [4.0]]), numerical=("x",))
    values = mean.encode("inter", pl.DataFrame({"x": [[2.0, 6.0], None]}), 2).values
    assert values is not None
    assert values.ravel().tolist() == [4.0, 3.0]


def test_users_and_items_have_fields_and_a_row_for_strangers() -> None:
    events = pl.DataFrame({"user_id": ["u", "u", "v"], "item_id": ["i", "j", "i"], "when": ["m", "n", "m"]})
    users = pl.DataFrame({"user_id": ["u", "v", "w"], "age": ["1", "2", "3"]})
    encoder, coded = Interactions.of(events, {"user": users}).encoded()
    assert [(one.role, one.name, one.size) for one in encoder.fields] == [
        ("user", "user_id", 3),
        ("user", "age", 3),  # 3 is only the age of somebody without events
        ("item", "item_id", 3),
        ("inter", "when", 3),
    ]
    data = Interactions.of(events, {"user": users})
    place = {user: at for at, user in enumerate(data.users)}
    assert coded["user"].codes[place["w"]].tolist() == coded["user"].codes[-1].tolist() == [0, 3]
    assert coded["user"].codes[place["v"]].tolist()[1] == 5
    assert len(coded["inter"].codes) == 3
    assert len({int(code) for code in coded["item"].codes[:, 0]}) == 3


def test_what_is_packed_is_unpacked() -> None:
    events = pl.DataFrame({"user_id": ["u", "v"], "item_id": ["i", "j"], "t": ["x", "y"], "n": [1.0, 2.0]})
    data = Interactions.of(events, coding=Coding(how={"n": "bucket:3"}))
    encoder, coded = data.encoded()
    again = Encoder.unpack(*encoder.pack())
    assert data.context is not None
    assert (again.encode("inter", data.context, 2).codes == coded["inter"].codes).all()
    again.check("user", coded["user"], 3)
    outside = Coded(codes=coded["user"].codes + np.int32(9))
    with pytest.raises(ValueError, match="a field of the users lies outside"):
        again.check("user", outside, 3)
    arrays, rest = encoder.pack()
    with pytest.raises(ValueError, match="too few rows"):
        Encoder.unpack(arrays, rest.replace('"size": 3', '"size": 1'))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("age", "--field takes COLUMN=HOW"),
        ("age=bin:3", "age cannot become 'bin'"),
        ("age=bucket", "age cannot become 'bucket'"),
        ("age=bucket:0", "age cannot become 'bucket:0'"),
        ("age=log:3", "age cannot become 'log:3'"),
    ],
)
def test_what_cannot_be_asked_for(how: str, message: str) -> None:
    with pytest.raises(RecliError, match=message) as caught:
        coding_of(None, [how], None, None, 1)
    assert caught.value.code == Exit.USAGE


@pytest.mark.parametrize(
    ("values", "how", "message"),
    [
        (pl.Series(["a"]), "bucket:3", "holds tokens"),
        (pl.Series(["a"]), "first:3", "holds tokens"),
        (pl.Series([[1.0]]), "first:3", "holds sequences of numbers"),
        (pl.Series([None, None], dtype=pl.Float64), "number", "has no number in train"),
    ],
)
def test_what_a_column_cannot_become(values: pl.Series, how: str, message: str) -> None:
    with pytest.raises(RecliError, match=message):
        fitted(values, how)
    with pytest.raises(RecliError, match="there is no column y to make a field of"):
        fitted(values, numerical=("y",))
