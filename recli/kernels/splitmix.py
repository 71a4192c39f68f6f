"""splitmix64, random numbers from a counter: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"
(OOPSLA). A state is a seed and a multiple of `STEP`.
"""

from __future__ import annotations

import numpy as np

from recli.kernels import part

STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@part
def stirred(state: np.uint64) -> np.uint64:
    """A state all but mixed: as good where only the upper bits are wanted."""
    z = (state ^ (state >> np.uint64(30))) * FIRST
    return (z ^ (z >> np.uint64(27))) * SECOND


@part
def mixed(state: np.uint64) -> np.uint64:
    """The output for a state, one to one."""
    z = stirred(state)
    return z ^ (z >> np.uint64(31))


@part
def below(bound: int, state: np.uint64) -> np.int64:
    """A number from 0 to bound - 1 for each state."""
    return np.int64(((stirred(state) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))
