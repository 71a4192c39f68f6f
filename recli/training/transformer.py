"""The encoder of the transformer, as sequence models use it: attention, a perceptron, and a norm after each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recli.training.attention import attention
from recli.training.layers import Dropout

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu, "swish": F.silu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


class Layer(nn.Module):  # type: ignore[misc]  # torch is not typed
    """x = norm(x + attention(x)), then x = norm(x + perceptron(x)); x is (n, places, width).

    Vaswani et al. 2017, "Attention is all you need" (NIPS), §3. ``prenorm`` puts the norms before the two parts instead
    (Xiong et al. 2020, "On layer normalization in the transformer architecture", ICML).
    """

    def __init__(
        self,
        width: int,
        inner: int,
        heads: int,
        *,
        dropout: float,
        attention_dropout: float,
        activation: str,
        epsilon: float,
        prenorm: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.prenorm, self.activation = heads, prenorm, ACTIVATIONS[activation]
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width, epsilon) for _ in range(2))
        self.dropout, self.attention_dropout = Dropout(dropout), Dropout(attention_dropout)

    def forward(self, x: Tensor, length: Tensor | None) -> Tensor:
        """A place looks at the first ``length`` (n,) places; None: at those before it, and itself."""
        first, second = self.norms
        if self.prenorm:
            x = x + self.dropout(self._attend(first(x), length))
            return x + self.dropout(self.down(self.dropout(self.activation(self.up(second(x))))))
        x = first(x + self.dropout(self._attend(x, length)))
        out: Tensor = second(x + self.dropout(self.down(self.activation(self.up(x)))))
        return out

    def _attend(self, x: Tensor, length: Tensor | None) -> Tensor:
        n, places, width = x.shape
        q, k, v = self.qkv(x).view(n, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (n, heads, places, width)
        mixed = attention(q, k, v, length, self.attention_dropout.share if self.training else 0.0)
        return self.out(mixed.transpose(1, 2).reshape(n, places, width))


class Encoder(nn.ModuleDict):  # type: ignore[misc]  # torch is not typed
    """Rows of so many ``codes`` and of their places, and the layers over them."""

    def __init__(
        self,
        codes: int,
        places: int,
        *,
        hidden_size: int,
        inner_size: int,
        n_layers: int,
        n_heads: int,
        hidden_dropout_prob: float,
        attn_dropout_prob: float,
        hidden_act: str,
        layer_norm_eps: float,
        initializer_range: float,
        prenorm: bool = False,
        scaled: bool = False,
        from_end: bool = False,
    ) -> None:
        super().__init__()
        self.prenorm, self.scale, self.from_end = prenorm, hidden_size**0.5 if scaled else 1, from_end
        self["item"] = nn.Embedding(codes, hidden_size)
        self["place"] = nn.Embedding(places, hidden_size)
        self["norm"] = nn.LayerNorm(hidden_size, layer_norm_eps)
        self["dropout"] = Dropout(hidden_dropout_prob)
        self["layers"] = nn.ModuleList(
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
        small_weights(self, initializer_range)

    def read(self, item: Tensor, length: Tensor | None, own: Tensor | None = None) -> Tensor:
        """The row of each place (n, places, width) of items (n, places); ``length`` as `Layer` has it.

        With ``from_end`` places are counted so that the last of the ``own`` (n,) that hold an event is the last of all.
        """
        rows, place = self["item"](item), self["place"].weight[: item.shape[1]]
        if self.from_end and own is not None:
            most = self["place"].num_embeddings
            at = torch.arange(item.shape[1], device=item.device) + (most - own)[:, None]
            place = self["place"](at.clamp(max=most - 1))
        x = (rows if self.scale == 1 else rows * self.scale) + place
        x = self["dropout"](x if self.prenorm else self["norm"](x))
        for layer in self["layers"]:
            x = layer(x, length)
        return self["norm"](x) if self.prenorm else x


def small_weights(network: nn.Module, deviation: float) -> None:
    """Normal weights of that deviation in place of torch's, and biases of 0, as BERT begins."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, 0, deviation)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
