"""Item-based nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.model import param
from recli.scorers import ItemWeights

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions
    from recli.model import Run

EPSILON = 1e-6  # added to every denominator, as RecBole does


@dataclass(frozen=True, kw_only=True)
class ItemKNN:
    """An item is as good as it is similar to the items of the history.

    Deshpande & Karypis 2004, "Item-based top-N recommendation algorithms" (TOIS), §4; as in RecBole,

        W_ij = x_i'x_j / (|x_i| |x_j| + shrink + 1e-6),  the k highest of each column j,  score_j = sum of W_ij over i

    in the history, where x_i is the column of item i in the matrix of users and items. Its entries are

        cosine  1
        tfidf   idf_u = ln(items / (1 + items of u)): a user who takes everything says little
        bm25    idf_u (k1 + 1) / (k1 (1 - b + b users of i / mean users of an item) + 1), and W_ij = x_i'x_j: the
                weight already grows slower than the item's users, which is what the norms are for

    as in implicit's recommenders of these names, but for the shrinkage.
    """

    k: int = param(100, "similar items kept for each item", least=1)
    shrink: float = param(0.0, "added to the denominator: damps similarities of little support", least=0)
    weighting: str = param("cosine", "entries of the matrix", one_of=("cosine", "tfidf", "bm25"))
    k1: float = param(1.2, "bm25: how far an item's users count", least=0)
    b: float = param(0.75, "bm25: how much of that depends on their number", least=0)

    def fit(self, data: Interactions, run: Run) -> ItemWeights:
        """One sparse product, of which only the k best of each column are kept."""
        from scipy.sparse import csc_matrix

        from recli.kernels import threads, topk

        matrix, n = self._weighted(data.matrix), data.n_items
        norm = np.ones(n) if self.weighting == "bm25" else np.sqrt(np.bincount(matrix.indices, matrix.data**2, n))
        with threads(run.threads):
            codes, similarity = topk.neighbours(matrix, norm, self.shrink + EPSILON, min(self.k, n))
        kept = codes >= 0
        indptr = np.concatenate(([0], np.cumsum(kept.sum(1))))
        weights = csc_matrix((similarity[kept].astype(np.float32), codes[kept], indptr), shape=(n, n))
        return ItemWeights(weights=weights.tocsr())

    def _weighted(self, matrix: csr_matrix) -> csr_matrix:
        """Users × items, float32, the events weighted."""
        if self.weighting == "cosine":
            return matrix
        n_items = matrix.shape[1]
        items_of_user = np.diff(matrix.indptr)
        weights = np.repeat(np.log(n_items / (1 + items_of_user)), items_of_user)
        if self.weighting == "bm25":
            users_of_item = np.bincount(matrix.indices, minlength=n_items)
            length = 1 - self.b + self.b * users_of_item / users_of_item.mean()
            weights *= ((self.k1 + 1) / (self.k1 * length + 1))[matrix.indices]
        weighted = matrix.copy()
        weighted.data = weights.astype(np.float32)
        return weighted
