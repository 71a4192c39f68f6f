"""ALS: implicit matrix factorisation by alternating least squares."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recli.errors import Exit, RecliError
from recli.interactions import weighted
from recli.model import param
from recli.scorers import Factors

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats

NOTHING = 1e-3  # a score that says nothing: what was chosen should have 1


@dataclass(frozen=True, kw_only=True)
class Half:
    """What the rows of one side are solved from, the other side fixed: how events count, and the regularisation."""

    reg_weight: float = param(50.0, "regularisation of the rows", above=0)
    reg_exponent: float = param(0.0, "how far it grows with a row's events: 0 not at all, 1 as they do", least=0)
    alpha: float = param(10.0, "how much more an event counts than its absence", least=0)
    weight: str = param("none", "what r of a user and an item is: 1, or a sum", one_of=("none", "count", "rating"))
    confidence: str = param("linear", "how confidence grows with r", one_of=("linear", "log"))
    epsilon: float = param(1.0, "log: the r from which on more of it counts less and less", above=0)

    def extra(self, events: Interactions | Queries, n_items: int) -> csr_matrix:
        """Rows × items: c - 1 of the events."""
        matrix = weighted(events, n_items, self.weight)
        if self.confidence == "log":
            matrix.data = np.log1p(matrix.data / np.float32(self.epsilon))
        matrix.data *= np.float32(self.alpha)
        return matrix

    def solve(self, extra: csr_matrix, theirs: Floats, ours: Floats, steps: int | None) -> None:
        """The rows ``ours`` that the loss asks for where ``theirs`` are fixed."""
        from recli.kernels import als

        more = None
        if self.reg_exponent > 0:  # what a row has above reg_weight: the base is at least 1
            base = np.diff(extra.indptr) + len(theirs) / self.alpha
            more = (self.reg_weight * (base**self.reg_exponent - 1)).astype(np.float32)
        als.solve(extra, theirs, ours, reg_weight=self.reg_weight, more=more, steps=steps)


@dataclass(frozen=True, kw_only=True)
class Folding(Factors, Half):
    """Factors that a history is folded into: it gets the row that the fit would have given, solved for exactly."""

    def fold(self, queries: Queries) -> Floats:
        """One linear system a history."""
        rows = np.zeros((len(queries), self.item.shape[1]), np.float32)
        self.solve(self.extra(queries, len(self.item)), self.item, rows, None)
        return rows


@dataclass(frozen=True, kw_only=True)
class ALS(Half):
    """A row for each user and item whose product is near 1 for what was chosen and, less strictly, 0 for all else.

    Hu, Koren & Volinsky 2008, "Collaborative filtering for implicit feedback datasets" (ICDM), eq. 3: minimises

        sum over all (u, i) of c_ui (p_ui - x_u'y_i)^2 + sum of reg_u |x_u|^2 + sum of reg_i |y_i|^2,

    p = 1 for the events of the data, p = 0 and c = 1 for every other pair; for events c = 1 + alpha r or, eq. 6,
    1 + alpha ln(1 + r / epsilon). implicit's problem where its alpha is 1 + alpha and r = 1. The regularisation is
    reg_weight for all, or with reg_exponent = nu, for a row with n events and m rows on the other side,

        reg_weight (n + m / alpha)^nu

    of Rendle et al. 2022, "Revisiting the performance of iALS on item recommendation benchmarks" (RecSys), whose
    alpha_0 is 1 / alpha and whose lambda is reg_weight / alpha. ``cg`` takes a few steps of conjugate gradients from
    the last solution (Takács, Pilászy & Tikk 2011, "Applications of the conjugate gradient method for implicit feedback
    collaborative filtering", RecSys, §3), ``cholesky`` solves exactly.
    """

    takes: ClassVar = ("weights", "start")

    embedding_size: int = param(64, "numbers in the row of a user or an item", least=1)
    epochs: int = param(15, "times that all users and all items are solved for", least=1)
    solver: str = param("cg", "how a row is solved for", one_of=("cg", "cholesky"))
    cg_steps: int = param(3, "steps of conjugate gradients", least=1)

    def fit(self, data: Interactions, run: Run) -> Folding:
        """Solve for the items with the users fixed, then for the users with the items fixed, and again."""
        from recli.kernels import aligned, threads

        if self.reg_exponent > 0 and self.alpha == 0:
            raise RecliError(Exit.USAGE, "reg_exponent is for alpha above 0", hint="raise alpha, or leave it out")
        by_user = self.extra(data, data.n_items)
        by_item = by_user.tocsc().T
        steps = self.cg_steps if self.solver == "cg" else None
        rng = np.random.default_rng(run.seed)
        user, item = aligned(data.n_users, self.embedding_size), aligned(data.n_items, self.embedding_size)
        rng.standard_normal(out=user, dtype=np.float32)
        user *= np.float32(0.1)
        with threads(run.threads):
            for start in run.starts:
                start.into(user, item)
                if item.any():  # new users get rows that fit, before the items are solved for
                    self.solve(by_user, item, user, steps)
            for epoch in range(self.epochs):
                self.solve(by_item, user, item, steps)
                self.solve(by_user, item, user, steps)
                run.progress(epoch + 1, self.epochs, "")
        if not (np.isfinite(user).all() and np.isfinite(item).all()):
            raise RecliError(Exit.DIVERGED, "the rows became infinite or NaN", hint="raise reg_weight")
        # What was chosen should score near 1; where even the longest rows together score nothing, all are shrinking
        # to zero, as they do in small data whose matrix has no singular value above reg_weight / (1 + alpha).
        if _longest(user) * _longest(item) < NOTHING:
            hint = f"lower reg_weight={self.reg_weight:g} (reg_weight=1 + alpha never does it), or raise alpha"
            raise RecliError(Exit.DIVERGED, "the regularisation shrinks all rows to zero", hint=hint)
        half: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(Half)}
        return Folding(user=user, item=item, **half)


def _longest(rows: Floats) -> float:
    """The length of the longest row."""
    return float(np.sqrt(np.einsum("nf,nf->n", rows, rows).max(initial=0)))
