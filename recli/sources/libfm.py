"""LibFM's and LibSVM's text: lines of ``target index:value index:value …``, as a table and back.

Such a line knows neither users nor items nor columns, only places. By custom the first index is the user and the second
the item, as in LibFM's own conversion of ratings; ``--user-col index3`` takes another place. The target, a rating, or
-1 or 1, is the column ``rating`` (`split --threshold rating=1` makes it a label). Of the other places

    where every line has as many, each is a column: ``index3``, ``index4``, … (token), as one-hot fields have it;
    else they are two sequences, ``indices`` (token_seq) and ``values`` (float_seq).

Values of 1 throughout need no column; others are ``value1``, ``value2``, … (float), by place. Nothing is lost: written
again, the table gives the same lines, but that numbers have one spelling.

Any other table is written so that each token has an index, from 1: the columns in their order, and in each the tokens
as they first appear; a column of floats has one index, and its numbers are the values; one of sequences has an index
for each token, or for each place of its numbers. The target is ``label``, else ``rating``; what is empty has no entry,
and the clock, the part of a split and a model's score are not written.

Source: Rendle, LibFM 1.42 manual, 2014; Chang and Lin, LIBSVM, 2011.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError
from recli.schema import ITEM, LABEL, POSITION, QUERY, RATING, SCORE, SPLIT, TIME, USER, Type
from recli.sources.columns import plan, renamed
from recli.sources.delimited import NUMBER, decimal
from recli.sources.settle import settle
from recli.sources.streams import Block, Input, open_lines
from recli.sources.table import SKIP_HINT, Options, Rows, Table, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Longs = NDArray[np.int64]

FEWEST: Final = 2  # entries of a line: a user and an item
INDEX: Final = re.compile(r"index([1-9]\d*)", re.ASCII)
PAIR: Final = re.compile(r"\d{1,18}:(.+)", re.ASCII)
APART: Final = (LABEL, RATING, TIME, POSITION, SPLIT, SCORE, QUERY, "rank")
SLICE: Final = 500_000  # rows; bounds the text that is held at once


class _Lines(NamedTuple):
    """Lines: ``targets`` and ``counts`` of entries (lines,), and ``indices`` and ``values`` of all their entries."""

    targets: "Doubles"
    counts: "Longs"
    indices: "Longs"
    values: "Doubles"
    skipped: int = 0


# ---- reading


def read(source: Input, options: Options, kind: str) -> Table:
    """The rows; raises RecliError (DATA) naming the line that is wrong, (USAGE) for a place that not every line has."""
    with open_lines(source) as text:
        parts = [_parse(block, options, source.where) for block in text.blocks()]
    if not parts:  # nothing but a byte order mark
        raise RecliError(Exit.DATA, "no rows", where=source.where)
    targets, counts, indices, values = (np.concatenate(column) for column in list(zip(*parts, strict=True))[:4])
    lines = _Lines(targets, counts, indices, values, sum(part.skipped for part in parts))
    least = int(lines.counts.min()) if len(lines.counts) else FEWEST
    names = [RATING, *(f"index{place}" for place in range(1, least + 1))]
    usual = replace(options, user_col=options.user_col or "index1", item_col=options.item_col or "index2")
    ids = [c.name for c in plan(names, kind=kind, options=usual, where=source.where) if c.canonical in (USER, ITEM)]
    frame = _frame(lines, [int(name.removeprefix("index")) for name in ids], wide=bool((lines.counts == least).all()))
    given = {name: _type(dtype) for name, dtype in frame.schema.items()}
    columns = plan(frame.columns, kind=kind, options=usual, where=source.where, given=given)
    rows = settle(Rows(frame, (), lines.skipped), columns, options, source.where)
    return Table.of(
        rows,
        kind=kind,
        types={column.canonical: column.type or "token" for column in columns},
        originals=renamed(columns),
        options=options,
        where=source.where,
        files=source.files,
    )


def _type(dtype: pl.DataType) -> Type:
    if isinstance(dtype, pl.List):
        return "token_seq" if dtype.inner == pl.String else "float_seq"
    return "token" if dtype == pl.String else "float"


def _parse(block: Block, options: Options, where: str) -> _Lines:
    """The entries of some lines; raises RecliError (DATA) for the first line that is wrong."""
    texts = pl.Series(block.data.decode(errors="replace").removesuffix("\n").split("\n"))
    cells = texts.str.replace_all("[ \t\r]+", " ").str.strip_chars(" ").str.split(" ")
    rows = pl.DataFrame({"line": range(len(texts)), "cells": cells}).with_columns(
        count=pl.col("cells").list.len().cast(pl.Int64) - 1,
        target=pl.col("cells").list.first().cast(pl.Float64, strict=False),
    )
    flat = rows.select("line", pl.col("cells").list.slice(1)).explode("cells", empty_as_null=False)
    halves = pl.col("cells").str.splitn(":", 2).struct
    flat = flat.select(
        "line",
        index=halves.field("field_0").cast(pl.Int64, strict=False),
        value=halves.field("field_1").cast(pl.Float64, strict=False),
    )
    sound = (pl.col("index") >= 0) & pl.col("value").is_finite()
    wrong = flat.filter(~sound.fill_null(False))["line"].unique()
    fits = (pl.col("count") >= FEWEST) & pl.col("target").is_finite().fill_null(False)
    good = rows.filter(fits & ~pl.col("line").is_in(wrong.implode()))
    if good.height < rows.height:
        if not options.skip:
            line = rows.join(good.select("line"), on="line", how="anti")["line"].min()
            assert isinstance(line, int)
            raise RecliError(Exit.DATA, _fault(texts[line]), hint=SKIP_HINT, where=f"{where}:{block.line + line}")
        flat = flat.filter(pl.col("line").is_in(good["line"].implode()))
    return _Lines(
        good["target"].to_numpy(),
        good["count"].to_numpy(),
        flat["index"].to_numpy(),
        flat["value"].to_numpy(),
        rows.height - good.height,
    )


def _fault(text: str) -> str:
    """What is wrong with a line."""
    cells = text.split()
    if not cells:
        return "blank line"
    if "\ufffd" in text:
        return "not valid UTF-8"
    if not NUMBER.fullmatch(cells[0]):
        return f"the target {shown(cells[0])} is not a number"
    for cell in cells[1:]:
        match = PAIR.fullmatch(cell)
        if match is None:
            return f"{shown(cell)} is not index:value, the index a whole number"
        if not NUMBER.fullmatch(match[1]):
            return f"index {cell.partition(':')[0]}: {shown(match[1])} is not a number"
    if len(cells) <= FEWEST:
        return f"expected {FEWEST} entries or more, the user's and the item's, found {len(cells) - 1}"
    return "a number is too large"


def _frame(lines: _Lines, ids: list[int], *, wide: bool) -> pl.DataFrame:
    """The columns by their names here; ``ids`` are the places of user and item, ``wide`` where all are columns."""
    start = np.cumsum(lines.counts) - lines.counts
    columns: dict[str, pl.Series] = {RATING: pl.Series(lines.targets)}
    width = int(lines.counts.max(initial=0)) if wide else 0
    places = dict.fromkeys([*ids, *range(1, width + 1)])
    for place in places:
        at = start + place - 1
        columns[f"index{place}"] = pl.Series(lines.indices[at]).cast(pl.String)
        if (lines.values[at] != 1).any():
            columns[f"value{place}"] = pl.Series(lines.values[at])
    if not wide:
        rest = np.ones(len(lines.indices), np.bool_)
        for place in ids:
            rest[start + place - 1] = False
        columns["indices"] = _lists(lines.indices[rest], lines.counts - len(ids)).cast(pl.List(pl.String))
        if (lines.values[rest] != 1).any():
            columns["values"] = _lists(lines.values[rest], lines.counts - len(ids))
    first = [f"index{place}" for place in ids]
    return pl.DataFrame({name: columns[name] for name in dict.fromkeys([*first, *columns])})


def _lists(values: "Longs | Doubles", counts: "Longs") -> pl.Series:
    """So many of the values for each row."""
    import pyarrow as pa

    offsets = pa.array(np.append(0, np.cumsum(counts)))
    return pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(offsets, pa.array(values))))


# ---- writing


def write(table: Table, out: IO[bytes], part: str | None = None) -> None:
    """Write the rows, or a part of a split, whose tokens have the indices that they have in the whole.

    Raises RecliError (DATA) where there is no target, or a number that is none.
    """
    frame = table.frame
    target = next((name for name in (LABEL, RATING) if name in frame.columns), None)
    if target is None:
        raise RecliError(Exit.DATA, "there is no label and no rating, and libfm has a target in each line")
    floats = [target, *(name for name, dtype in frame.schema.items() if dtype == pl.Float64 and name not in APART)]
    for name in floats:
        if not frame[name].is_finite().all() or (name == target and frame[name].has_nulls()):
            raise RecliError(Exit.DATA, f"column {name} has an empty number, NaN or infinity, which libfm cannot hold")
    names = {table.originals.get(name, name): name for name in frame.columns}
    entries = _own(frame, names) if _is_own(frame, names) else _encoded(frame)
    texts = entries.select(frame[target].to_frame().select(decimal(pl.col(target))).to_series(), *entries.columns)
    texts = texts if part is None else texts.filter(frame[SPLIT] == part)
    for some in texts.iter_slices(SLICE):
        lines = some.select(pl.concat_str(pl.all(), separator=" ", ignore_nulls=True)).to_series()
        out.write("".join(f"{line}\n" for line in lines).encode())


def _is_own(frame: pl.DataFrame, names: Mapping[str, str]) -> bool:
    """Whether the table was read from such lines: its ids are indices, by their names and their text."""
    places = [name for name in names if INDEX.fullmatch(name)]
    ids = {names[name] for name in places} >= {USER, ITEM}
    return ids and all(frame[names[name]].str.contains("^[0-9]*$").all() for name in places)


def _own(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """The entries of a table that was read from such lines, by place."""
    places = sorted(int(match[1]) for match in map(INDEX.fullmatch, names) if match)
    texts = [_entries(frame, names[f"index{place}"], names.get(f"value{place}")) for place in places]
    found = frame.select(text.alias(str(place)) for place, text in zip(places, texts, strict=True))
    if "indices" not in names:
        return found
    values = pl.col(names["values"]) if "values" in names else pl.lit(None)
    rest = frame.select(pl.int_range(pl.len()).alias("row"), pl.col(names["indices"]).alias("index"), value=values)
    rest = rest.explode(["index", "value"] if "values" in names else ["index"], empty_as_null=True)
    flat = rest.with_columns(_entries(rest, "index", "value")).group_by("row", maintain_order=True)
    others = flat.agg(pl.col("index").drop_nulls())["index"]
    (a, first), (b, second) = ((int(place), pl.col(place)) for place in found.columns)
    rest_ = pl.col("rest").list
    pieces = [rest_.slice(0, a - 1), first, rest_.slice(a - 1, b - a - 1), second, rest_.slice(b - 2)]
    return found.with_columns(rest=others).select(pl.concat_list(pieces).list.join(" ").alias("all"))


def _entries(frame: pl.DataFrame, index: str, value: str | None) -> pl.Expr:
    """``index:value``, null where there is no index."""
    values = decimal(pl.col(value).cast(pl.Float64).fill_null(1.0)) if value is not None else pl.lit("1")
    return pl.when(pl.col(index) != "").then(pl.concat_str(pl.col(index), pl.lit(":"), values)).alias(index)


def _encoded(frame: pl.DataFrame) -> pl.DataFrame:
    """The entries of any table: each column has the indices after those of the column before."""
    found, start = [], 1
    for values in frame.drop(APART, strict=False):
        text, width = _column(values, start)
        found.append(text)
        start += width
    return pl.DataFrame(found)


def _column(values: pl.Series, start: int) -> tuple[pl.Series, int]:
    """A column's entries, null where there are none, and how many indices, from ``start``, they take."""
    if values.dtype.is_numeric():
        number = decimal(pl.col(values.name).cast(pl.Float64))
        text = values.to_frame().select(pl.concat_str(pl.lit(f"{start}:"), number)).to_series()
        return text.alias(values.name), 1
    if not isinstance(values.dtype, pl.List):
        index, width = _codes(values.cast(pl.String), start)
        return (index + ":1").alias(values.name), width
    flat = values.to_frame("one").with_row_index("row").explode("one", empty_as_null=True)
    if values.dtype.inner == pl.String:
        index, width = _codes(flat["one"], start)
        text = index + ":1"
    else:
        place = flat.select(pl.int_range(pl.len()).over("row") + start).to_series()
        width = int(values.list.len().max() or 0)  # type: ignore[arg-type]  # of a column of counts
        text = flat.select(pl.concat_str(place.cast(pl.String) + ":", decimal(pl.col("one")))).to_series()
    lists = flat.with_columns(text.alias("one")).group_by("row", maintain_order=True).agg(pl.col("one").drop_nulls())
    joined = lists.select(pl.when(pl.col("one").list.len() > 0).then(pl.col("one").list.join(" "))).to_series()
    return joined.alias(values.name), width


def _codes(tokens: pl.Series, start: int) -> tuple[pl.Series, int]:
    """The index of each token as text, by first appearance, null for one that is empty; and how many there are."""
    from recli.interactions import encode

    known = tokens.drop_nulls().unique(maintain_order=True)
    known = known.filter(known != "")
    code = pl.Series(encode(tokens.fill_null(""), known).astype(np.int64))
    return (code + start).set(code < 0, None).cast(pl.String), len(known)
