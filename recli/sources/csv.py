"""Text with a header: CSV with its quoting, and TSV without any."""

import csv

from recli.errors import Exit, RecliError
from recli.sources.columns import inferred, plan, renamed
from recli.sources.delimited import Layout, read_rows
from recli.sources.streams import Input, LineReader, open_lines
from recli.sources.table import Options, Rows, Table


def read(source: Input, options: Options, kind: str, *, quoted: bool = True) -> Table:
    """The table in a CSV file, or, if not ``quoted``, in a TSV file; raises RecliError (DATA) naming the line."""
    sep = options.sep or ("," if quoted else "\t")
    if quoted and (len(sep) > 1 or sep == '"'):
        raise RecliError(Exit.USAGE, f"--sep {sep!r}: a CSV separator is one character", hint="--format tsv takes more")
    with open_lines(source) as text:
        names = _header(text, sep) if quoted else text.header().split(sep)
        columns = plan(names, kind=kind, options=options, where=text.at(1), guess=True)
        layout = Layout(columns=columns, sep=sep, seq_separator=options.seq_separator, quoted=quoted)
        rows = read_rows(text, layout, skip=options.skip)
    frame, types = inferred(rows.frame, columns)
    return Table.of(
        Rows(frame, rows.spots, rows.skipped),
        kind=kind,
        types=types,
        originals=renamed(columns),
        options=options,
        where=source.where,
        files=source.files,
    )


def _header(text: LineReader, sep: str) -> list[str]:
    try:
        return next(csv.reader([text.header()], delimiter=sep, strict=True))
    except csv.Error as error:
        raise RecliError(Exit.DATA, f"the header is not valid CSV: {error}", where=text.at(1)) from None
