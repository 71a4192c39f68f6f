"""PureSVD: the largest singular vectors of the matrix of users and items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.model import param
from recli.models.factor.lowrank import LowRank, singular

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run


@dataclass(frozen=True, kw_only=True)
class PureSVD:
    """A history, and what is left of it in the few directions in which histories differ most.

    Cremonesi, Koren & Turrin 2010, "Performance of recommender algorithms on top-N recommendation tasks" (RecSys),
    eq. 4 to 6: with X ~ U S Q' the singular value decomposition, cut off after ``embedding_size`` values,

        score = history × Q Q',

    which for the users of X is their row of U S Q', and serves all others as well. What is not known counts as zero.
    """

    embedding_size: int = param(32, "singular vectors", least=1)
    iterations: int = param(8, "multiplications by X'X: more are nearer to the exact vectors", least=1)

    def fit(self, data: Interactions, run: Run) -> LowRank:
        """Find the vectors by a randomised method."""
        from recli.kernels import threads

        scale = np.ones(data.n_items, np.float32)
        with threads(run.threads):
            _, vectors = singular(data.matrix, scale, self.embedding_size, iterations=self.iterations, seed=run.seed)
        return LowRank(source=vectors, item=vectors)
