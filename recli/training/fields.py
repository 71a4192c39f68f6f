"""Pieces of networks of fields: the table of all values' rows, and the perceptron over them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recli.training.layers import Dropout
from recli.training.perceptron import rectified

if TYPE_CHECKING:
    from collections.abc import Callable

    Fields = tuple[Tensor, ...]  # what `Table.forward` returns


class Table(nn.Module):  # type: ignore[misc]  # torch is not typed
    """A row of ``width`` numbers for each value of each field, and with ``first_order`` one more, its weight alone.

    The values of a sequence are pooled: their mean, sum, or the greatest number of each column.

    ``slots`` are those of each field, ``sizes`` its rows. What is unknown, the first row of a field that has others,
    begins at 0; the others as Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural
    networks" (AISTATS), eq. 16, have it of a normal distribution.
    """

    def __init__(
        self, sizes: Sequence[int], slots: Sequence[int], width: int, *, first_order: bool = True, pooling: str = "mean"
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.slots, self.width, rows = list(slots), width, sum(sizes)
        self.weight = nn.Parameter(torch.empty(rows, width + first_order))
        self.bias = nn.Parameter(torch.zeros(1)) if first_order else None
        with torch.no_grad():
            self.weight[:, :width].normal_(0, (2 / (rows + width)) ** 0.5)
            if first_order:
                self.weight[:, width].normal_(0, (2 / (rows + 1)) ** 0.5)
            at = np.cumsum([0, *sizes])[:-1][np.array(sizes) > 1]
            self.weight[torch.from_numpy(at)] = 0

    def forward(self, codes: Tensor, values: Tensor | None, fields: tuple[int, int] | None = None) -> Fields:
        """The rows (n, fields, width) of codes (n, slots), counting as their values (n, slots) say, or 1.

        With ``first_order`` the weights (n, fields) stand behind them. ``fields`` are the first one and the one behind
        the last, where it is not all.
        """
        slots = self.slots if fields is None else self.slots[fields[0] : fields[1]]
        if values is not None and self.pooling != "mean":
            many = torch.from_numpy(np.repeat(np.array(slots) > 1, slots)).to(values.device)
            values = torch.where(many, (values != 0).float(), values)
            if self.pooling == "max" and max(slots) > 1:
                each = self._looked_up(codes, values, [1] * sum(slots))
                return tuple(_greatest(part, values != 0, slots) for part in each)
        return self._looked_up(codes, values, slots)

    def _looked_up(self, codes: Tensor, values: Tensor | None, slots: list[int]) -> Fields:
        """The sums of the slots' rows."""
        bounds = np.cumsum([0, *slots])
        if codes.device.type == "cpu":
            made: tuple[Tensor, Tensor] = _Rows.apply(self.weight, self.width, codes, values, bounds)
            return made[: 1 if self.bias is None else 2]
        rows = F.embedding(codes, self.weight)
        if values is not None:
            rows = rows * values[..., None]
        if len(slots) != codes.shape[1]:
            field = torch.from_numpy(np.repeat(np.arange(len(slots)), slots)).to(codes.device)
            rows = rows.new_zeros(len(codes), len(slots), rows.shape[2]).index_add_(1, field, rows)
        return (rows,) if self.bias is None else (rows[..., : self.width], rows[..., self.width])

    def total(self, weights: Tensor) -> Tensor:
        """The sum of the weights (n, fields) and the bias (n,)."""
        assert self.bias is not None
        return weights.sum(1) + self.bias


def _greatest(parts: Tensor, there: Tensor, slots: list[int]) -> Tensor:
    """Of what stands in slots (n, slots, …) the greatest of each field (n, fields, …), or 0 where nothing is there."""
    absent = ~there.view(*there.shape, *[1] * (parts.dim() - 2))
    own = [part.amax(1) for part in parts.masked_fill(absent, -torch.inf).split(slots, 1)]
    found = torch.stack(own, 1)
    return found.masked_fill(found.isneginf(), 0)


