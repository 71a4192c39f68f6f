"""GRU4Rec: a recurrent network over a history."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from recli.model import param
from recli.training.parameters import NextItem

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.training.networks import Reader
    from recli.training.windows import Window


@dataclass(frozen=True, kw_only=True)
class GRU4Rec(NextItem):
    """Gated recurrent units read a history event by event; their state is compared with the items' rows.

    Hidasi et al. 2016, "Session-based recommendations with recurrent neural networks" (ICLR), §3, without its ranking
    losses, as Tan et al. 2016, "Improved recurrent neural networks for session-based recommendations" (DLRS) have it:
    rows of items as input, dropped out, and a softmax over all of them. The losses of Hidasi & Karatzoglou 2018,
    "Recurrent neural networks with top-k gains for session-based recommendations" (CIKM), are BPR-max and TOP1-max,
    with what the batch's other sessions took next, and items drawn by popularity, for negatives.

    Deviations, RecBole's: a layer from the state to the width of the items' rows, which are those that are read. And
    sessions are read in windows through which gradients flow back whole, where the paper goes on from the state before.
    """

    embedding_size: int = param(64, "numbers in the row of an item", least=1)
    hidden_size: int = param(128, "numbers of the state", least=1)
    num_layers: int = param(1, "layers of recurrent units", least=1)
    dropout_prob: float = param(0.3, "share of numbers of the items read that is left out in a step", least=0, below=1)

    def fit(self, data: Interactions, run: Run) -> Reader:
        """Steps on windows of many users' events."""
        from recli.training.nextitem import fit

        names = ("embedding_size", "hidden_size", "num_layers", "dropout_prob")
        meta = {name: getattr(self, name) for name in names}
        return fit(self, data, run, __name__, {"items": data.n_items, **meta})


def build(items: int, embedding_size: int, hidden_size: int, num_layers: int, dropout_prob: float) -> nn.Module:
    """Rows of items, the units without biases, and the layer behind them; Glorot's weights."""
    from torch import nn

    from recli.training.layers import Dropout
    from recli.training.recurrent import GRU

    network = nn.ModuleDict()
    network["item"] = nn.Embedding(items, embedding_size)
    network["dropout"] = Dropout(dropout_prob)
    widths = [embedding_size, *[hidden_size] * num_layers]
    network["units"] = nn.Sequential(*(GRU(width, state) for width, state in pairwise(widths)))
    network["dense"] = nn.Linear(hidden_size, embedding_size)
    nn.init.xavier_normal_(network["item"].weight)
    return network


def states(network: Any, window: Window) -> Tensor:
    """The state after each event (n, places, width)."""
    return network["dense"](network["units"](network["dropout"](network["item"](window.item))))


def output(network: Any) -> tuple[Tensor, None]:
    """The items' rows: those that are read."""
    return network["item"].weight, None
