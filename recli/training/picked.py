"""The scores of some items for each row, others for each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def picked(rows: Tensor, items: Tensor, bias: Tensor | None, codes: Tensor) -> Tensor:
    """The scores (n, number) of the items with codes (n, number) for rows (n, width): products with theirs and biases.

    On the processor by a kernel, which keeps no rows of items. Elsewhere, of many of few items all are made.
    """
    from recli.kernels.picked import WIDEST

    if rows.device.type == "cpu" and rows.dtype == items.dtype == torch.float32 and rows.shape[1] <= WIDEST:
        added = items.new_zeros(len(items)) if bias is None else bias
        scores: Tensor = _Picked.apply(rows, items, added, codes.int())
        return scores
    if codes.shape[1] * 16 > len(items):
        scores = rows @ items.T
        return (scores if bias is None else scores + bias).gather(1, codes.long())
    scores = torch.einsum("nw,nkw->nk", rows, F.embedding(codes, items))
    return scores if bias is None else scores + bias[codes.long()]


class _Picked(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed
    @staticmethod
    def forward(ctx: Any, rows: Tensor, items: Tensor, bias: Tensor, codes: Tensor) -> Tensor:
        from recli.kernels.picked import scores
        from recli.training.team import on_threads_of_torch

        rows, items, codes = rows.contiguous(), items.contiguous(), codes.contiguous()
        out = torch.empty(codes.shape)
        with on_threads_of_torch():
            scores(*(tensor.detach().numpy() for tensor in (rows, items, bias, codes, out)))
        ctx.save_for_backward(rows, items, codes)
        return out

    @staticmethod
    def backward(ctx: Any, of: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        from recli.kernels.picked import gradient
        from recli.training.team import on_threads_of_torch

        rows, items, codes = ctx.saved_tensors
        of_rows = torch.empty_like(rows)
        with on_threads_of_torch():
            of_items, of_bias = gradient(*(tensor.numpy() for tensor in (of.contiguous(), rows, items, codes, of_rows)))
        return of_rows, torch.from_numpy(of_items), torch.from_numpy(of_bias), None
