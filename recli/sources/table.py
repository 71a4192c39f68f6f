"""What goes into reading a source, and what comes out: ``Options`` and ``Table``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self

import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.schema import FORMATS, ITEM, RATING, TIME, TYPES, USER, Type

SKIP_HINT: Final = "--bad-rows skip leaves such rows out"
SHOWN: Final = 40  # characters of the input that a message repeats


def shown(text: str) -> str:
    """A piece of the input as a message shows it: quoted, escaped and short.

    >>> shown("a\\tb")
    "'a\\\\tb'"
    """
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to read a source; every field is a flag of ``recli convert``.

    ``kind`` says what the table holds (``inter``, ``user``, …) where neither the format nor the file's name does.
    Raises RecliError (USAGE) for an unknown format or type and for separators that cannot work.
    """

    format: str | None = None
    kind: str | None = None
    sep: str | None = None
    seq_separator: str = " "
    user_col: str | None = None
    item_col: str | None = None
    rating_col: str | None = None
    time_col: str | None = None
    missing: str | None = None
    header: bool | None = None
    types: Mapping[str, Type] = field(default_factory=dict)
    bad_rows: Literal["error", "skip"] = "error"

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            raise RecliError(Exit.USAGE, f"unknown format {self.format!r}", hint=nearest(self.format, FORMATS))
        for column, kind in self.types.items():
            if kind not in TYPES:
                raise RecliError(Exit.USAGE, f"unknown type {kind!r} of column {column}", hint=nearest(kind, TYPES))
        for separator in (self.sep, self.seq_separator):
            if separator is not None and (not separator or {"\n", "\r"} & set(separator)):
                raise RecliError(Exit.USAGE, f"{separator!r} cannot separate anything")
        for flag, given in (("--missing", self.missing), ("--header", self.header)):
            if given is not None and self.format != "matrix":
                raise RecliError(Exit.USAGE, f"{flag} is of matrices", hint="--format matrix reads one")
        if self.sep == self.seq_separator and "token_seq" in self.types.values():
            raise RecliError(Exit.USAGE, f"fields and sequences are both separated by {self.sep!r}")

    @property
    def skip(self) -> bool:
        """Whether rows that are wrong are left out and counted, rather than refused."""
        return self.bad_rows == "skip"

    @property
    def named(self) -> dict[str, str]:
        """The columns that the user named, by the canonical name they stand for."""
        names = {USER: self.user_col, ITEM: self.item_col, RATING: self.rating_col, TIME: self.time_col}
        return {canonical: name for canonical, name in names.items() if name is not None}


@dataclass(frozen=True)
class Rows:
    """Rows as they come out of a reader, and where each stood in the source.

    ``spots`` holds, block by block, a prefix such as ``a.inter:`` and the number of every row of the block.
    """

    frame: pl.DataFrame
    spots: tuple[tuple[str, Sequence[int]], ...]
    skipped: int = 0

    def place(self, row: int) -> str:
        """Where row ``row`` (0, 1, …) stands, such as ``a.inter:17``."""
        for prefix, numbers in self.spots:
            if row < len(numbers):
                return f"{prefix}{numbers[row]}"
            row -= len(numbers)
        raise IndexError(row)


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table with canonical column names.

    Tokens are String (empty where missing, never null), floats Float64 (finite; null where missing), sequences are
    List(String) or List(Float64). ``originals`` gives the source's own name of a column that was renamed, ``dtypes``
    the polars name of the integer type of a column that became text or float, ``files`` what was read.
    """

    kind: str
    frame: pl.DataFrame
    types: dict[str, Type]
    originals: dict[str, str]
    dtypes: dict[str, str]
    skipped: int = 0
    files: tuple[Path, ...]

    @classmethod
    def of(
        cls,
        rows: Rows,
        *,
        kind: str,
        types: dict[str, Type],
        originals: dict[str, str],
        options: Options,
        where: str,
        files: Sequence[Path],
        dtypes: dict[str, str] | None = None,
    ) -> Self:
        """The table of ``rows``; raises RecliError (DATA) where there are none, or a user or item stands twice."""
        rows = _distinct(rows, kind, originals, options)
        if rows.frame.height == 0:
            left_out = f": all {rows.skipped} were left out" if rows.skipped else ""
            raise RecliError(Exit.DATA, f"no rows{left_out}", where=where)
        return cls(
            kind=kind,
            frame=rows.frame,
            types=types,
            originals=originals,
            dtypes=dtypes or {},
            skipped=rows.skipped,
            files=tuple(files),
        )


def _distinct(rows: Rows, kind: str, originals: dict[str, str], options: Options) -> Rows:
    """Users and items are described once: the first description stands when bad rows are skipped."""
    key = {"user": USER, "item": ITEM}.get(kind)
    if key is None or rows.frame[key].n_unique() == rows.frame.height:
        return rows
    if options.skip:
        frame = rows.frame.unique(key, keep="first", maintain_order=True)
        return Rows(frame, (), rows.skipped + rows.frame.height - frame.height)
    row = rows.frame[key].is_first_distinct().index_of(False)
    assert row is not None
    identity = rows.frame[key][row]
    first = rows.place(rows.frame[key].index_of(identity) or 0)
    raise RecliError(
        Exit.DATA,
        f"{originals.get(key, key)} {shown(identity)} is there twice, first at {first}",
        hint="--bad-rows skip keeps the first",
        where=rows.place(row),
    )
