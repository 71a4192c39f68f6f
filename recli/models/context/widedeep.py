"""Wide & Deep: logistic regression beside a perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.model import param
from recli.training.parameters import Deep

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class WideDeep(Deep):
    """A weight for each value, and a perceptron over the values' rows: the score is the sum of the two.

    Cheng et al. 2016, "Wide & deep learning for recommender systems" (DLRS), eq. 3. Deviation: the wide part has the
    values alone, without the products of two that were chosen by hand; both parts have one optimizer.
    """

    mlp_hidden_size: tuple[int, ...] = param((32, 16, 8), "widths of the perceptron's layers", least=1)
    dropout_prob: float = param(0.1, "share of numbers that a layer does not get in a step", least=0, below=1)


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

    widths = [len(slots) * embedding_size, *mlp_hidden_size]
    layers = Perceptron(widths, dropout_prob, batch_norm=batch_norm)
    return nn.ModuleDict({"table": Table(sizes, slots, embedding_size), "layers": layers})


def scores(network: Any, rows: Tensor, weights: Tensor) -> Tensor:
    """The two parts (n,)."""
    first = network["table"].total(weights)
    return first + network["layers"](rows.flatten(1))
