"""LightFM: matrix factorisation in which users and items are the sums of their features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recli.errors import Exit, RecliError
from recli.features import columns_of
from recli.model import param
from recli.models.factor.folding import Folding

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions
    from recli.model import Run


@dataclass(frozen=True, kw_only=True)
class LightFM:
    """A row and a bias for each feature; those of a user or an item are the sums over its features, itself being one.

    Kula 2015, "Metadata embeddings for user and item cold-start recommendations" (CBRecSys), §3.2: with q_u and p_i the
    sums of the rows of the features of a user and of an item, and b_i that of the item's biases, s_ui = q_u'p_i + b_i.
    A user's bias changes no order and is left out. The features are the values of the columns of the users' and the
    items' tables, and, with ``identity``, each user and item of an event; so one without events, which stands in its
    table only, is the sum of its other features. A feature of nobody with events is not learned, and counts as zero.

    Steps are made by AdaGrad for each event in random order, down the gradient of

        warp    ln(max(1, floor((items - 1) / draws))) (1 - s_ui + s_uj)    for j drawn until s_uj > s_ui - 1
        bpr     -ln s(s_ui - s_uj)                                          for one j

    (see `recli.models.factor.warp` and `recli.models.factor.bpr`) + reg_weight/2 (|q_u|^2 + |p_i|^2 + |p_j|^2). It is
    the sums that are regularised: a user with more features shall not be free to fit more closely. The steps are made
    one after the other, on one thread: a feature is shared by users that threads would take.
    """

    takes: ClassVar = ("user", "item")

    embedding_size: int = param(64, "numbers in the row of a feature", least=1)
    epochs: int = param(30, "times that every event is taken", least=1)
    loss: str = param("warp", "what is minimised", one_of=("warp", "bpr"))
    learning_rate: float = param(0.1, "size of the first steps", above=0)
    reg_weight: float = param(0.8, "regularisation of the sums in each step; bpr wants less, such as 0.02", least=0)
    max_sampled: int = param(20, "warp: negatives drawn for an event, at most", least=1)
    identity: bool = param(True, "whether each user and item is a feature of its own")
    user_columns: str = param("", "columns of the users' table, comma-separated; none, or all that hold no numbers")
    item_columns: str = param("", "columns of the items' table, comma-separated; none, or all that hold no numbers")

    def fit(self, data: Interactions, run: Run) -> Folding:
        """Epochs of steps."""
        from recli.kernels import lightfm

        rng = np.random.default_rng(run.seed)
        events = data.matrix
        columns = {"user": self.user_columns, "item": self.item_columns}
        features = [features_of(data, role, chosen, self.identity) for role, chosen in columns.items()]
        user, item = (lightfm.Side.of(one, self.embedding_size) for one in features)
        for side in (user, item):
            side.rows[:] = (rng.random(side.rows.shape, np.float32) - np.float32(0.5)) / np.float32(self.embedding_size)
        owners = np.repeat(np.arange(data.n_users, dtype=np.int32), np.diff(events.indptr))
        pairs, items = np.stack([owners, events.indices], axis=1), np.flatnonzero(data.popularity).astype(np.int32)
        ranks = (len(items) - 1) // np.arange(1, (self.max_sampled if self.loss == "warp" else 0) + 1)
        losses = np.log(np.maximum(ranks, 1)).astype(np.float32)
        how = lightfm.How(np.float32(self.learning_rate), np.float32(self.reg_weight))
        for epoch in range(self.epochs):
            order, seed = rng.permutation(len(pairs)), int(rng.integers(2**62))
            loss = lightfm.epoch(events, pairs[order], items, user, item, losses, seed=seed, how=how)
            run.progress(epoch + 1, self.epochs, f"{self.loss} {loss:.4f}")
        if not all(np.isfinite(learned).all() for side in (user, item) for learned in side[2:]):
            hint = f"lower learning_rate={self.learning_rate:g}"
            raise RecliError(Exit.DIVERGED, "the rows became infinite or NaN", hint=hint)
        of_user, of_item = features
        return Folding(user=of_user @ user.rows, item=of_item @ item.rows, bias=of_item @ item.bias)


def features_of(data: Interactions, role: str, columns: str, identity: bool) -> csr_matrix:
    """Users (or items) × features, of which those are kept that somebody with events has.

    Raises:
        RecliError: there is no such table or column, or nobody has a feature (exit 2).
    """
    from scipy.sparse import csr_matrix, hstack

    n = data.n_users if role == "user" else data.n_items
    active = np.flatnonzero(np.diff(data.matrix.indptr) if role == "user" else data.popularity)
    known = data.features(role, columns_of(columns))
    if known is None and columns_of(columns):
        message = f"there is no table of {role}s with {role}_columns={columns}"
        raise RecliError(Exit.USAGE, message, hint=f"--{role}-table names it")
    parts = [] if known is None else [known.matrix]
    if identity:
        own = (np.ones(len(active), np.float32), (active, np.arange(len(active))))
        parts.append(csr_matrix(own, shape=(n, len(active))))
    if not parts or not sum(part.nnz for part in parts):
        hint = f"--{role}-table names their table, -p {role}_columns its columns; or leave out identity=false"
        raise RecliError(Exit.USAGE, f"the {role}s have no features", hint=hint)
    features = hstack(parts, format="csr", dtype=np.float32)
    learned = np.bincount(features[active].indices, minlength=features.shape[1]) > 0
    return features[:, learned].tocsr()
