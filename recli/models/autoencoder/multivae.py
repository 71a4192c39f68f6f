"""MultiVAE and MultiDAE: autoencoders of histories with a multinomial likelihood."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
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
class MultiVAE(Trained):
    """A history squeezed into the mean and the variance of a few numbers, and items read off a draw from these.

    Liang et al. 2018, "Variational autoencoders for collaborative filtering" (WWW): eq. 2 for the likelihood, eq. 5
    for the bound with a weight on its second term that rises to ``anneal_cap`` (§2.2.2). Without ``variational`` it is
    the denoising autoencoder (eq. 8), whose narrow layer passes a tanh as well. A score is the logit of an item, from
    the mean.

    Deviations, RecBole's: ``latent_dimension`` counts means and variances; the noise of a draw has a deviation of 0.01,
    where the paper has 1; both are parameters.
    """

    mlp_hidden_size: tuple[int, ...] = param((600,), "widths of the encoder's layers; the decoder's, reversed", least=1)
    latent_dimension: int = param(128, "means and variances of the narrow layer together", least=2)
    dropout_prob: float = param(0.5, "share of a history that is left out in a step", least=0, below=1)
    anneal_cap: float = param(0.2, "greatest weight of the divergence from a normal distribution", least=0)
    total_anneal_steps: int = param(200_000, "steps in which that weight would rise to 1", least=1)
    noise: float = param(0.01, "deviation of the noise of a draw", least=0)
    variational: bool = param(True, "draw; else latent_dimension numbers are taken as they are")

    def fit(self, data: Interactions, run: Run) -> Encoder:
        """Steps on the histories of many users."""
        from recli.training.batches import Histories
        from recli.training.loop import train
        from recli.training.networks import Encoder, weights_of
        from recli.training.session import session
        from recli.training.softmax import multinomial

        meta: dict[str, Any] = {
            "items": data.n_items,
            "hidden": list(self.mlp_hidden_size),
            "latent": self.latent_dimension // (2 if self.variational else 1),
            "variational": self.variational,
        }
        with session(run) as device:
            network = build(**meta).to(device)
            users = Histories.of(data.matrix.indptr, data.matrix.indices, device)

            def loss(histories: Histories) -> Tensor:
                mean, spread = encode(network, histories, self.dropout_prob)
                items = network["decoder"][-1]
                if spread is None:
                    return multinomial(widen(network, mean), items.weight, items.bias, histories)
                network["steps"].count += 1
                weight = (network["steps"].count / self.total_anneal_steps).clamp(max=self.anneal_cap)
                drawn = mean + spread.mul(0.5).exp() * mean.new_empty(mean.shape).normal_() * self.noise
                bound = multinomial(widen(network, drawn), items.weight, items.bias, histories)
                return bound + weight * divergence(mean, spread)

            def scorer() -> Encoder:
                return Encoder(
                    module=__name__, meta=json.dumps(meta), weights=weights_of(network), n_items=data.n_items
                )

            return train(self, run, network, lambda: users.epoch(self.train_batch_size), loss, scorer)


def build(items: int, hidden: list[int], latent: int, variational: bool) -> nn.Module:
    """The layers of the encoder and, reversed, of the decoder; Glorot's normal weights."""
    import torch
    from torch import nn

    from recli.training.layers import OfHistory

    def layers(widths: list[int], first: type[nn.Module] = nn.Linear) -> nn.ModuleList:
        kinds = [first, *[nn.Linear] * (len(widths) - 2)]
        made = nn.ModuleList(kind(*sizes) for kind, sizes in zip(kinds, pairwise(widths), strict=True))
        for layer in made:
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        return made

    network = nn.ModuleDict()
    network["encoder"] = layers([items, *hidden, 2 * latent if variational else latent], OfHistory)
    network["decoder"] = layers([latent, *reversed(hidden), items])
    network["steps"] = nn.Module()
    network["steps"].register_buffer("count", torch.zeros((), dtype=torch.int64))
    return network


def encode(network: Any, histories: Histories, dropout: float = 0.0) -> tuple[Tensor, Tensor | None]:
    """The means (n, latent) and the logarithms of the variances, if there are such, of histories (n).

    A history comes in as a vector of the length 1.
    """
    import torch

    from recli.training import layers

    lengths = histories.indptr.diff()
    first, *others = network["encoder"]
    x = first(histories, layers.dropout(lengths.rsqrt().repeat_interleave(lengths), dropout))
    for layer in others:
        x = layer(torch.tanh(x))
    latent = network["decoder"][0].in_features
    return (x[:, :latent], x[:, latent:]) if x.shape[1] > latent else (torch.tanh(x), None)


def widen(network: Any, x: Tensor) -> Tensor:
    """What the logits of all items are read off (n, width)."""
    import torch

    for layer in network["decoder"][:-1]:
        x = torch.tanh(layer(x))
    return x


def divergence(mean: Tensor, spread: Tensor) -> Tensor:
    """From the standard normal distribution, the mean over the rows (Kingma & Welling 2014, appendix B)."""
    return -0.5 * (1 + spread - mean.square() - spread.exp()).sum(1).mean()


def scores(network: Any, histories: Histories) -> Tensor:
    """The logits of all items for each history (n, items)."""
    mean, _ = encode(network, histories.distinct(len(network["encoder"][0].weight)))
    logits: Tensor = network["decoder"][-1](widen(network, mean))
    return logits
