"""Foreign Parquet: a file, a folder or a pattern of files with one schema. Integer ids become decimal text."""

from collections.abc import Sequence
from typing import BinaryIO, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recli.errors import Exit, RecliError
from recli.schema import IDS, Type
from recli.sources.columns import Column, plan, renamed
from recli.sources.settle import FRACTIONS, settle
from recli.sources.streams import Input, reading
from recli.sources.table import Options, Rows, Table

REFUSED: Final = (pl.Binary, pl.Struct, pl.Object)


def read(sources: Sequence[Input], options: Options, kind: str, where: str) -> Table:
    """The table in Parquet files of the same schema, in the order given.

    Raises RecliError (DATA) for damaged files, schemas that differ, and values that a column cannot hold.
    """
    frames = [_read_one(source) for source in sources]
    for source, frame in zip(sources, frames, strict=True):
        if frame.schema != frames[0].schema:
            difference = _difference(frames[0].schema, frame.schema)
            raise RecliError(Exit.DATA, f"not the schema of {sources[0].where}: {difference}", where=source.where)
    spots = tuple((f"{s.where}: row ", range(1, f.height + 1)) for s, f in zip(sources, frames, strict=True))
    frame = pl.concat(frames, rechunk=False)
    columns = plan(frame.columns, kind=kind, options=options, where=where, guess=True)
    columns = tuple(_with_type(column, frame.schema[column.name], where) for column in columns)
    return Table.of(
        settle(Rows(frame, spots), columns, options, where),
        kind=kind,
        types={c.canonical: c.type or "token" for c in columns},
        originals=renamed(columns),
        dtypes={c.canonical: str(t) for c in columns if (t := frame.schema[c.name]).is_integer()},
        options=options,
        where=where,
        files=[file for source in sources for file in source.files],
    )


def _read_one(source: Input) -> pl.DataFrame:
    """One file, by Arrow: it turns damaged files into exceptions, where polars panics on some of them.

    The file is read, not mapped: it may be cut short by somebody else meanwhile.
    """
    with reading(source.where, source.file), source.open() as stream:
        try:
            table = _arrow_table(stream)
            table.validate(full=True)
            # Of metadata polars expects that it is UTF-8, and panics where it is not.
            table = table.cast(pa.schema([field.remove_metadata() for field in table.schema]))
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise RecliError(Exit.DATA, f"not a sound Parquet file: {first}", where=source.where) from error
        frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _arrow_table(stream: BinaryIO) -> pa.Table:
    if "jemalloc" in pa.supported_memory_backends():  # the default's columns grow by pages that it has never touched
        pa.set_memory_pool(pa.jemalloc_memory_pool())
    source = stream if stream.seekable() else pa.BufferReader(stream.read())
    file = pq.ParquetFile(source, memory_map=False, pre_buffer=True)
    names = file.schema_arrow.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise pa.ArrowInvalid(f"column {twice} is there twice")
    return file.read()


def _with_type(column: Column, dtype: pl.DataType, where: str) -> Column:
    """The column with a type by its dtype, unless it has one; raises RecliError (DATA) where the dtype cannot be."""
    inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype
    fraction = inner in FRACTIONS
    if isinstance(dtype, REFUSED) or isinstance(inner, (*REFUSED, pl.List, pl.Array)):
        raise RecliError(Exit.DATA, f"column {column.name} is a {dtype}, which no column can hold", where=where)
    if column.canonical in IDS and (fraction or dtype.is_temporal()):
        hint = "cast it to an integer or to text: 7 and 7.0 are different ids"
        raise RecliError(Exit.DATA, f"{column.name} is a {dtype}, not an id", hint=hint, where=where)
    if column.type is not None:
        return column
    type_: Type = "float" if fraction else "token"
    if inner is not dtype:
        type_ = "float_seq" if fraction else "token_seq"
    return column._replace(type=type_)


def _difference(expected: pl.Schema, found: pl.Schema) -> str:
    if expected.names() != found.names():
        return f"its columns are {', '.join(found.names())}"
    name = next(name for name in expected if expected[name] != found[name])
    return f"column {name} is a {found[name]}, not a {expected[name]}"
