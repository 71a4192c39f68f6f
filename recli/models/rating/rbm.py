"""RBM: a restricted Boltzmann machine of ratings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.models.rating.ratings import ratings_of
from recli.scorers import shaped

if TYPE_CHECKING:
    from recli.interactions import Interactions, Queries
    from recli.kernels.ratingrbm import Machine
    from recli.model import Run
    from recli.scorers import Floats, Ints

LEVELS: Final = 100  # distinct ratings, at most
START: Final = 0.01  # standard deviation of the weights that a fit begins with
PRIOR: Final = 20  # ratings, spread as those of all items are, that each item is taken to have at the start


@dataclass(frozen=True, kw_only=True)
class Expectations:
    """The mean of the ``levels`` under their probabilities, given what the hidden units are.

    ``user`` are the probabilities of the hidden units given a user's ratings. A stranger's rated history, or one that
    replaces what was learned from, gives them in the same way; with no rated history at all they are ``nobody``'s, the
    mean of all users. An item that is not known gets the mean rating.
    """

    user: Floats = shaped("users width")
    nobody: Floats = shaped("width")
    weights: Floats = shaped("items levels width")
    visible: Floats = shaped("items levels")
    hidden: Floats = shaped("width")
    levels: Floats = shaped("levels")
    mean: float

    def score(self, queries: Queries) -> Floats:
        """A softmax for each pair."""
        from recli.kernels import ratingrbm

        return ratingrbm.expected(self._rows(queries), self._machine(), self.levels)

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """The same, of one item a query; the item may be -1 too."""
        from recli.kernels import ratingrbm

        scores = ratingrbm.expected_pairs(self._rows(queries), np.maximum(items, 0), self._machine(), self.levels)
        scores[items < 0] = self.mean
        return scores

    def _machine(self) -> Machine:
        from recli.kernels.ratingrbm import Machine

        return Machine(self.weights, self.visible, self.hidden)

    def _rows(self, queries: Queries) -> Floats:
        """The probabilities of the hidden units (queries, width)."""
        from recli.kernels import ratingrbm

        strange = (queries.user < 0) | queries.replaced
        rows: Floats = self.user[queries.user]
        rows[strange] = self.nobody
        told = np.flatnonzero(strange & (queries.lengths > 0))
        if queries.rating is not None and len(told):
            some = queries.take(told)
            assert some.rating is not None
            rows[told] = ratingrbm.hidden(some.indptr, some.item, _nearest(some.rating, self.levels), self._machine())
        return rows


def _nearest(ratings: Floats, levels: Floats) -> Ints:
    """The place of the level that is nearest to each rating, int32."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, ratings).astype(np.int32)


