"""ALS: implicit matrix factorisation by alternating least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.scorers import Factors

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run
    from recli.scorers import Floats

NOTHING = 1e-3  # a score that says nothing: what was chosen should have 1


@dataclass(frozen=True, kw_only=True)
class ALS:
    """A row for each user and item whose product is near 1 for what was chosen and, less strictly, 0 for all else.

    Hu, Koren & Volinsky 2008, "Collaborative filtering for implicit feedback datasets" (ICDM), eq. 3: minimises

        sum over all (u, i) of c_ui (p_ui - x_u'y_i)^2 + reg_weight (sum of |x_u|^2 + sum of |y_i|^2)

    with p = 1 and c = 1 + alpha for the events of the data, p = 0 and c = 1 for every other pair; implicit's problem
    where its alpha is 1 + alpha. ``cg`` takes a few steps of conjugate gradients from the last solution (Takács,
    Pilászy & Tikk 2011, "Applications of the conjugate gradient method for implicit feedback collaborative filtering",
    RecSys, §3), ``cholesky`` solves exactly.
    """

    embedding_size: int = param(64, "numbers in the row of a user or an item", least=1)
    epochs: int = param(15, "times that all users and all items are solved for", least=1)
    reg_weight: float = param(50.0, "regularisation of the rows", above=0)
    alpha: float = param(10.0, "how much more an event counts than its absence", least=0)
    solver: str = param("cg", "how a row is solved for", one_of=("cg", "cholesky"))
    cg_steps: int = param(3, "steps of conjugate gradients", least=1)

    def fit(self, data: Interactions, run: Run) -> Factors:
        """Solve for the items with the users fixed, then for the users with the items fixed, and again."""
        from recli.kernels import als, threads

        by_user = data.matrix
        by_item = by_user.tocsc().T
        steps = self.cg_steps if self.solver == "cg" else None
        user = np.random.default_rng(run.seed).standard_normal((data.n_users, self.embedding_size), np.float32)
        user *= np.float32(0.1)
        item = np.zeros((data.n_items, self.embedding_size), np.float32)
        with threads(run.threads):
            for epoch in range(self.epochs):
                als.solve(by_item, user, item, alpha=self.alpha, reg_weight=self.reg_weight, steps=steps)
                als.solve(by_user, item, user, alpha=self.alpha, reg_weight=self.reg_weight, steps=steps)
                run.progress(epoch + 1, self.epochs, "")
        if not (np.isfinite(user).all() and np.isfinite(item).all()):
            raise RecliError(Exit.DIVERGED, "the rows became infinite or NaN", hint="raise reg_weight")
        # What was chosen should score near 1; where even the longest rows together score nothing, all are shrinking
        # to zero, as they do in small data whose matrix has no singular value above reg_weight / (1 + alpha).
        if _longest(user) * _longest(item) < NOTHING:
            hint = f"lower reg_weight={self.reg_weight:g} (reg_weight=1 + alpha never does it), or raise alpha"
            raise RecliError(Exit.DIVERGED, "the regularisation shrinks all rows to zero", hint=hint)
        return Factors(user=user, item=item, alpha=self.alpha, reg_weight=self.reg_weight)


def _longest(rows: Floats) -> float:
    """The length of the longest row."""
    return float(np.sqrt(np.einsum("nf,nf->n", rows, rows).max(initial=0)))
