"""Ratings by chance: their distribution, and the errors that follow from it."""

from pathlib import Path
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries
from recli.model import Run
from recli.models.baseline.random import Random
from recli.models.rating.normal import Normal, NormalScores
from recli.sources import read
from tests.checks import tiny
from tests.models.test_baseline import as_listed, figures


def four() -> Interactions:
    """Ratings of mean 3 and deviation sqrt((4 + 4 + 0 + 0) / 4)."""
    rows = [("a", "x", 5.0), ("a", "y", 1.0), ("b", "x", 3.0), ("b", "y", 3.0)]
    return Interactions.of(pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row"))


def test_the_moments_and_the_scale_are_those_of_the_data() -> None:
    scorer = Normal().fit(four(), Run())
    assert (scorer.mean, scorer.low, scorer.high) == (3, 1, 5)
    assert scorer.deviation == pytest.approx(2**0.5)


def test_a_rating_is_the_quantile_of_chance() -> None:
    scorer, queries = Normal().fit(four(), Run(seed=3)), four().queries()
    uniform = Random().fit(four(), Run(seed=3)).score(queries)
    quantile = NormalDist(3, 2**0.5).inv_cdf
    expected = [min(max(quantile(u + 2**-25), 1), 5) for u in uniform.ravel().tolist()]
    np.testing.assert_allclose(scorer.score(queries).ravel(), expected, rtol=1e-6)


def test_chance_is_normal() -> None:
    queries = Queries(user=np.arange(50, dtype=np.int32), indptr=np.zeros(51, np.int64), item=np.empty(0, np.int32))
    wide = NormalScores(seed=2020, n_items=4000, mean=3.0, deviation=2.0, low=-100.0, high=100.0)
    scores = wide.score(queries).astype(np.float64)
    assert scores.mean() == pytest.approx(3, abs=3 * 2 / scores.size**0.5)
    edges = [NormalDist(3, 2).inv_cdf(k / 20) for k in range(1, 20)]
    counts, expected = np.bincount(np.searchsorted(edges, scores.ravel())), scores.size / 20
    assert ((counts - expected) ** 2 / expected).sum() < 45  # chi-squared, 19 degrees, p = 0.0007


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24])
def test_the_ends_of_chance_are_finite(uniform: float) -> None:
    wide = NormalScores(seed=1, n_items=1, mean=0.0, deviation=1.0, low=-100.0, high=100.0)
    assert abs(wide._normal(np.array([uniform], np.float32))[0]) == pytest.approx(5.42, abs=0.01)


def test_a_rating_is_a_function_of_seed_user_and_item() -> None:
    first, other = (Normal().fit(tiny(), Run(seed=seed)).score(tiny().queries()) for seed in (1, 2))
    assert (first[7:8] == Normal().fit(tiny(), Run(seed=1)).score(tiny().queries()[7:8])).all()
    assert (first != other).mean() > 0.9


def test_without_ratings_there_is_nothing_to_learn() -> None:
    data = Interactions.of(pl.DataFrame({"user_id": ["a"], "item_id": ["x"]}))
    with pytest.raises(RecliError, match="no rating") as caught:
        Normal().fit(data, Run())
    assert caught.value.code == Exit.DATA


# RMSE and MAE of NormalPredictor on GroupLens' folds u1 to u5 of MovieLens-100K, their mean over ten runs, which vary
# by .005: printed by Surprise 1.1.5.
SURPRISE = [
    (1.537981, 1.235890), (1.525744, 1.224815), (1.508363, 1.209686), (1.510823, 1.214647), (1.516748, 1.218451),
]  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
def test_surprises_figures(fold: int, shared: Path) -> None:
    train, test = (read(shared / "ml-100k-folds" / f"u{fold}.{part}").frame for part in ("base", "test"))
    assert figures(Normal(), as_listed(train), test) == pytest.approx(SURPRISE[fold - 1], abs=0.02)
