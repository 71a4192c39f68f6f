"""Numbers mixed into keys, row by row."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recli.kernels import kernel, spread
from recli.kernels.splitmix import STEP, mixed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Ints = NDArray[np.int32]


def stir(key: Hashes, numbers: Hashes, places: Ints | None = None) -> None:
    """What `recli.splits` does with few rows: mix the numbers, or those at the ``places``, into the keys."""
    none = np.empty(0, np.int32)
    spread(partial(_stir, key, numbers, none if places is None else places), len(key))


@kernel
def _stir(key: Hashes, numbers: Hashes, places: Ints, start: int, stop: int) -> None:
    """The next output of splitmix64 from each key."""
    for row in range(start, stop):
        z = key[row] ^ (numbers[places[row]] if len(places) > 0 else numbers[row])
        key[row] = mixed(z + STEP)
