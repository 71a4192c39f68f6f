"""Batches of coded fields: an epoch is a permutation of the events, and slices of it. Everything lies on the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recli.errors import Exit, RecliError
from recli.fields import ROLES, Coded
from recli.interactions import encode
from recli.schema import ITEM, USER
from recli.training.negatives import Negatives
from recli.training.parameters import Sampled

if TYPE_CHECKING:
    from recli.fields import Encoder
    from recli.interactions import Interactions, Ints
    from recli.scorers import Floats
    from recli.streamed import Streamed
    from recli.training.parameters import Context


class Batch(NamedTuple):
    """Codes of fields (b, slots), what each counts or None where all count 1, what is wanted (b,), and the history."""

    codes: Tensor
    values: Tensor | None
    wanted: Tensor
    past: Past | None = None


class Past(NamedTuple):
    """Items that were clicked on before, the last at the end: (b, length), which of them there are, and their fields.

    ``codes`` (b * length, slots) and ``values`` are those of the items' fields.
    """

    there: Tensor
    codes: Tensor
    values: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Clicks:
    """The items of all clicks, by user in time order; before event e are those from ``start[e]`` to ``stop[e]``."""

    item: Tensor
    start: Tensor
    stop: Tensor

    @classmethod
    def of(cls, data: Interactions, device: torch.device) -> Clicks:
        """Of all events: those whose label is above 0 or that have none."""
        clicked = np.ones(len(data), np.bool_) if data.label is None else data.label > 0
        count = np.append(0, np.cumsum(clicked))
        start = np.repeat(count[data.indptr[:-1]], np.diff(data.indptr))
        arrays = (data.item[clicked].astype(np.int64), start, count[:-1])
        return cls(
            **{n: torch.from_numpy(a).to(device) for n, a in zip(("item", "start", "stop"), arrays, strict=True)}
        )

    def __call__(self, event: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """The last ``most`` items before some events (b, length), and which of them there are."""
        start, stop = self.start[event], self.stop[event]
        return last(self.item, start, stop, most)


def last(item: Tensor, start: Tensor, stop: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The last ``most`` of ``item[start:stop]`` for each of b, aligned at the end: (b, length), and which there are."""
    length = int((stop - start).clamp(max=most).max()) if len(start) else 0
    place = stop[:, None] + torch.arange(-max(length, 1), 0, device=item.device)
    there = place >= start[:, None]
    taken = item[place.clamp(min=0, max=max(len(item) - 1, 0))] if len(item) else torch.zeros_like(place)
    return torch.where(there, taken, 0), there


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The coded fields of events: by role the table (n, slots) and each event's row of it (events,).

    ``values`` are beside the codes, of all roles or of none; without ``wanted``, labels or ratings (events,), every
    event is a click, and stands beside ``number`` items that the user did not take. ``clicks`` are there where the
    last ``most`` of them are read.
    """

    codes: Sequence[Tensor]
    values: Sequence[Tensor] | None
    row: Sequence[Tensor]
    wanted: Tensor | None = None
    negatives: Negatives | None = None
    number: int = 0
    clicks: Clicks | None = None
    most: int = 0

    @classmethod
    def of(
        cls,
        data: Interactions,
        coded: Mapping[str, Coded],
        wanted: Floats | None,
        how: Context,
        device: torch.device,
    ) -> Rows:
        """Of all events of ``data``; without labels, of users who have not taken every item.

        Raises:
            RecliError: everybody has (exit 3).
        """
        user = np.repeat(np.arange(data.n_users), np.diff(data.indptr))
        row = (user, data.item.astype(np.int64), np.arange(len(data)))
        if wanted is None:
            kept = (np.diff(data.matrix.indptr) < data.n_items)[user]
            if not kept.any():
                raise RecliError(Exit.DATA, "every user has taken every item: there is nothing to tell them from")
            row = (user[kept], row[1][kept], row[2][kept])
        parts = [coded[role] for role in ROLES]
        counted = counts(parts)
        return cls(
            codes=[torch.from_numpy(part.codes).to(device) for part in parts],
            values=None if counted is None else [torch.from_numpy(part).to(device) for part in counted],
            row=[torch.from_numpy(of).to(device) for of in row],
            wanted=None if wanted is None else torch.from_numpy(wanted).to(device),
            negatives=Negatives.of(data.matrix, Sampled(), device) if wanted is None else None,
            number=how.train_neg_sample_num if wanted is None else 0,
            clicks=Clicks.of(data, device) if how.history else None,
            most=how.history,
        )

    def epoch(self, size: int) -> Iterator[Batch]:
        """Batches in a random order; a last one of a single event is left out, as it has no deviation for a norm."""
        order = torch.randperm(len(self.row[0]), device=self.row[0].device)
        size = max(1, size // (1 + self.number))
        for at in range(0, max(len(order) - (size > 1), 1), size):
            chosen = order[at : at + size]
            rows = [row.index_select(0, chosen) for row in self.row]
            wanted = self._with_negatives(rows) if self.wanted is None else self.wanted.index_select(0, chosen)
            codes = torch.cat([part.index_select(0, row) for part, row in zip(self.codes, rows, strict=True)], 1)
            values = None
            if self.values is not None:
                values = torch.cat([part.index_select(0, row) for part, row in zip(self.values, rows, strict=True)], 1)
            past = None if self.clicks is None else self.past(*self.clicks(rows[2], self.most))
            yield Batch(codes, values, wanted, past)

    def past(self, item: Tensor, there: Tensor) -> Past:
        """The fields of a history."""
        items = item.flatten()
        return Past(there, self.codes[1][items], None if self.values is None else self.values[1][items])

    def _with_negatives(self, rows: list[Tensor]) -> Tensor:
        """The labels, once rows of drawn items stand behind the ``rows`` by role."""
        assert self.negatives is not None
        number = len(rows[0])
        drawn = self.negatives(rows[0], self.number).flatten().long()
        for role in range(len(rows)):
            again = drawn if role == 1 else rows[role].repeat_interleave(self.number)
            rows[role] = torch.cat([rows[role], again])
        return (torch.arange(len(rows[0]), device=drawn.device) < number).float()


def counts(parts: Sequence[Coded]) -> list[Floats] | None:
    """What the slots of each part count, where those of any do otherwise than 1."""
    if all(part.values is None for part in parts):
        return None
    return [np.ones(part.codes.shape, np.float32) if part.values is None else part.values for part in parts]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The rows of events that stay on disk: groups in a random order, so many of them shuffled together."""

    data: Streamed
    encoder: Encoder
    user: Coded
    item: Coded
    target: str
    device: torch.device

    def epoch(self, size: int) -> Iterator[Batch]:
        """Batches of each window in turn.

        Raises:
            RecliError: a label is none (exit 3).
        """
        chosen: list[int] = []
        for group in torch.randperm(len(self.data.rows)).tolist():
            chosen.append(group)
            if sum(self.data.rows[one] for one in chosen) >= self.data.window:
                yield from self._rows(chosen).epoch(size)
                chosen = []
        if chosen:
            yield from self._rows(chosen).epoch(size)

    def _rows(self, groups: Sequence[int]) -> Rows:
        each = [self._coded(group) for group in groups]
        inter = Coded.joined([one for one, *_ in each])
        user, item, wanted = (np.concatenate(part) for part in list(zip(*each, strict=True))[1:])
        parts = [self.user, self.item, inter]
        row = [user.astype(np.int64), item.astype(np.int64), np.arange(len(wanted))]
        counted = counts(parts)
        return Rows(
            codes=[torch.from_numpy(part.codes).to(self.device) for part in parts],
            values=None if counted is None else [torch.from_numpy(part).to(self.device) for part in counted],
            row=[torch.from_numpy(of).to(self.device) for of in row],
            wanted=torch.from_numpy(wanted).to(self.device),
        )

    def _coded(self, group: int) -> tuple[Coded, Ints, Ints, Floats]:
        """The fields of the events of a group, their users and items, and what is to be told."""
        frame = self.data.read(group)
        user, item = encode(frame[USER], self.data.users), encode(frame[ITEM], self.data.items)
        wanted = sound(frame[self.target].to_numpy().astype(np.float32), self.target)
        return self.encoder.encode("inter", frame, frame.height), user, item, wanted


def sound(wanted: Floats, target: str) -> Floats:
    """Labels or ratings that can be learned.

    Raises:
        RecliError: one is missing, or a label is neither 0 nor 1 (exit 3).
    """
    if not np.isfinite(wanted).all():
        raise RecliError(Exit.DATA, f"a {target} is missing")
    if target == "label" and not np.isin(wanted, (0, 1)).all():
        raise RecliError(Exit.DATA, "a label is neither 0 nor 1", hint="-p target=rating tells any number")
    return wanted
