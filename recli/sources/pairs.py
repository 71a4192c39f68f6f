"""Lines of ``user item`` in time order, without a header: the order becomes the column ``position``."""

import polars as pl

from recli.schema import ITEM, POSITION, USER
from recli.sources.columns import plan, renamed
from recli.sources.delimited import Layout, read_rows
from recli.sources.streams import Input, open_lines
from recli.sources.table import SKIP_HINT, Options, Rows, Table


def read(source: Input, options: Options, kind: str) -> Table:
    """The interactions, with ``position`` 0, 1, … within the user; raises RecliError (DATA) naming the line."""
    columns = plan((USER, ITEM), kind=kind, options=options, where=source.where)
    layout = Layout(columns=columns, sep=options.sep, hint=f"more columns need a header and --format tsv; {SKIP_HINT}")
    with open_lines(source) as text:
        rows = read_rows(text, layout, skip=options.skip)
    position = pl.int_range(pl.len()).over(USER).cast(pl.Float64).alias(POSITION)
    return Table.of(
        Rows(rows.frame.with_columns(position), rows.spots, rows.skipped),
        kind=kind,
        types={USER: "token", ITEM: "token", POSITION: "float"},
        originals=renamed(columns),
        options=options,
        where=source.where,
        files=source.files,
    )
