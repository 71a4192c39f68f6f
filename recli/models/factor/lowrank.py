"""Item-item matrices of low rank: the largest singular vectors of sparse data, and a scorer made of two factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.interactions import Queries
from recli.scorers import Factors, shaped

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from recli.scorers import Floats, Ints

EXTRA: Final = 10  # vectors beyond those wanted, so that these come out sooner
NOTHING: Final = 1e-13  # an eigenvalue of the squares of inner products that is no more than rounding, per the largest


@dataclass(frozen=True, kw_only=True)
class LowRank:
    """A history folded in: the sum of its items' rows of ``source`` is the user's row, times those of ``item``.

    An empty history cannot be scored.
    """

    source: Floats = shaped("items width")
    item: Floats = shaped("items width")

    def score(self, queries: Queries) -> Floats:
        """One matrix product."""
        factors, rows = self._fold(queries)
        return factors.score(rows)

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """One dot product a pair."""
        factors, rows = self._fold(queries)
        return factors.score_pairs(rows, items)

    @property
    def bias(self) -> None:
        """There is none."""

    def level(self, queries: Queries) -> None:
        """Nothing is added to all scores of a query."""

    def rows(self, queries: Queries) -> tuple[Floats, NDArray[np.bool_]]:
        """The row of each query (queries, width), and which queries have an empty history."""
        from recli.kernels import history

        rows = np.zeros((len(queries), self.source.shape[1]), np.float32)
        history.times_dense(queries.matrix(len(self.source)), self.source, rows)
        return rows, queries.lengths == 0

    def _fold(self, queries: Queries) -> tuple[Factors, Queries]:
        """A row for each query, and who has which: nobody's is that of an empty history."""
        rows, cannot = self.rows(queries)
        user = np.where(cannot, -1, np.arange(len(queries))).astype(np.int32)
        return Factors(user=rows, item=self.item), Queries(user=user, indptr=queries.indptr, item=queries.item)


def singular(matrix: csr_matrix, scale: Floats, rank: int, *, iterations: int, seed: int) -> tuple[Floats, Floats]:
    """The ``rank`` largest singular values of A = ``matrix`` diag(``scale``), and their right vectors (columns, rank).

    The entries of ``matrix`` are taken as 1; values that are as good as 0 are 0, and so are their vectors. Halko,
    Martinsson & Tropp 2011, "Finding structure with randomness" (SIAM Review), algorithm 4.4: A'A is applied again and
    again to a random start, which is made orthonormal in between; here by the eigenvectors of its inner products, in a
    small part of the time of a QR.
    """
    transposed, weights = matrix.T.tocsr(), scale[:, np.newaxis]
    shape = (matrix.shape[1], min(rank + EXTRA, matrix.shape[1]))
    basis = np.random.default_rng(seed).standard_normal(shape, np.float32)
    for _ in range(iterations):
        image = weights * times(transposed, times(matrix, weights * basis))
        values, turn = np.linalg.eigh(image.T.astype(np.float64) @ image)  # ascending; those of (A'A)^2
        values[values <= NOTHING * values[-1]] = 0
        turn /= np.sqrt(np.where(values > 0, values, np.inf))
        basis = image @ turn.astype(np.float32)
    return values[: -rank - 1 : -1].astype(np.float32) ** 0.25, basis[:, : -rank - 1 : -1]


def times(matrix: csr_matrix, rows: Floats) -> Floats:
    """The product of a sparse matrix, whose entries are taken as 1, and a dense one."""
    from recli.kernels import history

    product = np.zeros((matrix.shape[0], rows.shape[1]), np.float32)
    history.times_dense(matrix, np.ascontiguousarray(rows), product)
    return product
