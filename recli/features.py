"""What is known of users and items beside their events: the columns of a companion table as a sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError, nearest

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

ALL, NONE = "", "none"  # of a choice of columns
ROW = "\x1frow"  # a column that no file has


@dataclass(frozen=True, kw_only=True)
class Features:
    """Which values each id has: ``matrix`` (ids, features) float32 csr, 1 where it has one, indices sorted.

    ``names`` holds a (column, value) for each feature, in order.
    """

    matrix: csr_matrix
    names: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, table: pl.DataFrame, ids: pl.Series, columns: Sequence[str] | None = None) -> Features:
        """The features of ``ids``, in their order, by the column of the table that is called as they are.

        A token is one value, a token_seq each of its tokens, and what is empty or null none; an id that is not in the
        table has no feature. Without ``columns`` all that hold tokens are taken.

        Raises:
            RecliError: there is no such column, or it holds numbers (exit 2); an id stands twice (exit 3).
        """
        from scipy.sparse import csr_matrix

        key = ids.name
        chosen = _tokens(table, key) if columns is None else list(dict.fromkeys(columns))
        rows_of = aligned(table, ids).with_row_index(ROW)
        rows, places, names = [np.empty(0, np.int64)], [np.empty(0, np.int64)], list[tuple[str, str]]()
        for column in chosen:
            if column == key or column not in table.columns:
                hint = nearest(column, [name for name in table.columns if name != key])
                raise RecliError(Exit.USAGE, f"the {key.removesuffix('_id')}s' table has no column {column}", hint=hint)
            held = _values(rows_of, column)
            values = held[column].unique().sort()
            rows.append(held[ROW].to_numpy())
            places.append(held[column].cast(pl.Enum(values)).to_physical().to_numpy().astype(np.int64) + len(names))
            names += [(column, value) for value in values]
        row, place = np.concatenate(rows), np.concatenate(places)
        matrix = csr_matrix((np.ones(len(row), np.float32), (row, place)), shape=(len(ids), len(names)))
        return cls(matrix=matrix, names=names)


def aligned(table: pl.DataFrame | None, ids: pl.Series) -> pl.DataFrame:
    """The rows of a table for ``ids``, in their order; null where an id is not in it.

    Raises:
        RecliError: an id stands twice (exit 3).
    """
    if table is None:
        return ids.to_frame()
    key = ids.name
    if (twice := table[key].is_duplicated()).any():
        raise RecliError(Exit.DATA, f"{key} {table[key].filter(twice)[0]!r} stands twice in its table")
    return ids.to_frame().join(table, on=key, how="left", maintain_order="left")


def columns_of(text: str) -> list[str] | None:
    """What a parameter says: ``a,b`` names columns, nothing is all of them (None), and ``none`` not one."""
    return None if text == ALL else [] if text == NONE else [name for name in text.split(",") if name]


def _tokens(table: pl.DataFrame, key: str) -> list[str]:
    """The columns of tokens."""
    kinds = table.schema.items()
    return [name for name, kind in kinds if name != key and kind in (pl.String, pl.List(pl.String))]


def _values(aligned: pl.DataFrame, column: str) -> pl.DataFrame:
    """The row and one of the column's values a row, each pair once."""
    held = aligned.select(ROW, column)
    if held[column].dtype.is_nested():
        held = held.explode(column)
    if held[column].dtype.is_numeric():
        raise RecliError(Exit.USAGE, f"{column} holds numbers, not categories")
    return held.filter(pl.col(column) != "").unique(maintain_order=True)
