"""FPMC: matrix factorisation beside a factorised Markov chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.model import param
from recli.training.parameters import OF_NEXT, NextItem

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.training.networks import Reader
    from recli.training.windows import Window


@dataclass(frozen=True, kw_only=True)
class FPMC(NextItem):
    """A user's row times one row of the item, plus the last item's row times another.

    Rendle, Freudenthaler & Schmidt-Thieme 2010, "Factorizing personalized Markov chains for next-basket
    recommendation" (WWW), with baskets of one, learned by pairwise ranking (S-BPR). For a user who is not
    known, only the last item counts.

    Deviations, RecBole's: Adam on batches, and no regularisation.
    """

    loss_type: str = param("BPR", "what is made smaller; CE is a softmax over all items", one_of=OF_NEXT)
    embedding_size: int = param(64, "numbers in each row of a user or an item", least=1)

    def fit(self, data: Interactions, run: Run) -> Reader:
        """Steps on windows of many users' events."""
        from recli.training.nextitem import fit

        meta = {"users": data.n_users, "items": data.n_items, "embedding_size": self.embedding_size}
        return fit(self, data, run, __name__, meta)


def build(users: int, items: int, embedding_size: int) -> nn.Module:
    """A row of each user, one of each item when it is the last, and two of each when it is next."""
    from torch import nn

    network = nn.ModuleDict()
    network["user"] = nn.Embedding(users, embedding_size)
    network["last"] = nn.Embedding(items, embedding_size)
    network["for_user"] = nn.Embedding(items, embedding_size)
    network["after"] = nn.Embedding(items, embedding_size)
    for table in network.values():
        nn.init.xavier_normal_(table.weight)
    return network


def states(network: Any, window: Window) -> Tensor:
    """The rows of the user and of each event's item, beside each other (n, places, 2 width)."""
    import torch

    user = network["user"](window.user.clamp(min=0)) * (window.user >= 0)[:, None]
    last = network["last"](window.item)
    return torch.cat([user[:, None].expand_as(last), last], 2)


def output(network: Any) -> tuple[Tensor, None]:
    """Both rows of each item when it is next."""
    import torch

    return torch.cat([network["for_user"].weight, network["after"].weight], 1), None
