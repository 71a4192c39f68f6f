"""WARP: matrix factorisation that pulls up what stands low in a user's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.models.factor.folding import Folding

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run


@dataclass(frozen=True, kw_only=True)
class WARP:
    """A row for each user and item, and an item bias; an event is pulled up the harder, the lower it stands.

    Weston, Bengio & Usunier 2011, "WSABIE: scaling up to large vocabulary image annotation" (IJCAI), Algorithm 1, in
    the form of LightFM (Kula 2015): negatives j are drawn until one scores above the event less 1, and then a step is
    made down the gradient of

        ln(max(1, floor((items - 1) / draws))) (1 - s_ui + s_uj) + reg_weight/2 (|x_u|^2 + |y_i|^2 + |y_j|^2),

    s_ui = x_u'y_i + b_i, by AdaGrad; after max_sampled draws in vain there is none. Deviation: the order of the steps
    is stratified (see `recli.kernels.strata` and `recli.kernels.warp`), which makes threads safe and the result the
    same for any number of them.
    """

    takes: ClassVar = ("start",)

    embedding_size: int = param(64, "numbers in the row of a user or an item", least=1)
    epochs: int = param(30, "times that every event is taken", least=1)
    learning_rate: float = param(0.1, "size of the first steps", above=0)
    reg_weight: float = param(0.8, "regularisation of the rows in each step", least=0)
    max_sampled: int = param(20, "negatives drawn for an event, at most", least=1)

    def fit(self, data: Interactions, run: Run) -> Folding:
        """Epochs of steps."""
        from recli.kernels import strata, threads, warp

        rng = np.random.default_rng(run.seed)
        weights = warp.Weights.of(data.n_users, data.n_items, self.embedding_size)
        for rows in (weights.user, weights.item):
            rows[:] = (rng.random(rows.shape, np.float32) - np.float32(0.5)) / np.float32(self.embedding_size)
        for start in run.starts:
            start.into(weights.user, weights.item, weights.bias)
        ranks = (data.n_items - 1) // np.arange(1, self.max_sampled + 1)
        losses = np.log(np.maximum(ranks, 1)).astype(np.float32)
        given = (data.matrix, strata.user_blocks(data.matrix), weights, losses)
        with threads(run.threads):
            for epoch in range(self.epochs):
                dealt = rng.permutation(data.n_items).astype(np.int32)
                seed = int(rng.integers(2**62))
                found = warp.epoch(*given, dealt, seed=seed, rate=self.learning_rate, reg=self.reg_weight)
                run.progress(epoch + 1, self.epochs, f"too low {found:.4f}")
        if not all(np.isfinite(learned).all() for learned in weights):
            hint = f"lower learning_rate={self.learning_rate:g}"
            raise RecliError(Exit.DIVERGED, "the rows became infinite or NaN", hint=hint)
        return Folding(user=weights.user, item=weights.item, bias=weights.bias)
