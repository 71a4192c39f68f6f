"""Values that some reader has already parsed (JSON, Parquet) made to fit their columns' types, or refused."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from recli.errors import Exit, RecliError
from recli.sources.columns import Column
from recli.sources.delimited import Fault, split_sequence, value_of
from recli.sources.table import SKIP_HINT, Options, Rows

FRACTIONS: Final = (pl.Float32, pl.Float64, pl.Decimal)


def settle(rows: Rows, columns: Sequence[Column], options: Options, where: str) -> Rows:
    """``rows`` with every column as its type says, under its canonical name; all columns must have a type.

    A row with a value that its column does not allow raises RecliError (DATA), or is left out and counted.
    """
    for column in columns:
        if isinstance(rows.frame.schema[column.name], pl.List | pl.Array) and column.type in ("token", "float"):
            message = f"column {column.name} holds lists, not single values of type {column.type}"
            raise RecliError(Exit.DATA, message, where=where)
    raw = [_plain(rows.frame[column.name]) for column in columns]
    settled = [_typed(values, column, options.seq_separator) for values, column in zip(raw, columns, strict=True)]
    sound = pl.repeat(True, rows.frame.height, dtype=pl.Boolean, eager=True)
    for before, after, column in zip(raw, settled, columns, strict=True):
        sound &= _sound(before, after, column)
    frame = pl.DataFrame(settled)
    if sound.all():
        return Rows(frame, rows.spots, rows.skipped)
    if options.skip:
        kept = frame.filter(sound)
        return Rows(kept, (), rows.skipped + frame.height - kept.height)
    row = sound.index_of(False)
    assert row is not None
    message = _complaint(rows.frame, row, columns, options.seq_separator)
    raise RecliError(Exit.DATA, message, hint=SKIP_HINT, where=rows.place(row))


def _plain(values: pl.Series) -> pl.Series:
    """The values with fewer dtypes to tell apart."""
    if isinstance(values.dtype, pl.Array):
        return values.arr.to_list()
    if isinstance(values.dtype, pl.Categorical | pl.Enum | pl.Null):
        values = values.cast(pl.String)
    return values


def _typed(values: pl.Series, column: Column, separator: str) -> pl.Series:
    """The values as the column's type; a text that is no number becomes null, for ``_sound`` to find."""
    values = values.alias(column.canonical)
    if column.type == "float":
        return _floats(values)
    if column.type == "token":
        return values.cast(pl.String).fill_null("")
    inner = pl.String() if column.type == "token_seq" else pl.Float64()
    if isinstance(values.dtype, pl.List):
        parts = values.list.eval(pl.element().drop_nulls())
    else:
        parts = split_sequence(values.cast(pl.String).fill_null(""), separator)
    return parts.cast(pl.List(inner), strict=False).fill_null([])


def _floats(values: pl.Series) -> pl.Series:
    if values.dtype.is_temporal():
        return values.cast(pl.Datetime("us")).dt.epoch("us").cast(pl.Float64) / 1e6
    if values.dtype == pl.String:
        return values.str.strip_chars(" \t").cast(pl.Float64, strict=False)
    return values.cast(pl.Float64)


def _sound(raw: pl.Series, values: pl.Series, column: Column) -> pl.Series:
    """Row by row, whether the column allows the value."""
    if column.type == "float":
        empty = raw.is_null() | (raw.str.strip_chars(" \t") == "" if raw.dtype == pl.String else False)
        return values.is_finite().fill_null(False) | (empty & (not column.needed))
    if column.type == "float_seq":
        return values.list.eval(pl.element().is_finite().fill_null(False)).list.all()
    if column.type == "token" and column.needed:
        if not ((values < "!") | (values >= "\x7f")).any():  # none begins with what may be a space
            return pl.repeat(True, len(values), eager=True)
        return values.str.strip_chars() != ""
    return pl.repeat(True, len(values), eager=True)


def _complaint(frame: pl.DataFrame, row: int, columns: Sequence[Column], separator: str) -> str:
    """What is wrong with a row, in the words of the readers of text."""
    for column in columns:
        value = frame[column.name][row]
        cells = value if isinstance(value, pl.Series) else [value]
        try:
            for cell in cells:
                value_of("" if cell is None else str(cell), column, separator)
        except Fault as fault:
            return str(fault)
    raise AssertionError("the row is sound")
