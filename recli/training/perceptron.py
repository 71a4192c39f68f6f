"""Layers with ReLU, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recli.training.layers import dropout, parts_of, seed

WIDEST: Final = 256  # a layer up to which our kernel is the faster one


def rectified(x: Tensor, layers: Sequence[nn.Linear], share: float, out: nn.Linear | None = None) -> Tensor:
    """Of rows (…, in) what all layers make (…, out), each of them dropout of a ``share``, a product, and ReLU.

    Behind them, ``out`` is a product alone.
    """
    narrow = all(max(layer.weight.shape) <= WIDEST for layer in layers)
    if not layers or not narrow or x.device.type != "cpu" or x.dtype != torch.float32:
        return _by_layer(x, layers, share, out)
    if torch.is_autocast_enabled("cpu"):
        return _by_layer(x, layers, share, out)
    every = [*layers] if out is None else [*layers, out]
    numbers = [number for layer in every for number in (layer.weight, layer.bias)]
    made: Tensor = _Rectified.apply(x.reshape(-1, x.shape[-1]), share, len(layers), *numbers)
    return made.reshape(*x.shape[:-1], made.shape[-1])


def _by_layer(x: Tensor, layers: Sequence[nn.Linear], share: float, out: nn.Linear | None) -> Tensor:
    for layer in layers:
        x = F.relu(layer(dropout(x, share)), inplace=True)
    return x if out is None else out(x)


class _Rectified(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed
    """By a kernel, in which a few rows go through all layers while they are near."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float, bent: int, *numbers: Tensor) -> Tensor:
        from recli.kernels.perceptron import forward, layers
        from recli.training.team import arrays, on_threads_of_torch

        weights, biases = arrays(*numbers[::2]), arrays(*numbers[1::2])
        to = layers([x.shape[1], *map(len, weights)])
        seeds = np.array([seed() if share else 0 for _ in range(bent)], np.uint64)
        dropped = parts_of(share) if share else 0
        made = x.new_empty(len(x), int(to.place[-1]))
        with on_threads_of_torch():
            forward(x.detach().contiguous().numpy(), to, weights, biases, seeds, dropped, made.numpy())
        ctx.save_for_backward(made, *numbers[::2])
        ctx.given = to, seeds, dropped
        return made[:, int(to.place[-2]) :][:, : len(weights[-1])]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from recli.kernels.perceptron import backward
        from recli.training.team import arrays, on_threads_of_torch

        (made, *weights), (to, seeds, dropped) = ctx.saved_tensors, ctx.given
        to_x = gradient.new_empty(len(gradient), int(to.width[0]))
        with on_threads_of_torch():
            given = gradient.contiguous().numpy(), made.numpy(), to, arrays(*weights), seeds, dropped
            of_weights, of_biases = backward(*given, to_x.numpy())
        pairs = zip(of_weights, of_biases, strict=True)
        return to_x, None, None, *(torch.from_numpy(one) for pair in pairs for one in pair)
