"""Gated recurrent units over whole windows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GRU(nn.Module):  # type: ignore[misc]  # torch is not typed
    """A layer of gated recurrent units without biases, from a state of zeros: what torch.nn.GRU(bias=False) computes.

    Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder for statistical machine translation"
    (EMNLP), §2.3, with the reset gate behind the product as cuDNN has it. torch's takes several times as long on a
    processor, as it multiplies a weight's gradient out after every event; here that is one product for all events.
    """

    def __init__(self, width: int, state: int) -> None:
        super().__init__()
        self.read = nn.Parameter(nn.init.xavier_uniform_(torch.empty(3 * state, width)))
        self.keep = nn.Parameter(nn.init.xavier_uniform_(torch.empty(3 * state, state)))

    def forward(self, x: Tensor) -> Tensor:
        """The state after each place of x (n, places, width), (n, places, state)."""
        read = F.linear(x, self.read).float().transpose(0, 1)  # (places, n, 3 state): reset, update, new
        units = _Near if x.device.type == "cpu" else _Units
        with torch.autocast(x.device.type, enabled=False):
            states: Tensor = units.apply(read, self.keep)
        return states.transpose(0, 1)


class _Units(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed
    """r, z = s(a_r + U_r h), s(a_z + U_z h); n = tanh(a_n + r * U_n h); h' = (1 - z) * n + z * h, place by place."""

    @staticmethod
    def forward(ctx: Any, read: Tensor, keep: Tensor) -> Tensor:
        places, n, width = read.shape
        size = width // 3
        read, across = read.contiguous(), keep.T.contiguous()
        kept, gates = torch.empty_like(read), read.new_empty(places, n, 2 * size)
        new, states = read.new_empty(places, n, size), read.new_zeros(places + 1, n, size)
        for t in range(places):
            before, u, a, g = states[t], kept[t], read[t], gates[t]
            torch.mm(before, across, out=u)
            torch.add(a[:, : 2 * size], u[:, : 2 * size], out=g).sigmoid_()
            # tanh x = 2 s(2x) - 1, in less time than tanh takes.
            x = torch.addcmul(a[:, 2 * size :], g[:, :size], u[:, 2 * size :], out=new[t])
            x.mul_(2).sigmoid_().mul_(2).sub_(1)
            torch.lerp(x, before, g[:, size:], out=states[t + 1])
        ctx.save_for_backward(keep, kept[:, :, 2 * size :], gates, new, states)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor, Tensor]:
        """Every gate's gradient is the state's times a factor that is known beforehand, for all places at once."""
        keep, kept, gates, new, states = ctx.saved_tensors
        places, n, size = new.shape
        reset, update = gates[:, :, :size], gates[:, :, size:]
        factor = new.new_empty(places, n, 4, size)  # of what is read for new, of reset, of update, of what is kept
        torch.mul(1 - new * new, 1 - update, out=factor[:, :, 0])
        torch.mul(factor[:, :, 0], kept * reset * (1 - reset), out=factor[:, :, 1])
        torch.mul(states[:-1] - new, update * (1 - update), out=factor[:, :, 2])
        torch.mul(factor[:, :, 0], reset, out=factor[:, :, 3])
        d_state = torch.zeros_like(new[0])
        for t in range(places - 1, -1, -1):
            d_state += d_states[t]
            factor[t] *= d_state[:, None]
            d_state *= update[t]
            d_state.addmm_(factor[t].view(n, 4 * size)[:, size:], keep)
        d_gates = factor.view(places * n, 4 * size)
        d_keep = d_gates[:, size:].T @ states[:-1].reshape(places * n, size)
        d_read = torch.cat([d_gates[:, size : 3 * size], d_gates[:, :size]], 1)
        return d_read.view(places, n, 3 * size), d_keep


class _Near(torch.autograd.Function):  # type: ignore[misc]
    """The same by a kernel, whose products need no call of a library's for each place."""

    @staticmethod
    def forward(ctx: Any, read: Tensor, keep: Tensor) -> Tensor:
        from recli.kernels.gru import forward
        from recli.training.team import arrays, on_threads_of_torch

        places, n, width = read.shape
        size = width // 3
        kept, gates, new = (read.new_empty(places, n, some * size) for some in (1, 2, 1))
        states = read.new_empty(places + 1, n, size)
        states[0] = 0
        ctx.save_for_backward(keep, kept, gates, new, states)
        with on_threads_of_torch():
            forward(*(one.detach().contiguous().numpy() for one in (read, keep)), *arrays(kept, gates, new, states))
        return states[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        from recli.kernels.gru import backward
        from recli.training.team import arrays, on_threads_of_torch

        keep, kept, gates, new, states = ctx.saved_tensors
        places, n, size = new.shape
        slopes = new.new_empty(places * n, 4 * size)
        with on_threads_of_torch():
            given = gradient.contiguous(), keep.detach().contiguous(), kept, gates, new, states
            backward(*arrays(*given, slopes.view(places, n, 4 * size)))
        d_keep = slopes[:, size:].T @ states[:-1].reshape(places * n, size)
        return torch.cat([slopes[:, size : 3 * size], slopes[:, :size]], 1).view(places, n, 3 * size), d_keep
