"""Opening what a step reads: a table or a split of ours, or any source, under one roof."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from recli import sources
from recli.artifact import Artifact, Header, find, sha256_of
from recli.errors import Exit, RecliError
from recli.pipeline.folds import Fold
from recli.pipeline.names import has_our_name, stem
from recli.pipeline.step import Input
from recli.schema import COMPANIONS, PARTS, SPLIT

if TYPE_CHECKING:
    import polars as pl

TABLES: Final = ("inter", *COMPANIONS)
LARGE: Final = 1 << 24  # bytes of a file


@dataclass(frozen=True, kw_only=True)
class Source:
    """How to read a file that is not ours, and where its companion tables are if not beside it."""

    options: sources.Options = field(default_factory=sources.Options)
    companions: Mapping[str, Path] = field(default_factory=dict)

    def params(self) -> dict[str, Any]:
        """What of it is not the default: part of a step's parameters."""
        plain = sources.Options()
        return {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in vars(self.options).items()
            if value != getattr(plain, name)
        }

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Source":
        """The source that `params` came from."""
        return cls(options=sources.Options(**params))


@dataclass(frozen=True, kw_only=True)
class Events:
    """Interactions to be read: an artifact of ours (a table or a split) or a source, not read before it is needed."""

    path: Path
    source: Source
    artifact: Artifact | None
    inputs: tuple[Input, ...]
    _parts: "dict[str, pl.DataFrame]" = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """What the files made from it are called after."""
        return "stdin" if str(self.path) == "-" else stem(self.path)

    @property
    def kind(self) -> str:
        """What the table holds: ``inter``, ``user``, …"""
        if self.artifact is not None:
            return "inter" if self.artifact.header.kind == "split" else self.artifact.header.kind
        return "inter" if str(self.path) == "-" else sources.kind(self.path, self.source.options)

    @property
    def is_split(self) -> bool:
        """Whether it is a split of ours."""
        return self.artifact is not None and self.artifact.header.kind == "split"

    @property
    def fold(self) -> Fold | None:
        """The fold that it is of, if it is of one."""
        return None if self.artifact is None else Fold.of(self.artifact.header)

    def inputs_as(self, role: str) -> list[Input]:
        """The files that are read for the interactions, in another role."""
        return [replace(item, role=role) for item in self.inputs if item.role in ("split", "source")]

    def of_interactions(self) -> "Events":
        """The same, if it holds interactions.

        Raises:
            RecliError: it is a table of something else, such as users (exit 3).
        """
        if self.kind != "inter":
            raise RecliError(Exit.DATA, f"is no table of interactions but .{self.kind}", where=self.path)
        return self

    @cached_property
    def table(self) -> sources.Table:
        """The whole table, from a source or from an artifact of ours."""
        if self.artifact is None:
            return self._read()
        more = self.artifact.header.more
        frame = self.artifact.frame()
        return sources.Table(
            kind=self.kind,
            frame=frame,
            types=dict(more["types"]) | ({SPLIT: "token"} if self.is_split else {}),
            originals=dict(more.get("originals", {})),
            dtypes=dict(more.get("dtypes", {})),
            files=(self.path,),
        )

    def _read(self) -> sources.Table:
        if str(self.path) == "-":
            return sources.read_stream(sys.stdin.buffer, self.source.options)
        table = sources.read(self.path, self.source.options)
        sources.check_types(self.source.options, [table])
        unchanged(self.inputs)
        return table

    @property
    def rows(self) -> dict[str, tuple[int, int]]:
        """The row ranges of the parts of a split; none for a plain table, which is all train."""
        if self.artifact is not None and self.is_split:
            return {part: (int(a), int(b)) for part, (a, b) in self.artifact.header.more["rows"].items()}
        return {}

    def part(self, *names: str) -> "pl.DataFrame":
        """The rows of the named parts, in the order of train, valid, test."""
        import polars as pl

        if self.artifact is None or not self.is_split:
            frame = self.table.frame
            return frame if "train" in names else frame.head(0)
        frames = [self._part(part) for part in PARTS if part in names]
        return pl.concat(frames) if frames else self._part("train").head(0)

    def _part(self, name: str) -> "pl.DataFrame":
        """One part of a split, read once."""
        assert self.artifact is not None
        if name not in self._parts:
            self._parts[name] = self.artifact.frame(name).drop(SPLIT)
        return self._parts[name]


