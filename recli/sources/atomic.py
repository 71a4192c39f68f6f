"""RecBole's atomic files: a header of ``field:type`` cells, then fields between separators; nothing is quoted."""

from recli.errors import Exit, RecliError, nearest
from recli.schema import TYPES, Type
from recli.sources.columns import plan, renamed
from recli.sources.delimited import Layout, read_rows
from recli.sources.streams import Input, open_lines
from recli.sources.table import Options, Table, shown


def read(source: Input, options: Options, kind: str) -> Table:
    """The table in an atomic file of ``kind``; raises RecliError (DATA) naming the line."""
    sep = options.sep or "\t"
    if sep == options.seq_separator:
        raise RecliError(Exit.USAGE, f"fields and sequences are both separated by {sep!r}")
    with open_lines(source) as text:
        given = parse_header(text.header(), sep, text.at(1))
        names = [name for name, _ in given]
        columns = plan(names, kind=kind, options=options, where=text.at(1), given=dict(given))
        layout = Layout(columns=columns, sep=sep, seq_separator=options.seq_separator)
        rows = read_rows(text, layout, skip=options.skip)
    return Table.of(
        rows,
        kind=kind,
        types={column.canonical: column.type or "token" for column in columns},
        originals=renamed(columns),
        options=options,
        where=source.where,
        files=source.files,
    )


def parse_header(header: str, sep: str, where: str) -> list[tuple[str, Type]]:
    """The names and types in a header; raises RecliError (DATA) for what is not ``field:type``.

    >>> parse_header("user_id:token,age:float", ",", "a.user:1")
    [('user_id', 'token'), ('age', 'float')]
    """
    if ":" not in header:
        tab = sep.replace("\t", "<TAB>")
        hint = f"it must be like user_id:token{tab}item_id:token; --format csv or tsv reads a header without types"
        raise RecliError(Exit.DATA, "the first line is not a header of field:type", hint=hint, where=where)
    columns: list[tuple[str, Type]] = []
    for cell in header.split(sep):
        name, colon, type_ = cell.partition(":")
        if not colon or ":" in type_:
            hint = f"are the fields not separated by {sep!r}? --sep says by what"
            raise RecliError(Exit.DATA, f"header cell {shown(cell)} is not field:type", hint=hint, where=where)
        known = next((known for known in TYPES if known == type_), None)
        if known is None:
            hint = nearest(type_, TYPES)
            raise RecliError(Exit.DATA, f"unknown type {shown(type_)} of field {shown(name)}", hint=hint, where=where)
        columns.append((name, known))
    return columns


def is_header(line: str) -> bool:
    """Whether a line begins like an atomic header.

    >>> is_header("item_id:token;class:token_seq"), is_header("1::10"), is_header("http://tokens")
    (True, False, False)
    """
    _, colon, rest = line.partition(":")
    return bool(colon) and rest.startswith(("token", "float"))
