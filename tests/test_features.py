"""A companion table as a matrix of users or items and their values."""

import numpy as np
import polars as pl
import pytest

from recli.errors import Exit, RecliError
from recli.features import Features, columns_of
from recli.interactions import Interactions

TABLE = pl.DataFrame(
    {
        "item_id": ["x", "y", "z"],
        "kind": ["film", "", None],
        "words": [["a", "b", "a"], [], ["b", ""]],
        "year": [1999.0, 2000.0, None],
        "vector": [[0.5], [0.25], None],
    }
)


def of(ids: str, *columns: str) -> Features:
    return Features.of(TABLE, pl.Series("item_id", list(ids)), columns or None)


def test_a_token_is_one_value_and_a_sequence_each_of_its_own() -> None:
    features = of("zqxy")
    assert features.names == [("kind", "film"), ("words", "a"), ("words", "b")]
    assert features.matrix.toarray().tolist() == [[0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert features.matrix.dtype == np.float32
    assert features.matrix.has_sorted_indices


def test_columns_are_chosen_and_their_order_kept() -> None:
    assert of("x", "words", "kind", "words").names == [("words", "a"), ("words", "b"), ("kind", "film")]
    nothing = Features.of(TABLE, pl.Series("item_id", ["x"]), [])
    assert (nothing.names, nothing.matrix.shape) == ([], (1, 0))


@pytest.mark.parametrize(
    ("column", "said", "hint"),
    [
        ("knd", "the items' table has no column knd", "did you mean kind?"),
        ("item_id", "no column item_id", "kind"),
        ("year", "year holds numbers, not categories", None),
        ("vector", "vector holds numbers, not categories", None),
    ],
)
def test_columns_that_cannot_be(column: str, said: str, hint: str | None) -> None:
    with pytest.raises(RecliError, match=said) as caught:
        of("x", column)
    assert caught.value.code is Exit.USAGE
    assert hint is None or hint in str(caught.value.hint)


def test_an_id_that_stands_twice() -> None:
    with pytest.raises(RecliError, match="item_id 'x' stands twice") as caught:
        Features.of(pl.concat([TABLE, TABLE.head(1)]), pl.Series("item_id", ["x"]))
    assert caught.value.code is Exit.DATA


def test_what_a_parameter_says() -> None:
    assert [columns_of(text) for text in ("", "none", "a,b", "a")] == [None, [], ["a", "b"], ["a"]]


def test_who_stands_in_a_table_only_has_a_code_and_no_events() -> None:
    events = pl.DataFrame({"user_id": ["u", "v"], "item_id": ["x", "x"]})
    plain, data = Interactions.of(events), Interactions.of(events, {"item": TABLE})
    assert (plain.features("item"), plain.items.to_list(), data.features("user")) == (None, ["x"], None)
    assert sorted(data.items) == ["x", "y", "z"]
    assert data.users.to_list() == plain.users.to_list()
    assert data.popularity.tolist() == [2 if item == "x" else 0 for item in data.items]
    features = data.features("item", ["kind"])
    assert features is not None
    assert features.matrix.toarray().ravel().tolist() == [1.0 if item == "x" else 0.0 for item in data.items]
