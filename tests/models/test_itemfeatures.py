"""ItemFeatures against the same with full matrices, and by hand."""

from math import sqrt

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import TfidfTransformer

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries
from recli.model import Run
from recli.models.feature.itemfeatures import ItemFeatures
from tests.checks import tiny


@pytest.mark.parametrize("columns", ["", "words", "kind,words"])
def test_against_full_matrices(columns: str) -> None:
    table = tiny().tables["item"]
    values = {row["item_id"]: {row["kind"], *row["words"]} for row in table.to_dicts()}
    if columns == "words":
        values = {item: {value for value in held if value.startswith("w")} for item, held in values.items()}
    names = sorted(set().union(*values.values()))
    x = np.array([[name in values[item] for name in names] for item in tiny().items], np.float64)
    x *= np.log((1 + len(x)) / (1 + x.sum(0))) + 1
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    profile = tiny().matrix.toarray() @ x
    expected = profile @ x.T / np.linalg.norm(profile, axis=1, keepdims=True)
    scorer = ItemFeatures(columns=columns).fit(tiny(), Run())
    np.testing.assert_allclose(scorer.score(tiny().queries()), expected, rtol=1e-5)


def test_the_weights_are_scikit_learns() -> None:
    features = tiny().features("item")
    assert features is not None
    expected = TfidfTransformer().fit_transform(features.matrix.astype(np.float64)).toarray()
    ours = ItemFeatures().fit(tiny(), Run()).item.toarray()
    assert len(ours) == tiny().n_items
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_two_items_by_hand() -> None:
    """x and y are films, x in red: z, which nobody has, is red too; v has nothing."""
    table = pl.DataFrame(
        {"item_id": list("xyzv"), "kind": ["film", "film", "", ""], "colour": [["red"], [], ["red"], []]}
    )
    events = pl.DataFrame({"user_id": ["a", "a", "b", "c"], "item_id": ["x", "x", "y", "v"]})
    data = Interactions.of(events, {"item": table})
    scorer = ItemFeatures().fit(data, Run())
    both = 1 / sqrt(2)  # film and red are equally rare
    asked = pl.Series("user_id", ["a", "b", "c", "nobody"])
    queries = Queries.of(asked, events, data.users, data.items)
    scores = scorer.score(queries)
    place = {item: code for code, item in enumerate(data.items)}
    wanted = {"a": {"x": 1, "y": both, "z": both, "v": 0}, "b": {"x": both, "y": 1, "z": 0, "v": 0}}
    for row, expected in enumerate(wanted.values()):
        assert {item: scores[row, place[item]] for item in expected} == pytest.approx(expected, rel=1e-6)
    assert np.isneginf(scores[2:]).all()  # a history of which nothing is known, and none


def test_nothing_to_compare_by() -> None:
    events = pl.DataFrame({"user_id": ["a"], "item_id": ["x"]})
    numbers = pl.DataFrame({"item_id": ["x"], "year": [1.0]})
    for tables, said in (({}, "there is no table of items"), ({"item": numbers}, "no value in the items' columns")):
        with pytest.raises(RecliError, match=said) as caught:
            ItemFeatures().fit(Interactions.of(events, tables), Run())
        assert caught.value.code is Exit.USAGE
