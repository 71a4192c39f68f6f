"""NFM: a perceptron over the products of all pairs of fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.model import param
from recli.training.parameters import Deep

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class NFM(Deep):
    """A weight for each value, and a perceptron over the sum of the products of the fields' rows, number by number.

    He & Chua 2017, "Neural factorization machines for sparse predictive analytics" (SIGIR), eq. 2 to 7; dropout comes
    before every layer (§3.3.2), and the norms of §3.3.3 are ``batch_norm``.

    Deviation: RecBole has norms and sigmoids for the ReLUs. With norms and ReLUs small data are learned by heart at
    once, so there are none unless asked for: on MovieLens-100K that is worth .034 of auc, of the valid part.
    """

    mlp_hidden_size: tuple[int, ...] = param((64, 64, 64), "widths of the perceptron's layers", least=1)
    dropout_prob: float = param(0.0, "share of numbers that a layer does not get in a step", least=0, below=1)
    batch_norm: bool = param(False, "bring the products and what a layer makes to the same mean and deviation")


def build(
    sizes: Sequence[int],
    slots: Sequence[int],
    embedding_size: int,
    mlp_hidden_size: Sequence[int],
    dropout_prob: float,
    batch_norm: bool,
) -> nn.Module:
    """The weights, the rows and the layers."""
    from torch import nn

    from recli.training.fields import Perceptron, Table

    network = nn.ModuleDict({"table": Table(sizes, slots, embedding_size)})
    if batch_norm:
        network["norm"] = nn.BatchNorm1d(embedding_size)
    network["layers"] = Perceptron([embedding_size, *mlp_hidden_size], dropout_prob, batch_norm=batch_norm)
    return network


def scores(network: Any, rows: Tensor, weights: Tensor) -> Tensor:
    """The weights, and the perceptron's number (n,)."""
    from recli.training.fields import bi_interaction

    first = network["table"].total(weights)
    pairs = bi_interaction(rows)
    return first + network["layers"](network["norm"](pairs) if "norm" in network else pairs)
