"""Histories folded into factors that were learned by steps, by a logistic regression on the items' rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.scorers import Factors

if TYPE_CHECKING:
    from recli.interactions import Queries
    from recli.kernels.logmf import Side
    from recli.scorers import Floats

# Of the regression; chosen on a cut of MovieLens 100K, where all are good within a factor of two.
REG_WEIGHT: Final = 0.02
ABSENCES: Final = 4.0
STEPS: Final = 60
RATE: Final = 1.0
CHOSEN: Final = 2048  # items that stand for all in a step


@dataclass(frozen=True, kw_only=True)
class Folding(Factors):
    """Factors that a history is folded into: its items are told from all others, the items' rows and biases fixed.

    The row x of a history, and a bias a that orders nothing, maximise the log-likelihood of Johnson 2014, "Logistic
    matrix factorization for implicit feedback data" (NeurIPS workshop), eq. 3, of one user,

        mean of ln s(x'y_i + a + b_i) over the history + 4 × mean of ln s(-x'y_j - a - b_j) over all items
        - 0.02 v |x|^2 / 2,

    v being the mean squared distance of the items' rows from their mean: so neither the scale of the rows, nor the
    length of the history, nor the number of items calls for another regularisation. The weights of events do not count.
    By 60 steps of AdaGrad, as `recli.models.factor.logmf` learns.
    """

    def fold(self, queries: Queries) -> Floats:
        """Gradient ascent from zero, each step against the same items for all histories."""
        from recli.kernels import logmf

        items, scale = self._items
        n = len(self.item)
        past = queries.matrix(n)
        lengths = np.diff(past.indptr)
        past.data = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32)
        ours = logmf.Side.of(len(queries), self.item.shape[1])
        rng = np.random.default_rng(0)
        how = {"absence": ABSENCES / n, "rate": RATE, "reg": REG_WEIGHT}
        for _ in range(STEPS):
            chosen = np.sort(rng.choice(n, CHOSEN, replace=False)) if n > CHOSEN else np.arange(n)
            logmf.ascend(past, items, ours, chosen=chosen, **how)
        return ours.rows / scale

    @cached_property
    def _items(self) -> tuple[Side, np.float32]:
        """The items' rows less their mean, of length 1 on average, and what they were divided by; and their biases."""
        from recli.kernels import logmf

        centred = self.item - self.item.mean(axis=0, dtype=np.float64).astype(np.float32)
        scale = np.float32(np.sqrt(np.einsum("nf,nf->", centred, centred, dtype=np.float64) / len(centred)) or 1)
        side = logmf.Side.of(*self.item.shape)
        np.divide(centred, scale, out=side.rows)
        if self.bias is not None:
            side.bias[:] = self.bias
        return side, scale
