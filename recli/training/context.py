"""Networks of fields: how they are trained on labelled events, and the scorer that keeps one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from recli.errors import Exit, RecliError
from recli.fields import ROLES
from recli.scorers import Fielded
from recli.training.networks import built, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from recli.fields import Coded, Encoder
    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints
    from recli.streamed import Streamed
    from recli.training.fields import Fields
    from recli.training.parameters import Context
    from recli.training.rows import Past, Rows, Windows

    Weights: TypeAlias = Mapping[str, NDArray[Any]]

PAIRS: Final = 1 << 13  # in a step of `Contextual`


def fit(how: Context, data: Interactions | Streamed, run: Run) -> Contextual:
    """Steps on events in random order, each with its label or rating; without labels, beside drawn negatives.

    Events that stay on disk need labels or ratings, and no history is read of them.

    Raises:
        RecliError: there is no rating, or a label is none (exit 3).
    """
    from recli.training.fields import LOSSES
    from recli.training.loop import train
    from recli.training.session import session

    wanted, (encoder, coded) = _wanted(how, data), data.encoded()
    level = float(wanted.mean(dtype=np.float64)) if how.target == "rating" and wanted is not None else 0.0
    module = type(how).__module__
    code = import_module(module)
    meta = how.shape() | {"sizes": [one.size for one in encoder.fields], "slots": encoder.slots}
    if how.history:
        meta["item"] = list(encoder.span("item"))
    with session(run) as device:
        network = code.build(**meta).to(device)
        rows = _rows(how, data, wanted, encoder, coded, device)

        def loss(codes: Tensor, values: Tensor | None, label: Tensor, past: Past | None) -> Tensor:
            own = () if past is None else (history(network, past, encoder),)
            value = LOSSES[how.target](code.scores(network, *network["table"](codes, values), *own), label - level)
            if how.embedding_reg_weight:
                value = value + how.embedding_reg_weight / 2 * network["table"].weight.square().sum()
            return value + code.penalty(network, how) if hasattr(code, "penalty") else value

        learned, rest = encoder.pack()

        def scorer() -> Contextual:
            return Contextual(
                module=module,
                meta=json.dumps(meta),
                weights=weights_of(network),
                fields=rest,
                learned=learned,
                user=coded["user"].arrays(),
                item=coded["item"].arrays(),
                probability=how.target == "label",
                level=level,
                history=how.history,
                n_users=data.n_users,
                n_items=data.n_items,
            )

        return train(how, run, network, lambda: rows.epoch(how.train_batch_size), loss, scorer)


def history(network: Any, past: Past, encoder: Encoder) -> tuple[Tensor, Tensor]:
    """The rows of a history's items (b, length, fields, width), and which of them there are (b, length)."""
    rows, *_ = network["table"](past.codes, past.values, encoder.span("item"))
    return rows.unflatten(0, past.there.shape), past.there


def _wanted(how: Context, data: Interactions | Streamed) -> Floats | None:
    """What the network is to tell of every event; None where there are no labels, and every event is a click."""
    from recli.streamed import Streamed
    from recli.training.rows import sound

    if isinstance(data, Streamed):
        if how.history or how.target not in data.schema:
            what = "reads histories" if how.history else f"needs a column {how.target}"
            raise RecliError(Exit.USAGE, f"{type(how).__name__} {what}, which a stream has not")
        return None
    wanted = data.label if how.target == "label" else data.rating
    if wanted is None and how.target == "label":
        return None
    if wanted is None:
        hint = "--rating-col says which column holds it, where the source is read"
        raise RecliError(Exit.DATA, "the table has no rating to learn", hint=hint)
    return sound(wanted, how.target)


def _rows(
    how: Context,
    data: Interactions | Streamed,
    wanted: Floats | None,
    encoder: Encoder,
    coded: Mapping[str, Coded],
    device: Any,
) -> Rows | Windows:
    """Who makes the batches."""
    from recli.streamed import Streamed
    from recli.training.rows import Rows, Windows

    if isinstance(data, Streamed):
        user, item = coded["user"], coded["item"]
        return Windows(data=data, encoder=encoder, user=user, item=item, target=how.target, device=device)
    return Rows.of(data, coded, wanted, how, device)


