"""LogMF: logistic matrix factorisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recli.errors import Exit, RecliError
from recli.interactions import weighted
from recli.model import param
from recli.models.factor.folding import Folding

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run


@dataclass(frozen=True, kw_only=True)
class LogMF:
    """Rows and biases whose sum of product and biases is the log-odds that the user takes to the item.

    Johnson 2014, "Logistic matrix factorization for implicit feedback data" (NeurIPS workshop), eq. 3: with
    s_ui = x_u'y_i + b_u + b_i, maximises by alternating gradient ascent with AdaGrad (§3.1)

        sum over events of r_ui (ln s(s_ui) - reg_weight/2 (|x_u|^2 + |y_i|^2)) + w sum over all (u, i) of ln s(-s_ui),

    the paper's objective divided by its alpha = 1 / w, with three deviations. w is such that all absences together
    weigh neg_prop times as much as all events, and the regularisation is each event's, not each row's: so parameters
    that are good for small data are so for large ones. And the second sum is taken, in each step, over a random
    train_neg_sample_num of the items for all users (or of the users for all items), which stand for all: an estimate
    without bias, and a matrix product, where implicit draws neg_prop negatives for each event, each row by itself.
    Where events have weights of their own, r is their sum. The biases of the users are learned but not kept: they order
    nothing.
    """

    takes: ClassVar = ("weights", "start")

    embedding_size: int = param(64, "numbers in the row of a user or an item", least=1)
    epochs: int = param(60, "steps for all users and all items", least=1)
    learning_rate: float = param(0.1, "size of the first step", above=0)
    reg_weight: float = param(0.05, "regularisation of the rows, for each event", least=0)
    neg_prop: float = param(4.0, "how much all absences weigh together, to 1 for all events", above=0)
    train_neg_sample_num: int = param(1024, "rows that stand for all in a step; 0 takes all", least=0)
    weight: str = param("none", "what r of a user and an item is: 1, or a sum", one_of=("none", "count", "rating"))

    def fit(self, data: Interactions, run: Run) -> Folding:
        """A step for the users, then one for the items, and again."""
        from recli.kernels import logmf, threads

        by_user = weighted(data, data.n_items, self.weight)
        by_item = by_user.tocsc().T
        absence = self.neg_prop * float(by_user.sum(dtype=np.float64)) / (data.n_users * data.n_items)
        rng = np.random.default_rng(run.seed)
        user, item = (logmf.Side.of(n, self.embedding_size) for n in by_user.shape)
        for side in (user, item):
            rng.standard_normal(out=side.rows, dtype=np.float32)
            np.multiply(side.rows, np.float32(0.1), out=side.rows)
        for start in run.starts:
            start.into(user.rows, item.rows, item.bias)
        how = {"absence": absence, "rate": self.learning_rate, "reg": self.reg_weight}
        with threads(run.threads):
            for epoch in range(self.epochs):
                for events, theirs, ours in ((by_user, item, user), (by_item, user, item)):
                    n = len(theirs.rows)
                    few = 0 < self.train_neg_sample_num < n
                    chosen = np.sort(rng.choice(n, self.train_neg_sample_num, replace=False)) if few else np.arange(n)
                    logmf.ascend(events, theirs, ours, chosen=chosen, **how)
                run.progress(epoch + 1, self.epochs, "")
        if not (np.isfinite(user.rows).all() and np.isfinite(item.rows).all()):
            hint = f"lower learning_rate={self.learning_rate:g}"
            raise RecliError(Exit.DIVERGED, "the rows became infinite or NaN", hint=hint)
        return Folding(user=user.rows, item=item.rows, bias=item.bias)
