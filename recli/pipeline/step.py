"""One step: its cache key, its target, and the rule when the work is done, when it is not, and when it must not be."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from recli import __version__
from recli.artifact import (
    Artifact,
    Header,
    Parent,
    Payload,
    canonical,
    code_digest,
    find,
    guard,
    is_stream,
    key_of,
    modules_of,
    save,
)
from recli.errors import Exit, RecliError
from recli.pipeline.folds import Fold

if TYPE_CHECKING:
    import polars as pl

    from recli.sources import Table

# Adding a model to the catalog changes no other; what is taken from it stands in the parameters.
_NOT_RUN: Final = ("recli.cli", "recli.models.catalog")
_OF_A_FOLD: Final = ("split", "model", "recs", "preds")  # roles of files that a fold has of its own


def _nobody(*args: object) -> None:
    """A listener that is not there."""


class Due(Exception):
    """Work that a dry run leaves undone; ``target`` is what it would have made."""

    def __init__(self, target: Path) -> None:
        super().__init__(target)
        self.target = target


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where a step's result goes, what may be replaced, and who is told.

    ``path`` may hold ``{name}`` and ``{fold}``; ``-`` hands the data to ``stream``. Without it the result goes into
    ``folder``. ``note`` takes lines for the user, ``detail`` those for a user who asked for more, ``progress`` what is
    done of how much. With ``dry_run`` work that is due is not done: `Due` says so.
    """

    path: str | None = None
    folder: Path = Path()
    dry_run: bool = False
    force: bool = False
    overwrite: bool = False
    stream: IO[bytes] | None = None
    note: Callable[[str], None] = _nobody
    detail: Callable[[str], None] = _nobody
    progress: Callable[[int, int, str], None] = _nobody
    taken: set[Path] = field(default_factory=set)  # the targets that this command has written or found

    def claim(self, target: Path) -> None:
        """Refuse a target that another input of the same command has taken.

        Raises:
            RecliError: two inputs would write one file (exit 2).
        """
        real = Path(os.path.realpath(target))
        if real in self.taken:
            raise RecliError(
                Exit.USAGE, "two inputs would write it", where=target, hint="put {name} into -o, or rename one"
            )
        self.taken.add(real)


