"""Horizontal filters of every height over the rows of histories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def horizontal(rows: Tensor, filters: Sequence[nn.Conv1d]) -> Tensor:
    """Of rows (n, events, width) the greatest of what each filter gives within the last rows (n, events, filters).

    There are some filters of each height, from one row to as many as are looked back at; before the first event are
    rows of zeros. ReLU is behind them.
    """
    if rows.device.type != "cpu" or rows.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        image = F.pad(rows.transpose(1, 2), (len(filters) - 1, 0))
        made = [F.max_pool1d(one(image).relu(), len(filters) - k, stride=1) for k, one in enumerate(filters)]
        return torch.cat(made, 1).transpose(1, 2)
    found: Tensor = _Horizontal.apply(rows, *(one.weight for one in filters), *(one.bias for one in filters))
    return found


class _Horizontal(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed
    """By a kernel: torch's gradients of filters take several times as long."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, *numbers: Tensor) -> Tensor:
        from recli.kernels.horizontal import forward
        from recli.training.team import arrays, on_threads_of_torch

        rows, heights = rows.contiguous(), len(numbers) // 2
        made = rows.new_empty(*rows.shape[:2], heights * len(numbers[0]))
        where = torch.empty_like(made, dtype=torch.int32)
        with on_threads_of_torch():
            filters, biases = arrays(*numbers[:heights]), arrays(*numbers[heights:])
            (x, out, at) = arrays(rows, made, where)
            forward(x, filters, biases, out, at)
        ctx.save_for_backward(rows, where, *numbers[:heights])
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        from recli.kernels.horizontal import backward
        from recli.training.team import arrays, on_threads_of_torch

        rows, where, *filters = ctx.saved_tensors
        to_rows = torch.empty_like(rows)
        with on_threads_of_torch():
            of, x, at, into = arrays(gradient.contiguous(), rows, where, to_rows)
            by_row, of_bias = backward(of, x, arrays(*filters), at, into)
        heights = range(len(filters))
        weights = [torch.from_numpy(by_row[: h + 1, -1 - h].transpose(1, 2, 0).copy()) for h in heights]
        return to_rows, *weights, *(torch.from_numpy(of_bias[-1 - h].copy()) for h in heights)
