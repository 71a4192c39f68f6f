"""Co-clustering: kinds of users, kinds of items, and what the one kind gives the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recli.model import param
from recli.models.rating.ratings import ratings_of
from recli.scorers import shaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints

    Doubles = NDArray[np.float64]
    Longs = NDArray[np.int64]
    Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class CoClusters:
    """The user's mean rating, plus the item's, plus what their clusters' ratings are above the means of the clusters.

    The last row and the last column of ``joint`` are for those without a cluster, -1: they make the rating of an
    unknown user the item's mean, that of an unknown item the user's mean, and of both the mean of all. A history says
    what was rated but not how, so it changes nothing.
    """

    user: Floats = shaped("users")
    item: Floats = shaped("items")
    user_cluster: Ints = shaped("users", dtype=np.int32)
    item_cluster: Ints = shaped("items", dtype=np.int32)
    joint: Floats = shaped("user_clusters item_clusters")

    def score(self, queries: Queries) -> Floats:
        """The row of each query's cluster, a number for each item's, and the means."""
        rows = self.joint[_at(queries.user, self.user_cluster, -1)]
        scores: Floats = np.take(rows, self.item_cluster, axis=1) + _at(queries.user, self.user, 0)[:, np.newaxis]
        return scores + self.item

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """The same sums, for pairs; the item may be -1 too."""
        joint = self.joint[_at(queries.user, self.user_cluster, -1), _at(items, self.item_cluster, -1)]
        scores: Floats = joint + _at(queries.user, self.user, 0) + _at(items, self.item, 0)
        return scores


def _at(codes: Ints, values: Array, unknown: int) -> Array:
    """The values at ``codes``; that of -1 is ``unknown``."""
    return np.where(codes >= 0, values[codes], values.dtype.type(unknown))


@dataclass(frozen=True, kw_only=True)
class CoClustering:
    """Users and items in clusters, chosen so that the mean ratings of user, item and clusters tell the ratings.

    George & Merugu 2005, "A scalable collaborative filtering framework based on co-clustering" (ICDM):

        r_ui = A_gh + (A_u - A_g) + (A_i - A_h),  g the cluster of u and h that of i,

    A the mean rating of the user, of the item, of the ratings that a user's cluster gave, that an item's cluster got,
    and of those of a cluster of users for a cluster of items; where there are none, the mean of all. From clusters by
    chance, each epoch takes the means, moves every user to the cluster of the least squared error, and then every item.
    The rating of an unknown user is A_i, that of an unknown item A_u. Surprise's `CoClustering`, with its defaults; but
    Surprise 1.1.5 puts the mean of all wherever one of the two is unknown. Where a user has rated an item twice, both
    ratings count.
    """

    user_clusters: int = param(3, "clusters of users", least=1)
    item_clusters: int = param(3, "clusters of items", least=1)
    epochs: int = param(20, "times that all users and all items are moved", least=1)

    def fit(self, data: Interactions, run: Run) -> CoClusters:
        """Move all users with the items' clusters fixed, then all items with the users' fixed, and again."""
        rating, item = ratings_of(data).astype(np.float64), data.item.astype(np.int64)
        user = np.repeat(np.arange(data.n_users), np.diff(data.indptr))
        of_user, of_item = np.diff(data.indptr), np.bincount(item, minlength=data.n_items)
        user_mean = _means(np.bincount(user, rating, data.n_users), of_user, 0)
        item_mean = _means(np.bincount(item, rating, data.n_items), of_item, 0)
        rest = rating - user_mean[user] - item_mean[item]
        rng = np.random.default_rng(run.seed)
        user_cluster = rng.integers(self.user_clusters, size=data.n_users)
        item_cluster = rng.integers(self.item_clusters, size=data.n_items)
        for epoch in range(self.epochs):
            joint = self._joint(user_cluster[user], item_cluster[item], rating)
            user_cluster = _nearest(user, item_cluster[item], rest, data.n_users, joint)
            item_cluster = _nearest(item, user_cluster[user], rest, data.n_items, joint.T)
            run.progress(epoch + 1, self.epochs, "")
        joint = np.zeros((self.user_clusters + 1, self.item_clusters + 1))
        joint[:-1, :-1] = self._joint(user_cluster[user], item_cluster[item], rating)
        joint[-1, -1] = rating.mean()
        user_cluster[of_user == 0], item_cluster[of_item == 0] = -1, -1
        return CoClusters(
            user=user_mean.astype(np.float32),
            item=item_mean.astype(np.float32),
            user_cluster=user_cluster.astype(np.int32),
            item_cluster=item_cluster.astype(np.int32),
            joint=joint.astype(np.float32),
        )

    def _joint(self, g: Longs, h: Longs, rating: Doubles) -> Doubles:
        """A_gh - A_g - A_h for all pairs of clusters; ``g`` and ``h`` (n,) are those of each rating."""
        counts, sums = _tables(g, h, rating, (self.user_clusters, self.item_clusters))
        of_user, of_item = (_means(sums.sum(axis), counts.sum(axis), rating.mean()) for axis in (1, 0))
        return _means(sums, counts, rating.mean()) - of_user[:, np.newaxis] - of_item


def _tables(row: Longs, column: Longs, values: Doubles, shape: tuple[int, int]) -> tuple[Array, Array]:
    """How many of the values are in each row and column, and their sum."""
    cell, size = row * shape[1] + column, shape[0] * shape[1]
    return np.bincount(cell, minlength=size).reshape(shape), np.bincount(cell, values, size).reshape(shape)


def _means(sums: Array, counts: Array, none: float) -> Doubles:
    """The means; that of nothing is ``none``."""
    return np.where(counts > 0, sums / np.maximum(counts, 1), none)


def _nearest(row: Longs, column: Longs, rest: Doubles, n: int, joint: Doubles) -> Longs:
    """The cluster of least squared error of each of ``n`` rows; ``column`` (ratings,) is the other side's cluster.

    The sum over the row's ratings of (rest - joint[own, column])^2, less what is the same for all clusters, asks of the
    ratings only their number and their sum in each column.
    """
    counts, sums = _tables(row, column, rest, (n, joint.shape[1]))
    nearest: Longs = np.argmin(counts @ (joint**2).T - 2 * sums @ joint.T, axis=1)
    return nearest
