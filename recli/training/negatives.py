"""Negatives: items drawn at random that the user did not take, by rejection, for all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recli.training.parameters import NextItem, Sampled

ROUNDS = 100  # after so many, items nobody took are among what is drawn: who took all that others did has no other


@dataclass(frozen=True, kw_only=True)
class Negatives:
    """Draws items from those that a user has not in a csr matrix.

    ``pairs`` (entries,) int64, ascending, are the entries as user * n_items + item, those of user u from ``indptr[u]``
    on. ``up_to`` (n_items,) float64 is the running sum of the items' weights; None draws them uniformly.
    """

    indptr: Tensor
    pairs: Tensor
    n_items: int
    up_to: Tensor | None = None

    @classmethod
    def of(cls, matrix: csr_matrix, how: Sampled | NextItem, device: torch.device) -> Negatives:
        """Negatives for the rows of ``matrix`` (users, items), drawn as ``how`` says.

        With ``popularity`` an item is drawn by the number of its users to the power of ``neg_exponent`` (Mikolov et al.
        2013, "Distributed representations of words and phrases" (NIPS), §2.2).
        """
        users, n_items = matrix.shape
        indptr = torch.from_numpy(matrix.indptr).long()
        row = torch.repeat_interleave(torch.arange(users), indptr.diff())
        pairs = row * n_items + torch.from_numpy(matrix.indices)
        up_to = None
        if how.neg_sampling == "popularity":
            counts = torch.bincount(torch.from_numpy(matrix.indices).long(), minlength=n_items).double()
            up_to = torch.where(counts > 0, counts**how.neg_exponent, 0).cumsum(0)
            # A GPU's float64 is slow and Apple's has none, but the sum of many weights needs it; it is looked up only.
            up_to = up_to.to(device) if device.type != "mps" else (up_to / up_to[-1]).float().to(device)
        return cls(indptr=indptr.to(device), pairs=pairs.to(device), n_items=n_items, up_to=up_to)

    def __call__(self, user: Tensor, number: int = 1) -> Tensor:
        """``number`` items for each of ``user`` (n,), int32 (n, number), the same one maybe twice."""
        if self.up_to is None and user.device.type == "cpu":
            return self._drawn(user, number)
        wanted = user.long().repeat_interleave(number)
        drawn = self._any(len(wanted), weighted=True)
        rejected = self._taken(wanted, drawn).nonzero().squeeze(1)
        rounds = 1
        while len(rejected):
            drawn[rejected] = self._any(len(rejected), weighted=rounds < ROUNDS)
            rejected = rejected[self._taken(wanted[rejected], drawn[rejected])]
            rounds += 1
        return drawn.view(-1, number)

    def _drawn(self, user: Tensor, number: int) -> Tensor:
        """The same by a kernel."""
        from recli.kernels.negatives import draw
        from recli.training.layers import seed
        from recli.training.team import on_threads_of_torch

        out = torch.empty(len(user), number, dtype=torch.int32)
        arrays = user.int().numpy(), self.indptr.numpy(), self.pairs.numpy()
        with on_threads_of_torch():
            draw(*arrays, self.n_items, seed(), out.numpy())
        return out

    def _any(self, number: int, *, weighted: bool) -> Tensor:
        """Items, whoever took them."""
        device = self.pairs.device
        if self.up_to is None or not weighted:
            return torch.randint(self.n_items, (number,), dtype=torch.int32, device=device)
        place = torch.rand(number, dtype=self.up_to.dtype, device=device) * self.up_to[-1]
        return torch.searchsorted(self.up_to, place, right=True).clamp_(max=self.n_items - 1).int()

    def _taken(self, user: Tensor, item: Tensor) -> Tensor:
        """Which of the pairs are entries of the matrix."""
        pair = user * self.n_items + item
        return self.pairs[torch.searchsorted(self.pairs, pair).clamp_(max=len(self.pairs) - 1)] == pair


def hardest(candidates: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor:
    """Of candidates (n, number, candidates) those that score highest, (n, number).

    Zhang et al. 2013, "Optimizing top-n collaborative filtering via dynamic negative item sampling" (SIGIR), §3.
    """
    if candidates.shape[2] == 1:
        return candidates[:, :, 0]
    with torch.no_grad():
        best = score(candidates.flatten(1)).view(candidates.shape).argmax(2, keepdim=True)
    return candidates.gather(2, best).squeeze(2)
