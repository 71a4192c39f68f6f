"""Networks of fields: how they are trained on labelled events, and the scorer that keeps one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from recli.errors import Exit, RecliError
from recli.fields import ROLES, Encoder
from recli.scorers import length
from recli.training.networks import built, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from recli.fields import Coded
    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints
    from recli.training.negatives import Negatives
    from recli.training.parameters import Context

    Weights: TypeAlias = Mapping[str, NDArray[Any]]

PAIRS: Final = 1 << 13  # in a step of `Contextual`


def fit(how: Context, data: Interactions, run: Run) -> Contextual:
    """Steps on events in random order, each with its label or rating; without labels, beside drawn negatives.

    Raises:
        RecliError: there is no rating, or a label is none (exit 3).
    """
    from recli.training.fields import LOSSES
    from recli.training.loop import train
    from recli.training.session import session

    wanted, (encoder, coded) = _wanted(how, data), data.encoded()
    module = type(how).__module__
    code = import_module(module)
    meta = how.shape() | {"sizes": [one.size for one in encoder.fields], "slots": encoder.slots}
    with session(run) as device:
        network = code.build(**meta).to(device)
        rows = Rows.of(data, coded, wanted, how, device)

        def loss(codes: Tensor, values: Tensor | None, label: Tensor) -> Tensor:
            value = LOSSES[how.target](code.scores(network, network["table"](codes, values)), label)
            if how.embedding_reg_weight:
                value = value + how.embedding_reg_weight / 2 * network["table"].weight.square().sum()
            return value + code.penalty(network, how) if hasattr(code, "penalty") else value

        learned, rest = encoder.pack()
        tables = {
            role: {name: array for name, array in vars(coded[role]).items() if array is not None} for role in ROLES
        }

        def scorer() -> Contextual:
            return Contextual(
                module=module,
                meta=json.dumps(meta),
                weights=weights_of(network),
                fields=rest,
                learned=learned,
                user=tables["user"],
                item=tables["item"],
                probability=how.target == "label",
                n_users=data.n_users,
                n_items=data.n_items,
            )

        return train(how, run, network, lambda: rows.epoch(how.train_batch_size), loss, scorer)


def _wanted(how: Context, data: Interactions) -> Floats | None:
    """What the network is to tell of every event; None where there are no labels, and every event is a click."""
    wanted = data.label if how.target == "label" else data.rating
    if wanted is None and how.target == "label":
        return None
    if wanted is None:
        hint = "--rating-col says which column holds it, where the source is read"
        raise RecliError(Exit.DATA, "the table has no rating to learn", hint=hint)
    if how.target == "label" and not np.isin(wanted, (0, 1)).all():
        raise RecliError(Exit.DATA, "a label is neither 0 nor 1", hint="-p target=rating tells any number")
    if not np.isfinite(wanted).all():
        raise RecliError(Exit.DATA, f"a {how.target} is missing")
    return wanted


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The coded fields of events, on the device: by role the table (n, slots) and each event's row of it (events,).

    ``values`` are beside the codes, of all roles or of none.
    """

    codes: tuple[Tensor, ...]
    values: tuple[Tensor, ...] | None
    row: tuple[Tensor, ...]
    wanted: Tensor | None
    negatives: Negatives | None = None
    number: int = 0

    @classmethod
    def of(
        cls, data: Interactions, coded: Mapping[str, Coded], wanted: Floats | None, how: Context, device: Any
    ) -> Rows:
        """Of all events of ``data``; without labels, of users who have not taken every item.

        Raises:
            RecliError: everybody has (exit 3).
        """
        import torch

        from recli.training.negatives import Negatives
        from recli.training.parameters import Sampled

        user = np.repeat(np.arange(data.n_users), np.diff(data.indptr))
        row = (user, data.item.astype(np.int64), np.arange(len(data)))
        if wanted is None:
            open_ = (np.diff(data.matrix.indptr) < data.n_items)[user]
            if not open_.any():
                raise RecliError(Exit.DATA, "every user has taken every item: there is nothing to tell them from")
            row = (user[open_], row[1][open_], row[2][open_])
        return cls(
            negatives=Negatives.of(data.matrix, Sampled(), device) if wanted is None else None,
            number=how.train_neg_sample_num if wanted is None else 0,
            codes=tuple(torch.from_numpy(coded[role].codes).to(device) for role in ROLES),
            values=_tensors(_counted([coded[role] for role in ROLES]), device),
            row=tuple(torch.from_numpy(of).to(device) for of in row),
            wanted=None if wanted is None else torch.from_numpy(wanted).to(device),
        )

    def epoch(self, size: int) -> Iterator[tuple[Tensor, Tensor | None, Tensor]]:
        """Batches of codes (b, slots), their values or None, and what is wanted (b,), in a random order."""
        import torch

        order = torch.randperm(len(self.row[0]), device=self.row[0].device)
        size = max(1, size // (1 + self.number))
        for at in range(0, len(order), size):
            chosen = order[at : at + size]
            rows = [row[chosen] for row in self.row]
            wanted = self._with_negatives(rows) if self.wanted is None else self.wanted[chosen]
            codes = torch.cat([part[row] for part, row in zip(self.codes, rows, strict=True)], 1)
            values = None
            if self.values is not None:
                values = torch.cat([part[row] for part, row in zip(self.values, rows, strict=True)], 1)
            yield codes, values, wanted

    def _with_negatives(self, rows: list[Tensor]) -> Tensor:
        """The labels, once rows of drawn items stand behind the ``rows`` by role."""
        import torch

        assert self.negatives is not None
        number = len(rows[0])
        drawn = self.negatives(rows[0], self.number).flatten().long()
        for role in (0, 1, 2):
            rows[role] = torch.cat([rows[role], drawn if role == 1 else rows[role].repeat_interleave(self.number)])
        return (torch.arange(len(rows[0]), device=drawn.device) < number).float()


def _counted(parts: list[Coded]) -> list[Floats] | None:
    """What the slots of each part count, where those of any do otherwise than 1."""
    if all(part.values is None for part in parts):
        return None
    return [np.ones(part.codes.shape, np.float32) if part.values is None else part.values for part in parts]


def _tensors(arrays: list[Floats] | None, device: Any) -> tuple[Tensor, ...] | None:
    import torch

    return None if arrays is None else tuple(torch.from_numpy(array).to(device) for array in arrays)


@dataclass(frozen=True, kw_only=True)
class Contextual:
    """A network from the fields of a user, an item and an occasion to a score: a probability, or a rating.

    Its ``module`` has ``build(**meta)``, whose ``table`` is a `recli.training.fields.Table`, and ``scores(network,
    rows (n, fields, width)) -> (n,)``. ``fields`` and ``learned`` are an `Encoder`; ``user`` and ``item`` the coded
    fields of each, the last row being that of whoever is not known, so that every pair has a score.
    """

    module: str
    meta: str
    weights: Weights
    fields: str
    learned: Weights
    user: Weights
    item: Weights
    probability: bool
    n_users: int = length("users")
    n_items: int = length("items")

    @cached_property
    def _network(self) -> tuple[Any, nn.Module]:
        return built(self.module, self.meta, self.weights)

    @cached_property
    def _encoder(self) -> Encoder:
        """The fields, once it is certain that all codes are rows of the table: the kernels do not look."""
        encoder = Encoder.unpack(self.learned, self.fields)
        table = self._network[1].get_submodule("table")
        sizes, at = [one.size for one in encoder.fields], 0
        if table.slots != encoder.slots or len(table.weight) != sum(sizes):
            raise RecliError(Exit.DATA, "is no scorer: the table is not that of its fields")
        for role, n in (("user", self.n_users), ("item", self.n_items)):
            part, own = self._coded(role), encoder.of(role)
            if part.codes.shape != (n + 1, sum(one.slots for one in own)):
                raise RecliError(Exit.DATA, f"is no scorer: the fields of the {role}s have another shape")
            low = np.repeat(np.cumsum([at, *(one.size for one in own)])[:-1], [one.slots for one in own])
            size = np.repeat([one.size for one in own], [one.slots for one in own])
            if part.codes.dtype != np.int32 or not ((part.codes >= low) & (part.codes < low + size)).all():
                raise RecliError(Exit.DATA, f"is no scorer: a field of the {role}s lies outside the table")
            if part.values is not None and (part.values.shape != part.codes.shape or part.values.dtype != np.float32):
                raise RecliError(Exit.DATA, f"is no scorer: the values of the {role}s have another shape")
            at += sum(one.size for one in own)
        return encoder

    @property
    def context(self) -> list[str]:
        """The columns of an event, beside its ids, that fields are made of."""
        return [one["name"] for one in json.loads(self.fields) if one["role"] == "inter"]

    def _coded(self, role: str) -> Coded:
        from recli.fields import Coded

        return Coded(**(self.user if role == "user" else self.item))

    def _parts(self, queries: Queries, items: Ints) -> list[Coded]:
        """The fields of the queries' users, of items, and of the queries' occasions."""
        from recli.fields import Coded

        encoder, parts = self._encoder, []
        for role, codes in (("user", queries.user), ("item", items)):
            of = self._coded(role)
            parts.append(Coded(codes=of.codes[codes], values=None if of.values is None else of.values[codes]))
        return [*parts, encoder.encode("inter", queries.context, len(queries))]

    def _rows(self, network: Any, parts: list[Coded], role: int | None = None) -> Tensor:
        """The table's rows of the fields, of one role or of all."""
        import torch

        ends = np.cumsum([0, *(len(self._encoder.of(role)) for role in ROLES)])
        own, fields = (
            (parts, None) if role is None else (parts[role : role + 1], (int(ends[role]), int(ends[role + 1])))
        )
        counted = _counted(own)
        values = None if counted is None else torch.from_numpy(np.concatenate(counted, 1))
        codes = torch.from_numpy(np.concatenate([part.codes for part in own], 1))
        rows: Tensor = network["table"](codes, values, fields)
        return rows

    def score(self, queries: Queries) -> Floats:
        """Every item for a few users at a time; the rows of users and items are looked up once."""
        from recli.training.session import scoring

        scores = np.empty((len(queries), self.n_items), np.float32)
        together = max(1, PAIRS // max(1, self.n_items))
        code, network = self._network
        with scoring():
            item = self._rows(network, self._parts(queries[:0], np.arange(self.n_items, dtype=np.int32)), 1)
            for start in range(0, len(queries), together):
                some = queries[start : start + together]
                parts = self._parts(some, np.empty(0, np.int32))
                user, context = (self._rows(network, parts, role) for role in (0, 2))
                for at in range(0, self.n_items, PAIRS):
                    made = self._grid(code, network, user, item[at : at + PAIRS], context)
                    scores[start : start + together, at : at + PAIRS] = made
        return scores

    def _grid(self, code: Any, network: Any, user: Tensor, item: Tensor, context: Tensor) -> Floats:
        """The scores of some users with some items."""
        import torch

        shape = len(user), len(item)
        beside = [(user, 1), (item, 0), (context, 1)]
        rows = torch.cat([part.unsqueeze(dim).expand(*shape, -1, -1) for part, dim in beside], 2).flatten(0, 1)
        return self._finished(code.scores(network, rows)).reshape(shape)

    def _finished(self, scores: Tensor) -> Floats:
        made: Floats = (scores.sigmoid() if self.probability else scores).numpy()
        return made

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """So many pairs at a time."""
        from recli.training.session import scoring

        pairs = np.empty(len(queries), np.float32)
        code, network = self._network
        with scoring():
            for start in range(0, len(pairs), PAIRS):
                block = slice(start, start + PAIRS)
                parts = self._parts(queries[block], items[block])
                pairs[block] = self._finished(code.scores(network, self._rows(network, parts)))
        return pairs
