"""Transitions from the last event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.model import param
from recli.scorers import entries, shaped

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class Transitions:
    """The row of the last event's item. An empty history cannot be scored."""

    weights: csr_matrix = shaped("items items")

    def score(self, queries: Queries) -> Floats:
        """One row a query."""
        last, none = last_items(queries)
        scores: Floats = self.weights[last].toarray()
        scores[none] = -np.inf
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """One entry a pair."""
        last, none = last_items(queries)
        scores = entries(self.weights, last, np.maximum(items, 0)).astype(np.float32)
        scores[none | (items < 0)] = -np.inf
        return scores


def last_items(queries: Queries) -> tuple[Ints, NDArray[np.bool_]]:
    """The item of each query's last event, any where there is none, and where that is."""
    none = queries.lengths == 0
    last = np.zeros(len(queries), np.int32)
    last[~none] = queries.item[queries.indptr[1:][~none] - 1]
    return last, none


@dataclass(frozen=True, kw_only=True)
class Markov:
    """An item is as good as it has often come after the last one: the share of what came next.

    A Markov chain of the first order; Ludewig & Jannach 2018, "Evaluation of session-based recommendation algorithms"
    (UMUAI), §3.1.2. With more ``steps`` an item further on counts too, over its distance: their sequential rules.
    """

    steps: int = param(1, "events ahead that count", least=1)

    def fit(self, data: Interactions, run: Run) -> Transitions:
        """Counting."""
        from scipy.sparse import csr_matrix

        user = np.repeat(np.arange(data.n_users), np.diff(data.indptr))
        shape = (data.n_items, data.n_items)
        total = csr_matrix(shape, dtype=np.float32)
        for step in range(1, self.steps + 1):
            pairs = np.flatnonzero(user[step:] == user[:-step])
            shares = np.full(len(pairs), 1 / step, np.float32)
            total += csr_matrix((shares, (data.item[pairs], data.item[pairs + step])), shape, np.float32)
        left = np.asarray(total.sum(axis=1)).ravel()
        total.data /= np.repeat(np.maximum(left, np.finfo(np.float32).tiny), np.diff(total.indptr)).astype(np.float32)
        return Transitions(weights=total)
