"""BPR: matrix factorisation by pairwise ranking."""

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
class BPR:
    """A row for each user and item whose product is higher for what the user chose than for what not.

    Rendle et al. 2009, "BPR: Bayesian personalized ranking from implicit feedback" (UAI): maximises, by stochastic
    gradient ascent (Fig. 4) on BPR-Opt (§4.1) with matrix factorisation (§4.3.1),

        sum over u, i chosen, j not chosen of ln s(x_u'(y_i - y_j)) - reg_weight/2 (|x_u|^2 + |y_i|^2 + |y_j|^2).

    Deviations: an epoch takes every event once, with one negative, instead of drawing events; the learning rate falls
    to zero in equal steps; and the order of the steps is stratified (see `recli.kernels.strata`), which makes threads
    safe and the result the same for any number of them. With ``popularity`` the negatives are drawn by the number of an
    item's users to the power of neg_exponent, as in Rendle & Freudenthaler 2014, "Improving pairwise learning for item
    recommendation from implicit feedback" (WSDM), §3. With ``neg_dynamic`` the negative is that of neg_candidate_num
    that scores highest: Zhang et al. 2013, "Optimizing top-n collaborative filtering via dynamic negative item
    sampling" (SIGIR), §3.
    """

    takes: ClassVar = ("start",)

    embedding_size: int = param(64, "numbers in the row of a user or an item", least=1)
    epochs: int = param(100, "times that every event is taken", least=1)
    learning_rate: float = param(0.1, "size of the first epoch's steps", above=0)
    reg_weight: float = param(0.02, "regularisation of the rows in each step", least=0)
    neg_sampling: str = param("uniform", "how negatives are drawn", one_of=("uniform", "popularity"))
    neg_exponent: float = param(0.75, "popularity: the power of an item's users that it is drawn by", least=0)
    neg_dynamic: bool = param(False, "of candidates that are drawn, take the one that scores highest")
    neg_candidate_num: int = param(8, "dynamic: candidates of a negative", least=1)

    def fit(self, data: Interactions, run: Run) -> Folding:
        """Epochs of steps."""
        from recli.kernels import aligned, bpr, strata, threads

        matrix = data.matrix
        rng = np.random.default_rng(run.seed)
        user, item = (aligned(n, self.embedding_size) for n in matrix.shape)
        for rows in (user, item):
            rng.standard_normal(out=rows, dtype=np.float32)
            rows *= np.float32(0.1)
        for start in run.starts:
            start.into(user, item)
        popular = self.neg_sampling == "popularity"
        weight = data.popularity.astype(np.float64) ** self.neg_exponent if popular else None
        given = (matrix, strata.user_blocks(matrix), user, item, weight)
        candidates = self.neg_candidate_num if self.neg_dynamic else 1
        with threads(run.threads):
            for epoch in range(self.epochs):
                rate = self.learning_rate * (1 - epoch / self.epochs)
                dealt = rng.permutation(data.n_items).astype(np.int32)
                seed = int(rng.integers(2**62))
                wrong = bpr.epoch(*given, dealt, candidates=candidates, seed=seed, rate=rate, reg=self.reg_weight)
                if not np.isfinite(wrong):
                    raise _diverged(epoch, self.learning_rate)
                run.progress(epoch + 1, self.epochs, f"wrong order {wrong:.4f}")
        if not (np.isfinite(user).all() and np.isfinite(item).all()):
            raise _diverged(self.epochs, self.learning_rate)
        return Folding(user=user, item=item)


def _diverged(epoch: int, learning_rate: float) -> RecliError:
    return RecliError(
        Exit.DIVERGED,
        f"the rows became infinite or NaN in epoch {epoch}",
        hint=f"lower learning_rate={learning_rate:g}",
    )
