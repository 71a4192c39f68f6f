"""NMF: non-negative matrix factorisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recli.interactions import weighted
from recli.model import param
from recli.scorers import Factors

if TYPE_CHECKING:
    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats

SWEEPS = 100  # over the numbers of a row that a history is folded into


@dataclass(frozen=True, kw_only=True)
class Folding(Factors):
    """Factors that a history is folded into: by the same least squares, the items fixed."""

    reg_weight: float

    def fold(self, queries: Queries) -> Floats:
        """Rows >= 0, from zero."""
        from recli.kernels import nmf

        rows = np.zeros((len(queries), self.item.shape[1]), np.float32)
        past = weighted(queries, len(self.item))
        nmf.descend(past, self.item, rows, reg_weight=self.reg_weight, sweeps=SWEEPS)
        return rows


@dataclass(frozen=True, kw_only=True)
class NMF:
    """Rows without negative numbers, so that each number is a taste that a user and an item have or have not.

    Cichocki & Phan 2009, "Fast local algorithms for large scale nonnegative matrix and tensor factorizations" (IEICE),
    Algorithm 2, HALS: minimises, over rows >= 0,

        sum over all (u, i) of (p_ui - x_u'y_i)^2 + reg_weight (sum of |x_u|^2 + sum of |y_i|^2),

    p = 1 for the events of the data, or the sum of their weights, and 0 for all else, one number of all rows of a side
    after the other, each time exactly: scikit-learn's NMF by coordinate descent, but for its l1_ratio.
    """

    takes: ClassVar = ("weights", "start")

    embedding_size: int = param(64, "numbers in the row of a user or an item", least=1)
    epochs: int = param(20, "times that all users and all items are gone through", least=1)
    reg_weight: float = param(12.0, "regularisation of the rows", least=0)

    def fit(self, data: Interactions, run: Run) -> Folding:
        """The users with the items fixed, then the items with the users fixed, and again."""
        from recli.kernels import aligned, nmf, threads

        by_user = weighted(data, data.n_items)
        by_item = by_user.tocsc().T
        rng = np.random.default_rng(run.seed)
        user, item = (aligned(n, self.embedding_size) for n in by_user.shape)
        mean = np.sqrt(by_user.sum(dtype=np.float64) / (data.n_users * data.n_items) / self.embedding_size)
        for rows in (user, item):
            rng.standard_normal(out=rows, dtype=np.float32)
            np.abs(rows * np.float32(mean), out=rows)
        for start in run.starts:
            start.into(user, item)
        with threads(run.threads):
            for epoch in range(self.epochs):
                nmf.descend(by_user, item, user, reg_weight=self.reg_weight)
                nmf.descend(by_item, user, item, reg_weight=self.reg_weight)
                run.progress(epoch + 1, self.epochs, "")
        return Folding(user=user, item=item, reg_weight=self.reg_weight)
