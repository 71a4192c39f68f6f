"""Lines of ``item item …``, a session each, in order and without a header; or of a prefix, a tab and what came next."""

from itertools import repeat

import polars as pl

from recli.errors import Exit, RecliError
from recli.schema import ITEM, POSITION, USER
from recli.sources.delimited import BLANKS
from recli.sources.streams import Input, open_lines
from recli.sources.table import SKIP_HINT, Options, Rows, Table

SCHEMA = {USER: pl.String, ITEM: pl.String, POSITION: pl.Float64}


def read(source: Input, options: Options, kind: str) -> Table:
    """Sessions: the user is ``s`` and the number of the line, from 1; raises RecliError (DATA) naming a wrong line."""
    return _read(source, options, kind, "s")


def read_prefixes(source: Input, options: Options, kind: str) -> Table:
    """Prefixes with their targets last: the user is ``p`` and the number of the line; raises as `read` does."""
    return _read(source, options, kind, "p")


def _read(source: Input, options: Options, kind: str, letter: str) -> Table:
    users: list[str] = []
    items: list[str] = []
    positions: list[float] = []
    skipped = 0
    with open_lines(source) as text:
        for block in text.blocks():
            for line, raw in enumerate(block.data.removesuffix(b"\n").split(b"\n"), block.line):
                try:
                    session = _items(raw, options.sep or " ", prefixed=letter == "p")
                except ValueError as error:
                    if not options.skip:
                        where = f"{source.where}:{line}"
                        raise RecliError(Exit.DATA, str(error), hint=SKIP_HINT, where=where) from None
                    skipped += 1
                    continue
                users.extend(repeat(f"{letter}{line}", len(session)))
                items.extend(session)
                positions.extend(range(len(session)))
    return Table.of(
        Rows(pl.DataFrame({USER: users, ITEM: items, POSITION: positions}, schema=SCHEMA), (), skipped),
        kind=kind,
        types={USER: "token", ITEM: "token", POSITION: "float"},
        originals={},
        options=options,
        where=source.where,
        files=source.files,
    )


def _items(raw: bytes, sep: str, *, prefixed: bool) -> list[str]:
    """The items of a line, at least one; raises ValueError, with what is wrong."""
    try:
        text = raw.removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise ValueError("not valid UTF-8") from None
    parts = text.split("\t") if prefixed else [text]
    if not text.strip(BLANKS):
        raise ValueError("blank line")
    if prefixed and len(parts) != 2:
        raise ValueError(f"a prefix, a tab and an item are expected, not {len(parts) - 1} tabs")
    items = [item for part in parts for item in part.split(sep) if sep != " " or item]
    if not all(item.strip(BLANKS) for item in items):
        raise ValueError("an item is blank")
    if prefixed and (len(items) < 2 or sep in parts[1].strip(" ")):
        raise ValueError("a prefix of at least one item and one item after the tab are expected")
    return items
