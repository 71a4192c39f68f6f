"""The few loops where time is really spent, compiled by numba: once, see `functions`.

A kernel is a serial function of a range of rows, and `spread` runs it on threads of Python's, as it lets go of the
interpreter's lock, or on those of a library that lends its own. numba's own parallel loops were left: they compile for
twice as long, and a sum whose order is left to the compiler came out otherwise from the cache than in the process that
had compiled it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recli.kernels.functions import Kernel, kernel, part

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["aligned", "fixed", "kernel", "lender", "part", "spread", "threads"]

LINE: Final = 64  # bytes
PIECES: Final = 8  # of work for each thread, as not all rows take the same time
_threads: ContextVar[int] = ContextVar(
    "threads", default=int(os.environ.get("NUMBA_NUM_THREADS") or os.cpu_count() or 1)
)
# The address of a function as GOMP_parallel: another library's threads, where those keep the processors busy.
lender: ContextVar[int | None] = ContextVar("lender", default=None)


def fixed(width: int) -> NDArray[np.void]:
    """An array whose type holds a width, as ``len(fixed[0].row)``: what takes it is compiled for that width."""
    return np.empty(1, [("row", np.float32, width)])


def aligned(rows: int, width: int) -> NDArray[np.float32]:
    """Zeros (rows, width) from the start of a cache line: no row of 16, 32, … lies in one line more than it need."""
    size = rows * width * 4
    raw = np.zeros(size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size].view(np.float32).reshape(rows, width)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let `spread` use ``count`` threads inside; otherwise it is NUMBA_NUM_THREADS, or one for each processor."""
    before = _threads.set(max(1, count))
    try:
        yield
    finally:
        _threads.reset(before)


def spread(
    work: Callable[[int, int], object],
    n: int,
    entries: NDArray[np.integer[Any]] | None = None,
    *,
    even: bool = False,
) -> None:
    """Call ``work(start, stop)`` for pieces that make up range(n). What one writes the others must not touch.

    With ``entries`` (n + 1,), the running number of the rows' entries, pieces are few and have as many each; ``even``
    rows are one piece for each thread. Handing a piece out costs tens of microseconds, which are much where all the
    work is done in a thousand; it costs nothing where ``work`` is a `partial` of a kernel, on threads that are lent.
    """
    count, lent = min(_threads.get(), n), lender.get()
    if lent is not None and count and isinstance(work, partial) and isinstance(work.func, Kernel):
        work.func.on_threads(lent, count, _starts(n, count, entries, even), work.args)
    elif count <= 1:
        work(0, n)
    else:
        starts = _starts(n, count, entries, even).tolist()
        list(_pool(count).map(work, starts[:-1], starts[1:]))


def _starts(n: int, count: int, entries: NDArray[np.integer[Any]] | None, even: bool) -> NDArray[np.int64]:
    """Where the pieces begin, and at last the end."""
    pieces = min(count * (1 if even else PIECES if entries is None else 2), n)
    if entries is None:
        return n * np.arange(pieces + 1) // pieces
    found = np.searchsorted(entries, np.arange(1, pieces) * (int(entries[-1]) / pieces))
    return np.array([0, *found, n])


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "recli")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of its parent's threads
