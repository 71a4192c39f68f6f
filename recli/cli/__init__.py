"""The command line: one app, one file a command, and the one place that turns an error into an exit code."""

import os
import signal
import sys
import traceback
from contextlib import suppress
from typing import Annotated

import typer
from typer.exceptions import TyperException

from recli import __version__
from recli.cli import (
    check,
    compare,
    convert,
    evaluate,
    filter,
    metrics,
    models,
    predict,
    recommend,
    show,
    similar,
    split,
    train,
)
from recli.cli import run as run_command
from recli.cli.console import default_signals, open_streams, say_error
from recli.cli.values import Command, Group
from recli.errors import Exit, Interrupted, RecliError

app = typer.Typer(
    name="recli",
    cls=Group,
    help=(
        "The recommender-systems toolkit for the shell.\n\n"
        "Each command reads files and writes one, and prints its path for the next:\n\n"
        "recli split ml.inter | recli train --model bpr | recli recommend -k 10 | recli evaluate --metrics ndcg@10"
    ),
    epilog=(
        "Exit codes: 0 done, 1 the verdict is negative, 2 usage, 3 bad data, 4 input or output, 5 memory, "
        "6 training diverged, 70 a bug, 128+n signal n."
    ),
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)

for command in (
    convert,
    filter,
    split,
    train,
    recommend,
    predict,
    similar,
    evaluate,
    compare,
    run_command,
    show,
    check,
    models,
    metrics,
):
    settings = getattr(command, "CONTEXT", None)
    name = command.__name__.rpartition(".")[2]
    app.command(name=name, epilog=command.EXAMPLE, cls=Command, context_settings=settings)(command.command)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"recli {__version__}\n")
        raise typer.Exit


@app.callback()
def recli(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (also RECLI_DEBUG=1).")
    ] = False,
) -> None:
    """Options of recli itself; its help is the app's."""
    if debug:
        os.environ["RECLI_DEBUG"] = "1"
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")
        raise typer.Exit(Exit.USAGE)


def main() -> None:
    """Run the command line; every error ends here, as one line and an exit code."""
    open_streams()
    default_signals()
    try:
        code = app(standalone_mode=False, prog_name="recli")
        sys.stdout.flush()
    except BaseException as error:
        if os.environ.get("RECLI_DEBUG") and not isinstance(error, SystemExit):
            traceback.print_exc()
        code = _report(error)
    sys.exit(code)


def run() -> None:
    """`main` as the whole of a process: taking the interpreter down piece by piece would take a tenth of a second."""
    try:
        main()
    except SystemExit as end:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(int(end.code or 0))


def _report(error: BaseException) -> int:
    """Say what went wrong and return the exit code for it."""
    if isinstance(error, Interrupted):
        signal.signal(error.signum, signal.SIG_DFL)
        os.kill(os.getpid(), error.signum)  # die of it, so that the shell and make see a signal and not a failure
        return 128 + error.signum
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else Exit.BUG
    known = _known(error)
    say_error(known)
    return known.code


def _known(error: BaseException) -> RecliError:
    if isinstance(error, RecliError):
        return error
    if isinstance(error, TyperException):
        message = getattr(error, "format_message", error.__str__)()
        return RecliError(Exit.USAGE, message.splitlines()[0].rstrip("."), hint="--help says what there is")
    if isinstance(error, MemoryError):
        return RecliError(Exit.MEMORY, "out of memory", hint="fewer threads (-j) or a smaller input take less")
    if isinstance(error, OSError):
        return RecliError(Exit.IO, (error.strerror or str(error)).lower(), where=error.filename)
    text = str(error).splitlines()[0] if str(error) else ""
    hint = "this is a bug; RECLI_DEBUG=1 shows where it comes from"
    return RecliError(Exit.BUG, f"{type(error).__name__}: {text}", hint=hint)
