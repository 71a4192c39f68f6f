"""Events that stay on disk: what a model of fields is fitted on where they are more than memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recli.coding import Coding
from recli.fields import Held
from recli.interactions import NO_FIELDS, encoded, vocabulary
from recli.schema import KEYS

if TYPE_CHECKING:
    from recli.fields import Coded, Encoder
    from recli.interactions import Longs


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """Events in groups of rows, of which some are in memory at a time.

    ``users`` (n_users,) and ``items`` (n_items,) hold the ids by code, ``counts`` how many events each has. ``rows``
    are those of each group, ``read(group)`` its table, ``column(name)`` the distinct values of a column and how often
    each stands there, of numbers all of them, in parts. ``window`` rows are shuffled together.
    """

    users: pl.Series
    items: pl.Series
    counts: Mapping[str, Longs]
    schema: Mapping[str, pl.DataType]
    rows: Sequence[int]
    read: Callable[[int], pl.DataFrame]
    column: Callable[[str], Iterator[tuple[pl.Series, Longs]]]
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    coding: Coding = field(default_factory=Coding)
    window: int = 1 << 20

    @classmethod
    def of(
        cls,
        rows: Sequence[int],
        schema: Mapping[str, pl.DataType],
        read: Callable[[int], pl.DataFrame],
        column: Callable[[str], Iterator[tuple[pl.Series, Longs]]],
        tables: Mapping[str, pl.DataFrame],
        coding: Coding,
        window: int,
    ) -> Streamed:
        """Of groups that can be read; the ids are those that occur in them."""
        ids, counts = {}, {}
        for role, key in KEYS.items():
            values, often = next(column(key))
            ids[role] = vocabulary(values.rename(key))
            order = pl.DataFrame({key: ids[role]}).join(pl.DataFrame({key: values, "n": often}), on=key, how="left")
            counts[role] = order["n"].to_numpy()
        return cls(
            users=ids["user"],
            items=ids["item"],
            counts=counts,
            schema=schema,
            rows=rows,
            read=read,
            column=column,
            tables={
                role: table.join(ids[role].to_frame(), on=KEYS[role], how="semi") for role, table in tables.items()
            },
            coding=coding,
            window=window,
        )

    def __len__(self) -> int:
        return sum(self.rows)

    @property
    def n_users(self) -> int:
        """The number of users."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """The number of items."""
        return len(self.items)

    def encoded(self) -> tuple[Encoder, dict[str, Coded]]:
        """The fields, and those of every user and item, as `Interactions.encoded`; those of events come with them."""
        events = Held(
            schema={name: dtype for name, dtype in self.schema.items() if name not in NO_FIELDS},
            column=self.column,
            counts=np.empty(0, np.int64),
        )
        return encoded({"user": self.users, "item": self.items}, self.tables, self.counts, events, self.coding)
