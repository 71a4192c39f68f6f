"""The graph of users and items, and rows smoothed over it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Users × items and items × users: the two blocks of the graph's matrix that are not zero.

    Sparse tensors, or, on the processor, matrices for `recli.kernels.propagate`, which takes half of torch's time.
    """

    to_users: Any
    to_items: Any

    @classmethod
    def of(cls, matrix: csr_matrix, device: torch.device) -> Graph:
        """Each entry of a matrix (users, items) over the roots of its row's and its column's number of entries.

        He et al. 2020, "LightGCN" (SIGIR), eq. 8.
        """
        of_user = np.diff(matrix.indptr)
        of_item = np.bincount(matrix.indices, minlength=matrix.shape[1])
        scaled = matrix.astype(np.float32)
        scaled.data = (1 / np.sqrt(np.repeat(of_user, of_user) * of_item[matrix.indices])).astype(np.float32)
        blocks = scaled, scaled.T.tocsr()
        if device.type != "cpu":
            blocks = tuple(_sparse(block, device) for block in blocks)
        return cls(to_users=blocks[0], to_items=blocks[1])

    def smooth(self, user: Tensor, item: Tensor, layers: int) -> tuple[Tensor, Tensor]:
        """The mean of the rows of users and items and of what ``layers`` steps of the graph make of them."""
        users, items = user.clone(), item.clone()
        for _ in range(layers):
            user, item = _step(self.to_users, item, users), _step(self.to_items, user, items)
        return users.div_(layers + 1), items.div_(layers + 1)


def _sparse(matrix: csr_matrix, device: torch.device) -> Tensor:
    indptr, indices, data = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    with warnings.catch_warnings():  # that it is in beta
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(indptr, indices, data, matrix.shape, check_invariants=False).to(device)


def _step(matrix: Any, rows: Tensor, total: Tensor) -> Tensor:
    """The product of a block and rows, which is added to ``total`` as well."""
    if isinstance(matrix, Tensor):
        product = matrix @ rows
        total += product
        return product
    from recli.kernels.propagate import propagate
    from recli.training.team import on_threads_of_torch

    out = torch.empty_like(total)
    with on_threads_of_torch():
        propagate(matrix, rows.contiguous().numpy(), out.numpy(), total.numpy())
    return out


class Smoothed(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed
    """`Graph.smooth`, and the same for the gradients: the graph is symmetric, so the mean is its own transpose."""

    @staticmethod
    def forward(ctx: Any, user: Tensor, item: Tensor, graph: Graph, layers: int) -> tuple[Tensor, Tensor]:
        """The rows of users and items."""
        ctx.graph, ctx.layers = graph, layers
        return graph.smooth(user.detach(), item.detach(), layers)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Their gradients."""
        user, item = ctx.graph.smooth(*gradients, ctx.layers)
        return user, item, None, None
