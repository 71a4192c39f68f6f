"""convert: any source to a table of ours, and back to text."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recli import sources
from recli.artifact import commit, find, guard
from recli.errors import Exit, RecliError
from recli.pipeline.events import TABLES, Events, Source, open_events, stamp_of, table_header
from recli.pipeline.names import stem
from recli.pipeline.step import Input, Output, Product, Step, perform, table_of

if TYPE_CHECKING:
    from collections.abc import Callable

SUFFIXES = {"csv": ".csv", "tsv": ".tsv"}


def convert(path: Path, source: Source, to: str, output: Output) -> list[Path]:
    """Every table of ``path``, the interactions first: as an artifact each, or as text with ``to``."""
    if to != "parquet":
        return [_export(path, source, to, output)]
    if path.is_dir() or path.suffix == ".zip":
        return _convert_all(path, source, output)
    events = open_events(path, source)
    return [_convert_one(events, output)]


def _convert_one(events: Events, output: Output) -> Path:
    def work() -> Product:
        return _product(events.table)

    kind = events.kind
    inputs = [item for item in events.inputs if item.role in ("source", "split")]
    return perform(_step(kind, events.name, inputs, events.source), output, work)


def _convert_all(path: Path, source: Source, output: Output) -> list[Path]:
    """A folder or an archive: one artifact a table."""
    if output.path is not None and "{name}" not in output.path:
        raise RecliError(Exit.USAGE, "-o takes one file, and there are several tables", hint="leave -o out")
    made = []
    for table in sources.read_all(path, source.options):
        from recli.artifact import sha256_of

        inputs = [Input(role="source", path=file, stamp=stamp_of(file), sha256=sha256_of(file)) for file in table.files]
        step = _step(table.kind, sources.name_of(path), inputs, source)
        made.append(perform(step, output, lambda table=table: _product(table)))  # type: ignore[misc]
    return made


def _step(kind: str, name: str, inputs: Sequence[Input], source: Source) -> Step:
    return Step(
        command="convert",
        kind=kind,
        name=name,
        suffix=f".{kind}.parquet",
        params=source.params(),
        unnamed=tuple(source.params()),  # how a file is read does not make it another table
        inputs=inputs,
        modules=["recli.pipeline.convert"],
    )


def _product(table: sources.Table) -> Product:
    left_out = f", {table.skipped:,} bad rows left out" if table.skipped else ""
    more = table_header(table) | ({"skipped": table.skipped} if table.skipped else {})
    return Product(payload=table.frame, more=more, summary=f"{table.frame.height:,} rows{left_out}")


def _export(path: Path, source: Source, to: str, output: Output) -> Path:
    """A table, or recommendations, as text: no artifact, so it has no header and no cache."""
    table = _table(path, source)
    if output.path == "-":
        assert output.stream is not None
        sources.write(table, to, output.stream)
        output.stream.flush()
        return Path("-")
    suffix = SUFFIXES.get(to, f".{table.kind}")
    target = Path((output.path or "{name}" + suffix).replace("{name}", "stdin" if str(path) == "-" else stem(path)))
    guard(target, [path])
    if target.exists() and not output.overwrite and not target.is_char_device():
        raise RecliError(Exit.USAGE, "is there already", where=target, hint="--overwrite replaces it")
    write: Callable[..., None] = lambda out: sources.write(table, to, out)  # noqa: E731
    commit(target, write)
    output.note(f"{target}: {table.frame.height:,} rows")
    return target


def _table(path: Path, source: Source) -> sources.Table:
    """What is to be written as text: a table of ours of any kind, or a source."""
    artifact = find(path) if path.is_file() else None
    if artifact is not None and artifact.header.kind not in ("split", *TABLES):
        return table_of(artifact.frame(), artifact.header.kind)
    return open_events(path, source).table
