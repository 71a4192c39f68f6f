"""A Parquet file of events, one group of its rows after the other: memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
            text = [one.name for one in pq.read_schema(self.path) if pa.types.is_string(one.type) or
                    pa.types.is_large_string(one.type)]  # fmt: skip
            return pq.ParquetFile(self.path, read_dictionary=text)
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
        found = {name: pl.String() if dtype == pl.Enum else dtype for name, dtype in self.read(None).schema.items()}
        for name in (USER, ITEM):
            if name not in found:
                raise RecliError(Exit.DATA, f"has no column {name}", where=self.path, hint=f"--{name[:4]}-col names it")
        return found

    def read(self, group: int | None, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A group of rows, or none: tokens and whole numbers are text, null where missing.

        Text is an Enum of what stands in the group, as the file has it: what is done with it need be done once for
        every distinct value.
        """
        own = {name: self.names.get(name, name) for name in self._file.schema_arrow.names}
        wanted = [name for name, called in own.items() if (columns is None or called in columns) and called != SPLIT]
        if group is None:
            table = self._file.schema_arrow.empty_table().select(wanted)
        else:
            table = self._file.read_row_group(group, columns=wanted)
        frame = pl.DataFrame([_series(own[name], table[name]) for name in wanted])
        return frame.with_columns(
            pl.col(name).cast(pl.String).cast(pl.Float64)
            if name in FLOATS and dtype == pl.Enum
            else pl.col(name).cast(pl.Float64 if name in FLOATS else pl.String)
            for name, dtype in frame.schema.items()
            if (name in FLOATS and dtype != pl.Float64) or dtype.is_integer() or (name in IDS and dtype != pl.Enum)
        )

    def column(self, name: str) -> Iterator[tuple[pl.Series, NDArray[np.int64]]]:
        """The distinct values of a column and how often each stands there; of numbers all, each once, by groups."""
        groups = range(len(self.rows))
        if self.schema[name].is_numeric():
            for group in groups:
                values = self.read(group, [name])[name]
                yield values, np.ones(len(values), np.int64)
            return
        total = pl.DataFrame(schema={name: self.schema[name], "n": pl.UInt32})
        for group in groups:
            found = self.read(group, [name]).group_by(name).agg(pl.len().alias("n")).cast({name: total.schema[name]})
            total = pl.concat([total, found]).group_by(name).agg(pl.col("n").sum())
        total = total.sort(name)
        yield total[name], total["n"].to_numpy().astype(np.int64)


def _series(name: str, column: Any) -> pl.Series:
    """Of a column of arrow's; what it holds as a dictionary becomes an Enum."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return pl.Series(name, pl.from_arrow(column))
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # without a row it stays one
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], column.type)
    if not pa.types.is_string(whole.dictionary.type) and not pa.types.is_large_string(whole.dictionary.type):
        return pl.Series(name, pl.from_arrow(whole.dictionary_decode()))
    dtype = pl.Enum(pl.Series(pl.from_arrow(whole.dictionary)))
    number = pl.Series([], dtype=dtype).to_physical().dtype
    return pl.Series(name, pl.from_arrow(whole.indices)).cast(number).cat.to(dtype)
