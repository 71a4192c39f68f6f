"""SR-GNN: a session as a graph of its items."""

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
class SRGNN(NextItem):
    """Items of a session pass messages along its steps; the last one, and all by how they go with it, are the state.

    Wu et al. 2019, "Session-based recommendation with graph neural networks" (AAAI): gated messages over the edges in
    and out, each over the number of its node's (eq. 1 to 5), attention (eq. 6), the last item beside its sum (eq. 7).
    The graph after each event is another one. Where messages are passed once, an event changes two of its nodes alone,
    so a window is read at once; where they are passed on, every graph is read on its own.
    """

    embedding_size: int = param(64, "numbers in the row of an item", least=1)
    step: int = param(1, "times that messages are passed", least=1)

    def fit(self, data: Interactions, run: Run) -> Reader:
        """Steps on windows of many users' events."""
        from recli.training.nextitem import fit

        meta = {"items": data.n_items, "embedding_size": self.embedding_size, "step": self.step}
        return fit(self, data, run, __name__, meta)


def build(items: int, embedding_size: int, step: int) -> nn.Module:
    """Rows of items, two layers of messages, the gates, and the attention."""
    from torch import nn

    width = embedding_size
    network = nn.ModuleDict()
    network["item"] = nn.Embedding(items, width)
    network["into"], network["out"] = nn.Linear(width, width), nn.Linear(width, width)
    network["gates"] = nn.GRUCell(2 * width, width)
    network["last"], network["each"] = nn.Linear(width, width), nn.Linear(width, width)
    network["share"] = nn.Linear(width, 1, bias=False)
    network["both"] = nn.Linear(2 * width, width)
    network.step = step
    for weight in network.parameters():
        nn.init.uniform_(weight, -(width**-0.5), width**-0.5)
    return network


def read(network: Any, item: Tensor, length: Tensor) -> Tensor:
    """The state (n, width) of sessions (n, places), of which the first ``length`` events are there.

    An item's node is the place of its first event; the other places stand idle.
    """
    import torch

    place = torch.arange(item.shape[1], device=item.device)
    node = (item[:, :, None] == item[:, None]).int().argmax(2)  # (n, places)
    edges = torch.zeros(*item.shape, item.shape[1], device=item.device)
    step = (place[1:] < length[:, None]).nonzero()  # of the event that is come to, less 1
    edges[step[:, 0], node[step[:, 0], step[:, 1]], node[step[:, 0], step[:, 1] + 1]] = 1
    into = edges.transpose(1, 2) / edges.sum(1).clamp(min=1)[:, :, None]
    out = edges / edges.sum(2).clamp(min=1)[:, :, None]
    x = network["item"](item)
    for _ in range(network.step):
        messages = torch.cat([into @ network["into"](x), out @ network["out"](x)], 2)
        x = network["gates"](messages.flatten(0, 1), x.flatten(0, 1)).view_as(x)
    x = x.gather(1, node[:, :, None].expand_as(x))  # back to the events
    now = x[torch.arange(len(x), device=x.device), length - 1]
    share = network["share"]((network["last"](now)[:, None] + network["each"](x)).sigmoid())
    whole = (share * x * (place < length[:, None])[:, :, None]).sum(1)
    return network["both"](torch.cat([now, whole], 1))


def growing(network: Any, item: Tensor) -> Tensor:
    """What `read` makes of the session up to each event (n, places, width), where messages are passed once.

    An event gives its own node an edge in, and the one before it an edge out: each node is as it was then until its
    item comes again. ``now`` are the nodes of the events as these come, ``after`` when the next ones have come.
    """
    import torch

    same = item[:, :, None] == item[:, None]
    seen = same.tril()  # (n, events, those up to them)
    again = (same[:, :-1, :-1] & same[:, 1:, 1:]).tril(-1).any(2)  # edges to the next event that there were
    new = ~again[:, None]
    x = network["item"](item)
    into = _mean(seen[:, :, 1:] & new, network["into"](x)[:, :-1])
    edges, out = seen[:, :, :-1] & new, network["out"](x)[:, 1:]

    def gated(edges: Tensor) -> Tensor:
        messages = torch.cat([into, _mean(edges, out)], 2)
        node: Tensor = network["gates"](messages.flatten(0, 1), x.flatten(0, 1)).view_as(x)
        return node

    now, after = gated(edges.tril(-1)), gated(edges)
    asked, times = network["last"](now), seen.sum(2, dtype=x.dtype)
    share = network["share"]((asked[:, :, None] + network["each"](after)[:, None]).sigmoid()).squeeze(3)
    latest = (same.cumsum(2) == times[:, :, None]).transpose(1, 2).tril(-1)  # not seen again up to the event
    whole = times[:, :, None] * network["share"]((asked + network["each"](now)).sigmoid()) * now
    whole = whole + (share * latest * times[:, None]) @ after
    made: Tensor = network["both"](torch.cat([now, whole], 2))
    return made


def _mean(which: Tensor, rows: Tensor) -> Tensor:
    """The mean of those of the rows (n, r, width) that are meant (n, places, r), or zeros."""
    shares = which.to(rows.dtype)
    return (shares / shares.sum(2, keepdim=True).clamp(min=1)) @ rows


def loss(network: Any, window: Window, objective: Objective) -> Tensor:
    """The objective of the state after each event, of which each is the end of a session of its own."""
    from torch.nn import functional as F

    if network.step == 1:
        rows = F.embedding(window.at, growing(network, window.item).flatten(0, 1))
    else:
        places = window.item.shape[1]
        rows = read(network, window.item[window.at // places], window.at % places + 1)
    return objective(rows, window, *output(network))


def last(network: Any, window: Window) -> Tensor:
    """The state after the last event (n, width)."""
    return read(network, window.item, window.length)


def output(network: Any) -> tuple[Tensor, None]:
    """The items' rows: those that are read."""
    return network["item"].weight, None
