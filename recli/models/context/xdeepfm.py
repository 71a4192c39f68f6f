"""xDeepFM: a network of compressed interactions beside a perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.errors import Exit, RecliError
from recli.model import param
from recli.training.parameters import Deep

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.training.context import Contextual


@dataclass(frozen=True, kw_only=True)
class XDeepFM(Deep):
    """Products of the fields' rows of ever higher order, number by number, a perceptron, and a weight for each value.

    Lian et al. 2018, "xDeepFM: combining explicit and implicit feature interactions for recommender systems" (KDD).
    Layer k makes H_k rows, each a weighted sum of the products of all rows of the layer before with all fields' rows
    (eq. 6); what the rows of all layers sum up to is weighed for the score (eq. 8, 15). Unless ``direct``, one half of
    a layer's rows goes into the score, the other into the next layer, as in the authors' code.

    ``reg_weight`` times the lengths of all matrices is added to the loss, as in RecBole.
    """

    reg_weight: float = param(5e-4, "how much the matrices are held down", least=0)
    direct: bool = param(False, "have all rows of a layer in the score and in the next layer")
    cin_layer_size: tuple[int, ...] = param((100, 100, 100), "rows that each layer of interactions makes", least=1)

    def fit(self, data: Interactions, run: Run) -> Contextual:
        """Steps on labelled events."""
        if not self.direct and any(size % 2 for size in self.cin_layer_size[:-1]):
            message = f"cin_layer_size={list(self.cin_layer_size)} has a layer that cannot be halved"
            raise RecliError(Exit.USAGE, message, hint="even numbers, or -p direct=true")
        return super().fit(data, run)


def build(
    sizes: Sequence[int],
    slots: Sequence[int],
    embedding_size: int,
    mlp_hidden_size: Sequence[int],
    dropout_prob: float,
    batch_norm: bool,
    reg_weight: float,
    direct: bool,
    cin_layer_size: Sequence[int],
) -> nn.Module:
    """The weights, the rows and the layers of both kinds."""
    from torch import nn

    from recli.training.fields import Perceptron, Table, xavier

    fields, before, told = len(slots), len(slots), 0
    cin = nn.ModuleList()
    for depth, size in enumerate(cin_layer_size):
        cin.append(xavier(nn.Linear(before * fields, size)))
        halved = not direct and depth < len(cin_layer_size) - 1
        before = size // 2 if halved else size
        told += before
    layers = Perceptron([fields * embedding_size, *mlp_hidden_size], dropout_prob, batch_norm=batch_norm)
    last = xavier(nn.Linear(told, 1, bias=False))
    network = nn.ModuleDict({"table": Table(sizes, slots, embedding_size), "layers": layers, "cin": cin, "last": last})
    network.direct = direct
    return network


def scores(network: Any, rows: Tensor, weights: Tensor) -> Tensor:
    """The three parts (n,)."""
    first = network["table"].total(weights)
    return first + network["layers"](rows.flatten(1)) + network["last"](_interactions(network, rows)).squeeze(1)


def _interactions(network: Any, rows: Tensor) -> Tensor:
    """What the rows of the layers sum up to (n, rows that are told)."""
    import torch

    from recli.training.fields import interact

    start = x = rows.transpose(1, 2)  # (n, width, fields)
    told = []
    for depth, layer in enumerate(network["cin"], 1):
        last = depth == len(network["cin"])
        size = layer.out_features if network.direct or last else layer.out_features // 2
        x, own = interact(x, start, layer, 0 if last else size, size)
        told.append(own)
    return torch.cat(told, 1)


def penalty(network: Any, how: XDeepFM) -> Tensor:
    """The lengths of all matrices, and of the values' weights."""
    matrices = [
        layer.weight for name in ("cin", "layers") for layer in network[name].modules() if hasattr(layer, "weight")
    ]
    table = network["table"]
    return how.reg_weight * sum(one.norm() for one in [*matrices, table.weight[:, table.width]])
