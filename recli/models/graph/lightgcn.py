"""LightGCN: rows of users and items, smoothed over the graph of who took what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recli.model import param
from recli.scorers import Factors
from recli.training.parameters import Sampled

if TYPE_CHECKING:
    from torch import Tensor

    from recli.interactions import Interactions
    from recli.model import Run


@dataclass(frozen=True, kw_only=True)
class LightGCN(Sampled):
    """The mean of a user's or an item's row and of what reaches it over 1, 2, … steps of the graph.

    He et al. 2020, "LightGCN: simplifying and powering graph convolution network for recommendation" (SIGIR): eq. 8,
    E' = D^-1/2 A D^-1/2 E for each layer, their mean (eq. 4 with equal weights), trained by BPR (eq. 15). Without
    layers it is matrix factorisation.

    Deviations, RecBole's: the regularisation is the sum of the lengths, not of their squares, of the batch's users',
    items' and negatives' rows, over the number of its examples.

    In the beginning all rows are smoothed into nearly the same, and a metric may stand still for tens of epochs before
    it rises. With few events a patience of 10 may stop there, far below what ``--patience 60`` comes to: RecBole's
    stops so on MovieLens-100K.
    """

    embedding_size: int = param(64, "numbers in the row of a user or an item", least=1)
    n_layers: int = param(2, "steps of the graph", least=0)
    reg_weight: float = param(1e-5, "regularisation of the rows", least=0)

    def fit(self, data: Interactions, run: Run) -> Factors:
        """Steps on events and negatives, the whole graph in each."""
        import torch
        from torch import nn

        from recli.training.batches import Events
        from recli.training.graph import Graph, Smoothed
        from recli.training.loop import train
        from recli.training.losses import bpr
        from recli.training.negatives import hardest
        from recli.training.session import session

        with session(run) as device:
            network = nn.Module()
            for name, number in (("user", data.n_users), ("item", data.n_items)):
                rows = nn.init.xavier_uniform_(torch.empty(number, self.embedding_size))
                network.register_parameter(name, nn.Parameter(rows))
            network.to(device)
            graph = Graph.of(data.matrix, device)
            events = Events.of(data.matrix, self, device)

            def rows() -> tuple[Tensor, Tensor]:
                if not self.n_layers:
                    return network.user, network.item
                users, items = Smoothed.apply(network.user, network.item, graph, self.n_layers)
                return users, items

            def loss(user: Tensor, item: Tensor, drawn: Tensor) -> Tensor:
                users, items = rows()
                mine = take(users, user)

                def score(codes: Tensor) -> Tensor:
                    return (mine[:, None] * take(items, codes)).sum(2)

                chosen = torch.cat([item[:, None], hardest(drawn, score)], 1)
                scores = score(chosen)
                value = bpr(scores[:, 0], scores[:, 1:])
                if self.reg_weight:
                    own = take(network.user, user), take(network.item, item), take(network.item, chosen[:, 1:])
                    value = value + self.reg_weight * torch.stack([part.norm() for part in own]).sum() / len(user)
                return value

            def scorer() -> Factors:
                with torch.no_grad():
                    user, item = (part.cpu().numpy() for part in rows())
                return Factors(user=user.copy(), item=item.copy())

            size = max(1, self.train_batch_size // self.train_neg_sample_num)
            return train(self, run, network, lambda: events.epoch(size), loss, scorer)


def take(table: Tensor, codes: Tensor) -> Tensor:
    """Rows of a table; their gradients are added up in an order of their own, the same for any number of threads."""
    from torch.nn import functional as F

    return F.embedding(codes, table)
