"""Dropout whose random numbers are made where they are used, from a seed and a place, and need not be kept."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.kernels import kernel, part, spread
from recli.kernels.splitmix import STEP, mixed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Words = NDArray[np.uint64]

CHUNK: Final = 1 << 12  # numbers whose lots lie in the first cache


def drop(x: Floats, out: Floats, seed: int, dropped: int) -> None:
    """Fill ``out`` with x, both (n,), of which about ``dropped`` in 65,536 are 0 and the others greater by as much.

    The same seed leaves out the same places, whatever the number of threads.
    """
    spread(partial(_drop, x, out, np.uint64(seed), dropped), -(-len(x) // CHUNK), even=True)


@part
def lots(words: Words, seed: np.uint64, first: int) -> None:
    """The outputs of splitmix64 from the ``first`` on, four lots each."""
    for at in range(len(words)):
        words[at] = mixed(seed + np.uint64(first + at) * STEP)


@kernel
def _drop(x: Floats, out: Floats, seed: np.uint64, dropped: int, start: int, stop: int) -> None:
    words = np.empty(CHUNK // 4, np.uint64)
    lot, scale, bound = words.view(np.uint16), np.float32(65536 / (65536 - dropped)), np.uint16(dropped)
    for chunk in range(start, stop):
        low, high = chunk * CHUNK, min((chunk + 1) * CHUNK, len(x))
        lots(words, seed, chunk * (CHUNK // 4))
        mine, its = x[low:high], out[low:high]
        for at in range(len(mine)):
            its[at] = mine[at] * scale if lot[at] >= bound else np.float32(0)
