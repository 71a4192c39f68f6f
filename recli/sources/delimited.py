"""Lines of separated fields, as typed columns: one quick pass that trusts nothing, and one precise pass.

The quick pass lets polars parse a block, then checks on whole columns that it was clean. What it does not accept goes
through the precise pass, line by line, which finds the first fault and can say what is wrong. The precise pass is the
definition: on whatever the quick pass accepts, both yield the same rows.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeAlias

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError
from recli.sources import quoting
from recli.sources.columns import Column
from recli.sources.streams import BOM, MAX_LINE, Block, LineReader
from recli.sources.table import SKIP_HINT, Rows, shown

Value: TypeAlias = str | float | list[str] | list[float] | None

BATCH: Final = 100_000  # rows; bounds the Python objects that the precise pass holds
# Unicode's White_Space, which is what polars strips; Python's own idea has a few control characters more.
BLANKS: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
UNDECODED: Final = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of bytes that are not UTF-8
STAND_IN: Final = "\x1f"  # for a separator of several characters, which polars does not take
DTYPES: Final[dict[str, pl.DataType]] = {
    "token": pl.String(),
    "float": pl.Float64(),
    "token_seq": pl.List(pl.String()),
    "float_seq": pl.List(pl.Float64()),
}

csv.field_size_limit(MAX_LINE)  # the default refuses a cell over 128 KiB


class Fault(Exception):
    """What is wrong with one row; ``fatal`` if the rows after it cannot be told apart either."""

    def __init__(self, message: str, *, fatal: bool = False) -> None:
        super().__init__(message)
        self.fatal = fatal


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a line becomes values. A ``sep`` of None is any run of blanks; ``quoted`` follows the CSV rules.

    ``hint`` is what to do about a row that is wrong.
    """

    columns: tuple[Column, ...]
    sep: str | None
    seq_separator: str = " "
    quoted: bool = False
    hint: str = SKIP_HINT


def read_rows(text: LineReader, layout: Layout, *, skip: bool) -> Rows:
    """All rows of ``text``; a row that is wrong raises RecliError (DATA), or is left out and counted if ``skip``."""
    parts: list[Rows] = []
    blocks = text.blocks(quoting.cut) if layout.quoted else text.blocks()
    for block in blocks:
        if (rows := parse_quickly(block, layout, text.where)) is not None:
            parts.append(rows)
            continue
        # With irregular quotes only the precise pass can tell where a record ends: it gets all the rest.
        bounded = not layout.quoted or quoting.is_regular(block.data, ord(layout.sep or ","))
        parts += read_precisely([block] if bounded else chain([block], blocks), layout, text.where, skip=skip)
    frames = [part.frame for part in parts] or [_frame([], layout)]
    spots = tuple(spot for part in parts for spot in part.spots)
    return Rows(pl.concat(frames, rechunk=False), spots, sum(part.skipped for part in parts))


# ---- the quick pass


def parse_quickly(block: Block, layout: Layout, where: str) -> Rows | None:
    """The rows of a clean block; None if there may be anything wrong with it."""
    quoted = layout.quoted and b'"' in block.data
    data, separator = _single_separator(block.data, layout.sep)
    if separator is None or data.startswith(BOM) or _has_bare_return(data):
        return None
    if quoted and (data is not block.data or not quoting.is_regular(data, ord(separator))):
        return None
    schema = {c.canonical: pl.Float64() if c.type == "float" else pl.String() for c in layout.columns}
    try:
        frame = pl.read_csv(
            data,
            has_header=False,
            schema=schema,
            separator=separator,
            quote_char='"' if quoted else None,
            empty_string_is_null=False,
        )
        # A long row raises, but a short one is filled up silently: then separators are missing in the total.
        lines = quoting.record_lines(block) if quoted else range(block.line, block.line + block.height)
        separators = quoting.separators(data, ord(separator)) if quoted else _count(data, separator)
        if frame.height != len(lines) or separators != frame.height * (len(schema) - 1):
            return None
        if not all(frame.select(_is_sound(column, len(schema)) for column in layout.columns).row(0)):
            return None
        split = _split_sequences(frame, layout)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    return None if split is None else Rows(split, ((f"{where}:", lines),))


def _count(data: bytes, separator: str) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord(separator)))


def _single_separator(data: bytes, sep: str | None) -> tuple[bytes, str | None]:
    """The data with a separator of one byte, and that; no separator if the data has it in another place too."""
    if sep is None:
        return data, "\t" if b"\t" in data[: data.find(b"\n")] else " "
    if len(sep.encode()) == 1:
        return data, sep
    if STAND_IN.encode() in data:
        return data, None
    return data.replace(sep.encode(), STAND_IN.encode()), STAND_IN


def _has_bare_return(data: bytes) -> bool:
    """Whether a carriage return does not end a line: polars loses one that is a cell of its own."""
    return b"\r" in data and data.count(b"\r") != data.count(b"\r\n")


def _is_sound(column: Column, width: int) -> pl.Expr:
    """Whether all values of a column parsed by polars are allowed."""
    values = pl.col(column.canonical)
    alone = width == 1  # an empty cell without any beside it is a blank line
    if column.type == "float":
        return values.is_finite().fill_null(not column.needed and not alone).all()
    if column.needed:
        return (values.str.strip_chars() != "").all()
    return (values != "").all() if alone else pl.lit(True).alias(column.canonical)


