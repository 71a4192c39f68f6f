"""AutoRec: an autoencoder of an item's, or a user's, ratings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.models.rating.ratings import ratings_of
from recli.scorers import Ratings

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions
    from recli.kernels.autorec import Network
    from recli.model import Run


@dataclass(frozen=True, kw_only=True)
class AutoRec:
    """An item's ratings are told from a few hidden numbers, and these from the same ratings: I-AutoRec.

    Sedhain, Menon, Sanner & Xie 2015, "AutoRec: autoencoders meet collaborative filtering" (WWW), equations 1 and 2:
    of the ratings r of an item, 0 where there is none, with a column for each user,

        h = W sigmoid(V r + m) + b,   minimising   sum over all ratings of (r - h)^2 + reg_weight / 2 (|W|^2 + |V|^2).

    ``user_based`` is U-AutoRec, users and items changing places. Where the paper takes L-BFGS or resilient propagation,
    this is Adam on batches of items, the learning rate falling to 0 in a straight line. Ratings are first put on the
    paper's scale, from 1 to 5. Where a user has rated an item twice, both ratings count.

    Who has no ratings gets what the network makes of none: an item its users' output for an empty input, a user the
    mean of all users' output, each counting as often as it rated.
    """

    user_based: bool = param(False, "encode users' ratings, not items'")
    hidden_size: int = param(500, "numbers in the hidden layer", least=1)
    epochs: int = param(20, "times that all items are taken", least=0)
    learning_rate: float = param(0.002, "size of a step at the start", above=0)
    reg_weight: float = param(200.0, "regularisation of the weights", least=0)
    train_batch_size: int = param(128, "items in a step; users if user_based", least=1)

    def fit(self, data: Interactions, run: Run) -> Ratings:
        """Train the network, then write it as rows and biases of users and items."""
        from scipy.sparse import csr_matrix

        from recli.kernels import threads

        rating = ratings_of(data)
        low, unit = float(rating.min()), float(np.ptp(rating)) / 4 or 1.0
        scaled = (rating - np.float32(low)) / np.float32(unit) + np.float32(1)
        events = csr_matrix((scaled, data.item, data.indptr), shape=(data.n_users, data.n_items))
        if not self.user_based:
            events = events.T.tocsr()
        with threads(run.threads), np.errstate(over="ignore", invalid="ignore"):
            network = self._trained(events, run)
            if not np.isfinite(network.every).all():
                hint = f"lower learning_rate={self.learning_rate:g}"
                raise RecliError(Exit.DIVERGED, "the weights became infinite or NaN", hint=hint)
            return self._scorer(events, network, low, unit)

    def _trained(self, events: csr_matrix, run: Run) -> Network:
        """Adam, on batches of rows in random order."""
        from recli.kernels import autorec

        rows, columns = events.shape
        rng = np.random.default_rng(run.seed)
        network, gradient = (autorec.Network.of(columns, self.hidden_size) for _ in range(2))
        most = np.float32(np.sqrt(6 / (columns + self.hidden_size)))  # Glorot & Bengio 2010
        for weights in (network.encoder, network.decoder):
            weights[:] = (2 * rng.random(weights.shape, np.float32) - 1) * most
        network.bias[:] = events.data.mean(dtype=np.float64)
        adam, size = autorec.Adam(network.every), self.train_batch_size
        starts = range(0, rows, size)
        for epoch in range(self.epochs):
            order, total = rng.permutation(rows), 0.0
            for at, start in enumerate(starts):
                batch = events[order[start : start + size]]
                share = self.reg_weight / 2 * batch.shape[0] / rows
                total += autorec.descend(batch, network, gradient, share)
                adam.step(gradient.every, self.learning_rate * (1 - (epoch + at / len(starts)) / self.epochs))
            run.progress(epoch + 1, self.epochs, f"rmse {np.sqrt(total / events.nnz):.4f}")
        return network

    def _scorer(self, events: csr_matrix, network: Network, low: float, unit: float) -> Ratings:
        """Rows and biases: what a row is encoded as above nothing, and a column above the mean of all columns."""
        from scipy.sparse import csr_matrix

        from recli.kernels import autorec

        nothing = autorec.encode(csr_matrix((1, events.shape[1]), dtype=np.float32), network)[0]
        row = autorec.encode(events, network) - nothing
        counts = np.bincount(events.indices, minlength=events.shape[1])
        column = network.decoder * np.float32(unit)
        level = (network.bias - 1) * np.float32(unit) + np.einsum("cf,f->c", column, nothing)
        column_mean, mean = (np.average(values, 0, counts).astype(np.float32) for values in (column, level))
        column, level = column - column_mean, level - mean
        column[counts == 0], level[counts == 0] = 0, 0
        bias = np.einsum("rf,f->r", row, column_mean)
        sides = {"user": row, "user_bias": bias, "item": column, "bias": level}
        if not self.user_based:
            sides = {"item": row, "bias": bias, "user": column, "user_bias": level}
        return Ratings(mean=low + float(mean), **sides)
