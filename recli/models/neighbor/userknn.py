"""User-based nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from recli.models.neighbor.similarity import EPSILON, Neighborhood, norms, rarity
from recli.scorers import entries, shaped

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints

    Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Neighbors:
    """The training users' vectors, and what a history is made a vector by: its neighbours are found when it comes.

    ``users`` holds the entries of the vectors, ``norm`` their norms; ``item`` is the entry of an item in the vector of
    a history, ``vote`` what a neighbour who has it adds per similarity. A user is no neighbour of their own.
    """

    users: csr_matrix = shaped("users items")
    norm: Doubles = shaped("users", dtype=np.float64)
    item: Floats = shaped("items")
    vote: Floats = shaped("items")
    similarity: str
    k: int
    shrink: float
    alpha: float
    q: float

    def score(self, queries: Queries) -> Floats:
        """The votes of the k nearest users, each times their similarity."""
        from recli.kernels import history

        scores = np.zeros((len(queries), len(self.item)), np.float32)
        history.times_sparse(self._nearest(queries), self._votes, scores)
        scores[queries.lengths == 0] = -np.inf
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """The votes for the item of each pair, and for no others."""
        near = self._nearest(queries)
        query = np.repeat(np.arange(len(queries)), np.diff(near.indptr))
        parts = entries(self._votes, near.indices, items[query]) * near.data
        scores = np.bincount(query, parts, len(queries)).astype(np.float32)
        scores[(queries.lengths == 0) | (items < 0)] = -np.inf
        return scores

    def _nearest(self, queries: Queries) -> csr_matrix:
        """Queries × users: the similarities, to the power q, of the k nearest."""
        from scipy.sparse import csr_matrix

        from recli.kernels import nearest

        asked, n = queries.matrix(len(self.item)), len(queries)
        asked.data = self.item[asked.indices]
        query = np.repeat(np.arange(n, dtype=np.int32), np.diff(asked.indptr))
        norm, _ = norms(self.similarity, self.alpha, query, asked.data, n)
        both, shrink, k = (norm, self.norm), self.shrink + EPSILON, max(1, min(self.k, len(self.norm)))
        union = self.similarity == "jaccard"
        codes, near = nearest.nearest(asked, self._by_item, both, shrink, k, union=union, own=queries.user)
        kept = codes >= 0
        values, indptr = (near[kept] ** self.q).astype(np.float32), np.append(0, np.cumsum(kept.sum(1)))
        return csr_matrix((values, codes[kept], indptr), (n, len(self.norm)))

    @cached_property
    def _by_item(self) -> csr_matrix:
        """Items × users."""
        return self.users.tocsc().T

    @cached_property
    def _votes(self) -> csr_matrix:
        """Users × items."""
        votes = self.users.copy()
        votes.data = self.vote[votes.indices]
        return votes


@dataclass(frozen=True, kw_only=True)
class UserKNN(Neighborhood):
    """An item is as good as the users who have it are similar to the one who is asked for.

    Herlocker, Konstan, Borchers & Riedl 1999, "An algorithmic framework for performing collaborative filtering"
    (SIGIR), with similarities for votes where the paper has ratings; as RecBole's ItemKNN with knn_method=user,

        W_uv = x_u'x_v / (norm + shrink + 1e-6),  score_i = sum of W_uv over the k highest v that have i,

    with x_u the row of user u in the matrix of users and items. Entries and norms are those of
    `recli.models.neighbor.itemknn`, with users for items and items for users: so tfidf's idf_i is
    ln(users / (1 + users of i)). bm25 leaves out the asked user's factor, which changes no order. asymmetric, q and
    beta are of Aiolli 2013, "Efficient top-N recommendation for very large scale binary rated datasets" (RecSys):
    W_uv^q, divided by n_i^(1 - beta), n_i the users of item i.

    The scorer holds the training users' rows, as neighbours are sought for the history that is given.
    """

    def fit(self, data: Interactions, run: Run) -> Neighbors:
        """Nothing to learn but how much an item says."""
        by_item = data.matrix.T.tocsr()
        weighted = self.entries(by_item)
        _, norm = norms(self.similarity, self.alpha, weighted.indices, weighted.data, data.n_users)
        item = np.ones(data.n_items) if weighted is by_item else rarity(by_item)
        return Neighbors(
            users=weighted.T.tocsr(),
            norm=norm,
            item=item.astype(np.float32),
            vote=(data.popularity ** (self.beta - 1)).astype(np.float32),
            similarity=self.similarity,
            k=self.k,
            shrink=self.shrink,
            alpha=self.alpha,
            q=self.q,
        )
