"""Histories in their order: cut into windows to train on, and read up to their end to score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.interactions import Interactions

POOL = 256  # batches whose windows are sorted by length together, so that hardly any place of a batch is padding


@dataclass(frozen=True, kw_only=True)
class Window:
    """A batch of windows of one event or more, each of one user, from the left, with any item where they have ended.

    ``item`` (n, places) int32, ``length`` (n,) int64 events of each, ``user`` (n,) int32, -1 for unknown. Of a batch to
    train on, ``target`` (events,) int32 are the items that came next after each event, window by window, and ``at``
    (events,) int64 where these events stand in ``item``, flattened.
    """

    item: Tensor
    length: Tensor
    user: Tensor
    target: Tensor
    at: Tensor

    @property
    def there(self) -> Tensor:
        """Which places hold an event, bool (n, places)."""
        return torch.arange(self.item.shape[1], device=self.item.device) < self.length[:, None]


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """Histories, one after the other: that of row r is ``item[indptr[r]:indptr[r + 1]]``, int32 and int64."""

    indptr: Tensor
    item: Tensor
    user: Tensor

    @classmethod
    def of(cls, data: Interactions, device: torch.device) -> Sequences:
        """Those of all users."""
        return cls.from_arrays(data.indptr, data.item, np.arange(data.n_users, dtype=np.int32), device)

    @classmethod
    def from_arrays(
        cls, indptr: NDArray[np.int64], item: NDArray[np.int32], user: NDArray[np.int32], device: torch.device
    ) -> Sequences:
        """From the arrays of interactions or queries."""
        parts = (torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in (indptr, item, user))
        indptr_, item_, user_ = parts
        return cls(indptr=indptr_.long(), item=item_, user=user_)

    def epoch(self, places: int, size: int, *, recent: bool = False) -> Iterator[tuple[Window]]:
        """Every event that another follows, once, in windows of up to ``places``, about ``size`` events a batch.

        A history that is longer is cut anew in every epoch, at a place drawn at random and from there every ``places``
        events: what came before a cut is seen in some epochs and not in others. ``recent``: only its last window.
        """
        user, start, length = self._last(places) if recent else self._cut(places)
        order = torch.randperm(len(user), device=user.device)
        pool = POOL * max(1, round(size / float(length.double().mean()))) if len(user) else 1
        rank = torch.arange(len(order), device=order.device) // pool * (places + 1) + length[order]
        order = order[rank.argsort(stable=True)]
        batch = (length[order].cumsum(0) - 1) // size
        sizes = torch.unique_consecutive(batch, return_counts=True)[1]
        starts = (sizes.cumsum(0) - sizes).tolist()
        for at in torch.randperm(len(starts)).tolist():
            chosen = order[starts[at] : starts[at] + int(sizes[at])]
            yield (self._window(user[chosen], start[chosen], length[chosen], following=True),)

    def _cut(self, places: int) -> tuple[Tensor, Tensor, Tensor]:
        """The rows, first events and lengths of the windows, (windows,) each."""
        pairs = self.indptr.diff() - 1
        row = (pairs > 0).nonzero().squeeze(1)
        pairs, begin = pairs[row], self.indptr[:-1][row]
        drawn = torch.randint(1, places + 1, row.shape, device=row.device)
        first = torch.where(pairs > places, drawn, pairs)
        count = 1 + (pairs - first + places - 1) // places
        number = torch.arange(int(count.sum()), device=row.device) - (count.cumsum(0) - count).repeat_interleave(count)
        row, pairs, begin, first = (each.repeat_interleave(count) for each in (row, pairs, begin, first))
        start = torch.where(number > 0, first + (number - 1) * places, 0)
        return row, begin + start, torch.minimum(first + number * places, pairs) - start

    def _last(self, places: int) -> tuple[Tensor, Tensor, Tensor]:
        """Likewise, of the last window of each row, which its last event follows on."""
        pairs = self.indptr.diff() - 1
        row = (pairs > 0).nonzero().squeeze(1)
        length = pairs[row].clamp(max=places)
        return row, self.indptr[row + 1] - 1 - length, length

    def ends(self, rows: Tensor, places: int) -> Window:
        """The last events, up to ``places``, of rows (n,) that have some."""
        length = (self.indptr[rows + 1] - self.indptr[rows]).clamp(max=places)
        return self._window(rows, self.indptr[rows + 1] - length, length, following=False)

    def _window(self, row: Tensor, start: Tensor, length: Tensor, *, following: bool) -> Window:
        place = torch.arange(int(length.max()), device=row.device)
        there = place < length[:, None]
        event = torch.where(there, start[:, None] + place, start[:, None])
        at = there.flatten().nonzero().squeeze(1)
        target = self.item[event.flatten()[at] + 1] if following else self.item[:0]
        return Window(item=self.item[event], length=length, user=self.user[row], target=target, at=at)


def last(code: Any, network: nn.Module, window: Window) -> Tensor:
    """The row after the last event of each history (n, width), as the module ``code`` of a network makes it."""
    if hasattr(code, "last"):
        row: Tensor = code.last(network, window)
        return row
    states = code.states(network, window)
    state: Tensor = states[torch.arange(len(states), device=states.device), window.length - 1]
    return state
