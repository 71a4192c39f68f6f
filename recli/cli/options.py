"""The options that several commands share, declared once.

A group is a function: its parameters are the options, its value is what they mean, and `takes` gives a command both:
``making`` (-o, -f, --overwrite) to every command that writes an artifact, ``source`` (--format, --user-col, …) to
every command that reads interactions, ``filters`` to split and filter; -q, -v and -j to all.
"""

import os
import sys
from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from recli import memory, notices
from recli.cli.console import Console, default_signals, print_paths
from recli.errors import Exit, RecliError, nearest
from recli.schema import FORMATS, TYPES

if TYPE_CHECKING:
    from recli.pipeline.events import Source
    from recli.pipeline.filter import Filters
    from recli.pipeline.step import Output

Result = TypeVar("Result")
Inputs = Annotated[
    list[str] | None, typer.Argument(metavar="INPUT", help="Files; without any, their paths on stdin, one a line.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Where chance starts from.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Errors only.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more: details, wall seconds, peak memory.")]
Threads = Annotated[int | None, typer.Option("-j", "--threads", min=1, metavar="N", help="Threads; default: all.")]
Memory = Annotated[
    str | None, typer.Option("--max-memory", metavar="4G", help="Refuse what would take more; default: what is free.")
]

Debug = Annotated[bool, typer.Option("--debug", hidden=True, help="Show the traceback of an error.")]

_CONSOLE = {"quiet": Quiet, "verbose": Verbose, "threads": Threads, "max_memory": Memory, "debug": Debug}
_UNSET = {"threads": None, "max_memory": None}  # what they are where nothing is said; the others are flags


def takes(*groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of ``groups``; it is called with each group's value under the group's name.

    It is also given ``console``, made from -q, -v and -j before anything is imported that reads the number of threads.
    """

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        name = command.__module__.rpartition(".")[2]
        built = {"console", *(group.__name__ for group in groups)}
        own = [parameter for parameter in signature(command).parameters.values() if parameter.name not in built]
        shared = {group: list(signature(group).parameters.values()) for group in groups}
        console = [
            Parameter(
                n, Parameter.KEYWORD_ONLY, default=None if n in ("threads", "max_memory") else False, annotation=kind
            )
            for n, kind in _CONSOLE.items()
        ]

        def call(console: Console, given: dict[str, Any], **ready: Any) -> None:
            """The command with the options ``given``; what is ``ready`` takes the place of a group's value."""
            asked = {group: ps for group, ps in shared.items() if group.__name__ not in ready}
            values = {group.__name__: group(**{p.name: given.pop(p.name) for p in ps}) for group, ps in asked.items()}
            command(console=console, **given, **(values | ready))

        def run(context: typer.Context, **given: Any) -> None:
            out = begin(name, **{n: given.pop(n) for n in _CONSOLE})
            out.usage = f"{context.get_usage()}\n{context.command.epilog}"
            call(out, given)
            out.end()

        context = Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)
        everything = [context, *own, *(p for ps in shared.values() for p in ps), *console]
        run.__signature__ = signature(run).replace(  # type: ignore[attr-defined]
            parameters=[p.replace(kind=Parameter.KEYWORD_ONLY) for p in everything]
        )
        run.__annotations__ = {p.name: p.annotation for p in everything}
        run.__doc__ = command.__doc__
        run.call = call  # type: ignore[attr-defined]
        return run

    return wrap


def begin(
    command: str, *, quiet: bool, verbose: bool, threads: int | None, max_memory: str | None, debug: bool
) -> Console:
    """Start a command: its console, the memory it may take, and the number of threads, which numpy and its like read
    when they are imported.
    """
    if max_memory is not None:
        memory.parse(max_memory)
        os.environ[memory.VARIABLE] = max_memory
    if debug:
        os.environ["RECLI_DEBUG"] = "1"
    # Not every system can tell which processors this process may use.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = str(threads or allowed or 1)
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = count
    os.environ["POLARS_MAX_THREADS"] = count
    # Threads of torch's that wait for each other by spinning take tens of times as long on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    console = Console(command, quiet=quiet, verbose=verbose)
    notices.listeners[:] = [console.waiting]
    return console


def thread_count() -> int:
    """The number of threads that `begin` settled."""
    return int(os.environ["NUMBA_NUM_THREADS"])


