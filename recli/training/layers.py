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
    processor four numbers share a random one of 64 bits, which takes a fifth of torch's time; ``share`` is rounded to
    a 65,536th.
    """
    if share == 0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, share)
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    dropped = round(share * 2**16)
    kept = words.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - 2**15
    return x * (kept * (2**16 / (2**16 - dropped)))


class Dropout(nn.Module):  # type: ignore[misc]  # torch is not typed
    """`dropout` while the network is trained."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Numbers of any shape."""
        return dropout(x, self.share) if self.training else x


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """What a layer makes of rows (…, in).

    On the processor by oneDNN, whose products take between a half and three quarters of the time of MKL's, torch's
    own choice, on AMD's processors.
    """
    own = x.device.type == "cpu" and torch.backends.mkldnn.is_available() and not torch.is_autocast_enabled("cpu")
    made: Tensor = _Linear.apply(x, layer.weight, layer.bias) if own else layer(x)
    return made


class _Linear(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        of_x = _product(gradient, weight.T) if ctx.needs_input_grad[0] else None
        rows, x = gradient.flatten(0, -2), x.flatten(0, -2)
        # What stands first is copied, as its rows are not one piece: so it is the smaller.
        of_weight = _product(rows.T, x.T) if len(weight) <= x.shape[1] else _product(x.T, rows.T).T
        return of_x, of_weight, rows.sum(0)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


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
        from scipy.sparse import csr_matrix

        shape = len(indptr) - 1, len(weight)
        ctx.matrix = csr_matrix((number.numpy(), item.numpy(), indptr.int().numpy()), shape, copy=True)
        ctx.matrix.eliminate_zeros()  # what dropout took
        return _sums(ctx.matrix, weight.detach(), bias.detach().repeat(len(indptr) - 1, 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        size = ctx.matrix.shape[1], gradient.shape[1]
        of_weight = _sums(ctx.matrix.T.tocsr(), gradient.contiguous(), gradient.new_zeros(size))
        return of_weight, gradient.sum(0), None, None, None


def _sums(matrix: Any, rows: Tensor, total: Tensor) -> Tensor:
    """``total``, to which the product of a sparse matrix and rows was added."""
    from recli.kernels import threads
    from recli.kernels.propagate import propagate

    with threads(torch.get_num_threads()):
        propagate(matrix, rows.numpy(), torch.empty_like(total).numpy(), total.numpy())
    return total
