"""What the user sees: lines and progress on stderr, results on stdout."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from recli.errors import RecliError

_SECONDS_BETWEEN_LINES = 10.0


@dataclass
class Console:
    """Notes, details and progress of one command, on stderr."""

    command: str
    quiet: bool = False
    verbose: bool = False
    usage: str = ""
    started: float = field(default_factory=time.perf_counter)
    _shown: float = field(default_factory=time.perf_counter)
    _drawn: bool = False

    def note(self, text: str) -> None:
        """A line that a user wants to see, unless quiet."""
        if not self.quiet:
            self._clear()
            sys.stderr.write(f"recli {self.command}: {printable(text)}\n")

    def detail(self, text: str) -> None:
        """A line for a user who asked for more."""
        if self.verbose:
            self.note(text)

    def progress(self, done: int, total: int, text: str) -> None:
        """How far the work is: redrawn in place on a terminal, else a line from time to time."""
        if self.quiet or os.environ.get("RECLI_NO_PROGRESS"):
            return
        now = time.perf_counter()
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        if now - self._shown < (0.1 if terminal else _SECONDS_BETWEEN_LINES):
            return
        self._shown = now
        head, line = f"recli {self.command}:", f"{done:,}/{total:,} {text}".rstrip() + f", {now - self.started:.0f} s"
        sys.stderr.write(_bar(head, done, total, line) if terminal else f"{head} {line}\n")
        sys.stderr.flush()
        self._drawn = terminal

    def waiting(self, text: str) -> None:
        """A line that says why nothing seems to happen, where progress would be shown."""
        if not os.environ.get("RECLI_NO_PROGRESS"):
            self.note(text)

    def end(self) -> None:
        """The last line of a command that is asked for more: wall seconds and peak memory."""
        self._clear()
        if self.verbose:
            import resource

            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            self.note(f"{time.perf_counter() - self.started:.2f} s, peak memory {peak:,.0f} MiB")

    def _clear(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            self._drawn = False


def _bar(head: str, done: int, total: int, line: str) -> str:
    """A line with a bar in it, over the one before and no wider than the terminal.

    Nothing is hidden or moved but this line, so a signal that ends the process at once leaves the terminal as it was.
    """
    from rich.console import Console as RichConsole
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    console = RichConsole(file=sys.stderr, highlight=False, markup=False)
    row = Table.grid(padding=(0, 1))
    row.add_column(min_width=len(head))
    row.add_column(width=min(24, console.width // 5))
    row.add_column(no_wrap=True, overflow="ellipsis")
    row.add_row(head, ProgressBar(total=max(total, 1), completed=done), line)
    with console.capture() as drawn:
        console.print(row, width=console.width - 1, end="")
    return f"\r\x1b[K{drawn.get().rstrip()}"


def open_streams() -> None:
    """Put /dev/null where the parent closed stdin, stdout or stderr, so that no file takes their places."""
    for descriptor, mode in ((0, "r"), (1, "w"), (2, "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor: this one
            setattr(sys, ("stdin", "stdout", "stderr")[descriptor], os.fdopen(descriptor, mode))


def default_signals() -> None:
    """Let a signal, and a reader that closed the pipe, end the process at once, as they end any Unix tool.

    Nothing has to be cleaned up unless a file is being written, and then `signals_raised` holds. What the parent had
    ignored, as a shell does for a command in the background, stays ignored.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def printable(text: str) -> str:
    """``text`` on one line and without control characters: what stands in a file must not steer a terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def say_error(error: RecliError) -> None:
    """``recli: error: where: what``, then the hint."""
    hint = f"hint: {printable(error.hint)}\n" if error.hint else ""
    with suppress(OSError):  # where stderr is full or gone, the exit code still tells
        sys.stderr.write(f"recli: error: {printable(str(error))}\n{hint}")
        sys.stderr.flush()


def print_paths(paths: Iterable[object]) -> None:
    """The paths of what was made, one a line: what the next command of a pipe reads, byte for byte."""
    sys.stdout.buffer.write(b"".join(os.fsencode(f"{path}\n") for path in paths))
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], show: Callable[[Any], str] = str) -> None:
    """A table: drawn on a terminal, TSV at full precision on a pipe. ``show`` formats a cell for the terminal."""
    if not sys.stdout.isatty():
        lines = ["\t".join(columns), *("\t".join("" if cell is None else str(cell) for cell in row) for row in rows)]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        return
    from rich.console import Console as RichConsole
    from rich.table import Table

    numeric = [all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(columns))]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left")
    for row in rows:
        table.add_row(*("" if cell is None else printable(show(cell)) for cell in row))
    RichConsole(soft_wrap=False, highlight=False, markup=False).print(table)
