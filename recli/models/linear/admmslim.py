"""ADMM SLIM: SLIM by the alternating directions method of multipliers, in closed-form steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.memory import reserve
from recli.model import param
from recli.models.linear.ease import PEAK, inverse
from recli.scorers import ItemWeights, shaped

if TYPE_CHECKING:
    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints

BLOCK: Final = 1024  # columns of the matrix that are solved for at a time


@dataclass(frozen=True, kw_only=True)
class BiasedItemWeights(ItemWeights):
    """A history times an item-item matrix, plus the item's bias."""

    bias: Floats = shaped("items")

    def score(self, queries: Queries) -> Floats:
        """The sums of rows, and the biases."""
        return super().score(queries) + self.bias

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """The sums of entries, and the biases."""
        return super().score_pairs(queries, items) + self.bias[items]


@dataclass(frozen=True, kw_only=True)
class ADMMSLIM:
    """The item-item matrix of least squared error that is sparse and may not use an item to predict itself.

    Steck et al. 2020, "ADMM SLIM: sparse recommendations for many users" (WSDM): minimises

        |X - X B|^2 / 2 + lambda1 |B|_1 + lambda2 sum of m_i^alpha B_ij^2 / 2,  B_jj = 0, and B >= 0 where asked,

    m the means of X's columns, by steps that solve for B without and for C with what makes it sparse, and Γ that pulls
    them together: with P = (X'X + lambda2 diag(m^alpha) + rho I)^-1,

        B~ = P (X'X + rho C - Γ),  B_ij = B~_ij - P_ij B~_jj / P_jj,
        C = B + Γ / rho, moved by lambda1 / rho towards 0,  Γ = Γ + rho (B - C),

    all from 0; score = history × C. With V = B + Γ / rho, Γ is rho (V - C), and as X'X = P^-1 - D, D diagonal, B~ is
    I + P (rho (2 C - V) - D): a column needs P and no other column. In float32, as RecBole does.
    """

    lambda1: float = param(3.0, "regularisation that makes weights zero", least=0)
    lambda2: float = param(200.0, "regularisation that makes weights small", least=0)
    alpha: float = param(0.5, "how much more of that the popular items get", least=0)
    rho: float = param(4000.0, "how strongly B and C are pulled together", above=0)
    k: int = param(100, "steps", least=1)
    positive_only: bool = param(True, "no weight is negative")
    center_columns: bool = param(False, "take the mean off the columns of X first")

    def fit(self, data: Interactions, run: Run) -> ItemWeights:
        """Count which items go together, invert, and take the steps for one block of columns after the other."""
        from scipy.sparse import csr_matrix, vstack

        from recli.kernels import history, threads

        n = data.n_items
        reserve(PEAK * 4 * n * n, f"the {n:,} × {n:,} matrix", "--item-kcore leaves rare items out of a split")
        mean = (data.popularity / data.n_users).astype(np.float32)
        gram = np.zeros((n, n), np.float32)
        with threads(run.threads):
            history.times_sparse(data.matrix.tocsc().T, data.matrix, gram)
        if self.center_columns:
            gram -= np.outer(np.float32(data.n_users) * mean, mean)
        diagonal = self.lambda2 * mean**self.alpha + self.rho
        gram[np.diag_indices(n)] += diagonal
        p = inverse(gram)
        columns = []
        for start in range(0, n, BLOCK):
            block = slice(start, min(start + BLOCK, n))
            columns.append(csr_matrix(self._steps(p, diagonal, block)))
            run.progress(block.stop, n, "")
        weights = vstack(columns).T.tocsr()
        if not self.center_columns:
            return ItemWeights(weights=weights)
        return BiasedItemWeights(weights=weights, bias=mean - weights.T @ mean)

    def _steps(self, p: Floats, diagonal: Floats, block: slice) -> Floats:
        """A block of columns of C, each as a row."""
        mine = p[block]
        row = np.arange(len(mine))
        column = row + block.start
        v, c, b = np.zeros_like(mine), np.zeros_like(mine), np.empty_like(mine)
        for _ in range(self.k):
            v -= c
            c -= v
            c *= self.rho
            c[row, column] -= diagonal[block]
            np.matmul(c, p, out=b)
            b[row, column] += 1
            v += b
            v -= mine * (b[row, column] / mine[row, column])[:, np.newaxis]
            np.maximum(np.abs(v) - self.lambda1 / self.rho, 0, out=c)
            c *= v > 0 if self.positive_only else np.sign(v)
        return c
