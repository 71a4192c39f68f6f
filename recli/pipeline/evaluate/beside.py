"""What stands beside the interactions: the users' and the items' tables, for groups, diversity and calibration."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.features import Features
from recli.interactions import encode, order_within, vocabulary
from recli.pipeline.companions import companion
from recli.pipeline.evaluate.slices import Slice, of_column, of_counts
from recli.pipeline.evaluate.truth import Truth
from recli.pipeline.events import Events
from recli.pipeline.step import Input
from recli.schema import ITEM, KEYS, USER

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Companion tables, opened; ``train`` are the rows that say how active a user and how popular an item is."""

    tables: dict[str, Events] = field(default_factory=dict)

    @classmethod
    def open(cls, events: Events | None, given: "dict[str, Path]", names: Sequence[str]) -> "Beside":
        """The tables that ``names``, such as ``user.gender``, speak of: given by hand, or recorded by the split.

        Raises:
            RecliError: there is no such table (exit 2), or it is not the one (exit 3).
        """
        tables = {}
        for name in names:
            role, dot, _ = name.partition(".")
            if not dot:
                continue
            if role not in KEYS:
                raise RecliError(Exit.USAGE, f"there is no table {role!r}", hint="user.COLUMN or item.COLUMN")
            table = companion(role, events, given.get(role))
            if table is None:
                where = None if events is None else events.path
                raise RecliError(
                    Exit.USAGE, f"there is no table of {role}s", where=where, hint=f"--{role}-table names it"
                )
            tables[role] = table
        return cls(tables=tables)

    def inputs(self) -> list[Input]:
        """The files that are read."""
        return [replace(item, role=role) for role, table in self.tables.items() for item in table.inputs[:1]]

    def slices(self, by: Sequence[str], users: pl.Series, items: pl.Series, train: pl.DataFrame | None) -> list[Slice]:
        """The groups that ``--by`` asks for, of users and items in the order of their codes.

        They are drawn over each user once, and over the items of train too, so that neither the number of queries nor
        what happens to be measured moves them; a group that then is of nobody is left out.
        """
        found = []
        for name in by:
            ids = users if name.startswith("user") else items
            every = pl.concat([ids, train[ITEM]]) if train is not None and ids is items else ids
            # Of equally popular items the codes decide.
            every = vocabulary(every) if name == "item-popularity" else every.unique(maintain_order=True)
            part, place = self._slice(name, every, train), encode(ids, every)
            groups = {label: mask[place] for label, mask in part.groups.items()}
            found.append(replace(part, groups={label: mask for label, mask in groups.items() if mask.any()}))
        return found

    def _slice(self, name: str, ids: pl.Series, train: pl.DataFrame | None) -> Slice:
        role = name.partition(".")[0]
        if role in self.tables:
            return of_column(name, role, ids, self.tables[role].table.frame, KEYS[role])  # type: ignore[arg-type]
        if train is None:
            hint = "--split or --train names the rows it is counted in"
            raise RecliError(Exit.USAGE, f"--by {name} needs the train rows", hint=hint)
        if name == "user-activity":
            return of_counts(name, "user", np.bincount(encode(train[USER], ids) + 1, minlength=len(ids) + 1)[1:])
        pairs = train.select(USER, ITEM).unique()
        return of_counts(name, "item", np.bincount(encode(pairs[ITEM], ids) + 1, minlength=len(ids) + 1)[1:])

    def facts(self, truth: Truth, columns: Sequence[str], train: pl.DataFrame | None) -> Truth:
        """The truth with the items' features, and the users' histories in train, among its facts."""
        if not columns:
            return truth
        features = features_of(self.tables["item"].table.frame, columns, truth.items)
        facts = replace(truth.facts, features=features, categories=features)
        if train is not None:
            users, train = truth.rows[USER].unique(maintain_order=True), train.unique([USER, ITEM], maintain_order=True)
            owner, item = encode(train[USER], users), encode(train[ITEM], truth.items)
            known = np.flatnonzero((owner >= 0) & (item >= 0))
            indptr, rows = order_within(owner[known], None, len(users))
            if len(users) == truth.rows.height:  # a query a user
                facts = replace(facts, history_indptr=indptr, history_items=item[known][rows])
        return replace(truth, facts=facts)


def check_by(by: Sequence[str]) -> None:
    """Refuse groups that there are none of (exit 2)."""
    for name in by:
        role, _, column = name.partition(".")
        if name not in ("user-activity", "item-popularity") and (role not in KEYS or not column):
            hint = nearest(name, ("user-activity", "item-popularity")) + "; or user.COLUMN, item.COLUMN"
            raise RecliError(Exit.USAGE, f"--by cannot be {name!r}", hint=hint)


def features_of(table: pl.DataFrame, columns: Sequence[str], items: pl.Series) -> "csr_matrix":
    """Items × values, float64, 1 where an item has the value in one of the columns.

    Raises:
        RecliError: there is no such column, or it holds numbers (exit 2).
    """
    try:
        return Features.of(table, items.rename(ITEM), columns).matrix.astype(np.float64)
    except RecliError as error:
        raise RecliError(error.code, f"--features: {error.message}", hint=error.hint) from error
