"""The softmax over all items, without all its scores at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recli.training.batches import Histories

SCORES = 1 << 21  # that are held at a time; where rows are wide more, as products gain by it


class _Softmax(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed
    """The loss and, in the same pass over the scores, its gradients: no score is kept for later, or made twice."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, items: Tensor, bias: Tensor | None, wanted: Histories, dtype: Any) -> Tensor:
        n, n_items = len(rows), len(items)
        narrow, added = items.to(dtype), items.new_zeros(n_items) if bias is None else bias.float()
        d_rows, d_items = torch.empty_like(rows), torch.empty_like(items)
        d_bias = None if bias is None else torch.zeros_like(bias)
        losses = rows.new_empty(n)
        size = min(n, max(1, SCORES * max(1, rows.shape[1] // 128) // n_items))
        scores = torch.empty(size, n_items, dtype=dtype, device=rows.device)
        for start in range(0, n, size):
            x = rows[start : start + size].to(dtype)
            chunk = scores[: len(x)]
            torch.mm(x, narrow.T, out=chunk)
            losses[start : start + size] = _to_gradient(chunk, added, wanted.part(start, start + len(x)))
            d_rows[start : start + size] = chunk @ narrow
            if dtype == torch.float32:
                torch.addmm(d_items, chunk.T, x, beta=float(start > 0), out=d_items)
            else:
                d_items = d_items.add_(chunk.T @ x) if start else (chunk.T @ x).float()
            if d_bias is not None:
                d_bias.addmv_(chunk.T.float(), d_bias.new_ones(len(x)))
        ctx.save_for_backward(d_rows, d_items, d_bias)
        ctx.n = n
        return losses.mean()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None, None]:
        share = gradient / ctx.n
        d_rows, d_items, d_bias = ctx.saved_tensors
        return d_rows.mul_(share), d_items.mul_(share), None if d_bias is None else d_bias.mul_(share), None, None


def _to_gradient(scores: Tensor, bias: Tensor, wanted: Histories) -> Tensor:
    """Turn scores (rows, items), to which the bias is added, in place into the gradient of each row's sum of
    -ln softmax over the items wanted in it; returns these sums (rows,).

    The gradient is the softmax times the number of these items, less 1 at each.
    """
    if scores.device.type == "cpu" and scores.dtype == torch.float32:
        from recli.kernels.exponential import softmax_loss
        from recli.training.team import on_threads_of_torch

        losses = torch.empty(len(scores))
        arrays = (tensor.numpy() for tensor in (scores, bias, wanted.indptr, wanted.item, losses))
        with on_threads_of_torch():
            softmax_loss(*arrays)
        return losses
    number, places = wanted.indptr.diff()[:, None], (wanted.row, wanted.item.long())
    scores += bias.to(scores.dtype)
    own = bias.new_zeros(len(scores)).index_add_(0, wanted.row, scores[places].float())
    best = scores.amax(1, keepdim=True).float()
    torch.softmax(scores, 1, out=scores)
    # ln of the sum of exp: the greatest score less the ln of its share, which is no less than 1 / n_items.
    logarithm = (best - scores.amax(1, keepdim=True).float().log()) * number
    scores *= number
    scores.index_put_(places, scores.new_full((), -1), accumulate=True)
    return logarithm.squeeze(1) - own


def full_softmax(rows: Tensor, items: Tensor, bias: Tensor | None, target: Tensor) -> Tensor:
    """Mean of -ln softmax(rows · items + bias)[target]; rows (n, width), items (items, width), target (n,).

    The same as `recli.training.losses.softmax` of all scores, in memory that does not grow with n. Where mixed
    precision is on, the products are of bfloat16.
    """
    one = torch.arange(len(target) + 1, device=target.device)
    return multinomial(rows, items, bias, Histories(indptr=one, item=target.int()))


def multinomial(rows: Tensor, items: Tensor, bias: Tensor | None, wanted: Histories) -> Tensor:
    """Mean over the rows of their sums of -ln softmax(rows · items + bias) over the items wanted in each, likewise.

    Liang et al. 2018, "Variational autoencoders for collaborative filtering" (WWW), eq. 2.
    """
    device = rows.device.type
    dtype = torch.bfloat16 if torch.is_autocast_enabled(device) else torch.float32
    with torch.autocast(device, enabled=False):
        loss: Tensor = _Softmax.apply(rows.float(), items.float(), bias, wanted, dtype)
    return loss
