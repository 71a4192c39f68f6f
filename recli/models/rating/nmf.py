"""NMF of ratings: factors without negative numbers that tell the ratings there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.models.rating.ratings import by_item, ratings_of
from recli.scorers import Factors, Ratings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.scorers import Floats

LANES = 8  # a row is filled up with zeros, which stay so, to whole registers


@dataclass(frozen=True, kw_only=True)
class RatingNMF:
    """A row without negative numbers for each user and item, whose product is the rating.

    Luo et al. 2014, "An efficient non-negative matrix-factorization-based approach to collaborative filtering for
    recommender systems" (IEEE Transactions on Industrial Informatics 10:2): lowers, over rows >= 0,

        sum over all ratings of (r - p_u'q_i)^2 + reg_weight (|p_u|^2 + |q_i|^2),

    in each epoch by a factor for each number of every row, all from the rows as they were before:

        p_uf <- p_uf (sum of r q_if) / (sum of e q_if + n_u reg_weight p_uf),  e = p_u'q_i,

    over the user's n_u ratings, and the like for items. With ``biased`` e has the mean rating and the biases b_u and
    b_i too, which in each epoch take a step for each rating down the gradient of (r - e)^2 + reg_bias (b_u^2 + b_i^2).
    A number whose divisor the biases bring to 0 or below stays as it is. That is Surprise's `NMF`, with its defaults;
    but Surprise 1.1.5 divides all the same, and with biases diverges from some starts.

    Where a user has rated an item twice, both ratings count. Without biases a stranger, or an unknown item, has no
    score; with them they are rated by what is known. Who has no rating and is only in a companion table gets the mean
    row, with biases one of zeros.
    """

    embedding_size: int = param(15, "numbers in the row of a user or an item", least=1)
    epochs: int = param(50, "times that all users and all items are gone through", least=1)
    reg_weight: float = param(0.06, "regularisation of the rows, with each rating", least=0)
    biased: bool = param(False, "add the mean, and a bias of the user and of the item, to the product")
    learning_rate: float = param(0.005, "biased: size of a step of the biases", above=0)
    reg_bias: float = param(0.02, "biased: regularisation of the biases in each step", least=0)

    def fit(self, data: Interactions, run: Run) -> Factors | Ratings:
        """Epochs from rows of uniform numbers."""
        from recli.kernels import ratingnmf, threads

        by_user = ratingnmf.Given(data.indptr, data.item, _not_negative(ratings_of(data)))
        indptr, raters, order = by_item(data)
        transposed = ratingnmf.Given(indptr, raters, by_user.rating[order])
        mean = float(by_user.rating.mean(dtype=np.float64)) if self.biased else 0.0
        rng = np.random.default_rng(run.seed)
        user, item = (self._first_rows(rng, n) for n in (data.n_users, data.n_items))
        user_bias, item_bias = np.zeros(data.n_users), np.zeros(data.n_items)
        predicted = np.empty(len(data), np.float32)
        with threads(run.threads):
            for epoch in range(self.epochs):
                ratingnmf.predict(by_user, item, user, predicted)
                if self.biased:
                    rates = self.learning_rate, self.reg_bias
                    ratingnmf.step(by_user, predicted, mean, user_bias, item_bias, *rates)
                user, item = (
                    ratingnmf.multiply(by_user, predicted, item, user, self.reg_weight),
                    ratingnmf.multiply(transposed, predicted[order], user, item, self.reg_weight),
                )
                run.progress(epoch + 1, self.epochs, "")
        if not all(np.isfinite(learned).all() for learned in (user, item, user_bias, item_bias)):
            hint = f"lower learning_rate={self.learning_rate:g}" if self.biased else None
            raise RecliError(Exit.DIVERGED, "the rows or the biases became infinite or NaN", hint=hint)
        user, item = self._settled(user, by_user.indptr), self._settled(item, indptr)
        if not self.biased:
            return Factors(user=user, item=item)
        biases = {"user_bias": user_bias.astype(np.float32), "bias": item_bias.astype(np.float32)}
        return Ratings(mean=mean, user=user, item=item, **biases)

    def _first_rows(self, rng: np.random.Generator, n: int) -> Floats:
        """Uniform numbers (n, embedding_size), and zeros beside them."""
        from recli.kernels import aligned

        rows = aligned(n, -(-self.embedding_size // LANES) * LANES)
        rows[:, : self.embedding_size] = rng.random((n, self.embedding_size))
        return rows

    def _settled(self, rows: Floats, indptr: NDArray[np.integer]) -> Floats:
        """The rows without the zeros beside them, and with what those get that have no rating."""
        rows, rated = rows[:, : self.embedding_size].copy(), np.diff(indptr) > 0
        rows[~rated] = 0 if self.biased else rows[rated].mean(axis=0)
        return rows


def _not_negative(rating: Floats) -> Floats:
    """The ratings, if products of rows >= 0 can tell them."""
    if (rating < 0).any():
        hint = "recli filter --min-rating 0 keeps the others"
        raise RecliError(Exit.DATA, "a rating below 0 is no product of rows without negative numbers", hint=hint)
    return rating
