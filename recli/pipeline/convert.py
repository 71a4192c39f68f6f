"""convert: any source to a table of ours, and back to text."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from recli import sources
from recli.artifact import commit, find, guard, is_stream, sha256_of
from recli.errors import Exit, RecliError
from recli.pipeline.events import TABLES, Source, open_events, stamp_of, table_header, unchanged
from recli.pipeline.names import stem
from recli.pipeline.step import Input, Output, Product, Step, perform, table_of
from recli.schema import PARTS, SPLIT

SUFFIXES = {"csv": ".csv", "tsv": ".tsv", "libfm": ".libfm"}


def convert(path: Path, source: Source, to: str, output: Output) -> list[Path]:
    """Every table of ``path``, the interactions first: as an artifact each, or as text with ``to``.

    Text of a split may go to a file for each part, where ``-o`` has {part}.
    """
    if to != "parquet":
        return _export(path, source, to, output)
    if sources.is_folder(path):
        return _convert_all(path, source, output)
    events = open_events(path, source)
    if events.artifact is not None:
        raise RecliError(Exit.USAGE, "is a table of recli's already", where=path, hint="--to csv writes text")
    inputs = [item for item in events.inputs if item.role == "source"]
    return [perform(_step(events.kind, events.name, inputs, source), output, lambda: _product(events.table))]


def _convert_all(path: Path, source: Source, output: Output) -> list[Path]:
    """A folder or an archive: one artifact a table."""
    if output.path is not None and "{kind}" not in output.path:
        raise RecliError(Exit.USAGE, "-o takes one file, and there may be several tables", hint="put {kind} into it")
    files = [path] if path.is_file() else [entry for entry in path.iterdir() if entry.is_file()]
    stamps = {file: stamp_of(file) for file in files}
    steps = []
    for table in sources.read_all(path, source.options):
        inputs = [Input(role="source", path=f, stamp=stamps[f], sha256=sha256_of(f)) for f in table.files]
        unchanged(inputs)
        steps.append((_step(table.kind, sources.name_of(path), inputs, source), table))
    return [perform(step, output, partial(_product, table)) for step, table in steps]


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


def _export(path: Path, source: Source, to: str, output: Output) -> list[Path]:
    """A table, or recommendations, as text: no artifact, so it has no header and no cache."""
    table = _table(path, source)
    if output.path == "-":
        assert output.stream is not None
        output.claim(Path("-"))
        sources.write(table, to, output.stream)
        output.stream.flush()
        return [Path("-")]
    name = output.path or "{name}" + SUFFIXES.get(to, f".{table.kind}")
    name = name.replace("{name}", "stdin" if str(path) == "-" else stem(path))
    if "{part}" not in name:
        return [_export_one(table, None, Path(name), path, to, output)]
    if SPLIT not in table.frame.columns:
        raise RecliError(Exit.USAGE, "is no split, and -o has {part}", where=path, hint="{name} is its name")
    there = [part for part in PARTS if (table.frame[SPLIT] == part).any()]
    return [_export_one(table, part, Path(name.replace("{part}", part)), path, to, output) for part in there]


def _export_one(table: sources.Table, part: str | None, target: Path, path: Path, to: str, output: Output) -> Path:
    """The rows of a part, or all of them, in a file."""
    guard(target, [path])
    if target.exists() and not output.overwrite and not is_stream(target):
        raise RecliError(Exit.USAGE, "is there already", where=target, hint="--overwrite replaces it")
    output.claim(target)
    commit(target, partial(sources.write, table, to, part=part))
    rows = table.frame if part is None else table.frame.filter(table.frame[SPLIT] == part)
    output.note(f"{target}: {rows.height:,} rows")
    return target


def _table(path: Path, source: Source) -> sources.Table:
    """What is to be written as text: a table of ours of any kind, or a source."""
    artifact = find(path) if path.is_file() else None
    if artifact is not None and artifact.header.kind not in ("split", *TABLES):
        return table_of(artifact.frame(), artifact.header.kind)
    return open_events(path, source).table
