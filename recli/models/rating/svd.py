"""SVD: matrix factorisation of ratings by stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.model import param
from recli.models.rating.descent import end_epoch, first_rows, learned
from recli.models.rating.ratings import ratings_of
from recli.scorers import Factors, Ratings

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run


@dataclass(frozen=True, kw_only=True)
class SVD:
    """A row for each user and item, whose product is the rating, or what is left of it once the biases are off.

    Funk 2006, "Netflix update: try this at home", with the biases of Koren 2009, "Matrix factorization techniques for
    recommender systems" (Computer 42:8), eq. 5: a step for each rating down the gradient of

        sum over all ratings of (r - m - b_u - b_i - p_u'q_i)^2 + reg_weight (b_u^2 + b_i^2 + |p_u|^2 + |q_i|^2),

    m the mean of all ratings; m and the biases are 0 where ``biased`` is false. All numbers of a row are learned at
    once, where Funk learns one after the other. That is Surprise's `SVD`, with its defaults; but the order of the steps
    is stratified (see `recli.kernels.svd`), which makes threads safe and the result the same for any number of them.
    Where a user has rated an item twice, both ratings count. Without biases a stranger, or an unknown item, has no
    score; with them they are rated by what is known.
    """

    embedding_size: int = param(100, "numbers in the row of a user or an item", least=1)
    epochs: int = param(20, "times that every rating is taken", least=1)
    learning_rate: float = param(0.005, "size of a step", above=0)
    reg_weight: float = param(0.02, "regularisation of the rows and the biases in each step", least=0)
    biased: bool = param(True, "take the mean, and a bias of the user and of the item, off the rating")

    def fit(self, data: Interactions, run: Run) -> Ratings | Factors:
        """Epochs of steps, from rows of normal numbers of deviation 0.1."""
        from recli.kernels import svd, threads

        rating = ratings_of(data)
        mean = float(rating.mean(dtype=np.float64)) if self.biased else 0.0
        meetings = svd.Meetings.of(data.indptr, data.item, rating - np.float32(mean), data.n_items)
        rng = np.random.default_rng(run.seed)
        user, item = (first_rows(rng, n, self.embedding_size) for n in (data.n_users, data.n_items))
        user_bias, item_bias = np.zeros(data.n_users, np.float32), np.zeros(data.n_items, np.float32)
        rates = {"rate": self.learning_rate, "bias_rate": self.learning_rate if self.biased else 0.0}
        hint = f"lower learning_rate={self.learning_rate:g}"
        with threads(run.threads):
            for epoch in range(self.epochs):
                error = svd.epoch(meetings, user, item, user_bias, item_bias, **rates, reg=self.reg_weight)
                end_epoch(run, epoch, self.epochs, error / len(data), hint)
        user, item = (learned(rows, self.embedding_size, hint) for rows in (user, item))
        if not self.biased:
            return Factors(user=user, item=item)
        return Ratings(mean=mean, user=user, item=item, bias=item_bias, user_bias=user_bias)
