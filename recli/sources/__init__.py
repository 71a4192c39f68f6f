"""Raw data of many formats in, tables with canonical columns out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from recli.errors import Exit, RecliError
from recli.schema import FORMATS
from recli.sources import adjacency, atomic, csv, jsonl, libfm, matrix, movielens, pairs, sessions, trec
from recli.sources.columns import check_types
from recli.sources.folder import folder_format, is_folder, members, tables_in
from recli.sources.names import bare, companions, format_of, is_pattern, kind_of, name_of
from recli.sources.streams import Input, file_input, reading, stream_input
from recli.sources.table import Options, Table
from recli.sources.writing import write

__all__ = [
    "Options",
    "Table",
    "check_types",
    "companions",
    "detect",
    "files",
    "is_folder",
    "kind",
    "kind_of",
    "name_of",
    "read",
    "read_all",
    "read_stream",
    "write",
]

DEFAULT: Final = Options()
ASK: Final = f"--format says which: {', '.join(FORMATS)}"


def detect(path: Path) -> str:
    """The format of a file, folder, zip archive or pattern; raises RecliError (USAGE) where --format has to say it."""
    with reading(str(path), path):
        if is_pattern(path):
            if path.suffix != ".parquet":
                raise RecliError(Exit.USAGE, "only Parquet is read from several files", where=path)
            return "parquet"
        if is_folder(path):
            return folder_format(path, members(path))
        path.stat()
        found = format_of(file_input(path))
    if found is None:
        raise RecliError(Exit.USAGE, "the name does not tell the format", hint=ASK, where=path)
    return found


def files(path: Path, options: Options = DEFAULT) -> tuple[Path, ...]:
    """The files that ``read`` would read, without reading them; raises like ``read`` where that cannot be told."""
    with reading(str(path), path):
        found = _find(path, options)
        beside = [found.around["u.genre"]] if found.name == "u.item" and "u.genre" in found.around else []
        return tuple(dict.fromkeys(file for source in (*found.sources, *beside) for file in source.files))


def kind(path: Path, options: Options = DEFAULT) -> str:
    """What the table that ``read`` would give holds (inter, user, …); raises like ``files``."""
    with reading(str(path), path):
        found = _find(path, options)
        return (movielens.kind_of(found.name) if found.format == "movielens" else None) or found.kind


def read(path: Path, options: Options = DEFAULT) -> Table:
    """The table in a file; of a folder, archive or pattern its interactions.

    Raises RecliError: IO for what cannot be read, DATA for what is malformed or empty, USAGE for options that do not
    fit. Rows that are wrong are left out and counted under ``bad_rows="skip"``.
    """
    with reading(str(path), path):
        return _read(_find(path, options), options, str(path))


def read_all(path: Path, options: Options = DEFAULT) -> list[Table]:
    """Every table in a folder or archive, the interactions first; of a file just that. Raises like ``read``."""
    with reading(str(path), path):
        if not is_folder(path):
            tables = [read(path, options)]
        else:
            inside = members(path)
            format_ = options.format or folder_format(path, inside)
            found = tables_in(path, inside, format_)
            tables = [_read(_Found(s, format_, kind_, inside), options, str(path)) for kind_, s in found.items()]
    check_types(options, tables)
    return tables


def read_stream(stream: BinaryIO, options: Options) -> Table:
    """The table in the data on a stream, such as stdin; ``options.format`` has to say what it is."""
    if options.format in (None, "movielens"):
        raise RecliError(Exit.USAGE, "the format of data on stdin has to be named", hint=ASK)
    source = stream_input(stream)
    with reading(source.where):
        return _read(_Found([source], options.format or "", options.kind or "inter", {}), options, source.where)


@dataclass(frozen=True)
class _Found:
    """What there is to read for one table: the inputs, several only of Parquet, and the files around them."""

    sources: list[Input]
    format: str
    kind: str
    around: Mapping[str, Input]

    @property
    def name(self) -> str:
        return bare(self.sources[0].name)


def _find(path: Path, options: Options) -> _Found:
    """The inputs of the table at ``path``."""
    if is_pattern(path):
        parts = [file_input(file) for file in sorted(path.parent.glob(path.name))]
        if not parts:
            raise RecliError(Exit.IO, "no such file", where=path)
        return _Found(parts, options.format or detect(path), options.kind or "inter", {})
    if is_folder(path):
        inside = members(path)
        format_ = options.format or folder_format(path, inside)
        return _Found(tables_in(path, inside, format_)["inter"], format_, "inter", inside)
    path.stat()
    genres = path.with_name("u.genre")
    around = {genres.name: file_input(genres)} if genres.is_file() else {}
    format_ = options.format or detect(path)
    kind_ = "inter" if format_ in ("matrix", "trec", "libfm") else options.kind or kind_of(path.name)
    return _Found([file_input(path)], format_, kind_, around)


def _read(found: _Found, options: Options, where: str) -> Table:
    sources, format_ = found.sources, found.format
    if format_ == "parquet":
        from recli.sources import parquet

        return parquet.read(sources, options, found.kind, where)
    if len(sources) != 1:
        raise RecliError(Exit.USAGE, "only Parquet is read from several files", where=where)
    if format_ == "movielens":
        return movielens.read(sources[0], options, found.around)
    if format_ == "trec":
        return trec.read(sources[0], options)
    if format_ in ("csv", "tsv"):
        return csv.read(sources[0], options, found.kind, quoted=format_ == "csv")
    readers = {
        "atomic": atomic.read,
        "jsonl": jsonl.read,
        "adjacency": adjacency.read,
        "pairs": pairs.read,
        "sessions": sessions.read,
        "prefix": sessions.read_prefixes,
        "matrix": matrix.read,
        "libfm": libfm.read,
    }
    return readers[format_](sources[0], options, found.kind)
