"""DeepFM: a factorisation machine beside a perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.training.parameters import Deep

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class DeepFM(Deep):
    """A factorisation machine, and a perceptron over the same rows: the score is the sum of the two.

    Guo et al. 2017, "DeepFM: a factorization-machine based neural network for CTR prediction" (IJCAI), eq. 1 to 3.
    """


def build(
    sizes: Sequence[int],
    slots: Sequence[int],
    embedding_size: int,
    mlp_hidden_size: Sequence[int],
    dropout_prob: float,
    batch_norm: bool,
) -> nn.Module:
    """The rows and layers."""
    from torch import nn

    from recli.training.fields import Perceptron, Table

    widths = [len(slots) * embedding_size, *mlp_hidden_size]
    layers = Perceptron(widths, dropout_prob, batch_norm=batch_norm)
    return nn.ModuleDict({"table": Table(sizes, slots, embedding_size), "layers": layers})


def scores(network: Any, rows: Tensor, weights: Tensor) -> Tensor:
    """The two parts (n,)."""
    from recli.training.fields import bi_interaction

    first = network["table"].total(weights)
    return first + bi_interaction(rows).sum(1) + network["layers"](rows.flatten(1))
