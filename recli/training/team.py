"""Kernels on the threads of torch, which go on asking for work a while after a product and so hold the processors."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial

import torch

from recli.kernels import team, threads

Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@contextmanager
def on_threads_of_torch() -> Iterator[None]:
    """Kernels inside run on as many threads as torch uses, and on its own where its OpenMP lends them."""
    library = _openmp()
    before = team.set(None if library is None else partial(_lend, library))
    try:
        with threads(torch.get_num_threads()):
            yield
    finally:
        team.reset(before)


def _lend(library: ctypes.CDLL, count: int, work: Callable[[], object]) -> None:
    """Have each of ``count`` threads call ``work`` once; raises what the first that failed raised."""
    failed: list[BaseException] = []

    def body(_: object) -> None:
        try:
            work()
        except BaseException as error:  # C would lose it
            failed.append(error)

    library.GOMP_parallel(Body(body), None, count, 0)
    if failed:
        raise failed[0]


@cache
def _openmp() -> ctypes.CDLL | None:
    """The library of OpenMP that torch has loaded: GCC's, or one that has GCC's entry too."""
    found = ctypes.CDLL(torch._C.__file__)  # its symbols are those of what it was linked with
    return found if hasattr(found, "GOMP_parallel") else None
