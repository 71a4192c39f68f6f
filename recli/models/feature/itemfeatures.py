"""Items whose features are those of the history."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recli.errors import Exit, RecliError
from recli.features import columns_of
from recli.model import param
from recli.scorers import shaped, unit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions, Queries
    from recli.model import Run

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Items by what they are: the score of an item is the cosine of its row and the sum of the history's rows.

    ``item`` is csr, its rows of length 1, or empty. A history of which nothing is known cannot be scored.
    """

    item: csr_matrix = shaped("items features")

    @cached_property
    def _by_feature(self) -> csr_matrix:
        return self.item.T.tocsr()

    def score(self, queries: Queries) -> Floats:
        """One sparse product."""
        from recli.kernels import history

        profiles = self._profiles(queries)
        scores = np.zeros((len(queries), self.item.shape[0]), np.float32)
        history.times_sparse(profiles, self._by_feature, scores)
        scores[np.diff(profiles.indptr) == 0] = -np.inf
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """One product of two rows a pair."""
        profiles = self._profiles(queries)
        scores = np.asarray(profiles.multiply(self.item[items]).sum(axis=1), np.float32).ravel()
        scores[(np.diff(profiles.indptr) == 0) | (items < 0)] = -np.inf
        return scores

    def _profiles(self, queries: Queries) -> csr_matrix:
        """Queries × features: the sum of the rows of the distinct items of the history, of length 1."""
        return unit(queries.matrix(self.item.shape[0]) @ self.item)


@dataclass(frozen=True, kw_only=True)
class ItemFeatures:
    """An item is as good as its features are those of the history. It needs no other users, and knows cold items.

    Salton & Buckley 1988, "Term-weighting approaches in automatic text retrieval" (IPM), the scheme tfc: an item is a
    document, and a value of one of its columns a term, which it has once (tf = 1) or not. Its row is

        idf_v = ln((1 + items) / (1 + items with v)) + 1    for its values v,

    divided by its length; the query is the sum of the rows of the distinct items of the history, and the score the
    cosine of the two. Deviation: the idf is smoothed, as in scikit-learn, so that no value weighs nothing.

    By its nature far below `itemknn` where items have events: who took what says more than a few columns do, and it
    does not know that a film is popular.
    """

    takes: ClassVar = ("item",)

    columns: str = param("", "columns of the items' table, comma-separated; without any, all that hold no numbers")

    def fit(self, data: Interactions, run: Run) -> Contents:
        """Weights and lengths."""
        features = data.features("item", columns_of(self.columns))
        if features is None or not features.names:
            lacking = "there is no table of items" if features is None else "there is no value in the items' columns"
            hint = "--item-table names it" if features is None else "-p columns=A,B names others"
            raise RecliError(Exit.USAGE, f"{lacking}, which itemfeatures compares them by", hint=hint)
        weighted = features.matrix.copy()
        held = np.bincount(weighted.indices, minlength=weighted.shape[1])
        weighted.data = (np.log((1 + data.n_items) / (1 + held)) + 1).astype(np.float32)[weighted.indices]
        return Contents(item=unit(weighted))
