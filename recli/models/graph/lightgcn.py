"""LightGCN: rows of users and items, smoothed over the graph of who took what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from recli.errors import Exit, RecliError
from recli.model import param
from recli.models.factor.folding import Folding
from recli.training.parameters import Ranked

if TYPE_CHECKING:
    from torch import Tensor

    from recli.interactions import Interactions
    from recli.model import Run


@dataclass(frozen=True, kw_only=True)
class LightGCN(Ranked):
    """The mean of a user's or an item's row and of what reaches it over 1, 2, … steps of the graph.

    He et al. 2020, "LightGCN: simplifying and powering graph convolution network for recommendation" (SIGIR): eq. 8,
    E' = D^-1/2 A D^-1/2 E for each layer, their mean (eq. 4 with equal weights), trained by BPR (eq. 15) if no
    other ``loss`` is asked for. Without layers it is matrix factorisation.

    Deviations, RecBole's: the regularisation is the sum of the lengths, not of their squares (which ``require_pow``
    takes), of the batch's users', items' and negatives' rows, over the number of its examples.

    In the beginning all rows are smoothed into nearly the same, and a metric may stand still for tens of epochs before
    it rises. With few events a patience of 10 may stop there, far below what ``--patience 60`` comes to: RecBole's
    stops so on MovieLens-100K.
    """

    embedding_size: int = param(64, "numbers in the row of a user or an item", least=1)
    n_layers: int = param(2, "steps of the graph", least=0)
    reg_weight: float = param(1e-5, "regularisation of the rows", least=0)
    require_pow: bool = param(False, "regularise by half the squares of the lengths, as the paper does")

    def fit(self, data: Interactions, run: Run) -> Folding:
        """Steps on events and negatives, the whole graph in each.

        Raises:
            RecliError: sparse_adam, and there are layers, through which every row is moved in every step (exit 2).
        """
        import torch
        from torch.nn import Embedding, ModuleDict, init

        from recli.training.batches import Events
        from recli.training.graph import Graph, Smoothed
        from recli.training.loop import train
        from recli.training.ranked import RowLoss
        from recli.training.session import session

        if self.learner == "sparse_adam" and self.n_layers:
            hint = "learner=adam, or n_layers=0"
            raise RecliError(Exit.USAGE, "a step of the graph moves all rows, so there is no sparse_adam", hint=hint)
        with session(run) as device:
            network = ModuleDict()
            for name, number in (("user", data.n_users), ("item", data.n_items)):
                rows = init.xavier_uniform_(torch.empty(number, self.embedding_size))
                network[name] = Embedding.from_pretrained(rows, freeze=False)
            network.to(device)
            table = {name: network[name].weight for name in network}
            take = partial(_take, sparse=self.learner == "sparse_adam")
            graph = Graph.of(data.matrix, device)
            events = Events.of(data.matrix, self, device)
            ranked = RowLoss.of(self, data.popularity, device)

            def rows() -> tuple[Tensor, Tensor]:
                if not self.n_layers:
                    return table["user"], table["item"]
                users, items = Smoothed.apply(table["user"], table["item"], graph, self.n_layers)
                return users, items

            def loss(user: Tensor, item: Tensor, drawn: Tensor) -> Tensor:
                users, items = rows()
                value, negative = ranked(take(users, user), item, drawn, lambda codes: take(items, codes))
                if self.reg_weight:
                    own = take(table["user"], user), take(table["item"], item), take(table["item"], negative)
                    lengths = torch.stack([part.norm() for part in own])
                    size = lengths.square().sum() / 2 if self.require_pow else lengths.sum()
                    value = value + self.reg_weight * size / len(user)
                return value

            def scorer() -> Folding:
                with torch.no_grad():
                    user, item = (part.cpu().numpy() for part in rows())
                return Folding(user=user.copy(), item=item.copy())

            size = max(1, self.train_batch_size // self.train_neg_sample_num)
            return train(self, run, network, lambda: events.epoch(size), loss, scorer)


def _take(table: Tensor, codes: Tensor, sparse: bool) -> Tensor:
    """Rows of a table; their gradients are added up in an order of their own, the same for any number of threads."""
    from torch.nn import functional as F

    return F.embedding(codes, table, sparse=sparse)
