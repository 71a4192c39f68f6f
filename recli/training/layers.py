"""Pieces of networks that torch has not, or not as fast."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
