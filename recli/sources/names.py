"""What a file's name says: the format, the kind of table, the data set, and the files that belong with it."""

import glob
from pathlib import Path
from typing import Final

from recli.schema import COMPANIONS, REQUIRED
from recli.sources import atomic, movielens
from recli.sources.streams import Input, decompressed, reading

COMPRESSED: Final = (".gz", ".zst")
SUFFIXES: Final = {".parquet": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
TREC: Final = (".run", ".trec", ".qrels", ".qrel")
LIBFM: Final = (".libfm", ".libsvm", ".svm", ".svmlight")
PLAIN: Final = ("", ".txt", ".dat", ".data")  # suffixes that say nothing
PEEK: Final = 1 << 12  # bytes of the first line that are looked at


def bare(name: str) -> str:
    """A file's name without .gz or .zst.

    >>> bare("a.inter.gz")
    'a.inter'
    """
    path = Path(name)
    return path.stem if path.suffix in COMPRESSED else name


def kind_of(name: str) -> str:
    """What a file holds by its name: ``inter`` where that says nothing.

    >>> kind_of("a.kg"), kind_of("a.user.csv.gz"), kind_of("sales.csv"), kind_of("a.ent"), kind_of("u1.base")
    ('kg', 'user', 'inter', 'ent', 'inter')
    >>> kind_of("bm25.run.gz")
    'inter'
    """
    path = Path(bare(name))
    if path.suffix not in SUFFIXES and (known := movielens.kind_of(path.name)):
        return known
    if path.suffix in SUFFIXES:
        inner = Path(path.stem).suffix.removeprefix(".")
        return inner if inner in REQUIRED else "inter"
    return "inter" if path.suffix in (*PLAIN, *TREC, *LIBFM) else path.suffix.removeprefix(".")


def format_of(source: Input) -> str | None:
    """The format of a file by its name, and by its first line where a name is nobody's own; None if unknown."""
    name = bare(source.name)
    suffix = Path(name).suffix
    if suffix in SUFFIXES:
        # Anybody may call a file ratings.csv; GroupLens' has a header of its own.
        header = movielens.HEADERS.get(name)
        return "movielens" if header and first_line(source) == header else SUFFIXES[suffix]
    if suffix in TREC:
        return "trec"
    if suffix in LIBFM:
        return "libfm"
    if atomic.is_header(first_line(source)):
        return "atomic"
    if movielens.kind_of(name):
        return "movielens"
    return "atomic" if suffix.removeprefix(".") in REQUIRED else None


def first_line(source: Input) -> str:
    """The beginning of a text's first line; of a pipe nothing, because it cannot be read twice."""
    if source.file is not None and not source.file.is_file():
        return ""
    with reading(source.where, source.file), source.open() as raw:
        line = decompressed(raw).read(PEEK).partition(b"\n")[0]
    return line.decode("utf-8-sig", errors="replace").removesuffix("\r")


def name_of(path: Path) -> str:
    """The name of the data set that a path stands for.

    >>> [name_of(Path(p)) for p in ("a/ml-100k.inter.gz", "u1.base", "ml-1m.inter.parquet", "day/*.parquet", "x.zip")]
    ['ml-100k', 'u1', 'ml-1m', 'day', 'x']
    """
    if is_pattern(path):
        return name_of(path.parent)
    if path.is_dir():
        return path.resolve().name
    name = Path(bare(path.name))
    if name.suffix in SUFFIXES and Path(name.stem).suffix.removeprefix(".") in REQUIRED:
        name = Path(name.stem)
    return name.stem


def is_pattern(path: Path) -> bool:
    """Whether a path is a pattern such as ``day/*.parquet`` rather than a file."""
    return glob.has_magic(path.name) and not path.exists()


def companions(path: Path) -> dict[str, Path]:
    """The tables that lie beside a file of interactions, by kind: ml-100k.user beside ml-100k.inter, u.user by u.data.

    Folders and archives hold theirs, and have none beside them.
    """
    with reading(str(path), path):
        if path.is_dir() or path.suffix == ".zip" or is_pattern(path):
            return {}
        found = {}
        for kind in COMPANIONS:
            stem = f"{name_of(path)}.{kind}"
            names = [stem + suffix for suffix in ("", *COMPRESSED, *SUFFIXES)]
            names += [name for name in movielens.beside(bare(path.name)) if movielens.kind_of(name) == kind]
            beside = [sibling for name in names if (sibling := path.with_name(name)).is_file()]
            if beside and beside[0] != path:
                found[kind] = beside[0]
        return found