@dataclass(frozen=True, kw_only=True)
class RBM:
    """Each user's ratings are softmax units, one an item, behind which a few binary units say what the user likes.

    Salakhutdinov, Mnih & Hinton 2007, "Restricted Boltzmann machines for collaborative filtering" (ICML), §2: with the
    weights W and biases b of item and level, and the biases c of the hidden units, shared by all users,

        p(v_i = k | h) ~ exp(b_ik + sum over j of h_j W_ikj),   p(h_j = 1 | V) = sigmoid(c_j + sum over i of W_i,v_i,j),

    where i are the items that the user rated; a rating is predicted as the mean of the levels under p(v_i | p(h | V)),
    and the levels are the distinct ratings. Learned by contrastive divergence of T steps, T growing from 1 to
    ``cd_steps``: the mean over a batch of users, with momentum, at a learning rate that falls to 0 in a straight line.
    Where a user has rated an item twice there are two units with the same weights.

    Not the paper's: weights and biases decay towards their means over the items, not to 0, by

        reg_weight / 2 (sum over i of |W_i - mean W|^2 + |b_i - mean b|^2)  in the log-likelihood of all users,

    so that an item of few ratings has of a user's taste what all items have (on MovieLens-100K .02 of RMSE). The
    conditional RBM of §4 is left out: given only the rated items, its D is a part of W.
    """

    hidden_size: int = param(100, "hidden units", least=1)
    epochs: int = param(100, "times that all users are taken", least=0)
    learning_rate: float = param(0.1, "size of a step at the start", above=0)
    cd_steps: int = param(1, "steps of Gibbs sampling in the last epochs; in the first it is one", least=1)
    momentum: float = param(0.9, "of the last step that the next one keeps", least=0)
    reg_weight: float = param(20.0, "decay of an item's weights and biases towards the mean of all items", least=0)
    train_batch_size: int = param(100, "users in a step", least=1)

    def fit(self, data: Interactions, run: Run) -> Expectations:
        """Contrastive divergence, then the probabilities of the hidden units of all users."""
        from recli.kernels import ratingrbm, threads

        rating = ratings_of(data)
        levels, places = np.unique(rating, return_inverse=True)
        if len(levels) > LEVELS:
            hint = "biasedsvd, for one, takes any number"
            raise RecliError(Exit.DATA, f"{len(levels):,} distinct ratings, at most {LEVELS} can be units", hint=hint)
        level = places.astype(np.int32)
        with threads(run.threads), np.errstate(over="ignore", invalid="ignore"):
            machine = self._learned(data, level, len(levels), run)
            user = ratingrbm.hidden(data.indptr, data.item, level, machine)
        if not all(np.isfinite(array).all() for array in machine):
            hint = f"lower learning_rate={self.learning_rate:g}"
            raise RecliError(Exit.DIVERGED, "the weights became infinite or NaN", hint=hint)
        rated = np.diff(data.indptr) > 0
        nobody = user[rated].mean(0)
        user[~rated] = nobody
        mean = float(rating.mean(dtype=np.float64))
        return Expectations(user=user, nobody=nobody, levels=levels, mean=mean, **machine._asdict())

    def _learned(self, data: Interactions, level: Ints, n_levels: int, run: Run) -> Machine:
        """Batches of users in random order."""
        from scipy.sparse import csr_matrix

        from recli.kernels import ratingrbm

        events = csr_matrix((level, data.item, data.indptr), shape=(data.n_users, data.n_items))
        rng = np.random.default_rng(run.seed)
        machine = self._start(data, level, n_levels, rng)
        speed = ratingrbm.Machine(*(np.zeros_like(array) for array in machine))
        size, decay = self.train_batch_size, self.reg_weight / data.n_users
        starts = range(0, data.n_users, size)
        for epoch in range(self.epochs):
            steps = 1 + (self.cd_steps - 1) * epoch // max(1, self.epochs - 1)
            order = rng.permutation(data.n_users)
            for at, start in enumerate(starts):
                batch = events[order[start : start + size]]
                rate = self.learning_rate * (1 - (epoch + at / len(starts)) / self.epochs)
                found = ratingrbm.contrast(batch, machine, steps, rng.integers(2**63, dtype=np.uint64))
                ratingrbm.learn(batch, found, machine, speed, rate, self.momentum, decay)
            run.progress(epoch + 1, self.epochs, "")
        return machine

    def _start(self, data: Interactions, level: Ints, n_levels: int, rng: np.random.Generator) -> Machine:
        """Small weights, and the logarithms of how often each item's levels are given."""
        from recli.kernels.ratingrbm import Machine

        pairs = data.item.astype(np.int64) * n_levels + level
        counts = np.bincount(pairs, minlength=data.n_items * n_levels).reshape(data.n_items, n_levels)
        visible = np.log(counts + PRIOR * counts.sum(0) / counts.sum()).astype(np.float32)
        visible -= visible.mean(1, keepdims=True)
        weights = rng.standard_normal((data.n_items, n_levels, self.hidden_size), np.float32) * np.float32(START)
        return Machine(weights, visible, np.zeros(self.hidden_size, np.float32))
