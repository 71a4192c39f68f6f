"""AutoInt: fields that attend to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.errors import Exit, RecliError
from recli.model import param
from recli.training.parameters import Context

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.training.context import Contextual


@dataclass(frozen=True, kw_only=True)
class AutoInt(Context):
    """Layers in which every field becomes the sum of all fields, weighed by how alike they are in each head.

    Song et al. 2019, "AutoInt: automatic feature interaction learning via self-attentive neural networks" (CIKM):
    attention of ``num_heads`` heads that share ``attention_size`` numbers (eq. 5 to 7), and what a field was, brought
    to that width, is added before the ReLU (eq. 8). A last layer reads all fields (eq. 9); beside it stand a perceptron
    (AutoInt+, §5.4; none with ``mlp_hidden_size`` of []) and a weight for each value, as in RecBole.

    ``dropout_probs`` are those of the attention, of the perceptron and of the fields' rows. FuxiCTR's two additions are
    ``scaled``, which divides a head's likenesses by the root of its width (Vaswani et al. 2017, eq. 1), and
    ``layer_norm``, a norm before the ReLU.
    """

    attention_size: int = param(16, "numbers in the row of a field once it has attended", least=1)
    n_layers: int = param(3, "layers of attention", least=1)
    num_heads: int = param(2, "parts that a layer attends with", least=1)
    scaled: bool = param(False, "divide what fields are alike by the root of a head's width")
    layer_norm: bool = param(False, "bring a field that has attended to a mean of 0 and a deviation of 1")
    dropout_probs: tuple[float, ...] = param((0.2, 0.2, 0.2), "shares that are left out in a step", least=0, below=1)
    mlp_hidden_size: tuple[int, ...] = param((128, 128), "widths of the perceptron's layers", least=1)
    batch_norm: bool = param(False, "bring what a layer of the perceptron makes to the same mean and deviation")

    def fit(self, data: Interactions, run: Run) -> Contextual:
        """Steps on labelled events."""
        if len(self.dropout_probs) != 3:
            raise RecliError(Exit.USAGE, f"dropout_probs takes three shares, not {list(self.dropout_probs)}")
        if self.attention_size % self.num_heads:
            message = f"num_heads={self.num_heads} cannot share attention_size={self.attention_size}"
            raise RecliError(Exit.USAGE, message, hint="the one must divide the other")
        return super().fit(data, run)


def build(
    sizes: Sequence[int],
    slots: Sequence[int],
    embedding_size: int,
    attention_size: int,
    n_layers: int,
    num_heads: int,
    dropout_probs: Sequence[float],
    mlp_hidden_size: Sequence[int],
    batch_norm: bool,
    scaled: bool = False,  # older models do not say
    layer_norm: bool = False,
) -> nn.Module:
    """The weights, the rows and the layers of both kinds."""
    from torch import nn

    from recli.training.fields import Perceptron, Table, xavier
    from recli.training.layers import Dropout

    of_attention, of_layers, of_rows = dropout_probs
    network = nn.ModuleDict({"table": Table(sizes, slots, embedding_size), "drop": Dropout(of_rows)})
    # The query, the key, the value and what the field was, in one matrix.
    widths = [embedding_size, *[attention_size] * (n_layers - 1)]
    network["attention"] = nn.ModuleList(xavier(nn.Linear(width, 4 * attention_size, bias=False)) for width in widths)
    network["norms"] = nn.ModuleList(nn.LayerNorm(attention_size) for _ in widths if layer_norm)
    network.heads, network.share = num_heads, of_attention
    network.scale = (attention_size / num_heads) ** -0.5 if scaled else 1.0
    network["last"] = xavier(nn.Linear(len(slots) * attention_size, 1))
    if mlp_hidden_size:
        widths = [len(slots) * embedding_size, *mlp_hidden_size]
        network["layers"] = Perceptron(widths, of_layers, batch_norm=batch_norm)
    return network


def scores(network: Any, rows: Tensor, weights: Tensor) -> Tensor:
    """The three parts (n,)."""
    from recli.training.attention import attended

    x = rows = network["drop"](rows)
    share = network.share if network.training else 0.0
    for place, layer in enumerate(network["attention"]):
        x = attended(layer(x), network.heads, network.scale, share)
        x = (network["norms"][place](x) if network["norms"] else x).relu()
    score = network["table"].total(weights) + network["last"](x.flatten(1)).squeeze(1)
    return score + network["layers"](rows.flatten(1)) if "layers" in network else score