@dataclass(frozen=True, kw_only=True)
class Contextual(Fielded):
    """A network from the fields of a user, an item and an occasion to a probability, or to a rating less ``level``.

    Its ``module`` has ``build(**meta)``, whose ``table`` is a `recli.training.fields.Table`, and ``scores(network,
    rows (n, fields, width)) -> (n,)``, which also takes, behind the rows, the weights (n, fields) where the table has
    any, and what `history` returns with a ``history`` of so many clicks at most.
    """

    module: str
    meta: str
    weights: Weights
    probability: bool
    level: float
    history: int = 0

    @cached_property
    def _network(self) -> tuple[Any, Any]:
        code, network = built(self.module, self.meta, self.weights)
        table = network.get_submodule("table")
        if table.slots != self.encoder.slots or len(table.weight) != self.encoder.rows:
            raise RecliError(Exit.DATA, "is no scorer: the table is not that of its fields")
        return code, network

    def _rows(self, network: Any, parts: list[Coded], role: str | None = None) -> Fields:
        """What the table has of the fields, of one role or of all."""
        import torch

        from recli.training.rows import counts

        own = parts if role is None else [parts[ROLES.index(role)]]
        counted = counts(own)
        values = None if counted is None else torch.from_numpy(np.concatenate(counted, 1))
        codes = torch.from_numpy(np.concatenate([part.codes for part in own], 1))
        rows: Fields = network["table"](codes, values, None if role is None else self.encoder.span(role))
        return rows

    def _past(self, network: Any, queries: Queries) -> tuple[Tensor, Tensor]:
        """The rows of the last items of each history, as `history` has them."""
        import torch

        from recli.fields import Coded
        from recli.training.rows import Past, last

        indptr = torch.from_numpy(queries.indptr)
        item, there = last(torch.from_numpy(queries.item.astype(np.int64)), indptr[:-1], indptr[1:], self.history)
        of, items = Coded(**self.item), item.flatten().numpy()
        values = None if of.values is None else torch.from_numpy(of.values[items])
        return history(network, Past(there, torch.from_numpy(of.codes[items]), values), self.encoder)

    def score(self, queries: Queries) -> Floats:
        """Every item for a few users at a time; the rows of users and items are looked up once."""
        from recli.training.session import scoring

        scores = np.empty((len(queries), self.n_items), np.float32)
        pairs = PAIRS // 8 if self.history else PAIRS
        together = max(1, pairs // max(1, self.n_items))
        network = self._network[1]
        with scoring():
            item = self._rows(network, self.parts(queries[:0], np.arange(self.n_items, dtype=np.int32)), "item")
            for start in range(0, len(queries), together):
                some = queries[start : start + together]
                parts = self.parts(some, np.empty(0, np.int32))
                user, context = (self._rows(network, parts, role) for role in ("user", "inter"))
                past = self._past(network, some) if self.history else None
                for at in range(0, self.n_items, pairs):
                    some_items = tuple(part[at : at + pairs] for part in item)
                    made = self._grid(user, some_items, context, past)
                    scores[start : start + together, at : at + pairs] = made
        return scores

    def _grid(self, user: Fields, item: Fields, context: Fields, past: tuple[Tensor, Tensor] | None) -> Floats:
        """The scores of some users with some items."""
        import torch

        code, network = self._network
        shape = len(user[0]), len(item[0])

        def beside(*parts: Tensor) -> Tensor:
            """Each user's beside each item's (users, items, fields, …)."""
            spread = zip(parts, (1, 0, 1), strict=True)
            return torch.cat([part.unsqueeze(dim).expand(*shape, *part.shape[1:]) for part, dim in spread], 2)

        rows = [beside(*parts).flatten(0, 1) for parts in zip(user, item, context, strict=True)]
        own = () if past is None else (tuple(part.repeat_interleave(shape[1], 0) for part in past),)
        return self._finished(code.scores(network, *rows, *own)).reshape(shape)

    def _finished(self, scores: Tensor) -> Floats:
        made: Floats = (scores.sigmoid() if self.probability else scores + self.level).numpy()
        return made

    @contextmanager
    def together(self) -> Iterator[Callable[[], None]]:
        """As `Fielded.together`: each asks torch for no more threads."""
        import torch

        from recli.training.session import scoring

        with scoring():  # here too, as how products are made is the same for all threads
            yield partial(torch.set_num_threads, 1)

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """So many pairs at a time."""
        from recli.training.session import scoring

        scores = np.empty(len(queries), np.float32)
        code, network = self._network
        pairs = PAIRS // 8 if self.history else PAIRS
        parts = self.parts(queries, items)
        with scoring():
            for start in range(0, len(scores), pairs):
                block = slice(start, start + pairs)
                own = (self._past(network, queries[block]),) if self.history else ()
                rows = self._rows(network, [part.take(block) for part in parts])
                scores[block] = self._finished(code.scores(network, *rows, *own))
        return scores