class Making:
    """Where a result goes and what may be replaced, as the options say."""

    def __init__(self, path: str | None, force: bool, overwrite: bool) -> None:
        self.path, self.force, self.overwrite = path, force, overwrite

    @property
    def to_stream(self) -> bool:
        """Whether the result itself goes to stdout, so that no path may."""
        if self.path is None or self.path == "-":
            return self.path == "-"
        from recli.artifact import is_stream

        return is_stream(Path(self.path))

    def output(self, console: Console) -> "Output":
        """What the steps need of it; one for all the inputs of a command."""
        from recli.pipeline.step import Output

        default_signals()  # polars is imported by now, and has taken SIGINT for itself
        return Output(
            path=self.path,
            force=self.force,
            overwrite=self.overwrite,
            stream=sys.stdout.buffer,
            note=console.note,
            detail=console.detail,
            progress=console.progress,
        )


def making(
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where to write; may hold {name}, {fold}; - is stdout."),
    ] = None,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="Do the work even where the output is up to date.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is no artifact of this kind.")
    ] = False,
) -> Making:
    """The options of every command that writes an artifact."""
    return Making(output, force, overwrite)


def source(
    format: Annotated[
        str | None, typer.Option("--format", metavar="F", help=f"Format of the input: {', '.join(FORMATS)}.")
    ] = None,
    sep: Annotated[str | None, typer.Option("--sep", help="What separates the fields (\\t is a tab).")] = None,
    seq_sep: Annotated[str, typer.Option("--seq-sep", help="What separates the parts of a sequence.")] = " ",
    user_col: Annotated[str | None, typer.Option("--user-col", metavar="COL", help="The column of user ids.")] = None,
    item_col: Annotated[str | None, typer.Option("--item-col", metavar="COL", help="The column of item ids.")] = None,
    rating_col: Annotated[
        str | None, typer.Option("--rating-col", metavar="COL", help="The column of ratings.")
    ] = None,
    time_col: Annotated[str | None, typer.Option("--time-col", metavar="COL", help="The column of timestamps.")] = None,
    missing: Annotated[
        str | None, typer.Option("--missing", metavar="TEXT", help="matrix: what stands for no rating, such as -1.")
    ] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="matrix: ids are the first line and column, or none.")
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--types", metavar="COL=TYPE", help=f"A column's type: {', '.join(TYPES)}.")
    ] = None,
    bad_rows: Annotated[
        str, typer.Option("--bad-rows", metavar="error|skip", help="A malformed row is an error, or left out.")
    ] = "error",
) -> "Source":
    """The options of every command that reads interactions."""
    from recli.pipeline.events import Source
    from recli.sources import Options

    options: dict[str, Any] = {
        "format": None if format is None else choice("--format", format, FORMATS),
        "sep": None if sep is None else sep.replace("\\t", "\t"),
        "seq_separator": seq_sep,
        "user_col": user_col,
        "item_col": item_col,
        "rating_col": rating_col,
        "time_col": time_col,
        "missing": missing,
        "header": header,
        "types": dict(_type(text) for text in types or ()),
        "bad_rows": choice("--bad-rows", bad_rows, ("error", "skip")),
    }
    return Source(options=Options(**options))


def filters(
    dedup: Annotated[
        str | None,
        typer.Option("--dedup", metavar="first|last|error", help="Which row of a repeated (user, item) stays."),
    ] = None,
    range: Annotated[
        list[str] | None,
        typer.Option("--range", metavar="COL=LOW,HIGH", help="Keep rows within; an end may be open, ; begins another."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="COL=VALUE,…", help="Keep rows that have one of the values.")
    ] = None,
    min_rating: Annotated[
        float | None, typer.Option("--min-rating", metavar="X", help="Keep ratings of at least X.")
    ] = None,
    user_kcore: Annotated[
        str, typer.Option("--user-kcore", metavar="N|LOW,HIGH", help="Keep users with N rows or more, or so many.")
    ] = "0",
    item_kcore: Annotated[
        str, typer.Option("--item-kcore", metavar="N|LOW,HIGH", help="Keep items with N rows or more, or so many.")
    ] = "0",
) -> "Filters":
    """The options that leave rows out; the k-cores to a fixed point."""
    from recli.pipeline.filter import Filters

    return Filters(
        dedup=None if dedup is None else choice("--dedup", dedup, ("first", "last", "error")),
        ranges=tuple(range or ()),
        only=tuple(only or ()),
        min_rating=min_rating,
        user_kcore=_core("--user-kcore", user_kcore),
        item_kcore=_core("--item-kcore", item_kcore),
    )


