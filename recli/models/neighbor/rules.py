"""Association rules of one item on each side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.model import param
from recli.scorers import ItemWeights, entries

if TYPE_CHECKING:
    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class BestRule(ItemWeights):
    """The best entry of a column of the matrix among the rows of the history, instead of their sum."""

    def score(self, queries: Queries) -> Floats:
        """One maximum of rows of the matrix a query."""
        from recli.kernels import history

        past = queries.matrix(self.weights.shape[0])
        scores = np.zeros(past.shape, np.float32)
        history.best_sparse(past, self.weights, scores)
        scores[queries.lengths == 0] = -np.inf
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """The best of the entries that a pair needs, and of no others."""
        query = np.repeat(np.arange(len(queries)), queries.lengths)
        scores = np.zeros(len(queries), np.float32)
        np.maximum.at(scores, query, entries(self.weights, queries.item, items[query]).astype(np.float32))
        scores[(queries.lengths == 0) | (items < 0)] = -np.inf
        return scores


@dataclass(frozen=True, kw_only=True)
class Rules:
    """An item is as good as the rules from the items of the history that lead to it.

    Agrawal, Imieliński & Swami 1993, "Mining association rules between sets of items in large databases" (SIGMOD), §2,
    for sets of one item, the users' histories being the baskets: with n_i the users of i, c_ij of both, and n all,

        i → j,   support c_ij,   confidence c_ij / n_i,   lift n c_ij / (n_i n_j).

    The rules of enough support and confidence fire, of each item i the k of the highest ``measure``, and what they say
    of j adds up, as in Sarwar, Karypis, Konstan & Riedl 2000, "Analysis of recommendation algorithms for e-commerce"
    (EC), or the best has it.

    By its nature below `itemknn`: confidence does not ask how popular j is, so every item leads to the popular ones.
    Deshpande & Karypis 2004, "Item-based top-N recommendation algorithms" (TOIS), §4.2, divide it by a power of n_j for
    that reason; lift, which divides by all of n_j, errs to the other side.
    """

    k: int = param(100, "rules kept from each item", least=1)
    min_support: int = param(2, "users who have both items", least=1)
    min_confidence: float = param(0.0, "share of an item's users who have the other", least=0)
    measure: str = param("confidence", "what a rule says", one_of=("confidence", "lift"))
    combine: str = param("sum", "what several rules say together", one_of=("sum", "best"))

    def fit(self, data: Interactions, run: Run) -> ItemWeights:
        """One sparse product, of which only the k best of each row are kept."""
        from scipy.sparse import csr_matrix

        from recli.kernels import nearest, threads

        n, users = data.n_items, data.popularity.astype(np.float64)
        least = np.maximum(self.min_support, np.ceil(self.min_confidence * users - 1e-9))
        theirs, scale = (users, data.n_users) if self.measure == "lift" else (np.ones(n), 1)
        with threads(run.threads):
            codes, says = nearest.neighbours(data.matrix, users, 0.0, min(self.k, n), theirs=theirs, least=least)
        kept = codes >= 0
        indptr = np.append(0, np.cumsum(kept.sum(1)))
        weights = csr_matrix(((scale * says[kept]).astype(np.float32), codes[kept], indptr), shape=(n, n))
        weights.sort_indices()
        return (BestRule if self.combine == "best" else ItemWeights)(weights=weights)
