"""NeuMF: matrix factorisation beside a perceptron; each of the two alone is GMF and MLP."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.training.parameters import Sampled

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.scorers import Factors
    from recli.training.networks import Pairwise


@dataclass(frozen=True, kw_only=True)
class NeuMF(Sampled):
    """One weight for each number of the product of a user's and an item's row, and a perceptron over two other rows.

    He et al. 2017, "Neural collaborative filtering" (WWW): eq. 12; without the perceptron it is GMF (eq. 9), without
    the product MLP (eq. 10). Trained on events and drawn negatives as equally many labels (eq. 7). The score is what
    eq. 12 takes the sigmoid of.

    Deviations: dropout before each layer of the perceptron, whose widths RecBole chose. GMF ends as a product of rows,
    and its constant, which orders nothing, is left out.

    On small data it stays below `itemknn`, RecBole's too: a perceptron has to learn what a product of rows is given.
    Rendle, Krichene, Zhang & Anderson 2020, "Neural collaborative filtering vs. matrix factorization revisited"
    (RecSys), find a product with as good parameters the better of the two.
    """

    mf_embedding_size: int = param(64, "numbers in a row of the product", least=1)
    mlp_embedding_size: int = param(64, "numbers in a row that the perceptron gets", least=1)
    mlp_hidden_size: tuple[int, ...] = param((128, 64), "widths of the perceptron's layers", least=1)
    dropout_prob: float = param(0.1, "share of numbers that a layer does not get in a step", least=0, below=1)
    mf_train: bool = param(True, "have the product")
    mlp_train: bool = param(True, "have the perceptron")

    def fit(self, data: Interactions, run: Run) -> Factors | Pairwise:
        """Steps on events and negatives."""
        import torch

        from recli.training.batches import Events
        from recli.training.loop import train
        from recli.training.losses import bce
        from recli.training.negatives import hardest
        from recli.training.networks import Pairwise, weights_of
        from recli.training.session import session

        if not (self.mf_train or self.mlp_train):
            raise RecliError(Exit.USAGE, "mf_train and mlp_train are both false", hint="one of them has to be there")
        meta: dict[str, Any] = {
            "users": data.n_users,
            "items": data.n_items,
            "product": self.mf_embedding_size if self.mf_train else 0,
            "row": self.mlp_embedding_size if self.mlp_train else 0,
            "hidden": list(self.mlp_hidden_size),
        }
        with session(run) as device:
            network = build(**meta).to(device)
            events = Events.of(data.matrix, self, device)
            labels = torch.arange(1 + self.train_neg_sample_num, device=device) == 0

            def loss(user: Tensor, item: Tensor, drawn: Tensor) -> Tensor:
                def score(items: Tensor) -> Tensor:
                    users = user.repeat_interleave(items.shape[1])
                    return pairs(network, users, items.flatten(), self.dropout_prob).view(items.shape)

                scores = score(torch.cat([item[:, None], hardest(drawn, score)], 1))
                return bce(scores, labels.float().expand_as(scores))

            def scorer() -> Factors | Pairwise:
                weights = weights_of(network)
                if not self.mlp_train:
                    return _product(weights)
                return Pairwise(
                    module=__name__,
                    meta=json.dumps(meta),
                    weights=weights,
                    n_users=data.n_users,
                    n_items=data.n_items,
                )

            size = max(1, self.train_batch_size // (1 + self.train_neg_sample_num))
            return train(self, run, network, lambda: events.epoch(size), loss, scorer)


def _product(weights: dict[str, Any]) -> Factors:
    """GMF's score as a product of rows: the weights go into the user's."""
    from recli.scorers import Factors

    user = weights["mf_user.weight"] * weights["predict.weight"]
    return Factors(user=user.astype(np.float32), item=weights["mf_item.weight"].copy())


def build(users: int, items: int, product: int, row: int, hidden: list[int]) -> nn.Module:
    """The tables and layers; a width of 0 leaves out the product or the perceptron."""
    from torch import nn

    network = nn.ModuleDict()
    for name, width in (("mf", product), ("mlp", row)):
        if width:
            network[f"{name}_user"] = nn.Embedding(users, width)
            network[f"{name}_item"] = nn.Embedding(items, width)
            for table in (network[f"{name}_user"], network[f"{name}_item"]):
                nn.init.normal_(table.weight, 0, 0.01)
    widths = [2 * row, *hidden]
    if row:
        network["layers"] = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
    network["predict"] = nn.Linear(product + (widths[-1] if row else 0), 1)
    return network


def pairs(network: Any, user: Tensor, item: Tensor, dropout: float = 0.0) -> Tensor:
    """Scores of pairs (n,), of codes (n,)."""
    import torch
    from torch.nn import functional as F

    from recli.training import layers

    parts = []
    if "mf_user" in network:
        parts.append(network["mf_user"](user) * network["mf_item"](item))
    if "mlp_user" in network:
        x = torch.cat([network["mlp_user"](user), network["mlp_item"](item)], 1)
        for layer in network["layers"]:
            x = F.relu(layers.linear(layer, layers.dropout(x, dropout)))
        parts.append(x)
    return network["predict"](torch.cat(parts, 1)).squeeze(1)


def items(network: Any) -> Tensor:
    """The items' part of the first layer (items, width): it is linear in what comes before it."""
    table, first = network["mlp_item"].weight, network["layers"][0]
    return table @ first.weight[:, table.shape[1] :].T


def grid(network: Any, user: Tensor, items: Tensor) -> Tensor:
    """Scores of users (n,) with all items (n, items)."""
    from torch.nn import functional as F

    from recli.training.layers import linear

    first, *others = network["layers"]
    row, last = network["mlp_user"](user), network["predict"]
    x = (F.linear(row, first.weight[:, : row.shape[1]], first.bias)[:, None] + items).relu_()  # (n, items, width)
    for layer in others:
        x = linear(layer, x).relu_()
    product = last.weight.shape[1] - x.shape[2]
    scores = x @ last.weight[0, product:] + last.bias
    if product:
        scores += (network["mf_user"](user) * last.weight[:, :product]) @ network["mf_item"].weight.T
    return scores
