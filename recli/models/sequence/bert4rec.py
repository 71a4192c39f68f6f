"""BERT4Rec: attention both ways, trained on items that are hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recli.errors import Exit, RecliError
from recli.model import param
from recli.training.parameters import Attending

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.training.networks import Reader
    from recli.training.nextitem import Objective
    from recli.training.windows import Window


@dataclass(frozen=True, kw_only=True)
class BERT4Rec(Attending):
    """Hidden items are guessed from those on both sides; to say what comes next, a hidden one is put at the end.

    Sun et al. 2019, "BERT4Rec: sequential recommendation with bidirectional encoder representations from transformer"
    (CIKM), §3, with the output layer of eq. 7 and the loss of eq. 8.

    Deviations: RecBole's norm after the output layer, and its ``ft_ratio`` for the paper's mixing in of histories of
    which only the last item is hidden; a window in which chance hides nothing has its last item hidden.
    """

    hidden_dropout_prob: float = param(0.2, "share of numbers that is left out in a step", least=0, below=1)
    attn_dropout_prob: float = param(0.2, "share of the attention that is left out in a step", least=0, below=1)
    mask_ratio: float = param(0.2, "share of items that is hidden", above=0, below=1)
    ft_ratio: float = param(0.5, "share of windows of which only the last item is hidden", least=0)

    def fit(self, data: Interactions, run: Run) -> Reader:
        """Steps on windows of many users' events."""
        from recli.training.nextitem import fit

        if self.loss_type not in ("CE", "sampled"):
            hint = "-p loss_type=CE or sampled"
            raise RecliError(Exit.USAGE, f"bert4rec guesses what was taken: no loss_type={self.loss_type}", hint=hint)
        meta = {name: getattr(self, name) for name in ("mask_ratio", "ft_ratio")} | self.shape()
        return fit(self, data, run, __name__, {"items": data.n_items, "places": self.max_seq_length + 1, **meta})


def build(items: int, places: int, mask_ratio: float, ft_ratio: float, **shape: Any) -> nn.Module:
    """Rows of items, with one more for a hidden item, and of places; the layers; and the output layer."""
    import torch
    from torch import nn

    from recli.training.transformer import Encoder, small_weights

    network = nn.ModuleDict({"encoder": Encoder(items + 1, places, **shape)})
    width = shape["hidden_size"]
    network["output"], network["norm"] = nn.Linear(width, width), nn.LayerNorm(width, shape["layer_norm_eps"])
    network.bias = nn.Parameter(torch.zeros(items))
    network.mask_ratio, network.ft_ratio = mask_ratio, ft_ratio
    small_weights(network["output"], shape["initializer_range"])
    return network


def read(network: Any, item: Tensor, length: Tensor) -> Tensor:
    """The row of each place (n, places, width) of items (n, places), of which the first ``length`` are there."""
    from torch.nn import functional as F

    return network["norm"](F.gelu(network["output"](network["encoder"].read(item, length))))


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
    return network["encoder"]["item"].weight[:-1], network.bias
