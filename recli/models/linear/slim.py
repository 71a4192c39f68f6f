"""SLIM: sparse linear regression of every item on all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.errors import Exit, RecliError
from recli.memory import reserve
from recli.model import param
from recli.scorers import ItemWeights

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run

BLOCK: Final = 1024  # items between two reports of progress
LONG: Final = 16  # items for each user of an event's item, up to which X'X pays
MOST: Final = 32_768  # items whose X'X is made, of 4 GiB


@dataclass(frozen=True, kw_only=True)
class SLIM:
    """The item-item matrix of least squared error that is sparse and may not use an item to predict itself.

    Ning & Karypis 2011, "SLIM: sparse linear methods for top-N recommender systems" (ICDM), eq. 3 and 4: each column w
    of it minimises, with w_jj = 0 and, with ``positive_only``, w >= 0,

        |x_j - X w|^2 / 2n + alpha l1_ratio |w|_1 + alpha (1 - l1_ratio) |w|^2 / 2,

    n the number of users; score = history × W. That is scikit-learn's ElasticNet, as in RecBole's SLIMElastic.
    """

    alpha: float = param(0.2, "regularisation: more pulls all weights towards zero", above=0)
    l1_ratio: float = param(0.02, "its part that makes weights zero; the other makes them small", least=0)
    positive_only: bool = param(True, "no weight is negative")
    max_iter: int = param(100, "sweeps over the weights in play, and times that they are chosen, at most", least=1)
    tol: float = param(1e-4, "an item is done when no weight changes by more than this part of the largest", above=0)

    def fit(self, data: Interactions, run: Run) -> ItemWeights:
        """Count which items go together, where that pays, and solve for one item after the other."""
        from recli.kernels import history, slim, threads

        if self.l1_ratio > 1:
            raise RecliError(Exit.USAGE, f"l1_ratio must be at most 1, not {self.l1_ratio:g}")
        n, n_users = data.n_items, data.n_users
        gram = None
        with threads(run.threads):
            if n <= min(LONG * np.average(data.popularity, weights=data.popularity), MOST):
                reserve(4 * n * n, f"the {n:,} × {n:,} matrix", "--item-kcore leaves rare items out of a split")
                gram = np.zeros((n, n), np.float32)
                history.times_sparse(data.matrix.tocsc().T, data.matrix, gram)
            weights = slim.solve(
                data.matrix,
                gram,
                l1=self.alpha * self.l1_ratio * n_users,
                l2=self.alpha * (1 - self.l1_ratio) * n_users,
                positive=self.positive_only,
                tol=self.tol,
                max_iter=self.max_iter,
                block=BLOCK,
                progress=lambda done: run.progress(done, n, ""),
            )
        return ItemWeights(weights=weights.tocsr())
