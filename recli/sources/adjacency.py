"""Lines of ``user item item …`` without a header: sets, in no order. A user without items contributes no rows."""

from itertools import repeat

import polars as pl

from recli.errors import Exit, RecliError
from recli.schema import ITEM, USER
from recli.sources.columns import plan, renamed
from recli.sources.delimited import BLANKS
from recli.sources.streams import Block, Input, open_lines
from recli.sources.table import SKIP_HINT, Options, Rows, Table


def read(source: Input, options: Options, kind: str) -> Table:
    """The interactions; raises RecliError (DATA) naming a line that is blank or not UTF-8."""
    columns = plan((USER, ITEM), kind=kind, options=options, where=source.where)
    frames = [pl.DataFrame(schema={USER: pl.String, ITEM: pl.String})]
    skipped = 0
    with open_lines(source) as text:
        for block in text.blocks():
            frame, bad = _pairs(block, options, source.where)
            frames.append(frame)
            skipped += bad
    return Table.of(
        Rows(pl.concat(frames, rechunk=False), (), skipped),
        kind=kind,
        types={USER: "token", ITEM: "token"},
        originals=renamed(columns),
        options=options,
        where=source.where,
        files=source.files,
    )


def _pairs(block: Block, options: Options, where: str) -> tuple[pl.DataFrame, int]:
    users: list[str] = []
    items: list[str] = []
    skipped = 0
    for line, raw in enumerate(block.data.removesuffix(b"\n").split(b"\n"), block.line):
        try:
            user, *history = _fields(raw, options.sep)
        except ValueError as error:
            if not options.skip:
                raise RecliError(Exit.DATA, str(error), hint=SKIP_HINT, where=f"{where}:{line}") from None
            skipped += 1
            continue
        users.extend(repeat(user, len(history)))
        items.extend(history)
    return pl.DataFrame({USER: users, ITEM: items}, schema={USER: pl.String, ITEM: pl.String}), skipped


def _fields(raw: bytes, sep: str | None) -> list[str]:
    """The ids on a line, at least one; raises ValueError, with what is wrong."""
    try:
        text = raw.removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise ValueError("not valid UTF-8") from None
    fields = [field for field in text.replace("\t", " ").split(" ") if field] if sep is None else text.split(sep)
    if not text.strip(BLANKS):
        raise ValueError("blank line")
    if not all(field.strip(BLANKS) for field in fields):
        raise ValueError("an id is blank")
    return fields
