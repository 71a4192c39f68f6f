"""Caser: convolutions over the last events as over an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.model import param
from recli.training.parameters import NextItem

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.training.networks import Reader
    from recli.training.nextitem import Objective
    from recli.training.windows import Window


@dataclass(frozen=True, kw_only=True)
class Caser(NextItem):
    """The rows of the last events under filters of every height, the greatest of each, and under filters of one number.

    Tang & Wang 2018, "Personalized top-N sequential recommendation via convolutional sequence embedding" (WSDM), §3:
    horizontal filters (eq. 4 to 6), vertical ones (eq. 7 to 9), a layer over both (eq. 10) and, beside the user's row,
    another (eq. 11). A user who is not known has a row of zeros. All events of a window are trained on at once: a
    filter is laid over them once, and what is greatest is sought behind each event.

    Deviations, RecBole's: the second layer ends in the width of the items' rows, which are those that are read, and has
    a rectifier too; a softmax over all items.
    """

    embedding_size: int = param(64, "numbers in the row of a user or an item", least=1)
    nh: int = param(8, "horizontal filters of each height", least=1)
    nv: int = param(4, "vertical filters", least=1)
    dropout_prob: float = param(0.4, "share of what the filters say that is left out in a step", least=0, below=1)
    reg_weight: float = param(1e-4, "regularisation of all rows and layers but the horizontal filters", least=0)

    def fit(self, data: Interactions, run: Run) -> Reader:
        """Steps on windows of many users' events."""
        from recli.training.nextitem import fit

        meta = {name: getattr(self, name) for name in ("embedding_size", "nh", "nv", "dropout_prob", "reg_weight")}
        sizes = {"users": data.n_users, "items": data.n_items, "places": self.max_seq_length}
        return fit(self, data, run, __name__, {**sizes, **meta})


def build(
    users: int, items: int, places: int, embedding_size: int, nh: int, nv: int, dropout_prob: float, reg_weight: float
) -> nn.Module:
    """Rows of users and items, a filter bank for each height, the vertical filters and two layers."""
    from torch import nn

    from recli.training.layers import Dropout

    network = nn.ModuleDict()
    network["user"], network["item"] = nn.Embedding(users, embedding_size), nn.Embedding(items, embedding_size)
    network["across"] = nn.ModuleList(nn.Conv1d(embedding_size, nh, height) for height in range(1, places + 1))
    network["down"] = nn.Conv1d(1, nv, places)
    network["both"] = nn.Linear(nv * embedding_size + nh * places, embedding_size)
    network["beside"] = nn.Linear(2 * embedding_size, embedding_size)
    network["dropout"] = Dropout(dropout_prob)
    network.reg_weight = reg_weight
    for table in (network["user"], network["item"]):
        nn.init.normal_(table.weight, 0, 1 / embedding_size)
    for layer in (network["both"], network["beside"]):
        nn.init.xavier_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return network


def states(network: Any, window: Window) -> Tensor:
    """The second layer's numbers after each event (n, places, width)."""
    import torch

    from recli.training.horizontal import horizontal

    rows, places = network["item"](window.item), len(network["across"])
    n, events, width = rows.shape
    # What each vertical filter has for an event, of each event up to it.
    before = torch.arange(events, device=rows.device) - torch.arange(events, device=rows.device)[:, None]
    down = network["down"].weight[:, 0, places - 1 - before.clamp(min=0)] * (before >= 0)
    under = torch.einsum("niw,vie->newv", rows, down) + network["down"].bias
    x = network["dropout"](torch.cat([under.flatten(2), horizontal(rows, network["across"])], 2))
    x = network["both"](x).relu()
    user = network["user"](window.user.clamp(min=0)) * (window.user >= 0)[:, None]
    return network["beside"](torch.cat([x, user[:, None].expand(n, events, width)], 2)).relu()


def loss(network: Any, window: Window, objective: Objective) -> Tensor:
    """The objective and the lengths of what is regularised."""
    from torch.nn import functional as F

    rows = F.embedding(window.at, states(network, window).flatten(0, 1))
    value = objective(rows, window, *output(network))
    parts = (network[name].weight for name in ("user", "item", "down", "both", "beside"))
    return value + network.reg_weight * sum(part.norm() for part in parts)


def output(network: Any) -> tuple[Tensor, None]:
    """The items' rows: those that are read."""
    return network["item"].weight, None
