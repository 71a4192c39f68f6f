"""DCN V2: layers that cross the fields with each other, and a perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.model import param
from recli.training.parameters import Deep

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class DCNV2(Deep):
    """Each cross layer multiplies the fields' rows, number by number, with a product of a matrix and the layer before.

    Wang et al. 2021, "DCN V2: improved deep & cross network and practical lessons for web-scale learning to rank
    systems" (WWW), with x_0 the rows of all fields, one after the other:

        x_(l+1) = x_0 * (W_l x_l + b_l) + x_l                                       (eq. 1)

    The perceptron comes after the last of them (stacked) or stands beside (parallel; §3.3, 3.4), and a last layer tells
    the score. ``mixed`` puts in place of W_l the sum of experts of low rank, each with a share that a gate gives it
    (eq. 3 and 4; the bends are tanh): x_(l+1) = sum of g_e(x_l) x_0 * (U_e tanh(C_e tanh(V_e x_l)) + b_e) + x_l.

    ``reg_weight`` times the sum of the lengths of the W_l is added to the loss, as in RecBole.
    """

    embedding_size: int = param(16, "numbers in the row of a value", least=1)
    mlp_hidden_size: tuple[int, ...] = param((768, 768), "widths of the perceptron's layers", least=1)
    structure: str = param("stacked", "where the perceptron is", one_of=("stacked", "parallel"))
    cross_layer_num: int = param(3, "layers that cross", least=1)
    mixed: bool = param(False, "have experts of low rank")
    expert_num: int = param(4, "mixed: experts in a layer", least=1)
    low_rank: int = param(128, "mixed: their rank", least=1)
    reg_weight: float = param(2.0, "how much the matrices that cross are held down", least=0)


def build(
    sizes: Sequence[int],
    slots: Sequence[int],
    embedding_size: int,
    mlp_hidden_size: Sequence[int],
    dropout_prob: float,
    batch_norm: bool,
    structure: str,
    cross_layer_num: int,
    mixed: bool,
    expert_num: int,
    low_rank: int,
    reg_weight: float,
) -> nn.Module:
    """The rows and layers."""
    from torch import nn

    from recli.training.fields import Perceptron, Table, xavier

    width = len(slots) * embedding_size
    network = nn.ModuleDict({"table": Table(sizes, slots, embedding_size, first_order=False)})
    if mixed:
        network["gates"] = nn.ModuleList(xavier(nn.Linear(width, expert_num)) for _ in range(cross_layer_num))
        into, within, out = ((width, low_rank), (low_rank, low_rank), (low_rank, width))
        for name, (before, after) in (("into", into), ("within", within), ("out", out)):
            count = cross_layer_num * expert_num
            network[name] = nn.ModuleList(xavier(nn.Linear(before, after, bias=name == "out")) for _ in range(count))
    else:
        network["cross"] = nn.ModuleList(xavier(nn.Linear(width, width)) for _ in range(cross_layer_num))
    network["layers"] = Perceptron([width, *mlp_hidden_size], dropout_prob, batch_norm=batch_norm, out=False)
    network.parallel = structure == "parallel"
    last = [width, *mlp_hidden_size][-1] + (width if network.parallel else 0)
    network["last"] = xavier(nn.Linear(last, 1))
    return network


def scores(network: Any, rows: Tensor) -> Tensor:
    """What the last layer tells (n,)."""
    import torch

    start = x = rows.flatten(1)
    if "gates" in network:
        for depth, gate in enumerate(network["gates"]):
            x = _experts(network, depth, gate, start, x)
    else:
        for layer in network["cross"]:
            x = start * layer(x) + x
    deep = network["layers"](start if network.parallel else x)
    return network["last"](torch.cat([x, deep], 1) if network.parallel else deep).squeeze(1)


def _experts(network: Any, depth: int, gate: Any, start: Tensor, x: Tensor) -> Tensor:
    """A layer of experts (n, width)."""
    shares = gate(x).softmax(1)
    total, count = x, shares.shape[1]
    for expert in range(count):
        place = depth * count + expert
        inner = network["within"][place](network["into"][place](x).tanh()).tanh()
        total = total + shares[:, expert, None] * start * network["out"][place](inner)
    return total


def penalty(network: Any, how: DCNV2) -> Tensor | float:
    """The lengths of the matrices that cross."""
    if how.mixed or not how.reg_weight:
        return 0.0
    return how.reg_weight * sum(layer.weight.norm() for layer in network["cross"])