def _core(option: str, given: str) -> int | str:
    """A number of rows, or from how many to how many.

    Raises:
        RecliError: it is neither (exit 2).
    """
    from recli.filters import parse_core

    if given.strip().isdecimal():
        return int(given)
    try:
        parse_core(given)
    except RecliError as error:
        hint = "such as 5, or 5,100"
        raise RecliError(Exit.USAGE, f"{option} takes N or LOW,HIGH, not {given!r}", hint=hint) from error
    return given


def inputs_of(console: Console, given: Sequence[str] | None, output: str | None = None) -> list[Path]:
    """The input files: the arguments, else paths on stdin.

    Raises:
        RecliError: stdin is a terminal or ``-o`` names one file for several inputs (exit 2), or stdin holds no path,
            because the command before failed (exit 3).
    """
    paths = [Path(text) for text in given or _from_stdin(console)]
    names_each("-o", output, len(paths))
    return paths


def names_each(option: str, path: str | None, inputs: int) -> None:
    """Refuse one file for several inputs (exit 2)."""
    if inputs > 1 and path is not None and not ("{name}" in path or "{fold}" in path):
        hint = "put {name} into it, or {fold}, the number of the fold that an input is of"
        raise RecliError(Exit.USAGE, f"{option} names one file for {inputs} inputs", hint=hint)


def each(paths: Sequence[Path], work: Callable[[Path], Result]) -> list[Result]:
    """What ``work`` makes of every input.

    Raises:
        RecliError: that of the first that fails; of several inputs it names the one, where it is about the data.
    """
    found = []
    for path in paths:
        try:
            found.append(work(path))
        except RecliError as error:
            if len(paths) == 1 or error.where is not None or error.code is Exit.USAGE:
                raise
            raise RecliError(error.code, error.message, where=path, hint=error.hint) from error
    return found


def map_over(paths: Sequence[Path], making: Making, work: Callable[[Path], Path | list[Path]]) -> None:
    """Do ``work`` on every input, and print the paths of what it made once all of it is there."""
    made = [one if isinstance(one, list) else [one] for one in each(paths, work)]
    if not making.to_stream:
        print_paths(path for paths_made in made for path in paths_made)


def _from_stdin(console: Console) -> list[str]:
    if sys.stdin is None or sys.stdin.isatty():
        sys.stderr.write(f"{console.usage}\n")
        raise RecliError(Exit.USAGE, "no input", hint="give a file, or paths on stdin; --help says more")
    lines = sys.stdin.buffer.read().split(b"\n")
    paths = [os.fsdecode(line) for line in (line.removesuffix(b"\r") for line in lines) if line]
    if not paths:
        raise RecliError(Exit.DATA, "no input: the command before this one wrote nothing")
    return paths


def _type(text: str) -> tuple[str, str]:
    column, equals, kind = text.partition("=")
    if not equals:
        raise RecliError(Exit.USAGE, f"--types takes COLUMN=TYPE, not {text!r}")
    return column, choice("--types", kind, TYPES)


def choice(option: str, given: str, choices: Sequence[str]) -> str:
    """``given`` if it is one of ``choices``, else a usage error that offers the nearest."""
    if given not in choices:
        raise RecliError(Exit.USAGE, f"{option} cannot be {given!r}", hint=nearest(given, choices))
    return given


class Ids(list[str]):
    """Ids that an option gave; ``file`` is where they stood, if they stood in a file."""

    file: Path | None = None


def ids_of(option: str, given: str | None) -> Ids | None:
    """Ids from ``ID,ID,…``, or one a line from ``@FILE`` (or a file of that name).

    Raises:
        RecliError: there is no id (exit 2; 3 for a file), or the file cannot be read (exit 4).
    """
    if given is None:
        return None
    if not given.startswith("@") and not os.path.isfile(given):  # noqa: PTH113 -- Path's raises where the text is long
        ids = Ids(text for text in given.split(",") if text)
        if not ids:
            raise RecliError(Exit.USAGE, f"{option} names nobody", hint="ID,ID,… or @FILE")
        return ids
    path = Path(given.removeprefix("@"))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RecliError(Exit.IO, (error.strerror or "cannot be read").lower(), where=path) from error
    except UnicodeDecodeError as error:
        raise RecliError(Exit.DATA, "is not UTF-8 text", where=path) from error
    ids = Ids(line for line in (line.removesuffix("\r") for line in text.split("\n")) if line)
    if not ids:
        raise RecliError(Exit.DATA, "holds no id", where=path)
    ids.file = path
    return ids
