"""Baseline: what a rating is before anybody's taste is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.models.rating.ratings import ratings_of
from recli.scorers import shaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints

    Doubles = NDArray[np.float64]

EPOCHS: Final = {"als": 10, "sgd": 20}  # Surprise's


@dataclass(frozen=True, kw_only=True)
class Biases:
    """The mean rating, plus what the user is above it, plus what the item is.

    Who is not known, user or item, has a bias of 0. A history says what was rated but not how, so it changes nothing.
    """

    mean: float
    user: Floats = shaped("users")
    item: Floats = shaped("items")

    def score(self, queries: Queries) -> Floats:
        """One sum of a column and a row."""
        return self._users(queries)[:, np.newaxis] + self.item

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """The same sums, for pairs; the item may be -1 too."""
        return self._users(queries) + _or_zero(self.item, items)

    def _users(self, queries: Queries) -> Floats:
        """The mean rating of each query's user, were all items alike."""
        return np.float32(self.mean) + _or_zero(self.user, queries.user)


def _or_zero(biases: Floats, codes: Ints) -> Floats:
    """The biases at ``codes``; that of -1 is the zero put last."""
    return np.append(biases, np.float32(0))[codes]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The mean rating of all, plus a bias of the user, plus a bias of the item: the floor of rating prediction.

    Koren 2010, "Factor in the neighbors: scalable and accurate collaborative filtering" (TKDD), §2.1:

        b_ui = m + b_u + b_i,  m the mean of all ratings.

    ``als`` is the paper's decoupled estimates, taken in turn for some epochs where the paper takes each once:

        b_i = sum over its ratings of (r - m - b_u) / (reg_i + their number),
        b_u = sum over their ratings of (r - m - b_i) / (reg_u + their number).

    ``sgd`` is a step for each rating down the gradient of least squares, regularised with each rating:

        sum over all ratings of (r - b_ui)^2 + reg_weight (b_u^2 + b_i^2).

    Both are Surprise's `BaselineOnly`, with its defaults; but for its ``sgd`` users and their ratings come in the order
    of the file, here in that of the codes and of time. Where a user has rated an item twice, both ratings count.
    """

    solver: str = param("als", "how the biases are found", one_of=("als", "sgd"))
    epochs: int = param(0, "times that all ratings are taken; 0 is 10 for als and 20 for sgd", least=0)
    reg_u: float = param(15.0, "als: ratings of the mean that are added to each user's", least=0)
    reg_i: float = param(10.0, "als: ratings of the mean that are added to each item's", least=0)
    learning_rate: float = param(0.005, "sgd: size of a step", above=0)
    reg_weight: float = param(0.02, "sgd: regularisation of the biases in each step", least=0)

    def fit(self, data: Interactions, run: Run) -> Biases:
        """Take the mean off, and find what of the rest is the user's and what the item's.

        Raises:
            RecliError: there are no ratings (exit 3); they diverge (exit 6).
        """
        ratings = ratings_of(data)
        mean = ratings.mean(dtype=np.float64)
        solve = self._als if self.solver == "als" else self._sgd
        with np.errstate(over="ignore"):
            user, item = (biases.astype(np.float32) for biases in solve(data, ratings - mean, run))
        if not (np.isfinite(user).all() and np.isfinite(item).all()):
            step = f"lower learning_rate={self.learning_rate:g}" if self.solver == "sgd" else None
            raise RecliError(Exit.DIVERGED, "the biases became infinite or NaN", hint=step)
        return Biases(mean=float(mean), user=user, item=item)

    def _als(self, data: Interactions, rest: Doubles, run: Run) -> tuple[Doubles, Doubles]:
        """Items with the users fixed, then users with the items fixed; ``rest`` (n,) is r - m."""
        epochs = self.epochs or EPOCHS["als"]
        who = np.repeat(np.arange(data.n_users), np.diff(data.indptr))
        of_user = self.reg_u + np.diff(data.indptr)
        of_item = self.reg_i + np.bincount(data.item, minlength=data.n_items)
        user = np.zeros(data.n_users)
        for epoch in range(epochs):
            item = np.bincount(data.item, rest - user[who], data.n_items) / of_item
            user = np.bincount(who, rest - item[data.item], data.n_users) / of_user
            run.progress(epoch + 1, epochs, "")
        return user, item

    def _sgd(self, data: Interactions, rest: Doubles, run: Run) -> tuple[Doubles, Doubles]:
        """A step for each rating; ``rest`` (n,) is r - m."""
        from recli.kernels import biases

        epochs = self.epochs or EPOCHS["sgd"]
        user, item = np.zeros(data.n_users), np.zeros(data.n_items)
        for epoch in range(epochs):
            error = biases.epoch(data.indptr, data.item, rest, user, item, self.learning_rate, self.reg_weight)
            run.progress(epoch + 1, epochs, f"rmse {np.sqrt(error / len(data)):.4f}")
        return user, item
