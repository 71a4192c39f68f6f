"""NCE-PLRec: linear regression of the items on singular vectors of a matrix that popularity has been taken out of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.model import param
from recli.models.factor.lowrank import LowRank, singular, times

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run

ITERATIONS: Final = 4  # multiplications on the way to the singular vectors: with many, few are enough


@dataclass(frozen=True, kw_only=True)
class NCEPLRec:
    """Items are predicted from a few numbers of the user, which an event of a popular item has little to say in.

    Wu et al. 2019, "Noise contrastive estimation for one-class collaborative filtering" (SIGIR): the best that an
    embedding can do against noise drawn by popularity is the logarithm of the event's odds, in RecBole's form

        d_ui = max(ln(users / users_of_i^beta), 0)  for the events.

    With D ~ U S V' its largest singular values, a user's numbers are q = history × V S^1/2, and for all Q = X V S^1/2

        score = q W,  W = (Q'Q + reg_weight I)^-1 Q'X.

    The defaults are RecBole's, and on small data too little regularisation for so many singular vectors: on
    MovieLens-100K half of `itemknn`'s ndcg@10, where by the valid part reg_weight=10000, or rank=50, is above it.
    """

    beta: float = param(1.0, "how far an item's popularity counts against it", least=0)
    rank: int = param(450, "singular vectors", least=1)
    reg_weight: float = param(100.0, "regularisation of the regression", above=0)

    def fit(self, data: Interactions, run: Run) -> LowRank:
        """Find the vectors by a randomised method, and solve for the regression."""
        from scipy.linalg import cho_factor, cho_solve

        from recli.kernels import threads

        x = data.matrix
        popularity = np.maximum(data.popularity, 1)
        log_odds = np.maximum(np.log(data.n_users) - self.beta * np.log(popularity), 0).astype(np.float32)
        with threads(run.threads):
            values, vectors = singular(x, log_odds, self.rank, iterations=ITERATIONS, seed=run.seed)
            source = vectors * np.sqrt(values)
            user = times(x, source)
            item = times(x.T.tocsr(), user)
        regularised = (user.T @ user).astype(np.float64) + self.reg_weight * np.eye(len(values))
        weights = cho_solve(cho_factor(regularised), item.T.astype(np.float64)).T
        return LowRank(source=source, item=np.ascontiguousarray(weights, np.float32))
