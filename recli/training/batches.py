"""Batches: an epoch is a permutation of what there is, and slices of it. Everything lies on the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from recli.errors import Exit, RecliError
from recli.training.negatives import Negatives

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from recli.training.parameters import Sampled

DRAWN = 1 << 20  # negatives drawn at once


@dataclass(frozen=True, kw_only=True)
class Events:
    """Pairs of a user (n,) and an item (n,) that was taken, int32, and who draws items that were not."""

    user: Tensor
    item: Tensor
    negatives: Negatives
    how: Sampled

    @classmethod
    def of(cls, matrix: csr_matrix, how: Sampled, device: torch.device) -> Events:
        """The entries of a matrix (users, items). Who took every item is left out: nothing can be put below them.

        Raises:
            RecliError: everybody did (exit 3).
        """
        lengths = np.diff(matrix.indptr)
        user = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        kept = lengths[user] < matrix.shape[1]
        if not kept.any():
            raise RecliError(Exit.DATA, "every user has taken every item: there is nothing to tell them from")
        users, items = (torch.from_numpy(codes[kept]).to(device) for codes in (user, matrix.indices))
        return cls(user=users, item=items, negatives=Negatives.of(matrix, how, device), how=how)

    def epoch(self, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Batches of ``size`` users (b,), their items (b,) and candidates (b, negatives, candidates for each).

        The last batch is what is left.
        """
        order = torch.randperm(len(self.user), device=self.user.device)
        user, item = self.user[order], self.item[order]
        number, candidates = self.how.train_neg_sample_num, self.how.neg_candidate_num if self.how.neg_dynamic else 1
        part = max(1, DRAWN // (size * number * candidates)) * size  # many batches' draws at once, but not all
        for first in range(0, len(user), part):
            drawn = self.negatives(user[first : first + part], number * candidates).view(-1, number, candidates)
            for at in range(first, min(first + part, len(user)), size):
                yield user[at : at + size], item[at : at + size], drawn[at - first : at - first + size]


@dataclass(frozen=True, kw_only=True)
class Histories:
    """Histories of users or queries: those of row r are ``item[indptr[r]:indptr[r + 1]]``, int64 and int32."""

    indptr: Tensor
    item: Tensor

    @classmethod
    def of(cls, indptr: NDArray[np.int64], item: NDArray[np.int32], device: torch.device) -> Histories:
        """From the arrays of a csr matrix, or of queries."""
        return cls(indptr=torch.from_numpy(indptr).long().to(device), item=torch.from_numpy(item).to(device))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, rows: Tensor) -> Histories:
        """Those of any rows (b,)."""
        if self.item.device.type == "cpu":
            from recli.kernels.sparse import of_rows

            indptr, item = map(torch.from_numpy, of_rows(self.indptr.numpy(), self.item.numpy(), rows.numpy()))
            return Histories(indptr=indptr, item=item)
        lengths = self.indptr[rows + 1] - self.indptr[rows]
        indptr = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        events = torch.arange(int(indptr[-1]), device=rows.device)
        events += (self.indptr[rows] - indptr[:-1]).repeat_interleave(lengths)
        return Histories(indptr=indptr, item=self.item[events])

    def part(self, start: int, stop: int) -> Histories:
        """Those of rows that follow on each other."""
        if start == 0 and stop == len(self):
            return self
        indptr = self.indptr[start : stop + 1]
        first, last = indptr[[0, -1]].tolist()
        return Histories(indptr=indptr - first, item=self.item[first:last])

    @property
    def row(self) -> Tensor:
        """The history of each event, int64."""
        return torch.arange(len(self), device=self.item.device).repeat_interleave(self.indptr.diff())

    def dense(self, n_items: int) -> Tensor:
        """Rows × items, float32: 1 where the item is in the history."""
        matrix = torch.zeros(len(self), n_items, device=self.item.device)
        matrix[self.row, self.item.long()] = 1
        return matrix

    def distinct(self, n_items: int) -> Histories:
        """The same, each item once in a history."""
        pairs = torch.unique(self.row * n_items + self.item)
        lengths = torch.bincount(pairs // n_items, minlength=len(self))
        indptr = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        return Histories(indptr=indptr, item=(pairs % n_items).int())

    def epoch(self, size: int) -> Iterator[tuple[Histories]]:
        """Batches of ``size`` rows that have a history, in a random order."""
        order = torch.randperm(len(self), device=self.item.device)
        order = order[self.indptr.diff()[order] > 0]
        for at in range(0, len(order), size):
            yield (self[order[at : at + size]],)