def _split_sequences(frame: pl.DataFrame, layout: Layout) -> pl.DataFrame | None:
    for column in layout.columns:
        if column.type in ("token_seq", "float_seq"):
            parts = split_sequence(frame[column.canonical], layout.seq_separator)
            if column.type == "float_seq":
                parts = parts.cast(pl.List(pl.Float64))
                if not parts.explode(empty_as_null=False).is_finite().all():
                    return None
            frame = frame.with_columns(parts)
    return frame


def split_sequence(cells: pl.Series, separator: str) -> pl.Series:
    """String to List(String); empty parts vanish."""
    return cells.str.split(separator).list.eval(pl.element().filter(pl.element() != ""))


def decimal(number: pl.Expr) -> pl.Expr:
    """Shortest text that reads as the same float64, integers without a point."""
    whole = (number == number.floor()) & (number.abs() < 2.0**63)
    return pl.when(whole).then(number.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(number.cast(pl.String))


# ---- the precise pass


def read_precisely(blocks: Iterable[Block], layout: Layout, where: str, *, skip: bool) -> Iterator[Rows]:
    """The rows of the blocks, some at a time; raises like ``read_rows``, naming the line."""
    rows: list[list[Value]] = []
    lines: list[int] = []
    skipped = 0
    for line, record in _records(blocks, layout):
        try:
            rows.append(_values(record, layout))
            lines.append(line)
        except Fault as fault:
            if not skip or fault.fatal:
                hint = None if fault.fatal else layout.hint
                raise RecliError(Exit.DATA, str(fault), hint=hint, where=f"{where}:{line}") from None
            skipped += 1
        if len(rows) == BATCH:
            yield Rows(_frame(rows, layout), ((f"{where}:", lines),), skipped)
            rows, lines, skipped = [], [], 0
    yield Rows(_frame(rows, layout), ((f"{where}:", lines),), skipped)


def _records(blocks: Iterable[Block], layout: Layout) -> Iterator[tuple[int, list[str] | Fault]]:
    """The line at which every record starts, and its fields."""
    if layout.quoted:
        yield from _quoted_records(blocks, layout.sep or ",")
        return
    for block in blocks:
        for line, text in enumerate(_lines(block), block.line):
            plain = text.removesuffix("\n").removesuffix("\r")
            if not plain:
                yield line, Fault("blank line")
            elif layout.sep is None:
                yield line, [part for part in plain.replace("\t", " ").split(" ") if part]
            else:
                yield line, plain.split(layout.sep)


def _quoted_records(blocks: Iterable[Block], sep: str) -> Iterator[tuple[int, list[str] | Fault]]:
    blocks = iter(blocks)
    block = next(blocks)
    reader = csv.reader((line for each in chain([block], blocks) for line in _lines(each)), delimiter=sep, strict=True)
    while True:
        line = block.line + reader.line_num
        try:
            yield line, next(reader) or Fault("blank line")
        except StopIteration:
            return
        except csv.Error as error:
            endless = "unexpected end of data" in str(error)
            message = "a quoted field is never closed" if endless else f"not valid CSV: {error}"
            yield line, Fault(message, fatal=endless)


def _lines(block: Block) -> Iterator[str]:
    # Only \n ends a line; splitlines() would take others too.
    return io.StringIO(block.data.decode(errors="surrogateescape"), newline="\n")


def _values(record: list[str] | Fault, layout: Layout) -> list[Value]:
    if isinstance(record, Fault):
        raise record
    if len(record) != len(layout.columns):
        raise Fault(f"expected {len(layout.columns)} fields, found {len(record)}")
    if any(UNDECODED.search(cell) for cell in record):
        raise Fault("not valid UTF-8")
    return [value_of(cell, column, layout.seq_separator) for cell, column in zip(record, layout.columns, strict=True)]


def value_of(cell: str, column: Column, seq_separator: str) -> Value:
    """A cell's value by its column's type; raises Fault if the column does not allow it."""
    if column.type == "float":
        return _number(cell, column)
    if column.type in ("token_seq", "float_seq"):
        parts = [part for part in cell.split(seq_separator) if part]
        return parts if column.type == "token_seq" else [_finite(part, part, column) for part in parts]
    if column.needed and not cell.strip(BLANKS):
        raise Fault(f"{column.name} is blank")
    return cell


def _number(cell: str, column: Column) -> float | None:
    text = cell.strip(" \t")
    if text:
        return _finite(text, cell, column)
    if column.needed:
        raise Fault(f"{column.name} is empty")
    return None


def _finite(text: str, cell: str, column: Column) -> float:
    if not NUMBER.fullmatch(text):
        raise Fault(f"{column.name}: {shown(cell)} is not a number")
    value = float(text)
    if not math.isfinite(value):
        raise Fault(f"{column.name}: {shown(cell)} is too large")
    return value


def _frame(rows: list[list[Value]], layout: Layout) -> pl.DataFrame:
    columns = list(zip(*rows, strict=True)) or [()] * len(layout.columns)
    return pl.DataFrame(
        [
            pl.Series(column.canonical, values, dtype=DTYPES[column.type or "token"], strict=True)
            for column, values in zip(layout.columns, columns, strict=True)
        ]
    )
