"""Item-based nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.models.neighbor.similarity import EPSILON, SIMILARITIES, Neighborhood, norms
from recli.scorers import ItemWeights

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions
    from recli.model import Run


@dataclass(frozen=True, kw_only=True)
class ItemKNN(Neighborhood):
    """An item is as good as it is similar to the items of the history.

    Deshpande & Karypis 2004, "Item-based top-N recommendation algorithms" (TOIS), §4; as in RecBole, with x_i the
    column of item i in the matrix of users and items, and n_i the number of its users,

        W_ij = x_i'x_j / (norm + shrink + 1e-6),  the k highest of each column j,  score_j = sum of W_ij over i

    in the history, where

        cosine      entries 1, norm |x_i| |x_j|
        jaccard     entries 1, norm n_i + n_j - x_i'x_j
        asymmetric  entries 1, norm n_i^(1 - alpha) n_j^alpha
        adjusted    entries r - the user's mean rating, norm |x_i| |x_j|; of several ratings the mean counts
        tfidf       entries idf_u = ln(items / (1 + items of u)): a user who takes everything says little; norm as above
        bm25        entries idf_u (k1 + 1) / (k1 (1 - b + b n_i / mean n) + 1), norm 1: the entry already grows slower
                    than the item's users, which is what the norms are for

    tfidf and bm25 as in implicit's recommenders of these names, but for the shrinkage. adjusted is the adjusted cosine
    of Sarwar, Karypis, Konstan & Riedl 2001, "Item-based collaborative filtering recommendation algorithms" (WWW),
    §3.1.3, whose norms are of the common users only. asymmetric, q and beta are of Aiolli 2013, "Efficient top-N
    recommendation for very large scale binary rated datasets" (RecSys): W_ij^q / |W_j|^(2 - 2 beta) takes the place
    of W_ij, without the factor of the user, which changes no order; as RecBole's AsymKNN at its defaults, whose q is of
    the score and changes none either, and whose beta takes |W_i|.
    """

    similarity: str = param("cosine", "how two items are compared", one_of=(*SIMILARITIES, "adjusted"))

    def fit(self, data: Interactions, run: Run) -> ItemWeights:
        """One sparse product, of which only the k best of each column are kept."""
        from scipy.sparse import csc_matrix

        from recli.kernels import nearest, threads

        matrix, n = centred(data) if self.similarity == "adjusted" else self.entries(data.matrix), data.n_items
        norm, theirs = norms(self.similarity, self.alpha, matrix.indices, matrix.data, n)
        union, shrink = self.similarity == "jaccard", self.shrink + EPSILON
        with threads(run.threads):
            codes, weights = nearest.neighbours(matrix, norm, shrink, min(self.k, n), theirs=theirs, union=union)
        kept = codes >= 0
        sizes = kept.sum(1)
        values = weights[kept] if self.q == 1 else weights[kept] ** self.q
        if self.beta != 1:
            column = np.repeat(np.arange(n), sizes)
            values /= np.bincount(column, values**2, n)[column] ** (1 - self.beta)
        columns = (values.astype(np.float32), codes[kept], np.append(0, np.cumsum(sizes)))
        return ItemWeights(weights=csc_matrix(columns, shape=(n, n)).tocsr())


def centred(data: Interactions) -> csr_matrix:
    """Users × items, float32: the rating, or the mean of several, less the mean of the user's."""
    from scipy.sparse import csr_matrix

    if data.rating is None:
        hint = "--rating-col says which column holds it, where the source is read; similarity=cosine needs none"
        raise RecliError(Exit.DATA, "the table has no rating for similarity=adjusted", hint=hint)
    matrix = data.matrix.copy()
    sums, times = (
        csr_matrix((values, data.item.copy(), data.indptr.copy()), matrix.shape)
        for values in (data.rating.astype(np.float64), np.ones(len(data)))
    )
    for part in (sums, times):
        part.sum_duplicates()
    rating = sums.data / times.data
    user = np.repeat(np.arange(data.n_users), np.diff(matrix.indptr))
    mean = np.bincount(user, rating, data.n_users) / np.diff(matrix.indptr)
    matrix.data = (rating - mean[user]).astype(np.float32)
    return matrix
