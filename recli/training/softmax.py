"""The softmax over all items, without all its scores at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SCORES = 1 << 21  # that are held at a time


class _Softmax(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed
    """The loss and, in the same pass over the scores, its gradients: no score is kept for later, or made twice."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, items: Tensor, bias: Tensor | None, target: Tensor, dtype: torch.dtype
    ) -> Tensor:
        n, n_items = len(rows), len(items)
        narrow = items.to(dtype)
        d_rows, d_items = torch.empty_like(rows), torch.zeros_like(items)
        d_bias = None if bias is None else torch.zeros_like(bias)
        losses = rows.new_empty(n)
        size = min(n, max(1, SCORES // n_items))
        scores = torch.empty(size, n_items, dtype=dtype, device=rows.device)
        for start in range(0, n, size):
            x = rows[start : start + size].to(dtype)
            chunk = scores[: len(x)]
            torch.mm(x, narrow.T, out=chunk)
            if bias is not None:
                chunk += bias.to(dtype)
            losses[start : start + size] = _to_gradient(chunk, target[start : start + size])
            d_rows[start : start + size] = chunk @ narrow
            d_items += chunk.T @ x
            if d_bias is not None:
                d_bias += chunk.sum(0, dtype=torch.float32)
        ctx.save_for_backward(d_rows, d_items, d_bias)
        ctx.n = n
        return losses.mean()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None, None]:
        share = gradient / ctx.n
        d_rows, d_items, d_bias = ctx.saved_tensors
        return d_rows.mul_(share), d_items.mul_(share), None if d_bias is None else d_bias.mul_(share), None, None


def _to_gradient(scores: Tensor, target: Tensor) -> Tensor:
    """Turn scores (rows, items) in place into the gradient, a softmax less 1 at the target; returns losses (rows,)."""
    if scores.device.type == "cpu" and scores.dtype == torch.float32:
        from recli.kernels.exponential import softmax_loss
        from recli.training.team import on_threads_of_torch

        losses = torch.empty(len(scores))
        with on_threads_of_torch():
            softmax_loss(scores.numpy(), target.numpy(), losses.numpy())
        return losses
    wanted = target[:, None].long()
    own, best = scores.gather(1, wanted).float(), scores.amax(1, keepdim=True).float()
    torch.softmax(scores, 1, out=scores)
    # ln of the sum of exp: the greatest score less the ln of its share, which is no less than 1 / n_items.
    value = (best - scores.amax(1, keepdim=True).float().log() - own).squeeze(1)
    scores.scatter_add_(1, wanted, scores.new_full(wanted.shape, -1))
    return value


def full_softmax(rows: Tensor, items: Tensor, bias: Tensor | None, target: Tensor) -> Tensor:
    """Mean of -ln softmax(rows · items + bias)[target]; rows (n, width), items (items, width), target (n,).

    The same as `recli.training.losses.softmax` of all scores, in memory that does not grow with n. Where mixed
    precision is on, the products are of bfloat16.
    """
    mixed = torch.is_autocast_enabled(rows.device.type)
    with torch.autocast(rows.device.type, enabled=False):
        loss: Tensor = _Softmax.apply(
            rows.float(), items.float(), bias, target, torch.bfloat16 if mixed else torch.float32
        )
    return loss
