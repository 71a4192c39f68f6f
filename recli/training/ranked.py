"""The loss that a parameter names, of a network whose score is a product of a user's and an item's row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recli.training import losses
from recli.training.negatives import hardest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from recli.training.parameters import Ranked


@dataclass(frozen=True, kw_only=True)
class RowLoss:
    """``how.loss``; ``log_q`` (items,) is the logarithm of how often an item is drawn, up to a constant."""

    how: Ranked
    n_items: int
    log_q: Tensor

    @classmethod
    def of(cls, how: Ranked, popularity: NDArray[np.int64], device: torch.device) -> RowLoss:
        """For items of so many users (items,): each is as often in a batch, and a negative as `Negatives` draws it."""
        power = how.neg_exponent if how.neg_sampling == "popularity" else 0.0
        log_q = torch.from_numpy(popularity).clamp(min=1).float().log() * (1.0 if how.loss == "in_batch" else power)
        return cls(how=how, n_items=len(popularity), log_q=log_q.to(device))

    def __call__(
        self, user: Tensor, item: Tensor, drawn: Tensor, rows: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The loss, and the negatives that it took (n, negatives).

        Of users' rows (n, width), their items (n,) and candidates ``drawn`` as `Events.epoch` gives them; ``rows``
        gives those of items of any shape.
        """
        if self.how.loss == "softmax":
            everything = rows(torch.arange(self.n_items, device=item.device))
            return losses.softmax(user @ everything.T, item), drawn[:, :0, 0]
        if self.how.loss == "in_batch":
            return losses.in_batch_softmax(user, rows(item), item, self.log_q[item]), drawn[:, :0, 0]
        negative = hardest(drawn, lambda codes: (user[:, None] * rows(codes)).sum(2))
        return self._of_negatives(user, item, negative, rows(torch.cat([item[:, None], negative], 1))), negative

    def _of_negatives(self, user: Tensor, item: Tensor, negative: Tensor, theirs: Tensor) -> Tensor:
        """The loss of a user's item and negatives, ``theirs`` (n, 1 + negatives, width) being the rows of them all."""
        how = self.how
        if how.loss == "cosine":
            return losses.cosine_contrastive(user, theirs[:, 0], theirs[:, 1:], how.margin, how.negative_weight)
        scores = (user[:, None] * theirs).sum(2)
        first, others = scores[:, 0], scores[:, 1:]
        if how.loss == "bce":
            label = torch.arange(scores.shape[1], device=scores.device) == 0
            return losses.bce(scores, label.float().expand_as(scores))
        if how.loss == "margin":
            return losses.margin(first, others, how.margin)
        if how.loss == "sampled_softmax":
            log_q = self.log_q[item], self.log_q[negative]
            return losses.sampled_softmax(first, others, log_q)
        return losses.bpr(first, others)
