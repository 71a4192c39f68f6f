"""Folders and zip archives of atomic, MovieLens or Parquet files. An archive is read in memory, never extracted."""

import errno
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from recli.errors import Exit, RecliError
from recli.schema import COMPANIONS, REQUIRED
from recli.sources import atomic, movielens
from recli.sources.names import bare, first_line, format_of, kind_of, name_of
from recli.sources.streams import Input, file_input, reading

MAX_UNZIPPED: Final = 8 << 30  # bytes
MAX_RATIO: Final = 200  # deflate makes at most 1,032 of 1; text makes 10
SMALL: Final = 1 << 20  # bytes; a member below is harmless whatever its ratio


def is_folder(path: Path) -> bool:
    """Whether a path holds several files: a folder or a zip archive."""
    return path.is_dir() or (path.suffix == ".zip" and path.is_file())


def members(path: Path) -> dict[str, Input]:
    """The files in a folder or a zip archive, by bare name.

    Raises RecliError (DATA) for an archive that is damaged, encrypted, or unpacks to more than it should.
    """
    with reading(str(path), path):
        if path.is_dir():
            return {entry.name: file_input(entry) for entry in sorted(path.iterdir()) if entry.is_file()}
        return _archived(path)


def _archived(path: Path) -> dict[str, Input]:
    with _zip_faults(), zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise RecliError(Exit.DATA, "the archive is compressed in a way other than deflate", where=path)
    if any(entry.flag_bits & 1 for entry in entries):
        raise RecliError(Exit.DATA, "the archive is encrypted", where=path)
    total = sum(entry.file_size for entry in entries)
    bomb = any(e.file_size > max(SMALL, MAX_RATIO * e.compress_size) for e in entries)
    if bomb or total > MAX_UNZIPPED:
        message = f"the archive says that it unpacks to {total:,} bytes"
        raise RecliError(Exit.DATA, message, hint="unpack it and name the folder", where=path)
    found: dict[str, Input] = {}
    for entry in entries:
        name = Path(entry.filename).name
        if entry.filename.startswith("__MACOSX/"):
            continue
        if name in found:
            raise RecliError(Exit.DATA, f"two files in the archive are called {name}", where=path)
        label = entry.filename if entry.filename.isprintable() else repr(entry.filename)
        found[name] = Input(name, f"{path}/{label}", _opener(path, entry), path)
    return found


def _opener(path: Path, entry: zipfile.ZipInfo) -> Callable[[], AbstractContextManager[BinaryIO]]:
    def open_member() -> AbstractContextManager[BinaryIO]:
        # A member keeps the archive's file open by itself; it never yields more bytes than the archive says.
        with _zip_faults(), zipfile.ZipFile(path) as archive:
            return cast(BinaryIO, archive.open(entry))

    return open_member


@contextmanager
def _zip_faults() -> Iterator[None]:
    """zipfile has many ways of saying that an archive is damaged."""
    try:
        yield
    except (RuntimeError, ValueError, struct.error) as error:
        raise zipfile.BadZipFile(str(error)) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a seek to before the beginning
            raise
        raise zipfile.BadZipFile("wrong offsets") from error


def folder_format(path: Path, inside: Mapping[str, Input]) -> str:
    """The format of the files in a folder; raises RecliError (USAGE) where there is nothing that is known."""
    names = [bare(name) for name in inside]
    if any(name.endswith(".inter") for name in names):
        return "atomic"
    if any(movielens.kind_of(bare(name)) == "inter" and format_of(inside[name]) == "movielens" for name in inside):
        return "movielens"
    if any(name.endswith(".parquet") for name in names):
        return "parquet"
    hint = "a folder may hold NAME.inter, MovieLens' files, or Parquet; or name one file"
    raise RecliError(Exit.USAGE, "nothing in it that recli knows", hint=hint, where=path)


def tables_in(path: Path, inside: Mapping[str, Input], format_: str) -> dict[str, list[Input]]:
    """The files of each table by kind, the interactions first; only Parquet has several files a table.

    Raises RecliError (USAGE) where it is not plain which file holds the interactions.
    """
    if format_ == "parquet":
        parts = [source for name, source in inside.items() if name.endswith(".parquet")]
        kinds = ("inter", *COMPANIONS)
        tables = {kind: [part for part in parts if kind_of(part.name) == kind] for kind in kinds}
        return {kind: sources for kind, sources in tables.items() if sources or kind == "inter"}
    if format_ == "movielens":
        main = _the_one(path, [source for name, source in inside.items() if bare(name) in movielens.MAIN])
        others = [inside[name] for name in movielens.beside(bare(main.name)) if name in inside]
        return {"inter": [main], **{movielens.kind_of(other.name) or "": [other] for other in others}}
    if format_ == "atomic":
        main = _the_one(path, [source for name, source in inside.items() if bare(name).endswith(".inter")])
        stem = Path(bare(main.name)).stem
        others = [s for name, s in inside.items() if Path(bare(name)).stem == stem and s is not main]
        return {"inter": [main], **{kind_of(s.name): [s] for s in others if _is_atomic(s)}}
    raise RecliError(Exit.USAGE, f"a folder is not {format_}", hint="name a file in it", where=path)


def _the_one(path: Path, candidates: list[Input]) -> Input:
    """The only candidate, or the one named like the folder."""
    named = [source for source in candidates if Path(bare(source.name)).stem == name_of(path)]
    if len(candidates) != 1 and len(named) != 1:
        names = ", ".join(source.name for source in candidates) or "none"
        raise RecliError(Exit.USAGE, "which file holds the interactions?", hint=f"name one of: {names}", where=path)
    return (named or candidates)[0]


def _is_atomic(source: Input) -> bool:
    return Path(bare(source.name)).suffix.removeprefix(".") in REQUIRED or atomic.is_header(first_line(source))
