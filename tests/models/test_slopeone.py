"""Slope One against the paper's sums, a plain implementation and Surprise."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recli.errors import Exit, RecliError
from recli.interactions import Interactions
from recli.kernels import threads
from recli.model import Run
from recli.models.rating.slopeone import SlopeOne
from recli.sources import read
from tests.checks import tiny
from tests.models.test_baseline import as_listed
from tests.models.test_rating_knn import events, figures, queries

FOUR = [("a", "x", 1.0), ("a", "y", 1.5), ("b", "x", 2.0), ("c", "x", 2.0), ("c", "y", 5.5), ("d", "z", 3.0)]


def four() -> Interactions:
    return as_listed(pl.DataFrame(FOUR, schema=["user_id", "item_id", "rating"], orient="row"))


def test_slope_one_by_hand() -> None:
    """y is liked better than x by .5 by a, and by 3.5 by c; nobody has rated z and another."""
    scorer = SlopeOne().fit(four(), Run())
    nan = np.nan
    np.testing.assert_array_equal(scorer.difference, [[nan, -2, nan], [2, nan, nan], [nan, nan, nan]])
    expected = [[-0.75, 3.25, 1.25], [2, 4, 2], [1.75, 5.75, 3.75], [3, 3, 3]]
    assert scorer.score(queries(np.arange(4, dtype=np.int32))).tolist() == expected
    users, items = np.array([1, 1, -1, -1], np.int32), np.array([1, -1, 1, -1], np.int32)
    assert scorer.score_pairs(queries(users), items).tolist() == [4, -np.inf, -np.inf, -np.inf]
    assert (scorer.score(queries(users))[2:] == -np.inf).all()


def plain(data: Interactions) -> NDArray[np.float64]:
    """The docstring's formula, for one user and one item at a time; a repeated rating counts twice."""
    mine: list[list[tuple[int, float]]] = [[] for _ in range(data.n_users)]
    for u, i, r in events(data):
        mine[u].append((i, r))
    apart: dict[tuple[int, int], list[float]] = {}
    for rated in mine:
        for i, r in rated:
            for j, r2 in rated:
                apart.setdefault((i, j), []).append(r - r2)
    result = np.zeros((data.n_users, data.n_items))
    for u, rated in enumerate(mine):
        for i in range(data.n_items):
            found = [np.mean(apart[i, j]) for j, _ in rated if j != i and (i, j) in apart]
            result[u, i] = np.mean([r for _, r in rated]) + (np.mean(found) if found else 0)
    return result


def test_one_pair_after_the_other() -> None:
    expected = plain(tiny())
    with threads(2):
        scorer = SlopeOne().fit(tiny(), Run(threads=2))
        np.testing.assert_allclose(scorer.score(tiny().queries()), expected, rtol=1e-5)
        users, items = (codes.ravel().astype(np.int32) for codes in np.indices(expected.shape))
        np.testing.assert_allclose(scorer.score_pairs(queries(users), items), expected.ravel(), rtol=1e-5)


def test_without_ratings_there_is_nothing_to_compare() -> None:
    with pytest.raises(RecliError, match="no rating") as caught:
        SlopeOne().fit(Interactions.of(pl.DataFrame({"user_id": ["a"], "item_id": ["x"]})), Run())
    assert caught.value.code == Exit.DATA


# RMSE and MAE of SlopeOne on GroupLens' folds u1 to u5 of MovieLens-100K, printed by Surprise 1.1.5, as in
# test_rating_knn.
SURPRISE = [
    (0.956719, 0.750590), (0.948531, 0.742288), (0.945721, 0.742679), (0.943151, 0.740231), (0.940789, 0.743612),
]  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_surprises_figures(n: int, shared: Path) -> None:
    train, test = (read(shared / "ml-100k-folds" / f"u{n}.{part}").frame for part in ("base", "test"))
    assert figures(SlopeOne(), Interactions.of(train), test) == pytest.approx(SURPRISE[n - 1], abs=2e-6)