def open_events(path: Path, source: Source) -> Events:
    """Open a table or a split of ours, or anything that a source can read.

    Raises:
        RecliError: it cannot be read (exit 4), or is an artifact of another kind (exit 3).
    """
    if str(path) == "-":
        return Events(path=path, source=source, artifact=None, inputs=())
    if path.is_file() and path.stat().st_size > LARGE:
        Thread(target=_load_kernels, daemon=True).start()
    artifact = None if path.is_dir() else find(path) if path.exists() else None
    if artifact is None:
        if has_our_name(path) and source.options.format is None and path.exists():
            message = "bears a name of recli's, but no header: it is cut short, or another program's"
            raise RecliError(Exit.DATA, message, where=path, hint="--format parquet reads it as another program's")
        files = sources.files(path, source.options)
        inputs = [Input(role="source", path=file, stamp=stamp_of(file), sha256=sha256_of(file)) for file in files]
        return Events(path=path, source=source, artifact=None, inputs=(*inputs, *_companions(path, source)))
    if source.params():
        message = "is an artifact of recli, which needs no telling how to read it"
        raise RecliError(Exit.USAGE, message, where=path, hint=f"leave out {', '.join(source.params())}")
    if artifact.header.kind not in ("split", *TABLES):
        hint = f"it was made by recli {artifact.header.command}"
        raise RecliError(Exit.DATA, f"is no table of interactions but {artifact.header.kind}", where=path, hint=hint)
    role = "split" if artifact.header.kind == "split" else "source"
    own = Input(role=role, path=path, sha256=artifact.digest)
    kept = _companions(path, source) if role == "source" else ()
    return Events(path=path, source=source, artifact=artifact, inputs=(own, *kept))


def _load_kernels() -> None:
    """What a large table and its ids need, at the time that its bytes take: first what the table is read by."""
    import polars  # noqa: F401

    from recli.kernels import distinct

    distinct.load()


def _companions(path: Path, source: Source) -> tuple[Input, ...]:
    """The companion tables: those that were named, and those that stand beside the interactions."""
    beside = sources.companions(path) if not path.is_dir() else {}
    chosen = {**beside, **source.companions}
    return tuple(_input(role, file) for role, file in sorted(chosen.items()) if role in COMPANIONS)


def _input(role: str, path: Path) -> Input:
    artifact = find(path) if path.exists() else None
    if artifact is None and not path.exists():
        raise RecliError(Exit.IO, "no such file", where=path)
    return Input(role=role, path=path, sha256=sha256_of(path) if artifact is None else artifact.digest)


def stamp_of(path: Path) -> tuple[int, int, int]:
    """What changes when a file is written: its inode, size and time."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def unchanged(inputs: Iterable[Input]) -> None:
    """Refuse files that were written since their digests were taken (exit 3)."""
    for item in inputs:
        if item.stamp and item.stamp != stamp_of(item.path):
            raise RecliError(Exit.DATA, "was changed while it was read", where=item.path)


def table_header(table: sources.Table) -> dict[str, Any]:
    """What the header of a table says of its columns."""
    more: dict[str, Any] = {"types": table.types, "row_count": table.frame.height}
    if table.originals:
        more["originals"] = table.originals
    if table.dtypes:
        more["dtypes"] = table.dtypes
    return more


def parent_path(artifact: Artifact, role: str, given: Path | None = None) -> Path | None:
    """Where a parent of an artifact stands: ``given``, or as the header says, relative to the artifact."""
    if given is not None:
        return given
    parent = artifact.header.parent(role)
    return None if parent is None else Path(artifact.path).resolve().parent / parent.path


def check_parent(header: Header, role: str, digest: str, path: Path, hint: str) -> None:
    """Refuse a parent that is not the file the artifact was made from.

    Raises:
        RecliError: another digest than the header states (exit 3).
    """
    parent = header.parent(role)
    if parent is not None and parent.sha256 != digest:
        raise RecliError(Exit.DATA, f"is not the {role} that it was made from", where=path, hint=hint)