@dataclass(frozen=True, kw_only=True)
class Input:
    """A file that a step reads, by its role and its sha256.

    ``stamp`` is what a file that is not an artifact looked like when that was taken.
    """

    role: str
    path: Path
    sha256: str
    stamp: tuple[int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is asked of a command, before anything is done.

    ``defaults`` are the parameters' values that leave no trace in the target's name; ``unnamed`` those parameters
    that never do. ``modules`` are the modules whose code does the work; what they import follows. ``fold`` is what the
    input says of its fold, if it is one.
    """

    command: str
    kind: str
    name: str
    suffix: str  # of the target, such as ".split.parquet": the tag goes before the last dot
    params: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    unnamed: Sequence[str] = ()
    inputs: Sequence[Input]
    modules: Sequence[str]
    also_read: Sequence[Path] = ()  # whose content stands in the parameters
    fold: Fold | None = None

    @property
    def reads_source(self) -> bool:
        """Whether a file that is not an artifact is read, so that the sources' code counts as run."""
        return any(item.stamp is not None for item in self.inputs)

    def target(self, output: Output) -> Path:
        """The path of the result: what ``-o`` says, else made from the name and from what is not default."""
        if output.path is not None:
            if "{fold}" in output.path and self.fold is None:
                where = self.inputs[0].path if self.inputs else None
                raise RecliError(Exit.USAGE, "is no fold, and -o has {fold}", where=where, hint="{name} is its name")
            number = "" if self.fold is None else str(self.fold.number)
            path = output.path.replace("{name}", self.name).replace("{kind}", self.kind)
            return Path(path.replace("{fold}", number))
        stem, dot, extension = self.suffix.rpartition(".")
        return output.folder / f"{self.name}{stem}{self._tag()}{dot}{extension}"

    def describe(self) -> dict[str, Any]:
        """What a result that is printed, not written, says of itself."""
        parents = [vars(_parent(item, Path.cwd() / "-")) for item in self.inputs]
        return {
            "kind": self.kind,
            "recli": __version__,
            "command": self.command,
            "params": dict(self.params),
            "parents": parents,
        }

    def own_fold(self) -> dict[str, Any]:
        """What the header of the result says of the fold that it is of: nothing, where it is of none."""
        if self.fold is None:
            return {}
        others = {item.role: item.sha256 for item in self.inputs if item.role not in _OF_A_FOLD}
        if "files" in self.params:  # the digest of those of all folds
            others.pop("source", None)
        return {"fold": self.fold.then(self.command, self.params, others).document()}

    def _tag(self) -> str:
        unusual = {
            name: value
            for name, value in self.params.items()
            if name not in self.unnamed and (name not in self.defaults or self.defaults[name] != value)
        }
        return f"-{sha256(canonical(unusual).encode()).hexdigest()[:6]}" if unusual else ""


@dataclass(frozen=True, kw_only=True)
class Product:
    """What the work of a step yields: the payload, what its header adds, and a line about it."""

    payload: Payload
    more: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""


def perform(step: Step, output: Output, work: Callable[[], Product]) -> Path:
    """The step's artifact: found where it is up to date, else made by ``work`` and committed.

    Raises:
        RecliError: the target is an input, or something else than the step may replace (exit 2).
        Due: it would be made, and this is a dry run.
    """
    if output.path == "-":
        if step.kind in ("model", "metrics"):
            raise RecliError(Exit.USAGE, "only a table can be written to stdout", hint="name a file with -o")
        output.claim(Path("-"))
        _to_stream(work(), output)
        return Path("-")
    target = step.target(output)
    if output.dry_run and not target.parent.is_dir():
        raise Due(target)
    guard(target, [*(item.path for item in step.inputs), *step.also_read])
    output.claim(target)
    parents = tuple(_parent(item, target) for item in step.inputs)
    key = key_of(step.command, {**step.params, "kind": step.kind}, parents)
    if not is_stream(target) and target.exists() and _is_there(step, target, key, output):
        if not output.dry_run:
            _settle(target, step.inputs)
            output.note(f"{target}: up to date")
        return target
    if output.dry_run:
        raise Due(target)
    started = time.perf_counter()
    product = work()
    modules = modules_of(step.modules, without=_NOT_RUN if step.reads_source else (*_NOT_RUN, "recli.sources"))
    header = Header(
        kind=step.kind,
        command=step.command,
        params=step.params,
        parents=parents,
        key=key,
        code={"modules": modules, "sha256": code_digest(modules)},
        more={**product.more, **step.own_fold()},
    )
    save(target, header, product.payload)
    output.note(f"{target}: {product.summary}, {time.perf_counter() - started:.2f} s")
    return target


def _is_there(step: Step, target: Path, key: str, output: Output) -> bool:
    """Whether what stands at the target is what the step would make; an error where it must not be replaced."""
    existing = _replaceable(target, step.kind, output.overwrite)
    # Without an input, as where the data come from stdin, there is nothing to compare with.
    if existing is None or output.force or not step.inputs:
        return False
    return _is_current(existing.header, key)


def _parent(item: Input, target: Path) -> Parent:
    folder = Path.cwd() if is_stream(target) else Path(os.path.realpath(target)).parent
    return Parent(role=item.role, path=os.path.relpath(item.path.resolve(), folder), sha256=item.sha256)


def _replaceable(target: Path, kind: str, overwrite: bool) -> Artifact | None:
    """What stands at the target, where it bears comparing; None where it is to be made anew."""
    hint = "--overwrite replaces it, -o names another file"
    try:
        existing = find(target)
    except RecliError as error:
        if error.code is not Exit.DATA:
            raise
        return None  # one of ours, but damaged: made again
    if existing is None and not overwrite:
        raise RecliError(Exit.USAGE, "is there already, and is not an artifact of recli", where=target, hint=hint)
    if existing is not None and existing.header.kind != kind and not overwrite:
        raise RecliError(
            Exit.USAGE, f"is there already, and is no {kind} but {existing.header.kind}", where=target, hint=hint
        )
    return existing if existing is not None and existing.header.kind == kind else None


def _is_current(header: Header, key: str) -> bool:
    modules = header.code.get("modules", [])
    return header.key == key and code_digest(modules) == header.code.get("sha256")


def _settle(target: Path, inputs: Sequence[Input]) -> None:
    """Make the target newer than every input, so that make is content too; leave it alone where it is."""
    newest = max((item.path.stat().st_mtime_ns for item in inputs if item.path.exists()), default=0)
    if target.stat().st_mtime_ns < newest:
        os.utime(target)


def _to_stream(product: Product, output: Output) -> None:
    """A table on stdout, as TSV."""
    from recli.sources import write

    stream = output.stream or sys.stdout.buffer
    write(table_of(product.payload), "tsv", stream)
    stream.flush()
    output.note(product.summary)


def table_of(frame: "pl.DataFrame", kind: str = "inter") -> "Table":
    """A table as the writers of text take it, its types told by its columns."""
    from recli.schema import Type
    from recli.sources import Table

    types: dict[str, Type] = {}
    for name, dtype in frame.schema.items():
        types[name] = "token_seq" if dtype.is_nested() else "float" if dtype.is_numeric() else "token"
    return Table(kind=kind, frame=frame, types=types, originals={}, dtypes={}, files=())
