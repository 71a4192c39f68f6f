"""Bytes in: files, members of an archive and stdin, decompressed and cut into blocks of whole lines."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast
from zipfile import BadZipFile

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError

# Large enough for polars to use every core on a block, small enough that a second pass over one bad block is quick.
BLOCK: Final = 1 << 24
# One line of an adjacency list may be long; a compressed bomb without a newline must still end.
MAX_LINE: Final = 1 << 28

BOM: Final = b"\xef\xbb\xbf"
UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Input:
    """Something to read: its bare name, what to call it in a message, how to open it, and the file it lies in."""

    name: str
    where: str
    open: Callable[[], AbstractContextManager[BinaryIO]]
    file: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """The file, if there is one: stdin is none."""
        return () if self.file is None else (self.file,)


def file_input(path: Path) -> Input:
    """A plain file."""
    return Input(path.name, str(path), lambda: path.open("rb"), path)


def stream_input(stream: BinaryIO) -> Input:
    """Data on an open stream, which is left open."""
    return Input("stdin", "stdin", lambda: nullcontext(stream), None)


@contextmanager
def reading(where: str, file: Path | None = None) -> Iterator[None]:
    """Turn whatever goes wrong while reading into RecliError: IO for the system's errors, DATA for damaged contents."""
    try:
        yield
    except FileNotFoundError as error:
        raise RecliError(Exit.IO, "no such file", hint=_neighbour(file), where=where) from error
    except (EOFError, zlib.error, BadZipFile) as error:
        raise RecliError(Exit.DATA, f"the compressed data is damaged: {_first_line(error)}", where=where) from error
    except OSError as error:
        # gzip and Arrow raise an OSError without errno when the bytes, not the system, are at fault.
        if error.errno is None:
            raise RecliError(Exit.DATA, f"the compressed data is damaged: {_first_line(error)}", where=where) from error
        raise RecliError(Exit.IO, f"cannot be read: {error.strerror}", where=where) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise RecliError(Exit.DATA, f"cannot be read: {_first_line(error)}", where=where) from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _neighbour(file: Path | None) -> str | None:
    if file is None or not file.parent.is_dir():
        return None
    close = get_close_matches(file.name, [entry.name for entry in file.parent.iterdir()], n=1)
    return f"did you mean {file.with_name(close[0])}?" if close else None


class Block(NamedTuple):
    """Some whole lines: the number of the first, how many there are, and their bytes."""

    line: int
    height: int
    data: bytes


def last_line_end(data: bytes) -> int:
    """Where the last whole line ends."""
    return data.rfind(b"\n") + 1


class LineReader:
    """The lines of a stream, as one header and then blocks.

    A byte order mark is left out. Raises RecliError (DATA) for an empty stream, UTF-16 and a line over MAX_LINE bytes.
    """

    def __init__(self, stream: BinaryIO, where: str, fallback: str | None = None) -> None:
        self.where = where
        self._stream = stream
        self._fallback = fallback
        self._line = 1
        start = stream.read(BLOCK)
        if not start:
            raise RecliError(Exit.DATA, "the file is empty: no rows", where=where)
        if start.startswith(UTF16):
            hint = "iconv -f utf-16 -t utf-8 makes it UTF-8"
            raise RecliError(Exit.DATA, "the text is UTF-16, not UTF-8", hint=hint, where=where)
        self._rest = start.removeprefix(BOM)

    def at(self, line: int) -> str:
        """What to call a line in a message."""
        return f"{self.where}:{line}"

    def header(self) -> str:
        """The first line, without its end; to be asked for before ``blocks``."""
        while b"\n" not in self._rest and self._more():
            pass
        line, _, self._rest = self._rest.partition(b"\n")
        self._line += 1
        try:
            return line.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise RecliError(Exit.DATA, "the header is not valid UTF-8", where=self.at(1)) from error

    def blocks(self, cut: Callable[[bytes], int] = last_line_end) -> Iterator[Block]:
        """All lines that are left, about BLOCK bytes at a time; the last may lack its newline.

        ``cut`` says where in what has been read a block may end, after a newline, or 0 where it may not yet.
        """
        more = True
        while more:
            end = cut(self._rest)
            data, self._rest = self._rest[:end], self._rest[end:]
            if data:
                yield self._block(data)
            more = self._more()
        if self._rest:
            yield self._block(self._rest)

    def _more(self) -> bool:
        if len(self._rest) > MAX_LINE:
            message = f"a line is longer than {MAX_LINE >> 20} MiB"
            raise RecliError(Exit.DATA, message, where=self.at(self._line))
        data = self._stream.read(BLOCK)
        self._rest += data
        return bool(data)

    def _block(self, data: bytes) -> Block:
        newlines = int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n")))
        block = Block(self._line, newlines + (not data.endswith(b"\n")), self._utf8(data))
        self._line += block.height
        return block

    def _utf8(self, data: bytes) -> bytes:
        if self._fallback is None:
            return data
        try:
            data.decode()
        except UnicodeDecodeError:
            return data.decode(self._fallback).encode()
        return data


@contextmanager
def open_lines(source: Input, *, fallback: str | None = None) -> Iterator[LineReader]:
    """The lines of a text, decompressed; ``fallback`` is the encoding of a text that is not UTF-8."""
    with reading(source.where, source.file), source.open() as raw:
        yield LineReader(decompressed(raw), source.where, fallback)


def decompressed(raw: BinaryIO) -> BinaryIO:
    """``raw`` itself, or what gzip or zstd members, one after the other, hold in it: told by the first bytes."""
    magic = raw.read(4)
    if raw.seekable():
        raw.seek(-len(magic), io.SEEK_CUR)
        whole = raw
    else:
        whole = cast(BinaryIO, io.BufferedReader(_Rewound(magic, raw)))
    if magic.startswith(GZIP):
        return cast(BinaryIO, gzip.GzipFile(fileobj=whole))
    if magic == ZSTD:
        import pyarrow as pa

        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(whole, mode="r"), "zstd"))
    return whole


class _Rewound(io.RawIOBase):
    """A stream that cannot seek, with the bytes already taken put back."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._head or self._rest.read(len(buffer))
        self._head = data[len(buffer) :]
        count = min(len(data), len(buffer))
        buffer[:count] = data[:count]
        return count
