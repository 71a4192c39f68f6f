"""Slope One: by how much people like one item better than another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.memory import reserve
from recli.models.rating.ratings import ratings_of
from recli.scorers import shaped

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints

PEAK: Final = 2.5  # matrices at once, from the first to the file that is written


@dataclass(frozen=True, kw_only=True)
class Differences:
    """The user's mean rating, plus the mean difference of the item from the items that the user has rated.

    ``difference[i, j]`` is NaN where nobody has rated both. The scorer holds who rated what. Who is not known, user or
    item, cannot be scored. A replaced history changes nothing.
    """

    difference: Floats = shaped("items items")
    ratings: csr_matrix = shaped("users items")
    mean: Floats = shaped("users")

    def score(self, queries: Queries) -> Floats:
        """One sum of rows of the matrix a query."""
        from recli.kernels import slopeone

        scores = np.full((len(queries), len(self.difference)), -np.inf, np.float32)
        known = queries.user >= 0
        users = queries.user[known]
        scores[known] = slopeone.all_means(self.difference, self.ratings, users) + self.mean[users][:, np.newaxis]
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """The sum of the entries that a pair needs."""
        from recli.kernels import slopeone

        scores = slopeone.means(self.difference, self.ratings, queries.user, items) + self.mean[queries.user]
        scores[(queries.user < 0) | (items < 0)] = -np.inf
        return scores


@dataclass(frozen=True, kw_only=True)
class SlopeOne:
    """Who likes one item better than another by so much will be liked by so much more by others too: a line of slope 1.

    Lemire & Maclachlan 2005, "Slope One predictors for online rating-based collaborative filtering" (SDM), §4.1:

        r_ui = m_u + mean over j of dev_ij,  dev_ij = mean of r_vi - r_vj over the v who have rated both,

    m_u the mean of the user's ratings, j the other items rated by u for which there is such a v. For items that the
    user has not rated this is Surprise's `SlopeOne`, which takes ratings as whole numbers, here they stay as they are.
    Where a user has rated an item twice, both ratings count.
    """

    def fit(self, data: Interactions, run: Run) -> Differences:
        """Compare all items with all.

        Raises:
            RecliError: there are no ratings (exit 3); the differences do not fit into memory (exit 5).
        """
        from scipy.sparse import csr_matrix

        from recli.kernels import pairwise, threads

        shape, values = (data.n_users, data.n_items), ratings_of(data).astype(np.float64)
        n = data.n_items
        reserve(PEAK * 4 * n * n, f"the {n:,} × {n:,} matrix", "--item-kcore leaves rare items out of a split")
        ratings = csr_matrix((values, data.item, data.indptr), shape)
        with threads(run.threads):
            difference = pairwise.compare(ratings.tocsc().T, "difference")
        count = np.diff(data.indptr)
        total = np.bincount(np.repeat(np.arange(data.n_users), count), values, data.n_users)
        mean = np.where(count > 0, total / np.maximum(count, 1), -np.inf)
        rated = csr_matrix((data.rating, data.item, data.indptr), shape)
        return Differences(difference=difference, ratings=rated, mean=mean.astype(np.float32))
