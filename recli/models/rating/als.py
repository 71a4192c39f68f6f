"""ALS of ratings: factors and biases by alternating least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.models.rating.ratings import by_item, ratings_of
from recli.scorers import Ratings

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run

DEVIATION = 0.1  # of the numbers that the items' rows begin with


@dataclass(frozen=True, kw_only=True)
class RatingALS:
    """A bias and a row for each user and item, which with the mean make the rating; each side exact, the other fixed.

    Zhou et al. 2008, "Large-scale parallel collaborative filtering for the Netflix Prize" (AAIM), §3.1, ALS-WR, which
    regularises a row as often as it has ratings, here with the biases as numbers of the rows: minimises

        sum over all ratings of (r - m - b_u - b_i - p_u'q_i)^2 + reg_weight (b_u^2 + b_i^2 + |p_u|^2 + |q_i|^2),

    m the mean rating. The paper has no biases, and begins with the items' means as the first numbers of their rows: on
    ratings held out of a training part of MovieLens-100K that was worse. The defaults are from there, and from the like
    of MovieLens-1M. Where a user has rated an item twice, both ratings count. Who is not known, or has no rating, is
    rated by what is known.
    """

    embedding_size: int = param(50, "numbers in the row of a user or an item, but for its bias", least=1)
    epochs: int = param(10, "times that all users and all items are solved for", least=1)
    reg_weight: float = param(0.1, "regularisation of the rows and the biases, with each rating", above=0)

    def fit(self, data: Interactions, run: Run) -> Ratings:
        """Solve for the users with the items fixed, then for the items with the users fixed, and again."""
        from recli.kernels import ratingals, threads

        ratings = ratings_of(data)
        mean = float(ratings.mean(dtype=np.float64))
        indptr, raters, order = by_item(data)
        rest = ratings - np.float32(mean)
        rest_by_item = rest[order]
        # The last number of a row is its bias: it meets a 1, and the bias of the other side is taken off the rating.
        user, item = (np.zeros((n, self.embedding_size + 1), np.float32) for n in (data.n_users, data.n_items))
        item[:, :-1] = np.random.default_rng(run.seed).normal(0, DEVIATION, item[:, :-1].shape)
        user_bias, item_bias = np.zeros(data.n_users, np.float32), np.zeros(data.n_items, np.float32)
        with threads(run.threads):
            for epoch in range(self.epochs):
                item[:, -1] = 1
                ratingals.solve(data.indptr, data.item, rest - item_bias[data.item], item, user, self.reg_weight)
                user_bias[:], user[:, -1] = user[:, -1], 1
                ratingals.solve(indptr, raters, rest_by_item - user_bias[raters], user, item, self.reg_weight)
                item_bias[:] = item[:, -1]
                run.progress(epoch + 1, self.epochs, "")
        if not (np.isfinite(user).all() and np.isfinite(item).all()):
            hint = f"raise reg_weight={self.reg_weight:g}"
            raise RecliError(Exit.DIVERGED, "the rows became infinite or NaN", hint=hint)
        user, item = np.ascontiguousarray(user[:, :-1]), np.ascontiguousarray(item[:, :-1])
        return Ratings(mean=mean, user=user, item=item, bias=item_bias, user_bias=user_bias)
