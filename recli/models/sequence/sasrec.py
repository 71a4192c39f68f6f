"""SASRec: self-attention over a history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.errors import Exit, RecliError
from recli.model import param
from recli.training.parameters import NextItem

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.training.networks import Reader
    from recli.training.windows import Window

ACTIVATIONS = ("gelu", "relu", "swish", "tanh", "sigmoid")
NAMES = (
    *("hidden_size", "inner_size", "n_layers", "n_heads", "hidden_dropout_prob", "attn_dropout_prob", "hidden_act"),
    *("layer_norm_eps", "initializer_range", "prenorm"),
)


@dataclass(frozen=True, kw_only=True)
class SASRec(NextItem):
    """Each event looks at those before it, in layers; the state after the last one is compared with the items' rows.

    Kang & McAuley 2018, "Self-attentive sequential recommendation" (ICDM), §III. Trained at once on every event of a
    window that another follows. ``loss_type=BCE`` is the paper's loss; with many negatives and ``gbce_t`` it is
    gSASRec's (Petrov & Macdonald 2023, RecSys).

    Deviations, RecBole's: a softmax over all items in place of the paper's loss, and the encoder of BERT, with norms
    after the sums; ``prenorm`` has them before, as the paper does for attention, with one more at the end.
    """

    hidden_size: int = param(64, "numbers in a row", least=1)
    inner_size: int = param(256, "numbers in the middle of a layer's perceptron", least=1)
    n_layers: int = param(2, "layers of attention", least=0)
    n_heads: int = param(2, "parts that a layer attends with", least=1)
    hidden_dropout_prob: float = param(0.5, "share of numbers that is left out in a step", least=0, below=1)
    attn_dropout_prob: float = param(0.5, "share of the attention that is left out in a step", least=0, below=1)
    hidden_act: str = param("gelu", "what bends the perceptron", one_of=ACTIVATIONS)
    layer_norm_eps: float = param(1e-12, "added to the variance that a norm divides by", least=0)
    initializer_range: float = param(0.02, "deviation of the first weights", above=0)
    prenorm: bool = param(False, "norms before attention and perceptron, and at the end; else after each")

    def fit(self, data: Interactions, run: Run) -> Reader:
        """Steps on windows of many users' events."""
        from recli.training.nextitem import fit

        if self.hidden_size % self.n_heads:
            message = f"n_heads={self.n_heads} cannot share hidden_size={self.hidden_size}"
            raise RecliError(Exit.USAGE, message, hint="the one must divide the other")
        meta = {name: getattr(self, name) for name in NAMES}
        return fit(self, data, run, __name__, {"items": data.n_items, "places": self.max_seq_length, **meta})


def build(
    items: int,
    places: int,
    hidden_size: int,
    inner_size: int,
    n_layers: int,
    n_heads: int,
    hidden_dropout_prob: float,
    attn_dropout_prob: float,
    hidden_act: str,
    layer_norm_eps: float,
    initializer_range: float,
    prenorm: bool,
) -> nn.Module:
    """Rows of items and places, and the layers."""
    from torch import nn

    from recli.training.layers import Dropout
    from recli.training.transformer import Layer, small_weights

    network = nn.ModuleDict()
    network["item"] = nn.Embedding(items, hidden_size)
    network["place"] = nn.Embedding(places, hidden_size)
    network["norm"] = nn.LayerNorm(hidden_size, layer_norm_eps)
    network["dropout"] = Dropout(hidden_dropout_prob)
    network["layers"] = nn.ModuleList(
        Layer(
            hidden_size,
            inner_size,
            n_heads,
            dropout=hidden_dropout_prob,
            attention_dropout=attn_dropout_prob,
            activation=hidden_act,
            epsilon=layer_norm_eps,
            prenorm=prenorm,
        )
        for _ in range(n_layers)
    )
    small_weights(network, initializer_range)
    return network


def states(network: Any, window: Window) -> Tensor:
    """The state after each event (n, places, width)."""
    x = network["item"](window.item) + network["place"].weight[: window.item.shape[1]]
    prenorm = len(network["layers"]) > 0 and network["layers"][0].prenorm
    x = network["dropout"](x if prenorm else network["norm"](x))
    for layer in network["layers"]:
        x = layer(x, None)
    return network["norm"](x) if prenorm else x


def output(network: Any) -> tuple[Tensor, None]:
    """The items' rows: those that are read."""
    return network["item"].weight, None