class _Rows(torch.autograd.Function):  # type: ignore[misc]
    """By a kernel: torch adds gradients up in five times the time."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, width: int, codes: Tensor, values: Tensor | None, bounds: Any
    ) -> tuple[Tensor, Tensor]:
        from recli.kernels.fields import gather
        from recli.training.team import on_threads_of_torch

        ctx.codes, ctx.bounds, ctx.shape = codes.numpy(), bounds, weight.shape
        ctx.values = None if values is None else values.numpy()
        n, fields = len(codes), len(bounds) - 1
        out, last = weight.new_empty(n, fields, width), weight.new_empty(n, fields * (weight.shape[1] - width))
        with on_threads_of_torch():
            gather(weight.detach().numpy(), ctx.codes, ctx.values, bounds, out.numpy(), last.numpy())
        return out, last

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, last: Tensor) -> tuple[Tensor, None, None, None, None]:
        from recli.kernels.fields import scatter
        from recli.training.team import on_threads_of_torch

        total = gradient.new_zeros(ctx.shape)
        with on_threads_of_torch():
            given = gradient.contiguous().numpy(), last.contiguous().numpy()
            scatter(*given, ctx.codes, ctx.values, ctx.bounds, total.numpy())
        return total, None, None, None, None


def bi_interaction(rows: Tensor) -> Tensor:
    """The sum over pairs of fields of the products of their rows (n, fields, width), number by number: (n, width)."""
    if rows.device.type != "cpu" or rows.dtype != torch.float32:
        return (rows.sum(1).square() - rows.square().sum(1)) / 2
    made: Tensor = _BiInteraction.apply(rows)
    return made


class _BiInteraction(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        from recli.kernels.fields import bi_interaction
        from recli.training.team import on_threads_of_torch

        rows = rows.contiguous()
        ctx.save_for_backward(rows)
        out = rows.new_empty(len(rows), rows.shape[2])
        with on_threads_of_torch():
            bi_interaction(rows.detach().numpy(), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        from recli.kernels.fields import bi_interaction_gradient
        from recli.training.team import on_threads_of_torch

        (rows,) = ctx.saved_tensors
        out = torch.empty_like(rows)
        with on_threads_of_torch():
            bi_interaction_gradient(rows.detach().numpy(), gradient.contiguous().numpy(), out.numpy())
        return out


def interact(x: Tensor, start: Tensor, layer: nn.Linear, kept: int, told: int) -> tuple[Tensor, Tensor]:
    """ReLU of a layer over the products of the numbers of two rows, x (n, width, before) and start (n, width, fields).

    Of what it makes the first ``kept`` (n, width, kept), and the sums over the width of the last ``told`` (n, told).
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        made = layer((x.unsqueeze(3) * start.unsqueeze(2)).flatten(2)).relu()
        return made[..., :kept], made[..., made.shape[2] - told :].sum(1)
    found: tuple[Tensor, Tensor] = _Interact.apply(x, start, layer.weight, layer.bias, kept, told)
    return found


class _Interact(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, start: Tensor, weight: Tensor, bias: Tensor, kept: int, told: int
    ) -> tuple[Tensor, Tensor]:
        from recli.kernels.cin import interact
        from recli.kernels.products import padded
        from recli.training.team import arrays, on_threads_of_torch

        if x.stride(2) != 1 or x.stride(0) != x.shape[1] * x.stride(1):
            x = x.contiguous()
        start = start.contiguous()
        rows, wide = len(weight), padded(len(weight))
        made, total = x.new_empty(*x.shape[:2], wide), x.new_empty(len(x), wide)
        with on_threads_of_torch():
            interact(*arrays(x, start, weight, bias, made, total))
        ctx.save_for_backward(x, start, weight, made)
        return made[..., :kept], total[:, rows - told : rows]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, of_total: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None, None]:
        from recli.kernels.cin import gradients
        from recli.training.team import arrays, on_threads_of_torch

        x, start, weight, made = ctx.saved_tensors
        to_x, to_start = x.new_empty(x.shape), torch.empty_like(start)
        with on_threads_of_torch():
            given = arrays(gradient.contiguous(), of_total.contiguous(), x, start, weight, made, to_x, to_start)
            to_weight, to_bias = gradients(*given)
        return to_x, to_start, torch.from_numpy(to_weight), torch.from_numpy(to_bias), None, None


class Perceptron(nn.Module):  # type: ignore[misc]
    """Layers of ``widths``: dropout, a product, a norm if asked, ReLU; at the end one number, with ``out``.

    With ``dice`` ReLU gives way to `Dice`, which has a norm of its own.
    """

    def __init__(
        self,
        widths: Sequence[int],
        dropout: float = 0.0,
        *,
        batch_norm: bool = False,
        out: bool = True,
        dice: bool = False,
    ) -> None:
        super().__init__()
        self.dice = nn.ModuleList(Dice(after) for after in widths[1:] if dice)
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(xavier(nn.Linear(before, after)) for before, after in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm1d(after) for after in widths[1:] if batch_norm)
        self.out = xavier(nn.Linear(widths[-1], 1)) if out else None

    def forward(self, x: Tensor) -> Tensor:
        """Rows (n, width) to (n, last width), or with ``out`` to (n,)."""
        if not (self.norms or self.dice):
            x = rectified(x, self.layers, self.dropout.share if self.training else 0, self.out)
            return x if self.out is None else x.squeeze(1)
        for place, layer in enumerate(self.layers):
            x = layer(self.dropout(x))
            x = self.norms[place](x) if self.norms else x
            x = self.dice[place](x) if self.dice else F.relu(x)
        return x if self.out is None else self.out(x).squeeze(1)


class Dice(nn.Module):  # type: ignore[misc]
    """p x + (1 - p) alpha x, p being the sigmoid of x brought to a mean of 0 and a deviation of 1.

    Zhou et al. 2018, "Deep interest network for click-through rate prediction" (KDD), eq. 7; alpha is learned.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.alpha = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Rows (n, width)."""
        share = self.norm(x).sigmoid()
        return x * (share + (1 - share) * self.alpha)


def xavier(layer: nn.Linear) -> nn.Linear:
    """A layer that begins as `Table` does, its bias at 0."""
    nn.init.xavier_normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "label": F.binary_cross_entropy_with_logits,
    "rating": F.mse_loss,
}
