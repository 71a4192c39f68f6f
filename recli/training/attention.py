"""Attention with dropout: of the places of a history, and of the fields of a row."""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recli.training.layers import parts_of, seed
from recli.training.team import on_threads_of_torch


def attention(q: Tensor, k: Tensor, v: Tensor, length: Tensor | None, share: float) -> Tensor:
    """softmax(q k' / sqrt(width)) v, of q, k and v (n, heads, places, width), with dropout of a share of the softmax.

    A place looks at the first ``length`` (n,) places, one at least; None: at those before it, and itself. On the
    processor dropout is of float32, also where mixed precision is on.
    """
    if share == 0 or q.device.type != "cpu":
        mask = None
        if length is not None:
            mask = (torch.arange(k.shape[2], device=k.device) < length[:, None])[:, None, None]
        return F.scaled_dot_product_attention(q, k, v, mask, dropout_p=share, is_causal=mask is None)
    n, heads, places, _ = q.shape
    looks = torch.zeros(n * heads, dtype=torch.int64) if length is None else length.repeat_interleave(heads)
    with torch.autocast("cpu", enabled=False):
        own = (each.flatten(0, 1).float() for each in (q, k, v))
        mixed: Tensor = _Attention.apply(*own, looks, seed(), parts_of(share))
    return mixed.view(n, heads, places, -1)


class _Attention(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed
    """Of q, k and v (n × heads, places, width). The gradient can be taken once: it takes the shares' memory."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, looks: Tensor, seed: int, dropped: int) -> Tensor:
        from recli.kernels.attention import shares

        given = looks.numpy(), 1 / sqrt(q.shape[2]), seed, dropped
        scores = q @ k.transpose(1, 2)
        kept = torch.empty_like(scores)
        with on_threads_of_torch():
            shares(scores.numpy(), kept.numpy(), *given)
        ctx.save_for_backward(q, k, v)
        ctx.shares, ctx.given = scores, given
        return kept @ v

    @staticmethod
    def backward(ctx: Any, d_mixed: Tensor) -> tuple[Tensor | None, ...]:
        from recli.kernels.attention import gradient

        (q, k, v), kept = ctx.saved_tensors, ctx.shares
        d_scores = d_mixed @ v.transpose(1, 2)
        with on_threads_of_torch():
            gradient(kept.numpy(), d_scores.numpy(), *ctx.given)
        ctx.shares = None
        return d_scores @ k, d_scores.transpose(1, 2) @ q, kept.transpose(1, 2) @ d_mixed, None, None, None


def attended(parts: Tensor, heads: int, scale: float, share: float) -> Tensor:
    """What fields become that attend to each other (n, fields, width): softmax(scale × q k') v + own, by heads.

    ``parts`` (n, fields, 4 × width) are q, k, v and own, with dropout of a ``share`` of the softmax.
    """
    if parts.device.type == "cpu" and parts.dtype == torch.float32:
        made: Tensor = _Attended.apply(parts, heads, scale, seed(), parts_of(share))
        return made
    *halves, own = parts.chunk(4, 2)
    query, key, value = (each.unflatten(2, (heads, -1)).transpose(1, 2) for each in halves)
    shares = F.dropout((scale * query @ key.transpose(2, 3)).softmax(3), share)
    return (shares @ value).transpose(1, 2).flatten(2) + own


class _Attended(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, parts: Tensor, heads: int, scale: float, seed: int, dropped: int) -> Tensor:
        from recli.kernels.fieldattention import attend

        parts = parts.contiguous()
        out = parts.new_empty(*parts.shape[:2], parts.shape[2] // 4)
        with on_threads_of_torch():
            ctx.shares = attend(parts.detach().numpy(), heads, scale, seed, dropped, out.numpy())
        ctx.save_for_backward(parts)
        ctx.given = scale, dropped
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        from recli.kernels.fieldattention import gradient as of_parts

        (parts,), (scale, dropped) = ctx.saved_tensors, ctx.given
        out = torch.empty_like(parts)
        with on_threads_of_torch():
            of_parts(gradient.contiguous().numpy(), parts.detach().numpy(), ctx.shares, scale, dropped, out.numpy())
        return out, None, None, None, None
