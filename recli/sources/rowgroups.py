"""A Parquet file of events, one group of its rows after the other: memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError
from recli.schema import FLOATS, IDS, ITEM, SPLIT, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class RowGroups:
    """The file at ``path``, whose columns are called as ``names`` says where that is not what the file calls them."""

    path: Path
    names: Mapping[str, str]

    @cached_property
    def _file(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError) as error:
            raise RecliError(Exit.DATA, f"is no Parquet file: {str(error).splitlines()[0]}", where=self.path) from error

    @property
    def rows(self) -> list[int]:
        """The rows of each group."""
        meta = self._file.metadata
        return [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]

    @cached_property
    def schema(self) -> dict[str, pl.DataType]:
        """The columns, as `read` has them.

        Raises:
            RecliError: there is no user or item (exit 3).
        """
        found = dict(self.read(None).schema)
        for name in (USER, ITEM):
            if name not in found:
                raise RecliError(Exit.DATA, f"has no column {name}", where=self.path, hint=f"--{name[:4]}-col names it")
        return found

    def read(self, group: int | None, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A group of rows, or none: tokens are text, empty where missing, and so are whole numbers."""
        own = {name: self.names.get(name, name) for name in self._file.schema_arrow.names}
        wanted = [name for name, called in own.items() if (columns is None or called in columns) and called != SPLIT]
        if group is None:
            table = self._file.schema_arrow.empty_table().select(wanted)
        else:
            table = self._file.read_row_group(group, columns=wanted)
        frame = pl.DataFrame(pl.from_arrow(table)).rename({name: own[name] for name in wanted})
        return frame.with_columns(
            pl.col(name).cast(pl.Float64) if name in FLOATS else pl.col(name).cast(pl.String)
            for name, dtype in frame.schema.items()
            if (name in FLOATS and dtype != pl.Float64) or name in IDS or dtype.is_integer() or dtype == pl.Categorical
        )

    def column(self, name: str) -> tuple[pl.Series, NDArray[np.int64]]:
        """The distinct values of a column and how often each stands there; of numbers all of them, each once."""
        if self.schema[name].is_numeric():
            values = pl.concat([self.read(group, [name])[name] for group in range(len(self.rows))])
            return values, np.ones(len(values), np.int64)
        total = pl.DataFrame(schema={name: self.schema[name], "n": pl.UInt32})
        for group in range(len(self.rows)):
            found = self.read(group, [name]).group_by(name).agg(pl.len().alias("n"))
            total = pl.concat([total, found]).group_by(name).agg(pl.col("n").sum())
        total = total.sort(name)
        return total[name], total["n"].to_numpy().astype(np.int64)
