"""Pieces of networks that torch has not, or not as fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from recli.training.batches import Histories


def dropout(x: Tensor, share: float) -> Tensor:
    """Put 0 in place of a share of the numbers, at random, and scale the others so that the mean stays.

    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting" (JMLR), §4. On the
    processor the random numbers are made again for the gradient, instead of being kept, and ``share`` is rounded to a
    65,536th.
    """
    if share == 0:
        return x
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return F.dropout(x, share)
    dropped: Tensor = _Dropout.apply(x, seed(), parts_of(share))
    return dropped


def seed() -> int:
    """For a kernel that makes random numbers of its own."""
    return int(torch.empty((), dtype=torch.int64).random_(-(2**63), None)) % 2**64


def parts_of(share: float) -> int:
    """How many of 65,536, at least one less than all."""
    return min(round(share * 2**16), 2**16 - 1)


class _Dropout(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed
    @staticmethod
    def forward(ctx: Any, x: Tensor, seed: int, dropped: int) -> Tensor:
        ctx.given = seed, dropped
        return _dropped(x, seed, dropped)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _dropped(gradient, *ctx.given), None, None


def _dropped(x: Tensor, seed: int, dropped: int) -> Tensor:
    from recli.kernels.dropout import drop
    from recli.training.team import on_threads_of_torch

    out = torch.empty(x.shape)
    with on_threads_of_torch():
        drop(x.contiguous().view(-1).numpy(), out.view(-1).numpy(), seed, dropped)
    return out


class Dropout(nn.Module):  # type: ignore[misc]  # torch is not typed
    """`dropout` while the network is trained."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Numbers of any shape."""
        return dropout(x, self.share) if self.training else x


class OfHistory(nn.Module):  # type: ignore[misc]
    """A linear layer on histories: the sum of its items' rows, each times a number, and a bias. Weights (items, out).

    Where a history holds a few in a hundred of all items, it takes that part of a product of matrices.
    """

    def __init__(self, items: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(items, out))
        self.bias = nn.Parameter(torch.empty(out))

    def forward(self, histories: Histories, number: Tensor) -> Tensor:
        """Of histories without an item twice, and a number for each event: (histories, out)."""
        indptr, item = histories.indptr, histories.item
        if number.device.type == "cpu":
            made: Tensor = _OfHistory.apply(self.weight, self.bias, indptr, item, number)
            return made
        return F.embedding_bag(item, self.weight, indptr[:-1].int(), mode="sum", per_sample_weights=number) + self.bias


class _OfHistory(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, indptr: Tensor, item: Tensor, number: Tensor) -> Tensor:
        from recli.kernels.sparse import without_zeros

        ctx.items = len(weight)
        ctx.rows = without_zeros(*(one.detach().contiguous().numpy() for one in (indptr, item, number)))  # by dropout
        return _sums(ctx.rows, weight.detach(), bias.detach().repeat(len(indptr) - 1, 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        from recli.kernels.sparse import turned

        total = gradient.new_zeros(ctx.items, gradient.shape[1])
        of_weight = _sums(turned(ctx.rows, ctx.items), gradient.contiguous(), total)
        return of_weight, gradient.sum(0), None, None, None


def _sums(matrix: Any, rows: Tensor, total: Tensor) -> Tensor:
    """``total``, to which the product of a sparse matrix and rows was added."""
    from recli.kernels.propagate import add_product
    from recli.training.team import on_threads_of_torch

    with on_threads_of_torch():
        add_product(matrix, rows.numpy(), total.numpy())
    return total
