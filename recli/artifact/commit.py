"""The atomic commit: the one way in which recli writes a file.

A target is at every moment the old file or the complete new one. The temporary file stands beside it, and goes on
any error and on SIGTERM, SIGHUP, SIGINT and SIGPIPE; only SIGKILL and a power cut can leave it behind.
"""

import errno
import os
import re
import secrets
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import IO, Final

from recli.errors import Exit, Interrupted, RecliError

_OPEN_ALREADY: Final = re.compile(r"/dev/std(in|out|err)|/dev/fd/\d+|/proc/(self|\d+)/fd/\d+")
_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE)


def commit(target: Path, write: Callable[[IO[bytes]], None], check: Callable[[Path], None] = lambda path: None) -> None:
    """Write a file whole or not at all.

    ``write`` gets an empty binary file, readable and seekable; ``check`` gets the path of the finished temporary
    file, opens it again and raises when it is not what was meant. A stream (FIFO, device) is written straight
    through, without a check.

    Raises:
        OSError: it cannot be written; the target is as it was.
        Interrupted: a signal came; likewise.
    """
    if is_stream(target):
        _write_through(target, write)
        return
    path = Path(os.path.realpath(target))  # a link stays, and what it points to is replaced
    # The name is cut so that a long one still fits the file system's 255 bytes.
    temporary = path.with_name(f".{path.name[:60]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    with signals_raised():
        try:
            with _create(temporary) as out, _disk_errors(path):
                write(out)
                out.flush()
                os.fsync(out.fileno())
            check(temporary)
            os.replace(temporary, path)  # noqa: PTH105 -- named as in POSIX
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def guard(target: Path, inputs: Iterable[Path]) -> None:
    """Refuse, before any work is done, a target that could not or must not be written.

    Raises:
        RecliError: it is a folder or one of the inputs (exit 2), or its folder is missing or read-only (exit 4).
    """
    if "\n" in str(target):
        raise RecliError(Exit.USAGE, "a name cannot hold the end of a line", where=target, hint="name a file with -o")
    if target.is_dir():
        raise RecliError(Exit.USAGE, "is a folder", where=target, hint="name a file with -o")
    for source in inputs:
        if target.exists() and source.exists() and target.samefile(source):
            raise RecliError(Exit.USAGE, "is an input too", where=target, hint="name another file with -o")
    if is_stream(target):
        return
    folder = Path(os.path.realpath(target)).parent
    if not folder.is_dir():
        raise RecliError(Exit.IO, "no such folder", where=folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RecliError(Exit.IO, "the folder cannot be written", where=folder)


def is_stream(path: Path) -> bool:
    """Whether ``path`` is not a file to be replaced: a FIFO, a device, ``/dev/stdout`` whatever stands behind it."""
    if _OPEN_ALREADY.fullmatch(str(path)):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    total = sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(1 << 24):
            total.update(chunk)
    return total.hexdigest()


@contextmanager
def signals_raised() -> Iterator[None]:
    """While this stands, the signals that end a process raise `Interrupted` instead; a second one ends it at once.

    Elsewhere the default action holds: a handler would have to wait until a running LAPACK call returns.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def raise_interrupted(signum: int, frame: FrameType | None) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        raise Interrupted(signum)

    # What the parent had ignored, as nohup does, stays ignored; Python itself ignores SIGPIPE.
    heeded = [n for n in _SIGNALS if n == signal.SIGPIPE or signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, raise_interrupted) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _create(path: Path) -> IO[bytes]:
    """A new file with the mode that umask gives (``mkstemp`` would leave 0600 behind)."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666), "w+b")


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """polars reports a full disk as an error of its own, with the number in the text only: make it an OSError."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno or _number(error) or errno.EIO, _reason(error), str(path)) from error
    except Exception as error:
        number = _number(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _number(error: Exception) -> int | None:
    found = re.search(r"os error (\d+)", str(error))
    return int(found.group(1)) if found else None


def _reason(error: OSError) -> str:
    number = error.errno or _number(error)
    return os.strerror(number) if number else str(error)


def _write_through(target: Path, write: Callable[[IO[bytes]], None]) -> None:
    # An artifact is sealed after it is written, which a stream does not allow: so it is made in memory first.
    buffer = BytesIO()
    write(buffer)
    buffer.seek(0)
    # Not truncated: behind /dev/stdout may stand a file that others write to as well.
    with _disk_errors(target), os.fdopen(os.open(target, os.O_WRONLY | os.O_APPEND), "wb") as out:
        shutil.copyfileobj(buffer, out, 1 << 20)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems refuse to sync a folder; the file itself is safe
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
