"""SAR: similar items, for a history of which the recent events count more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.scorers import ItemWeights, entries

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints

DAY: Final = 86_400.0  # seconds
NORMS: Final[Mapping[str, Callable[[Floats, Floats, Floats], Floats]]] = {
    "cooccurrence": lambda a, b, both: np.ones_like(both),
    "cosine": lambda a, b, both: np.sqrt(a * b),
    "inclusion": lambda a, b, both: np.minimum(a, b),
    "jaccard": lambda a, b, both: a + b - both,
    "lift": lambda a, b, both: a * b,
}


@dataclass(frozen=True, kw_only=True)
class Fading(ItemWeights):
    """A history times an item-item matrix, where an event is halved for every ``half_life`` seconds before ``now``.

    All events of an item add up; those without a time are 1 each.
    """

    now: float
    half_life: float

    def score(self, queries: Queries) -> Floats:
        """One weighted sum of rows of the matrix a query."""
        from recli.kernels import history

        affinity = self._affinity(queries)
        if isinstance(self.weights, np.ndarray):
            scores: Floats = affinity @ self.weights
        else:
            scores = np.zeros(affinity.shape, np.float32)
            history.times_sparse(affinity, self.weights, scores)
        scores[queries.lengths == 0] = -np.inf
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """The sum of the entries that a pair needs, and of no others."""
        affinity = self._affinity(queries)
        query = np.repeat(np.arange(len(queries)), np.diff(affinity.indptr))
        parts = entries(self.weights, affinity.indices, items[query]) * affinity.data
        scores = np.bincount(query, parts, len(queries)).astype(np.float32)
        scores[(queries.lengths == 0) | (items < 0)] = -np.inf
        return scores

    def _affinity(self, queries: Queries) -> csr_matrix:
        """Queries × items: what the events of the histories come to."""
        from scipy.sparse import csr_matrix

        times = np.full(len(queries.item), self.now) if queries.time is None else queries.time
        events = np.exp2(np.minimum((times - self.now) / self.half_life, 0)).astype(np.float32)
        shape = (len(queries), self.weights.shape[0])
        affinity = csr_matrix((events, queries.item.copy(), queries.indptr.copy()), shape)
        affinity.sum_duplicates()
        return affinity


@dataclass(frozen=True, kw_only=True)
class SAR:
    """An item is as good as it goes together with the items of the history, the recent ones above all.

    Microsoft 2017, "Smart Adaptive Recommendations (SAR) algorithm" (doc/sar.md of its Product Recommendations), as the
    SARSingleNode of recommenders: with c_ij the users of both i and j, 0 below ``threshold``,

        score_j = sum of a_i c_ij / norm_ij over the items i of the history,

        norm_ij = 1 (cooccurrence), sqrt(c_ii c_jj) (cosine), min(c_ii, c_jj) (inclusion), c_ii c_jj (lift) or
                  c_ii + c_jj - c_ij (jaccard),

    and a_i is 1, or with a ``half_life`` the sum of 2^((t - t0) / half_life) over all events of i, t0 being the time of
    the last event of all. There an event weighs its rating, here 1: a history has no ratings. Its ``normalize`` changes
    no order and is left out.

    By its nature below `itemknn` where histories are long: it keeps every item that goes with one of the history, and
    the many weak ones add up to what is popular. It is itemknn by jaccard, with all neighbours.
    """

    similarity: str = param("jaccard", "what the users in common are divided by", one_of=tuple(NORMS))
    threshold: int = param(1, "users that two items have to have in common", least=1)
    half_life: float = param(0.0, "days after which an event counts half; 0: it always counts the same", least=0)

    def fit(self, data: Interactions, run: Run) -> ItemWeights:
        """Count which items go together, and norm."""
        weights = data.matrix.tocsc().T @ data.matrix
        weights.data[weights.data < self.threshold] = 0
        weights.eliminate_zeros()
        weights = weights.tocsc().T  # it is its own transpose; taking that sorts the indices
        users = data.popularity.astype(np.float32)
        one, other = np.repeat(users, np.diff(weights.indptr)), users[weights.indices]
        weights.data /= NORMS[self.similarity](one, other, weights.data)
        if 2 * weights.nnz > data.n_items**2:  # a dense matrix takes less room, and less time
            weights = weights.toarray()
        if self.half_life == 0:
            return ItemWeights(weights=weights)
        if data.time is None:
            hint = "--time-col says which column holds it, where the source is read; half_life=0 needs none"
            raise RecliError(Exit.DATA, "the table has no timestamp for half_life", hint=hint)
        return Fading(weights=weights, now=float(data.time.max()), half_life=self.half_life * DAY)
