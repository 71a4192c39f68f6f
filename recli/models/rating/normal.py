"""Ratings by chance: the floor of every error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.models.baseline.random import HashScores
from recli.models.rating.ratings import ratings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints

    Doubles = NDArray[np.float64]

HALF = 2.0**-25  # of the step between uniform numbers: it keeps them off 0, where the normal number would be -inf


@dataclass(frozen=True, kw_only=True)
class NormalScores(HashScores):
    """Normal numbers within a scale, a function of the seed, the user and the item alone."""

    mean: float
    deviation: float
    low: float
    high: float

    def score(self, queries: Queries) -> Floats:
        """A row a query; all unknown users share one."""
        return self._normal(super().score(queries))

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """The same numbers, for pairs; all unknown items share one."""
        return self._normal(super().score_pairs(queries, items))

    def _normal(self, uniform: Floats) -> Floats:
        """The quantiles of the normal distribution."""
        from scipy.special import ndtri

        drawn: Doubles = self.mean + self.deviation * ndtri(uniform.astype(np.float64) + HALF)
        return drawn.clip(self.low, self.high).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Normal:
    """A rating drawn from the normal distribution of all ratings, for each user and item the same whenever asked for.

    Its mean and deviation are those of the data, by maximum likelihood, and what is drawn is kept to their scale:
    Surprise's `NormalPredictor`, but that chance is a hash of the seed, the user and the item: splitmix64 of Steele,
    Lea & Flood 2014, "Fast splittable pseudorandom number generators" (OOPSLA), Fig. 16.
    """

    def fit(self, data: Interactions, run: Run) -> NormalScores:
        """Two moments and two bounds."""
        ratings = ratings_of(data).astype(np.float64)
        moments = {"mean": float(ratings.mean()), "deviation": float(ratings.std())}
        bounds = {"low": float(ratings.min()), "high": float(ratings.max())}
        return NormalScores(seed=run.seed, n_items=data.n_items, **moments, **bounds)
