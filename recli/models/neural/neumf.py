"""NeuMF: matrix factorisation beside a perceptron; each of the two alone is GMF and MLP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.training.parameters import Sampled

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run, Start
    from recli.models.factor.folding import Folding
    from recli.training.networks import Pairwise


@dataclass(frozen=True, kw_only=True)
class NeuMF(Sampled):
    """One weight for each number of the product of a user's and an item's row, and a perceptron over two other rows.

    He et al. 2017, "Neural collaborative filtering" (WWW): eq. 12; without the perceptron it is GMF (eq. 9), without
    the product MLP (eq. 10). Trained on events and drawn negatives as equally many labels (eq. 7). The score is what
    eq. 12 takes the sigmoid of. It can begin with what GMF and MLP have learned, each counting half (§3.4.1, eq. 13);
    the steps after that are better made by sgd, for adam's first ones would be as large as those from nothing.

    Users that train never saw have no rows; gmf alone, being a product, is served to them by their histories.

    Deviations: dropout before each layer of the perceptron, whose widths RecBole chose. GMF ends as a product of rows:
    its weights go into the users', and are ones where it is begun with.

    On small data it stays below `itemknn`, RecBole's too: a perceptron has to learn what a product of rows is given.
    Rendle, Krichene, Zhang & Anderson 2020, "Neural collaborative filtering vs. matrix factorization revisited"
    (RecSys), find a product with as good parameters the better of the two.
    """

    takes: ClassVar = ("training", "start")

    mf_embedding_size: int = param(64, "numbers in a row of the product", least=1)
    mlp_embedding_size: int = param(64, "numbers in a row that the perceptron gets", least=1)
    mlp_hidden_size: tuple[int, ...] = param((128, 64), "widths of the perceptron's layers", least=1)
    dropout_prob: float = param(0.1, "share of numbers that a layer does not get in a step", least=0, below=1)
    mf_train: bool = param(True, "have the product")
    mlp_train: bool = param(True, "have the perceptron")

    def fit(self, data: Interactions, run: Run) -> Folding | Pairwise:
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
            network = build(**meta)
            _begin(network, run.starts)
            network.to(device)
            events = Events.of(data.matrix, self, device)
            labels = torch.arange(1 + self.train_neg_sample_num, device=device) == 0

            def loss(user: Tensor, item: Tensor, drawn: Tensor) -> Tensor:
                def score(items: Tensor) -> Tensor:
                    return beside(network, user, items, self.dropout_prob)

                scores = score(torch.cat([item[:, None], hardest(drawn, score)], 1))
                return bce(scores, labels.float().expand_as(scores))

            def scorer() -> Folding | Pairwise:
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


def _product(weights: dict[str, Any]) -> Folding:
    """GMF's score as a product of rows: the weights go into the user's."""
    from recli.models.factor.folding import Folding

    user = weights["mf_user.weight"] * weights["predict.weight"]
    return Folding(user=user.astype(np.float32), item=weights["mf_item.weight"].copy())


def _begin(network: nn.Module, starts: Sequence[Start]) -> None:
    """Put what older models have learned in place of what the network begins with, rows by their ids.

    Raises:
        RecliError: they have other sizes (exit 2).
    """
    import torch

    own = network.state_dict()  # of the network's own memory
    product = own["mf_user.weight"].shape[1] if "mf_user.weight" in own else 0
    constant = torch.zeros(1)
    for start in starts:
        old = _learned(start.scorer)
        columns = slice(0 if "mf_user.weight" in old else product, None if "mlp_user.weight" in old else product)
        parts = tuple(part for part in ("mf_", "mlp_", "layers.") if any(name.startswith(part) for name in old))
        new = {name: tensor for name, tensor in own.items() if name.startswith(parts)}
        new["predict.weight"] = own["predict.weight"][:, columns]
        constant += torch.from_numpy(old.pop("predict.bias", np.zeros(1, np.float32)))
        shapes, sizes = ({name: array.shape[-1:] for name, array in one.items()} for one in (old, new))
        if shapes != sizes:
            hint = "give both the same mf_embedding_size, mlp_embedding_size and mlp_hidden_size"
            raise RecliError(Exit.USAGE, f"--init: {start.model} has layers of other sizes", hint=hint)
        for name, array in old.items():
            codes = start.user if "_user" in name else start.item if "_item" in name else np.arange(len(array))
            new[name][codes >= 0] = torch.from_numpy(array[codes[codes >= 0]])
    if starts:
        own["predict.weight"] /= len(starts)
        own["predict.bias"][:] = constant / len(starts)


def _learned(scorer: Any) -> dict[str, Any]:
    """The tables and layers of GMF, whose weights are in the users' rows, of MLP, or of both."""
    from recli.training.networks import Pairwise

    if isinstance(scorer, Pairwise):
        return {name: np.array(array) for name, array in scorer.weights.items()}  # torch takes none of a file
    ones = np.ones((1, scorer.user.shape[1]), np.float32)
    return {"mf_user.weight": scorer.user, "mf_item.weight": scorer.item, "predict.weight": ones}


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


def pairs(network: Any, user: Tensor, item: Tensor) -> Tensor:
    """Scores of pairs (n,), of codes (n,)."""
    return beside(network, user, item[:, None]).squeeze(1)


def beside(network: Any, user: Tensor, items: Tensor, dropout: float = 0.0) -> Tensor:
    """Scores of users (n,) with some items each (n, k)."""
    import torch
    from torch.nn import functional as F

    from recli.training.perceptron import rectified

    last, scores = network["predict"], []
    if "mf_user" in network:
        product = network["mf_user"](user)[:, None] * network["mf_item"](items)
        scores.append(F.linear(product, last.weight[:, : product.shape[2]]))
    if "mlp_user" in network:
        rows = network["mlp_item"](items)
        x = torch.cat([network["mlp_user"](user)[:, None].expand(rows.shape), rows], 2)
        x = rectified(x, network["layers"], dropout)
        scores.append(F.linear(x, last.weight[:, -x.shape[2] :]))
    return sum(scores, last.bias).squeeze(2)


def items(network: Any) -> Tensor:
    """The items' part of the first layer (items, width): it is linear in what comes before it."""
    table, first = network["mlp_item"].weight, network["layers"][0]
    return table @ first.weight[:, table.shape[1] :].T


def grid(network: Any, user: Tensor, items: Tensor) -> Tensor:
    """Scores of users (n,) with all items (n, items)."""
    from torch.nn import functional as F

    first, *others = network["layers"]
    row, last = network["mlp_user"](user), network["predict"]
    x = (F.linear(row, first.weight[:, : row.shape[1]], first.bias)[:, None] + items).relu_()  # (n, items, width)
    for layer in others:
        x = layer(x).relu_()
    product = last.weight.shape[1] - x.shape[2]
    scores = x @ last.weight[0, product:] + last.bias
    if product:
        scores += (network["mf_user"](user) * last.weight[:, :product]) @ network["mf_item"].weight.T
    return scores
