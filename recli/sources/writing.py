"""A table as text again: atomic, CSV or TSV, so that reading it gives the same table."""

import io
from dataclasses import replace
from typing import IO, Final, NoReturn

import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.schema import SPLIT
from recli.sources import libfm
from recli.sources.delimited import decimal, split_sequence
from recli.sources.table import Table

SEPARATORS: Final = {"atomic": "\t", "csv": ",", "tsv": "\t"}
SLICE: Final = 500_000  # rows; bounds the text that is held at once


def write(
    table: Table, to: str, out: IO[bytes], *, sep: str | None = None, seq_separator: str = " ", part: str | None = None
) -> None:
    """Write ``table`` to ``out`` as ``atomic``, ``csv``, ``tsv`` or ``libfm`` text, UTF-8, lines ending in a newline.

    CSV and TSV have the source's own column names. Of a split ``part`` alone, without a column that says so. Raises
    RecliError (DATA) for a value that the format cannot hold, (USAGE) for a format or a separator that is none.
    """
    if to == "libfm":
        libfm.write(table, out, part)
        return
    if to not in SEPARATORS:
        raise RecliError(Exit.USAGE, f"cannot write {to!r}", hint=nearest(to, [*SEPARATORS, "libfm"]))
    if part is not None:
        table = replace(table, frame=table.frame.filter(pl.col(SPLIT) == part).drop(SPLIT))
    sep = sep or SEPARATORS[to]
    if to == "csv" and (len(sep.encode()) > 1 or sep in '"\r\n'):
        raise RecliError(Exit.USAGE, f"--sep {sep!r}: a CSV separator is one byte", hint="--to tsv takes more")
    if sep == seq_separator and any(type_.endswith("_seq") for type_ in table.types.values()):
        raise RecliError(Exit.USAGE, f"fields and sequences are both separated by {sep!r}")
    for frame in (_header(table, to), *table.frame.iter_slices(SLICE)):
        cells = pl.DataFrame([_text(values, table.kind, to, seq_separator) for values in frame])
        buffer = io.BytesIO()
        if to == "csv":
            # polars puts quotes around an empty text, but none around a null; quotes make a file slow to read.
            cells = cells.select(pl.when(pl.all() != "").then(pl.all()))
            cells.write_csv(buffer, include_header=False, separator=sep)
        else:
            _joined(cells, sep, to).to_frame().write_csv(buffer, include_header=False, quote_style="never")
        out.write(buffer.getbuffer())


def _header(table: Table, to: str) -> pl.DataFrame:
    """The header, as a frame of one row."""
    names = table.frame.columns
    if to == "atomic":
        cells = [f"{name}:{table.types[name]}" for name in names]
    else:
        cells = [table.originals.get(name, name) for name in names]
    return pl.DataFrame([cells], schema=names, orient="row")


def _text(values: pl.Series, kind: str, to: str, seq_separator: str) -> pl.Series:
    """The values as the text of their cells, none of it null."""
    if values.dtype == pl.Float64:
        if not values.is_finite().all():
            _refuse(values.name, "NaN or infinity", to)
        if to == "atomic" and kind == "inter" and values.has_nulls():
            _refuse(values.name, "an empty number", "an .inter file")
        return values.to_frame().select(decimal(pl.col(values.name))).to_series().fill_null("")
    if not isinstance(values.dtype, pl.List):
        return values.cast(pl.String).fill_null("")
    if values.dtype.inner == pl.Float64:
        values = values.list.eval(decimal(pl.element()))
    joined = values.list.join(seq_separator)
    if not split_sequence(joined, seq_separator).equals(values):
        _refuse(values.name, "a sequence in which a part is empty or holds the separator", to)
    return joined


def _joined(cells: pl.DataFrame, sep: str, to: str) -> pl.Series:
    """The lines of a format that quotes nothing, where no cell may hold what ends it."""
    for values in cells:
        if values.str.contains_any([sep, "\n", "\r"]).any():
            _refuse(values.name, f"{sep!r} or the end of a line in a value", to)
    if cells.width == 1 and (cells.to_series() == "").any():
        _refuse(cells.columns[0], "an empty value and there is no other column", to)
    lines = cells.select(pl.concat_str(pl.all(), separator=sep)).to_series()
    # A cell that ends like the beginning of a long separator moves the split.
    if len(sep) > 1 and not lines.str.split(sep).equals(cells.select(pl.concat_list(pl.all())).to_series()):
        _refuse(", ".join(cells.columns), f"part of {sep!r} at the end of a value", to)
    return lines


def _refuse(column: str, what: str, to: str) -> NoReturn:
    hint = "Parquet and CSV hold any text; --sep and --seq-separator choose other separators"
    raise RecliError(Exit.DATA, f"column {column} has {what}, which {to} cannot hold", hint=hint)
