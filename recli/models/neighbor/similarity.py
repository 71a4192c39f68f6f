"""What makes two items, or two users, alike: the columns of a matrix, weighted and normed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.model import param

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Doubles = NDArray[np.float64]
    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]

EPSILON: Final = 1e-6  # added to every denominator, as RecBole does
SIMILARITIES: Final = ("cosine", "jaccard", "asymmetric", "tfidf", "bm25")


@dataclass(frozen=True, kw_only=True)
class Neighborhood:
    """The parameters of models of nearest neighbours."""

    k: int = param(100, "nearest neighbours that count", least=1)
    shrink: float = param(0.0, "added to the denominator: damps similarities of little support", least=0)
    similarity: str = param("cosine", "how two are compared", one_of=SIMILARITIES)
    alpha: float = param(0.5, "asymmetric: how far the norm is of the one whose neighbours are sought", least=0)
    k1: float = param(1.2, "bm25: how far the number of events of an item (userknn: a user) counts", least=0)
    b: float = param(0.75, "bm25: how much of that depends on their number", least=0)
    q: float = param(1.0, "locality, the power of a similarity: above 1, the nearest count more", above=0)
    beta: float = param(1.0, "below 1, holds back items similar to much (userknn: which many users have)", least=0)

    def entries(self, matrix: csr_matrix) -> csr_matrix:
        """The matrix, whose columns are compared, with its entries weighted: float32."""
        if self.similarity not in ("tfidf", "bm25"):
            return matrix
        n = matrix.shape[1]
        of_row = np.diff(matrix.indptr)
        weights = np.repeat(rarity(matrix), of_row)
        if self.similarity == "bm25":
            of_column = np.bincount(matrix.indices, minlength=n)
            length = 1 - self.b + self.b * of_column / of_column.mean()
            weights *= ((self.k1 + 1) / (self.k1 * length + 1))[matrix.indices]
        weighted = matrix.copy()
        weighted.data = weights.astype(np.float32)
        return weighted


def rarity(matrix: csr_matrix) -> Doubles:
    """The idf of each row: how little it says to be in it."""
    idf: Doubles = np.log(matrix.shape[1] / (1 + np.diff(matrix.indptr)))
    return idf


def norms(similarity: str, alpha: float, of: Ints, entries: Floats, n: int) -> tuple[Doubles, Doubles]:
    """Of ``n`` vectors, whose entries are given with whose they are: as the one whose neighbours are sought, and as a
    neighbour.
    """
    count = np.bincount(of, minlength=n).astype(np.float64)
    if similarity == "jaccard":
        return count, count
    if similarity == "asymmetric":
        return count**alpha, count ** (1 - alpha)
    length = np.ones(n) if similarity == "bm25" else np.sqrt(np.bincount(of, entries**2, n))
    return length, length
