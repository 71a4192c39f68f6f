"""BERT4Rec: attention both ways, trained on items that are hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recli.errors import Exit, RecliError
from recli.model import param
from recli.training.parameters import NextItem

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.training.networks import Reader
    from recli.training.nextitem import Objective
    from recli.training.windows import Window

NAMES = (
    *("hidden_size", "inner_size", "n_layers", "n_heads", "hidden_dropout_prob", "attn_dropout_prob", "hidden_act"),
    *("layer_norm_eps", "initializer_range", "mask_ratio", "ft_ratio"),
)


@dataclass(frozen=True, kw_only=True)
class BERT4Rec(NextItem):
    """Hidden items are guessed from those on both sides; to say what comes next, a hidden one is put at the end.

    Sun et al. 2019, "BERT4Rec: sequential recommendation with bidirectional encoder representations from transformer"
    (CIKM), §3, with the output layer of eq. 7 and the loss of eq. 8.

    Deviations: RecBole's norm after the output layer, and its ``ft_ratio`` for the paper's mixing in of histories of
    which only the last item is hidden; a window in which chance hides nothing has its last item hidden.
    """

    hidden_size: int = param(64, "numbers in a row", least=1)
    inner_size: int = param(256, "numbers in the middle of a layer's perceptron", least=1)
    n_layers: int = param(2, "layers of attention", least=0)
    n_heads: int = param(2, "parts that a layer attends with", least=1)
    hidden_dropout_prob: float = param(0.2, "share of numbers that is left out in a step", least=0, below=1)
    attn_dropout_prob: float = param(0.2, "share of the attention that is left out in a step", least=0, below=1)
    hidden_act: str = param("gelu", "what bends the perceptron", one_of=("gelu", "relu", "swish", "tanh", "sigmoid"))
    layer_norm_eps: float = param(1e-12, "added to the variance that a norm divides by", least=0)
    initializer_range: float = param(0.02, "deviation of the first weights", above=0)
    mask_ratio: float = param(0.2, "share of items that is hidden", above=0, below=1)
    ft_ratio: float = param(0.5, "share of windows of which only the last item is hidden", least=0)

    def fit(self, data: Interactions, run: Run) -> Reader:
        """Steps on windows of many users' events."""
        from recli.training.nextitem import fit

        if self.hidden_size % self.n_heads:
            message = f"n_heads={self.n_heads} cannot share hidden_size={self.hidden_size}"
            raise RecliError(Exit.USAGE, message, hint="the one must divide the other")
        if self.loss_type not in ("CE", "sampled"):
            hint = "-p loss_type=CE or sampled"
            raise RecliError(Exit.USAGE, f"bert4rec guesses what was taken: no loss_type={self.loss_type}", hint=hint)
        meta = {name: getattr(self, name) for name in NAMES}
        return fit(self, data, run, __name__, {"items": data.n_items, "places": self.max_seq_length + 1, **meta})


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
    mask_ratio: float,
    ft_ratio: float,
) -> nn.Module:
    """Rows of items, with one more for a hidden item, and of places; the layers; and the output layer."""
    import torch
    from torch import nn

    from recli.training.layers import Dropout
    from recli.training.transformer import Layer, small_weights

    network = nn.ModuleDict()
    network["item"] = nn.Embedding(items + 1, hidden_size)
    network["place"] = nn.Embedding(places, hidden_size)
    network["norms"] = nn.ModuleList(nn.LayerNorm(hidden_size, layer_norm_eps) for _ in range(2))
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
        )
        for _ in range(n_layers)
    )
    network["output"] = nn.Linear(hidden_size, hidden_size)
    network.bias = nn.Parameter(torch.zeros(items))
    network.mask_ratio, network.ft_ratio = mask_ratio, ft_ratio
    small_weights(network, initializer_range)
    return network


def read(network: Any, item: Tensor, length: Tensor) -> Tensor:
    """The row of each place (n, places, width) of items (n, places), of which the first ``length`` are there."""
    import torch
    from torch.nn import functional as F

    first, last = network["norms"]
    there = torch.arange(item.shape[1], device=item.device) < length[:, None]
    x = network["dropout"](first(network["item"](item) + network["place"].weight[: item.shape[1]]))
    for layer in network["layers"]:
        x = layer(x, there[:, None, None])
    return last(F.gelu(network["output"](x)))


def loss(network: Any, window: Window, objective: Objective) -> Tensor:
    """What is hidden of the windows, their last targets with them, against what is guessed."""
    import torch

    n, places = window.item.shape
    item = torch.cat([window.item[:, :1], window.item], 1).flatten()
    at = window.at + window.at // places + 1  # the targets follow the first item
    item = item.index_copy(0, at, window.target).view(n, places + 1)
    place = torch.arange(places + 1, device=item.device)
    length = window.length + 1
    only_last = torch.rand(n, 1, device=item.device) < network.ft_ratio
    hidden = (torch.rand(item.shape, device=item.device) < network.mask_ratio) & ~only_last & (place < length[:, None])
    hidden |= (place == length[:, None] - 1) & ~hidden.any(1, keepdim=True)
    rows = read(network, item.masked_fill(hidden, len(network.bias)), length)[hidden]
    return objective(rows, replace(window, target=item[hidden]), *output(network))


def last(network: Any, window: Window) -> Tensor:
    """The row of a hidden item at the end (n, width)."""
    import torch

    item = torch.cat([window.item, window.item[:, :1]], 1)
    rows = torch.arange(len(item), device=item.device)
    item[rows, window.length] = len(network.bias)
    return read(network, item, window.length + 1)[rows, window.length]


def output(network: Any) -> tuple[Tensor, Tensor]:
    """The items' rows, which are those that are read, and biases."""
    return network["item"].weight[:-1], network.bias
