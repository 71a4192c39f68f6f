"""NARM: a recurrent network that looks back at its own states."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
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


@dataclass(frozen=True, kw_only=True)
class NARM(NextItem):
    """The state after the last event beside the sum of all states, each as much as it goes with the last.

    Li et al. 2017, "Neural attentive session-based recommendation" (CIKM), §3: the global encoder, the local one with
    alpha_tj = v's(A1 h_t + A2 h_j), and the bilinear decoder. All events of a window are trained on at once: each looks
    back at those before it.
    """

    embedding_size: int = param(64, "numbers in the row of an item", least=1)
    hidden_size: int = param(128, "numbers of the state", least=1)
    n_layers: int = param(1, "layers of recurrent units", least=1)
    dropout_probs: tuple[float, ...] = param((0.25, 0.5), "shares left out of the rows read and of the result", least=0)

    def fit(self, data: Interactions, run: Run) -> Reader:
        """Steps on windows of many users' events."""
        from recli.training.nextitem import fit

        if len(self.dropout_probs) != 2 or max(self.dropout_probs) >= 1:
            raise RecliError(Exit.USAGE, f"dropout_probs takes two shares below 1, not {list(self.dropout_probs)}")
        meta = {name: getattr(self, name) for name in ("embedding_size", "hidden_size", "n_layers", "dropout_probs")}
        return fit(self, data, run, __name__, {"items": data.n_items, **meta})


def build(items: int, embedding_size: int, hidden_size: int, n_layers: int, dropout_probs: list[float]) -> nn.Module:
    """Rows of items, recurrent units, the attention's three matrices and the decoder."""
    from torch import nn

    from recli.training.layers import Dropout
    from recli.training.recurrent import GRU

    network = nn.ModuleDict()
    network["item"] = nn.Embedding(items, embedding_size)
    widths = [embedding_size, *[hidden_size] * n_layers]
    network["units"] = nn.Sequential(*(GRU(width, state) for width, state in pairwise(widths)))
    network["now"], network["before"] = (nn.Linear(hidden_size, hidden_size, bias=False) for _ in range(2))
    network["share"] = nn.Linear(hidden_size, 1, bias=False)
    network["decoder"] = nn.Linear(2 * hidden_size, embedding_size, bias=False)
    network["read"], network["result"] = (Dropout(share) for share in dropout_probs)
    for module in network.values():
        if hasattr(module, "weight"):
            nn.init.xavier_normal_(module.weight)
    return network


def states(network: Any, window: Window) -> Tensor:
    """The decoded pair of both encoders after each event (n, places, width)."""
    import torch

    states = network["units"](network["read"](network["item"](window.item)))
    both = network["now"](states)[:, :, None] + network["before"](states)[:, None]
    share = network["share"](both.sigmoid_()).squeeze(3).tril()  # (n, places, places before)
    return network["decoder"](network["result"](torch.cat([share @ states, states], 2)))


def output(network: Any) -> tuple[Tensor, None]:
    """The items' rows: those that are read."""
    return network["item"].weight, None
