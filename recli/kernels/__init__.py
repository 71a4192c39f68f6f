"""The few loops where time is really spent, compiled by numba. Imported only where they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])

# Sums may be taken in another order (SIMD) and products fused; the rest of "fast" maths gives other bytes from the
# cache than in the process that compiled it, and takes NaN and infinity for impossible.
FASTMATH = frozenset({"reassoc", "contract"})


def kernel(*, parallel: bool = False, inline: bool = False) -> Callable[[Function], Function]:
    """Compile a function at its first call and keep the machine code on disk, where a directory is writable.

    A kernel calls only functions of its own file: the cache does not notice a change elsewhere.
    """
    options = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": set(FASTMATH),
        "parallel": parallel,
        "forceinline": inline,
    }

    def decorate(function: Function) -> Function:
        try:
            compiled: Function = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # numba found no directory to write to
            compiled = numba.njit(**options)(function)
        return compiled

    return decorate


def fixed(width: int) -> NDArray[np.void]:
    """An array whose type holds a width, as ``len(fixed[0].row)``: a kernel that takes it is compiled for that width.

    A tuple's length would do as well, but parallel kernels take no tuple of more than a hundred, and long to compile.
    """
    return np.empty(1, [("row", np.float32, width)])


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run the parallel kernels inside on ``count`` threads, or on as many as there are."""
    before = numba.get_num_threads()
    numba.set_num_threads(max(1, min(count, numba.config.NUMBA_NUM_THREADS)))
    try:
        yield
    finally:
        numba.set_num_threads(before)
