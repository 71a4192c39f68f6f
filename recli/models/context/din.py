"""DIN: what of a user's history is like the item that is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.model import param
from recli.training.parameters import Deep

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class DIN(Deep):
    """The sum of the rows of what the user clicked on before, each weighed by a perceptron that sees it and the item.

    Zhou et al. 2018, "Deep interest network for click-through rate prediction" (KDD), eq. 3: the weights are no
    softmax, so that a strong interest shows. A perceptron reads the rows of all fields, that sum, and its product with
    the item's rows; its layers bend by Dice (eq. 7). The one that weighs sees both rows, their difference and product.
    History are the last ``max_seq_length`` events before the one at hand whose label is above 0.

    On MovieLens-100K's labels it is no better than `lr`: what a user liked lately is much of what the user's own row
    has learned from all events, and after seven epochs the perceptron knows the train part by heart.
    """

    mlp_hidden_size: tuple[int, ...] = param((256, 256, 256), "widths of the perceptron's layers", least=1)
    dropout_prob: float = param(0.0, "share of numbers that a layer does not get in a step", least=0, below=1)
    att_hidden_size: tuple[int, ...] = param((36,), "widths of the layers of the perceptron that weighs", least=1)
    pooling_mode: str = param("mean", "what the values of a sequence become", one_of=("mean", "sum", "max"))
    max_seq_length: int = param(50, "events of a history that are read, the last ones", least=1)

    @property
    def history(self) -> int:
        """How many clicks before an event are read."""
        return self.max_seq_length


def build(
    sizes: Sequence[int],
    slots: Sequence[int],
    embedding_size: int,
    mlp_hidden_size: Sequence[int],
    dropout_prob: float,
    batch_norm: bool,
    att_hidden_size: Sequence[int],
    max_seq_length: int,
    item: Sequence[int],
    pooling_mode: str = "mean",  # older models do not say
) -> nn.Module:
    """The rows and layers; ``item`` are the first of the item's fields and the one behind the last."""
    from torch import nn

    from recli.training.fields import Perceptron, Table

    width, own = len(slots) * embedding_size, (item[1] - item[0]) * embedding_size
    network = nn.ModuleDict({"table": Table(sizes, slots, embedding_size, first_order=False, pooling=pooling_mode)})
    network["weigh"] = Perceptron([4 * own, *att_hidden_size])
    network["layers"] = Perceptron([width + 2 * own, *mlp_hidden_size], dropout_prob, batch_norm=batch_norm, dice=True)
    network.item = slice(*item)
    return network


def scores(network: Any, rows: Tensor, past: tuple[Tensor, Tensor]) -> Tensor:
    """What the perceptron tells (n,), of rows (n, fields, width) and the history's (n, length, its fields, width)."""
    import torch

    item, before = rows[:, network.item].flatten(1), past[0].flatten(2)
    beside = item[:, None].expand_as(before)
    seen = torch.cat([before, beside, before - beside, before * beside], 2)
    weight = network["weigh"](seen.flatten(0, 1)).view(before.shape[:2]) * past[1]
    interest = (weight[:, None] @ before).squeeze(1)
    return network["layers"](torch.cat([rows.flatten(1), interest, interest * item], 1))
