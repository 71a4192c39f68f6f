"""TREC's two layouts: runs, ``qid Q0 docno rank score tag``, and judgements (qrels), ``qid 0 docno rel``.

The number of fields on the first line tells which one a file is. The query is the user, the document the item. As in
trec_eval, a run's order is that of its scores: the rank must be an integer, but is no column, since one that disagrees
with the scores would order the items otherwise than trec_eval does; Q0, 0 and the tag say nothing about an item. A
document judged 0 or less is judged not relevant: its row stays.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from recli.errors import Exit, RecliError
from recli.schema import ITEM, RATING, SCORE, USER, Type
from recli.sources.columns import Column, plan, renamed
from recli.sources.delimited import BATCH, BLANKS, DTYPES, Fault, Layout, Value, parse_quickly, value_of
from recli.sources.streams import Block, Input, open_lines
from recli.sources.table import SKIP_HINT, Options, Rows, Table, shown

RANK: Final = "rank"
LAYOUTS: Final = {6: (USER, "Q0", ITEM, RANK, SCORE, "tag"), 4: (USER, "0", ITEM, RATING)}
COLUMNS: Final = (USER, ITEM, SCORE, RATING)  # the fields that become columns
INTEGERS: Final = (RANK, RATING)
HINT: Final = "a run has the six fields qid Q0 docno rank score tag, qrels have the four fields qid 0 docno rel"


def read(source: Input, options: Options) -> Table:
    """The interactions, with the column ``score`` of a run or ``rating`` of qrels, in the order of the lines.

    Raises RecliError (DATA) naming the line, which is the first where the file is neither; (USAGE) for a type of
    ``score`` other than float.
    """
    layout: Layout | None = None
    parts: list[Rows] = []
    with open_lines(source) as text:
        for block in text.blocks():
            layout = layout or _layout(block, options, source.where)
            parts += _rows(block, layout, source.where, skip=options.skip)
    if layout is None:  # nothing but a byte order mark
        raise RecliError(Exit.DATA, "no rows", where=source.where)
    columns = [column for column in layout.columns if column.name in COLUMNS]
    return Table.of(
        Rows(pl.concat([part.frame for part in parts], rechunk=False), (), sum(part.skipped for part in parts)),
        kind="inter",
        types={column.canonical: column.type or "token" for column in columns},
        originals=renamed(columns),
        options=options,
        where=source.where,
        files=source.files,
    )


def _layout(block: Block, options: Options, where: str) -> Layout:
    """The layout that has as many fields as the first line of the first block."""
    first = block.data.partition(b"\n")[0].decode(errors="replace")
    fields = len(_split(first, options.sep))
    if fields not in LAYOUTS:
        raise RecliError(Exit.DATA, f"expected 6 or 4 fields, found {fields}", hint=HINT, where=f"{where}:1")
    names = LAYOUTS[fields]
    kept = [name for name in names if name in COLUMNS]
    given: dict[str, Type] = {SCORE: "float"}
    planned = {c.name: c for c in plan(kept, kind="inter", options=options, where=where, given=given)}
    if SCORE in planned and planned[SCORE].type != "float":
        message = f"--types {SCORE}={planned[SCORE].type}: {SCORE} is always a float"
        raise RecliError(Exit.USAGE, message, where=where)
    others = {name: Column(name, name, "float" if name == RANK else "token", name == RANK) for name in names}
    return Layout(columns=tuple((others | planned)[name] for name in names), sep=options.sep)


def _rows(block: Block, layout: Layout, where: str, *, skip: bool) -> Iterator[Rows]:
    """The rows of a block: at once where all are sound, else line by line."""
    even = block if layout.sep else block._replace(data=_single_spaced(block.data))
    rows = parse_quickly(even, layout, where)
    if rows is not None and all(_whole(rows.frame[c.canonical]) for c in layout.columns if c.name in INTEGERS):
        yield Rows(_kept(rows.frame, layout), ())
        return
    lines = block.data.removesuffix(b"\n").split(b"\n")
    for start in range(0, len(lines), BATCH):
        yield _read_precisely(lines[start : start + BATCH], block.line + start, layout, where, skip=skip)


def _kept(frame: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    return frame.select(column.canonical for column in layout.columns if column.name in COLUMNS)


def _single_spaced(data: bytes) -> bytes:
    """The lines with one space between fields and no blank before a line's end."""
    data = data.replace(b"\t", b" ")
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    for blank, plain in ((b"\n ", b"\n"), (b" \n", b"\n"), (b" \r\n", b"\r\n")):
        data = data.replace(blank, plain)
    return data.strip(b" ")


def _whole(numbers: pl.Series) -> bool:
    return bool((numbers == numbers.floor()).all())


def _read_precisely(lines: Sequence[bytes], first: int, layout: Layout, where: str, *, skip: bool) -> Rows:
    """The rows on lines ``first``, …; raises RecliError (DATA) at one that is wrong, or leaves it out if ``skip``."""
    rows: list[list[Value]] = []
    for line, raw in enumerate(lines, first):
        try:
            rows.append(_values(raw, layout))
        except Fault as fault:
            if not skip:
                raise RecliError(Exit.DATA, str(fault), hint=SKIP_HINT, where=f"{where}:{line}") from None
    schema = {column.canonical: DTYPES[column.type or "token"] for column in layout.columns}
    return Rows(_kept(pl.DataFrame(rows, schema=schema, orient="row"), layout), (), len(lines) - len(rows))


def _values(raw: bytes, layout: Layout) -> list[Value]:
    """The values on a line; raises Fault."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Fault("not valid UTF-8") from None
    if not text.strip(BLANKS):
        raise Fault("blank line")
    fields = _split(text, layout.sep)
    if len(fields) != len(layout.columns):
        raise Fault(f"expected {len(layout.columns)} fields, found {len(fields)}")
    values = [value_of(field, column, " ") for field, column in zip(fields, layout.columns, strict=True)]
    for field, column, value in zip(fields, layout.columns, values, strict=True):
        if column.name in INTEGERS and isinstance(value, float) and value != math.floor(value):
            raise Fault(f"{column.name}: {shown(field)} is not an integer")
    return values


def _split(line: str, sep: str | None) -> list[str]:
    """The fields of a line. A carriage return is a blank too, as it is to trec_eval."""
    if sep is not None:
        return line.removesuffix("\r").split(sep)
    return [field for field in line.replace("\t", " ").replace("\r", " ").split(" ") if field]
