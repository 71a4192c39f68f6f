"""RBM: a restricted Boltzmann machine of histories."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.model import param
from recli.training.parameters import Trained

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.training.batches import Histories
    from recli.training.networks import Encoder


@dataclass(frozen=True, kw_only=True)
class RBM(Trained):
    """A history is what the visible units show, behind which a few binary units say what its user likes.

    Salakhutdinov, Mnih & Hinton 2007, "Restricted Boltzmann machines for collaborative filtering" (ICML), §2, with one
    visible unit an item, for it is known whether an item was taken and not how it was rated. With the weights W and the
    biases b of items and c of hidden units a history v of D items has the free energy

        F(v) = -b'v - sum over j of ln(1 + exp(n c_j + sum over i of v_i W_ij)),

    n = 1 where each item is a ``binary`` unit of its own, and n = D where the history is D draws of one ``softmax``
    unit with a value for each item (Salakhutdinov & Hinton 2009, "Replicated softmax: an undirected topic model"
    (NeurIPS), §2). A score is b_i + sum over j of W_ij p(h_j = 1 | v), which puts items in the order of p(v_i | h).

    Contrastive divergence is a loss: the gradient of F(v) - F(v'), v' being what ``cd_steps`` steps of Gibbs sampling
    make of v and held fixed, is its update (eq. 6), so that the loop, its optimizers and its checkpoints serve; its
    value says nothing of how likely a history is. In the steps the hidden units are drawn and the visible ones are
    their expectations (Hinton 2012, "A practical guide to training restricted Boltzmann machines", §3); momentum (§9;
    adam has its own) and the biases at the start, from how often the items are taken (§8.1), are that guide's too.
    """

    hidden_size: int = param(400, "hidden units", least=1)
    visible: str = param("binary", "the visible units", one_of=("binary", "softmax"))
    cd_steps: int = param(1, "steps of Gibbs sampling", least=1)
    train_batch_size: int = param(100, "histories in a step", least=1)
    learning_rate: float = param(0.003, "size of the first steps", above=0)

    def fit(self, data: Interactions, run: Run) -> Encoder:
        """Steps on the histories of many users."""
        import torch

        from recli.training.batches import Histories
        from recli.training.loop import train
        from recli.training.networks import Encoder, weights_of
        from recli.training.session import session

        meta: dict[str, Any] = {"items": data.n_items, "hidden": self.hidden_size, "softmax": self.visible == "softmax"}
        with session(run) as device:
            network = build(**meta)
            taken = torch.from_numpy(data.popularity).float() + 0.5  # so that no logarithm is that of 0
            with torch.no_grad():
                network.items.copy_((taken / (taken.sum() if network.softmax else data.n_users + 1 - taken)).log())
            network.to(device)
            users = Histories.of(data.matrix.indptr, data.matrix.indices, device)

            def loss(histories: Histories) -> Tensor:
                history = histories.dense(data.n_items)
                shown = history
                with torch.no_grad():
                    for _ in range(self.cd_steps):
                        shown = visible(network, hidden(network, shown).bernoulli(), history.sum(1, keepdim=True))
                return (free_energy(network, history) - free_energy(network, shown)).mean()

            def scorer() -> Encoder:
                return Encoder(
                    module=__name__, meta=json.dumps(meta), weights=weights_of(network), n_items=data.n_items
                )

            return train(self, run, network, lambda: users.epoch(self.train_batch_size), loss, scorer)


def build(items: int, hidden: int, softmax: bool) -> Any:
    """Small weights (§8.1 of Hinton 2012) and biases of 0."""
    import torch
    from torch import nn

    network: nn.Module = nn.Module()
    network.softmax = softmax
    network.weights = nn.Parameter(nn.init.normal_(torch.empty(items, hidden), 0, 0.01))
    network.items = nn.Parameter(torch.zeros(items))
    network.hidden = nn.Parameter(torch.zeros(hidden))
    return network


def hidden(network: Any, shown: Tensor) -> Tensor:
    """The probabilities of the hidden units (n, hidden), given what the visible ones show (n, items)."""
    return _input(network, shown).sigmoid()


def visible(network: Any, on: Tensor, length: Tensor) -> Tensor:
    """What the visible units are expected to show (n, items), given the hidden ones (n, hidden); ``length`` is D."""
    logits = network.items + on @ network.weights.T
    return length * logits.softmax(1) if network.softmax else logits.sigmoid()


def free_energy(network: Any, shown: Tensor) -> Tensor:
    """F of what the visible units show: (n, items) to (n,)."""
    from torch.nn import functional as F

    return -(shown @ network.items) - F.softplus(_input(network, shown)).sum(1)


def _input(network: Any, shown: Tensor) -> Tensor:
    """What the hidden units get."""
    bias = network.hidden * shown.sum(1, keepdim=True) if network.softmax else network.hidden
    return shown @ network.weights + bias


def scores(network: Any, histories: Histories) -> Tensor:
    """The visible units' inputs (n, items), from the hidden ones' probabilities."""
    return network.items + hidden(network, histories.dense(len(network.items))) @ network.weights.T
